"""What the simulated models say: the same answer to the same prompt, different enough to look alive."""

from __future__ import annotations

import zlib
from typing import Any

_OPENINGS = (
    "Good question.",
    "Here is the short version.",
    "Let me think about that for a moment.",
    "In one sentence: it depends, but less than you would expect.",
    "Yes, and here is why.",
    "That is easier than it looks.",
    "There are two sides to it.",
)
_MIDDLES = (
    "The naïve approach works until two things happen at once, so count before you act.",
    "Start with the smallest case that can fail, and let it fail where you can see it.",
    "A limit that nobody can see is a limit that everybody breaks.",
    "Measure it twice: once when it is quiet, and once at five to midnight UTC.",
    "What is free today may not be free tomorrow; read the price before the answer.",
    "Most of the work is in the queue, not in the model.",
    "Write down what you sent, what came back and what it cost → the rest is arithmetic.",
    "The café on the corner solved the same problem with a ticket machine.",
    "Retries are requests too, and someone is counting them.",
    "Keep the fast path boring, and the slow path honest.",
    "If the numbers disagree, believe the one that was written first.",
    "One writer, many readers, and no surprises.",
)
_CLOSINGS = (
    "Shall I go into detail?",
    "That is all there is to it.",
    "Try it with a small example first. 🙂",
    "I hope that helps.",
    "Everything else follows from that.",
)
_CHINESE = (
    "好问题。",
    "先数一数，再行动。",
    "免费的模型也有次数限制，每天在世界标准时间零点重置。",
    "把发送的、收到的和花费的都记下来，剩下的就是算术。",
    "请先用一个小例子试一试。",
    "看不见的限制最容易被打破。",
)
_CODE = (
    '```python\ndef take(window, limit):\n    """Count first, then act."""\n    if window.used >= limit:\n'
    "        return None\n    window.used += 1\n    return window.used\n```"
)


def token_count(text: str) -> int:
    """Tokens by the usual rule of thumb, four characters each; at least one."""
    return max(1, len(text) // 4)


def answer_to(prompt: str, model: str) -> str:
    """The answer of `model` to `prompt`: deterministic."""
    seed = zlib.crc32(prompt.encode("utf-8", "replace")) ^ zlib.crc32(model.encode("utf-8", "replace"))
    if any("\u4e00" <= letter <= "\u9fff" for letter in prompt[-200:]):
        return "".join(_CHINESE[(seed >> shift) % len(_CHINESE)] for shift in (0, 5, 10, 15))
    first, second = seed % len(_MIDDLES), (seed >> 7) % (len(_MIDDLES) - 1)
    # A step from the first that is never a full turn: the two sentences differ.
    middle = f"{_MIDDLES[first]} {_MIDDLES[(first + 1 + second) % len(_MIDDLES)]}"
    parts = [_OPENINGS[(seed >> 11) % len(_OPENINGS)], middle]
    if "code" in model or "function" in prompt:
        parts.append(_CODE)
    parts.append(_CLOSINGS[(seed >> 17) % len(_CLOSINGS)])
    return " ".join(parts)


def thought_about(prompt: str) -> str:
    """What a reasoning model thinks first."""
    subject = " ".join(prompt.split())[:60]
    return f"The user asks: “{subject}”. I should answer briefly and say what to count."


def pieces(text: str, count: int) -> list[str]:
    """`text` in at most `count` parts that give it back when joined."""
    if not text:
        return []
    size = max(1, -(-len(text) // count))
    return [text[start : start + size] for start in range(0, len(text), size)]


def arguments_for(schema: Any) -> dict[str, Any]:
    """Arguments that fit a JSON schema of a function's parameters, for every property it names."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict):
        return {}
    return {name: _example(name, each if isinstance(each, dict) else {}) for name, each in properties.items()}


def _example(name: str, schema: dict[str, Any]) -> Any:
    choices = schema.get("enum")
    if isinstance(choices, list) and choices:
        return choices[0]
    match schema.get("type"):
        case "integer":
            return 7
        case "number":
            return 0.5
        case "boolean":
            return True
        case "array":
            return []
        case "object":
            return arguments_for(schema)
        case _:
            return "Zürich" if name in ("city", "location", "place") else f"example {name}"
