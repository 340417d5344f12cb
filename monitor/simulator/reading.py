"""Reads a request as a permissive server would: whatever could be meant is understood, and add-ons are found.

The guard refuses what it does not understand; a server that shrugged and served it is the test of that.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from monitor.simulator.refusals import Refusal, plain
from monitor.simulator.text import token_count

Body = dict[str, Any]

USE_TOOL = "use the tool"
"""A last message with these words is answered by calling the first function of `tools`."""
IMAGE_TOKENS = 85
_LARGEST = 10**9
_MOST_CHOICES = 128
_MORE_MODELS = frozenset({"models", "fallbacks", "preset"})
_TEXT_FIELDS = {
    "chat": ("messages",),
    "completions": ("prompt",),
    "responses": ("instructions", "input"),
    "messages": ("system", "messages"),
    "embeddings": ("input",),
    "rerank": ("query", "documents"),
}


@dataclass(slots=True)
class Ask:
    """What a request asks for, as the server understood it."""

    endpoint: str
    path: str
    body: Body
    models: tuple[str, ...] = ()
    """In the order in which they are tried; empty means the account's default."""
    stream: bool = False
    prompt: str = ""
    last: str = ""
    prompt_tokens: int = 1
    longest_prompt: int = 1
    """Tokens of the longest of several texts to embed: the model's context bounds each of them, not all together."""
    max_tokens: int | None = None
    choices: int = 1
    function: dict[str, Any] | None = None
    """The function to call, when the conversation asks for one."""
    files: int = 0
    images: int = 0
    max_price: dict[str, float] = field(default_factory=dict)
    again: bool = False
    """The same bytes have been read before."""
    forms: dict[Any, Any] = field(default_factory=dict)
    """What was printed for it before, see `repeats`."""


def _no_constant(name: str) -> None:
    raise ValueError(name)


# Made once: `json.loads` with any option makes a new decoder each time.
_decode = json.JSONDecoder(parse_constant=_no_constant).decode


def read_body(raw: bytes) -> Body | Refusal:
    """The body as JavaScript reads it: the last duplicate key wins, a byte order mark is dropped, NaN is wrong."""
    try:
        body = _decode(raw.decode("utf-8", "replace").removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return plain(400, "Invalid JSON in request body", "400_json")
    if not isinstance(body, dict):
        return plain(400, "Expected an object in the request body", "400_json")
    return body


def read_ask(endpoint: str, path: str, body: Body) -> Ask | Refusal:
    """What `body` asks of `endpoint`."""
    models = _models(body)
    if isinstance(models, Refusal):
        return models
    found = _Found()
    for name in _TEXT_FIELDS.get(endpoint, ("prompt", "input", "messages", "text")):
        found.walk(body.get(name))
    if not found.texts and endpoint in ("chat", "messages", "responses"):
        needed = "input" if endpoint == "responses" else "messages"
        return plain(400, f'Input required: specify "{needed}"')
    last = found.texts[-1] if found.texts else ""
    tokens = [each.tokens for each in _prompts(endpoint, body)] or [found.tokens]
    provider = body.get("provider")
    return Ask(
        endpoint=endpoint,
        path=path,
        body=body,
        models=models,
        stream=bool(body.get("stream")),
        prompt="\n".join(found.texts),
        last=last,
        prompt_tokens=sum(tokens),
        longest_prompt=max(tokens),
        max_tokens=_limit(body),
        choices=min(_MOST_CHOICES, max(1, _whole(body.get("n")) or 1)) if endpoint in ("chat", "completions") else 1,
        function=_function(body, last),
        files=found.files,
        images=found.images,
        max_price=_max_price(provider.get("max_price") if isinstance(provider, dict) else None),
    )


def _models(body: Body) -> tuple[str, ...] | Refusal:
    """`model`, then `models[]` or `fallbacks[]`, without repetition."""
    if not body.keys() & _MORE_MODELS and isinstance(body.get("model"), str) and body["model"]:
        return (body["model"],)
    asked: list[Any] = [body.get("model")]
    for name in ("models", "fallbacks"):
        asked += [each.get("model") if isinstance(each, dict) else each for each in list_of(body, name)]
    named = [each for each in asked if each]
    if not all(isinstance(each, str) for each in named):
        return plain(400, "model: expected string", "400_json")
    preset = body.get("preset")
    if isinstance(preset, str) and preset:
        named = [f"@preset/{preset.removeprefix('@preset/')}"]
    return tuple(dict.fromkeys(named))


def _prompts(endpoint: str, body: Body) -> list[_Found]:
    """Each of several texts to embed; nothing where one prompt is asked, as text or as tokens."""
    given = list_of(body, "input") if endpoint == "embeddings" else []
    if not any(isinstance(each, str | list | dict) for each in given):
        return []
    found = [_Found() for _ in given]
    for each, prompt in zip(given, found, strict=True):
        prompt.walk(each)
    return found


def list_of(body: Body, name: str) -> list[Any]:
    """The list in a field; anything else counts as none."""
    value = body.get(name)
    return value if isinstance(value, list) else []


class _Found:
    """Text, files and images of a conversation, whatever the API's shape of it."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.files = 0
        self.images = 0
        self.numbers = 0

    @property
    def tokens(self) -> int:
        """Tokens of all that was found; what came as tokens is not counted again."""
        text = token_count("\n".join(self.texts)) if self.texts or not self.numbers else 0
        return text + self.numbers + IMAGE_TOKENS * self.images

    def walk(self, value: Any) -> None:
        if isinstance(value, str):
            self.texts.append(value)
        elif isinstance(value, int | float):
            self.numbers += 1
        elif isinstance(value, list):
            for each in value:
                self.walk(each)
        elif isinstance(value, dict):
            self._walk_object(value)

    def _walk_object(self, value: dict[str, Any]) -> None:
        kind = value.get("type")
        if kind in ("file", "input_file", "document"):
            self.files += 1
        elif kind in ("image_url", "input_image", "image"):
            self.images += 1
        for name in ("content", "text", "output"):
            if name in value:
                self.walk(value[name])


def _whole(value: Any) -> int | None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST
    return int(value) if number else None


def _limit(body: Body) -> int | None:
    for name in ("max_completion_tokens", "max_tokens", "max_output_tokens"):
        found = _whole(body.get(name))
        if found is not None and found > 0:
            return found
    return None


def _max_price(given: Any) -> dict[str, float]:
    """`provider.max_price`: USD per million tokens, per request, per image; numbers may stand as strings."""
    limits: dict[str, float] = {}
    for name, value in given.items() if isinstance(given, dict) else ():
        try:
            limits[name] = float(value)
        except (TypeError, ValueError):
            continue
    return limits


def _function(body: Body, last: str) -> dict[str, Any] | None:
    """The function that is to be called: named by `tool_choice`, or asked for in words."""
    functions = [found for found in map(_as_function, list_of(body, "tools")) if found is not None]
    if not functions:
        return None
    choice = body.get("tool_choice")
    wanted = (choice.get("function") or choice).get("name") if isinstance(choice, dict) else None
    forced = choice == "required" or (isinstance(choice, dict) and choice.get("type") in ("any", "tool", "function"))
    if choice == "none" or not (forced or USE_TOOL in last.lower()):
        return None
    return next((each for each in functions if each["name"] == wanted), functions[0])


def _as_function(tool: Any) -> dict[str, Any] | None:
    """A function tool of any of the three APIs as name and parameters."""
    if not isinstance(tool, dict):
        return None
    nested = tool.get("function")
    inner = nested if isinstance(nested, dict) else tool
    kind = tool.get("type", "custom")
    if kind not in ("function", "custom") or not isinstance(inner.get("name"), str):
        return None
    return {"name": inner["name"], "parameters": inner.get("parameters") or tool.get("input_schema") or {}}
