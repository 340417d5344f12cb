"""The items of a batch: what each asks, by what name it is known again, and what came of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from monitor.client.answers import Answer
from monitor.client.cache import key_of
from monitor.client.wishes import Wish
from monitor.errors import CallFailed, ConfigError, GuardRefused, MonitorError
from monitor.redact import redact

_WORDS = frozenset({"model", "task", "system", "fallbacks", "cache"})
"""Besides the question and the request's own parameters, what an item may say for itself."""

_ENVELOPE = frozenset({"custom_id", "method", "url", "body"})
"""A line of OpenAI's batch files; its body is the item."""


class State(StrEnum):
    """How an item stands: answered, failed, or left for later."""

    DONE = "done"
    FAILED = "failed"
    PLANNED = "planned"


SENT = "sent"
"""How an item stands in the store while it is under way: asked again, should its process die."""


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a batch. `key` is what it is known by from run to run, `digest` what it asks."""

    index: int
    key: str
    digest: str
    wish: Wish
    custom_id: str | None = None


@dataclass(frozen=True, slots=True)
class BatchItem:
    """What came of an item: `text` is the answer's, `error` why there is none, `reason` a word of it for programs."""

    index: int
    custom_id: str | None
    state: State
    text: str | None = None
    model: str | None = None
    usage: Mapping[str, Any] | None = None
    attempts: int = 0
    call_id: str | None = None
    error: str | None = None
    reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As a line of the output."""
        return {
            "index": self.index,
            "custom_id": self.custom_id,
            "state": self.state.value,
            "text": self.text,
            "model": self.model,
            "usage": self.usage,
            "attempts": self.attempts,
            "call_id": self.call_id,
            "error": self.error,
            "reason": self.reason,
        }


MakeWish = Callable[[Any, Mapping[str, Any]], Wish]
"""A wish from a question and what an item says besides."""


def read_items(questions: Iterable[Any], make: MakeWish, base_url: str) -> list[Item]:
    """The items of a batch. Raises ConfigError, which names the item that is wrong."""
    items: list[Item] = []
    seen: dict[str, int] = {}
    for index, question in enumerate(questions):
        try:
            custom_id, asked, words = _read(question)
            wish = make(asked, words)
        except ConfigError as exc:
            raise ConfigError(f"item {index + 1} is wrong: {exc.message}", hint=exc.hint) from None
        digest = key_of(wish, base_url)
        if custom_id is not None and custom_id in seen:
            raise ConfigError(f"item {index + 1} has the custom_id {redact(custom_id, limit=60)!r} of another.")
        name = custom_id if custom_id is not None else digest[:32]
        times = seen[name] = seen.get(name, 0) + 1
        # The same question twice is two items.
        items.append(Item(index, name if times == 1 else f"{name}#{times}", digest, wish, custom_id))
    return items


def read_lines(lines: Iterable[str]) -> Iterable[Any]:
    """The values of a JSONL text; empty lines are left out. Raises ConfigError, which names the line."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):
            raise ConfigError(
                f"line {number} is not JSON.", hint="Each line is one JSON value: a text or an object."
            ) from None


def name_of(items: Iterable[Item]) -> str:
    """A name for a batch that was given none: the same questions have the same one."""
    digest = hashlib.sha256("\n".join(f"{item.key} {item.digest}" for item in items).encode("utf-8", "replace"))
    return f"batch-{digest.hexdigest()[:24]}"


def content_of(item: Item, answer: Answer) -> str:
    """An answer as the store keeps it."""
    usage = answer.usage
    found = {
        "digest": item.digest,
        "text": answer.text,
        "model": answer.model,
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cost_usd": usage.cost_usd,
        },
        "attempts": len(answer.attempts),
        "call_id": answer.call_id,
    }
    return json.dumps(found, ensure_ascii=False)


def failure_of(item: Item, exc: MonitorError) -> str:
    """A failure as the store keeps it."""
    attempts = len(exc.attempts) if isinstance(exc, CallFailed) else 0
    found = {
        "digest": item.digest,
        "error": redact(str(exc), limit=400),
        "reason": reason_of(exc),
        "attempts": attempts,
    }
    return json.dumps(found, ensure_ascii=False)


def reason_of(exc: MonitorError) -> str:
    """A word for why it failed: the guard's reason, or the last attempt's outcome."""
    if isinstance(exc, GuardRefused):
        return str(exc.reason)
    last = exc.attempts[-1] if isinstance(exc, CallFailed) and exc.attempts else None
    return str(getattr(last, "outcome", "call_failed"))


def result_of(item: Item, state: str, content: str) -> BatchItem:
    """What came of an item, from what the store keeps of it."""
    planned = BatchItem(item.index, item.custom_id, State.PLANNED)
    if state not in (State.DONE, State.FAILED):
        return planned
    found = json.loads(content)
    if found.get("digest") != item.digest:
        return planned
    return BatchItem(
        index=item.index,
        custom_id=item.custom_id,
        state=State(state),
        text=found.get("text"),
        model=found.get("model"),
        usage=found.get("usage"),
        attempts=found.get("attempts", 0),
        call_id=found.get("call_id"),
        error=found.get("error"),
        reason=found.get("reason"),
    )


def _read(question: Any) -> tuple[str | None, Any, dict[str, Any]]:
    """The item's own name, its question, and what else it says."""
    if not isinstance(question, Mapping):
        return None, question, {}
    words = dict(question)
    custom_id = words.pop("custom_id", None)
    if custom_id is not None and not isinstance(custom_id, str):
        raise ConfigError("its custom_id is no text.")
    if "body" in words and words.keys() <= _ENVELOPE and isinstance(words["body"], Mapping):
        words = dict(words["body"])
    asked = [words.pop(name) for name in ("prompt", "messages") if name in words]
    if len(asked) != 1:
        raise ConfigError("it has neither a prompt nor messages, or both.", hint="Give one of the two.")
    if words.pop("stream", False):
        raise ConfigError("it asks for a stream, which a batch does not give.")
    return custom_id, asked[0], words


def split_words(words: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What an item says to the client, and parameters of its request."""
    own = {name: value for name, value in words.items() if name in _WORDS}
    return own, {name: value for name, value in words.items() if name not in _WORDS}
