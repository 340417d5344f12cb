"""Answers of `/messages`: Anthropic's shapes, with OpenRouter's cost in the usage."""

from __future__ import annotations

from typing import Any

from monitor.simulator.chat import tool_call
from monitor.simulator.desk import Served
from monitor.simulator.reply import STREAM_TYPE, Reply, as_json, event, generation_headers
from monitor.simulator.text import arguments_for, pieces

_STOP = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


def messages_reply(served: Served, chunks: int) -> Reply:
    headers = generation_headers(served)
    if served.ask.stream:
        return Reply(200, events=tuple(_events(served, chunks)), content_type=STREAM_TYPE, headers=headers, first=2)
    body = {**_message(served), "content": [_block(served)], "stop_reason": _STOP[served.finish]}
    return Reply(200, as_json({**body, "usage": _usage(served)}), headers=headers)


def _usage(served: Served) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "input_tokens": served.prompt_tokens,
        "output_tokens": served.completion_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cost": 0 if served.bill.total == 0 else served.bill.total,
        "is_byok": False,
    }
    if served.bill.searches:
        usage["server_tool_use"] = {"web_search_requests": served.bill.searches}
    return usage


def _message(served: Served) -> dict[str, Any]:
    return {
        "id": served.generation_id,
        "type": "message",
        "role": "assistant",
        "model": served.entry.served_name,
        "provider": served.entry.provider,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _block(served: Served) -> dict[str, Any]:
    function = served.ask.function
    if function is None:
        return {"type": "text", "text": served.text}
    call = tool_call(served, function)
    return {
        "type": "tool_use",
        "id": call["id"],
        "name": function["name"],
        "input": arguments_for(function["parameters"]),
    }


def _events(served: Served, chunks: int) -> list[bytes]:
    block = _block(served)
    if block["type"] == "text":
        opening: dict[str, Any] = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in pieces(served.text, chunks)]
    else:
        opening = {**block, "input": {}}
        arguments = as_json(block["input"]).decode()
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces(arguments, 2)]
    usage = _usage(served)
    start_usage = {**usage, "output_tokens": 0, "cost": 0}
    ending = {"stop_reason": _STOP[served.finish], "stop_sequence": None}
    steps: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**_message(served), "usage": start_usage}},
        {"type": "content_block_start", "index": 0, "content_block": opening},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ending, "usage": usage},
        {"type": "message_stop"},
    ]
    return [event(step, step["type"]) for step in steps]
