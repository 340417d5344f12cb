"""Answers with status 200 that are no success: errors inside a body or a stream, garbage, far too much."""

from __future__ import annotations

import itertools
from typing import Any

from monitor.simulator.desk import Served
from monitor.simulator.faults import Action
from monitor.simulator.reply import DONE, JSON_TYPE, Reply, as_json, event, generation_headers, usage_of

_GARBAGE = bytes(range(256))
_MEGABYTE = 1024 * 1024


def spoil(reply: Reply, served: Served, action: Action) -> Reply:
    """`reply` with what the fault does to it."""
    match action.kind:
        case "error_in_200":
            return _json(served, {"error": _error(action, 502, "Provider returned error"), "user_id": "user_simulated"})
        case "partial_error":
            return _json(served, _partial(served, action))
        case "empty_choices":
            return _json(served, {**_head(served, "chat.completion"), "choices": [], "usage": usage_of(served)})
        case "garbage":
            size = int(action.get("bytes", 4096))
            body = bytes(itertools.islice(itertools.cycle(_GARBAGE), size))
            return Reply(200, body, content_type=reply.content_type, headers=reply.headers)
        case "huge":
            return Reply(200, _huge(served, int(action.get("megabytes", 100))), headers=reply.headers)
        case "stream_error" if reply.events is not None:
            return _broken_stream(reply, served, action)
        case _:
            return reply


def _json(served: Served, body: dict[str, Any]) -> Reply:
    return Reply(200, as_json(body), content_type=JSON_TYPE, headers=generation_headers(served))


def _error(action: Action, code: int, message: str) -> dict[str, Any]:
    return {"code": action.get("code", code), "message": action.get("message", message)}


def _head(served: Served, kind: str) -> dict[str, Any]:
    return {
        "id": served.generation_id,
        "provider": served.entry.provider,
        "model": served.entry.served_name,
        "object": kind,
        "created": served.created,
    }


def _partial(served: Served, action: Action) -> dict[str, Any]:
    """Half an answer, and the error inside the choice."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": served.text[: len(served.text) // 2]},
        "finish_reason": "error",
        "native_finish_reason": None,
        "error": _error(action, 502, "Provider disconnected"),
        "logprobs": None,
    }
    return {**_head(served, "chat.completion"), "choices": [choice], "usage": usage_of(served)}


def _huge(served: Served, megabytes: int) -> bytes:
    """A valid answer whose text is that long."""
    marker = "\x00"
    choice = {"index": 0, "message": {"role": "assistant", "content": marker}, "finish_reason": "stop"}
    body = as_json({**_head(served, "chat.completion"), "choices": [choice], "usage": usage_of(served)})
    before, _, after = body.partition(b"\\u0000")
    return before + b"x" * (megabytes * _MEGABYTE) + after


def _broken_stream(reply: Reply, served: Served, action: Action) -> Reply:
    """The stream up to some content chunk, then an error in the shape that was asked, then perhaps `[DONE]`."""
    events = reply.events or ()
    kept = events[: reply.first + int(action.get("after_chunks", 2))]
    tail = (DONE,) if action.get("done", True) and served.ask.endpoint != "messages" else ()
    return Reply(200, events=(*kept, _error_event(served, action), *tail), content_type=reply.content_type,
                 headers=reply.headers, first=reply.first)  # fmt: skip


def _error_event(served: Served, action: Action) -> bytes:
    error = _error(action, 502, "Provider disconnected unexpectedly")
    if served.ask.endpoint == "messages":
        inner = {"type": "api_error", "message": error["message"], "error_type": "provider_unavailable"}
        return event({"type": "error", "error": inner}, "error")
    if served.ask.endpoint == "responses":
        return _responses_error(served, action, error)
    head = _head(served, "chat.completion.chunk")
    choice: dict[str, Any] = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "error"}
    match action.get("shape", "documented"):
        case "empty_choices":
            return event({**head, "error": error, "choices": []})
        case "bare":
            return event({"error": error})
        case "with_usage":
            # Seen in the wild: the error and the usage in one chunk, and no finish reason.
            return event({**head, "error": error, "choices": [{**choice, "finish_reason": None}],
                          "usage": usage_of(served)})  # fmt: skip
        case "benign_finish":
            return event({**head, "choices": [{**choice, "finish_reason": "stop",
                                               "native_finish_reason": "network_error"}]})  # fmt: skip
        case _:
            metadata = {"error_type": "provider_unavailable"}
            return event({**head, "error": {**error, "metadata": metadata}, "choices": [choice]})


def _responses_error(served: Served, action: Action, error: dict[str, Any]) -> bytes:
    failed = {"code": "server_error", "message": error["message"]}
    if action.get("shape", "documented") == "bare":
        return event({"type": "error", "code": "server_error", "message": error["message"], "param": None,
                      "sequence_number": 99})  # fmt: skip
    response = {"id": served.generation_id, "object": "response", "created_at": served.created, "status": "failed",
                "model": served.entry.served_name, "output": [], "error": failed}  # fmt: skip
    return event({"type": "response.failed", "response": response, "sequence_number": 99})
