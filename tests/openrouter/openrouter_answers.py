"""Answers of OpenRouter's, made up, and how the tests read them."""

from __future__ import annotations

import json
from typing import Any

from monitor.model import Ending, Endpoint, Outcome
from monitor.openrouter.answer import AnswerReader

NOW = 1_790_000_000.0
SSE = {"content-type": "text/event-stream; charset=utf-8"}
JSON = {"content-type": "application/json"}


def read(
    *chunks: bytes,
    endpoint: Endpoint = Endpoint.CHAT,
    status: int = 200,
    headers: dict[str, str] | None = None,
    complete: bool = True,
    broken: Outcome | None = None,
    keep_text: bool = False,
) -> Ending:
    reader = AnswerReader(endpoint, status, SSE if headers is None else headers, keep_text=keep_text)
    for chunk in chunks:
        reader.feed(chunk, 12.5, 10.0)
    return reader.ending(complete=complete, now=NOW, broken=broken)


def event(content: Any, name: str | None = None) -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(content, separators=(',', ':'))}\n\n".encode()


def chunk(text: str = "", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None, **more.pop("choice", {})}
    return {"id": "gen-1-a", "model": "a/b:free", "provider": "P", "choices": [choice], **more}


USAGE = {"prompt_tokens": 9, "completion_tokens": 5, "cost": 0}
DONE = b"data: [DONE]\n\n"
STREAM = [
    b": OPENROUTER PROCESSING\n\n",
    event(chunk()),
    event(chunk("Hel")),
    event(chunk("lo")),
    event(chunk(choice={"finish_reason": "stop", "native_finish_reason": "stop"})),
    event(chunk(usage=USAGE)),
    DONE,
]

ERROR_429 = {"code": 429, "message": "Rate limit exceeded", "metadata": {"error_type": "rate_limit_exceeded"}}

BODY = {
    "id": "gen-4",
    "provider": "P",
    "model": "a/b:free",
    "choices": [{"message": {"content": "hi"}}],
    "usage": USAGE,
}
