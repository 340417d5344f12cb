"""Putting a stream together: its pieces of text as they come, and at its end the answer as if it had come whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.openrouter.sse import SSEParser
from monitor.openrouter.values import letters, loads, mapping


class Assembler:
    """`feed` chunks as they come from the network, decoded; it gives back the text in them."""

    def __init__(self) -> None:
        self._events = SSEParser()
        self._head: dict[str, Any] = {}
        self._content: list[str] = []
        self._half = ""
        """Of a surrogate pair, whose other half is to come with the next piece: JavaScript may cut there."""
        self._reasoning: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._finish: str | None = None
        self._usage: Any = None
        self.begun = False
        """Something of the answer has come: text, thoughts, or a call of a tool."""

    @property
    def text(self) -> str:
        """All text so far."""
        return "".join(self._content)

    def feed(self, chunk: bytes) -> list[str]:
        """The pieces of text that `chunk` completes."""
        return self._take(self._events.feed(chunk))

    def flush(self) -> list[str]:
        """The piece that the stream's end cut short, if there is one."""
        return self._take(self._events.flush())

    def whole(self) -> dict[str, Any]:
        """The answer as a chat completion."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text or None}
        if self._reasoning:
            message["reasoning"] = letters("".join(self._reasoning))
        if self._calls:
            message["tool_calls"] = [self._calls[index] for index in sorted(self._calls)]
        choices = [{"index": 0, "finish_reason": self._finish, "message": message}]
        return {
            **self._head,
            "object": "chat.completion",
            "choices": choices if self.begun or self._finish else [],
            "usage": self._usage,
        }

    def _take(self, events: list[tuple[str | None, bytes]]) -> list[str]:
        pieces = []
        for _, data in events:
            event = mapping(loads(data)) if data != b"[DONE]" else {}
            self._head |= {name: event[name] for name in ("id", "model", "provider", "created") if event.get(name)}
            if event.get("usage"):
                self._usage = event["usage"]
            choices = event.get("choices")
            for choice in choices if isinstance(choices, list) else ():
                piece = self._choice(mapping(choice))
                if piece:
                    pieces.append(piece)
        return pieces

    def _choice(self, choice: Mapping[str, Any]) -> str:
        if choice.get("index", 0) != 0:
            return ""
        delta = mapping(choice.get("delta"))
        finish = choice.get("finish_reason")
        if isinstance(finish, str):
            self._finish = finish
        reasoning = delta.get("reasoning") or delta.get("reasoning_content")
        if isinstance(reasoning, str):
            self._reasoning.append(reasoning)
            self.begun = True
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            self._call(mapping(call))
        content = delta.get("content")
        if not isinstance(content, str) or not content:
            return ""
        content, self._half = self._half + content, ""
        if "\ud800" <= content[-1] <= "\udbff":
            content, self._half = content[:-1], content[-1]
        content = letters(content)
        if content:
            self._content.append(content)
        self.begun = True
        return content

    def _call(self, part: Mapping[str, Any]) -> None:
        index = part.get("index", len(self._calls))
        call = self._calls.setdefault(index if isinstance(index, int) else 0, {"type": "function", "function": {}})
        self.begun = True
        if part.get("id"):
            call["id"] = part["id"]
        function = mapping(part.get("function"))
        known = call["function"]
        if function.get("name"):
            known["name"] = function["name"]
        known["arguments"] = known.get("arguments", "") + str(function.get("arguments") or "")
