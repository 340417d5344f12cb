"""What an answer says of itself: who served it, what it cost, whether it failed. One object or event at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.model import Outcome, Usage
from monitor.openrouter.limits import error_code
from monitor.openrouter.usage import merge, read_usage

_OVER = frozenset({"response.completed", "response.failed", "response.incomplete", "message_stop", "error"})
_BROKEN = frozenset({"error", "network_error"})
_DELTA_KEYS = ("content", "reasoning", "reasoning_content", "tool_calls", "refusal", "audio", "reasoning_details")
_NO_USAGE = Usage()


class Findings:
    """Collected from the objects of one answer: its JSON body, or the events of its stream."""

    __slots__ = ("error", "id", "model", "over", "provider", "usage", "usage_seen")

    def __init__(self) -> None:
        self.id: str | None = None
        self.model: str | None = None
        self.provider: str | None = None
        self.usage = _NO_USAGE
        self.usage_seen = False
        self.error: Mapping[str, Any] | None = None
        """The body or event that told of a failure, as `limits` reads it."""
        self.over = False
        """An event said that nothing more will come."""

    def add(self, obj: dict[str, Any], name: str | None = None) -> bool:
        """Take what `obj` says; `name` is its event's. True when it carries a part of the answer itself."""
        kind = obj.get("type")
        kind = kind if isinstance(kind, str) else name
        # `/responses` wraps the answer into `response`, `/messages` into `message`.
        inner = obj.get("response")
        if not isinstance(inner, dict):
            inner = obj.get("message")
        self._identify(obj)
        self._count(obj)
        if isinstance(inner, dict):
            self._identify(inner)
            self._count(inner)
        if kind in _OVER:
            self.over = True
        choices = obj.get("choices")
        choices = choices if isinstance(choices, list) else ()
        self._fail(obj, inner, kind, choices)
        return _carries(kind, choices)

    def outcome(self) -> Outcome:
        """How an answer with status 200 ended by its own account."""
        if self.error is None:
            return Outcome.SUCCESS
        # A failure told of with a good status is the server's: it accepted and did not deliver.
        return outcome_of(_failing(error_code(self.error)))

    def _identify(self, obj: dict[str, Any]) -> None:
        # Written out: a loop with setattr costs every answer three times as much.
        value = obj.get("id")
        if isinstance(value, str) and value.startswith("gen-"):
            self.id = value[:512]
        value = obj.get("model")
        if isinstance(value, str) and value:
            self.model = value[:512]
        value = obj.get("provider")
        if isinstance(value, str) and value:
            self.provider = value[:512]

    def _count(self, obj: dict[str, Any]) -> None:
        usage = obj.get("usage")
        if isinstance(usage, dict):
            read = read_usage(usage)
            self.usage = merge(self.usage, read) if self.usage_seen else read
            self.usage_seen = True

    def _fail(self, obj: dict[str, Any], inner: object, kind: str | None, choices: Any) -> None:
        if self.error is not None:
            return
        # Told in seven ways: the body itself, inside `response`, an event, a choice, or only a choice's reason to end.
        if obj.get("error") or kind == "error":
            self.error = obj
        elif isinstance(inner, dict) and (inner.get("error") or kind == "response.failed"):
            self.error = {"error": inner.get("error") or {"message": "the response failed"}}
        for choice in choices:
            if self.error is not None or not isinstance(choice, dict):
                continue
            reason = choice.get("finish_reason")
            native = choice.get("native_finish_reason")
            if choice.get("error"):
                self.error = {"error": choice["error"]}
            elif reason == "error" or (isinstance(native, str) and native in _BROKEN):
                self.error = {"error": {"message": "the model's answer broke off with an error"}}


def _failing(status: int | None) -> int:
    return status if status is not None and status >= 400 else 500


def outcome_of(status: int) -> Outcome:
    """How an attempt ended by an HTTP status, real or told of inside an answer."""
    if status < 300:
        return Outcome.SUCCESS
    if status == 429:
        return Outcome.RATE_LIMITED
    return Outcome.CLIENT_ERROR if status < 500 else Outcome.SERVER_ERROR


def _carries(kind: str | None, choices: Any) -> bool:
    if kind is not None and (kind.endswith(".delta") or kind == "content_block_delta"):
        return True
    for choice in choices:
        if isinstance(choice, dict):
            delta = choice.get("delta")
            if isinstance(delta, dict) and any(delta.get(key) for key in _DELTA_KEYS):
                return True
            if choice.get("text"):
                return True
    return False
