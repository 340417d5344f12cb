"""Answers of `/chat/completions` and `/completions`, whole and streamed."""

from __future__ import annotations

from typing import Any

from monitor.simulator.desk import Served
from monitor.simulator.reading import Ask
from monitor.simulator.reply import DONE, STREAM_TYPE, Reply, as_json, event, generation_headers, usage_of
from monitor.simulator.text import arguments_for, pieces

_NATIVE = {"stop": "stop", "length": "length", "tool_calls": "tool_calls"}


def chat_reply(served: Served, chunks: int) -> Reply:
    """The whole answer, or its stream in about `chunks` pieces."""
    if served.ask.stream:
        events = _chat_events(served, chunks)
        return Reply(200, events=tuple(events), content_type=STREAM_TYPE, headers=generation_headers(served), first=1)
    answer = _base(served, "chat.completion")
    answer["choices"] = [_choice(served, index) for index in range(served.ask.choices)]
    answer["system_fingerprint"] = None
    answer["usage"] = usage_of(served)
    metadata = _router_metadata(served)
    if metadata:
        answer["openrouter_metadata"] = metadata
    return Reply(200, as_json(answer), headers=generation_headers(served))


def _base(served: Served, kind: str) -> dict[str, Any]:
    return {
        "id": served.generation_id,
        "provider": served.entry.provider,
        "model": served.entry.served_name,
        "object": kind,
        "created": served.created,
    }


def _choice(served: Served, index: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": served.text or None, "refusal": None, "reasoning": None}
    if served.thought:
        message["reasoning"] = served.thought
        message["reasoning_details"] = [_thought_detail(served.thought)]
    if served.ask.function is not None:
        message["tool_calls"] = [tool_call(served, served.ask.function)]
    return {
        "logprobs": None,
        "finish_reason": served.finish,
        "native_finish_reason": _NATIVE[served.finish],
        "index": index,
        "message": message,
    }


def _thought_detail(text: str) -> dict[str, Any]:
    return {"type": "reasoning.text", "text": text, "index": 0, "format": None}


def tool_call(served: Served, function: dict[str, Any]) -> dict[str, Any]:
    """A call of the first function, with arguments that fit its schema."""
    return {
        "type": "function",
        "index": 0,
        "id": f"call_{served.generation_id[-16:]}",
        "function": {
            "name": function["name"],
            "arguments": as_json(arguments_for(function["parameters"])).decode(),
        },
    }


def _router_metadata(served: Served) -> dict[str, Any] | None:
    if served.route.router is None:
        return None
    strategy = {"openrouter/free": "free", "openrouter/auto": "auto"}.get(served.route.router, "alias")
    return {"requested": served.route.router, "strategy": strategy, "attempt": 1, "is_byok": False}


def _chat_events(served: Served, chunks: int) -> list[bytes]:
    base = _base(served, "chat.completion.chunk")

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        native = _NATIVE[finish] if finish else None
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "native_finish_reason": native, "logprobs": None}
        return event({**base, "choices": [choice], **more})

    events = [chunk({"role": "assistant", "content": ""})]
    for piece in pieces(served.thought, 3):
        detail = [_thought_detail(piece)]
        events.append(chunk({"role": "assistant", "content": "", "reasoning": piece, "reasoning_details": detail}))
    events += [chunk({"role": "assistant", "content": piece}) for piece in pieces(served.text, chunks)]
    if served.ask.function is not None:
        events += [chunk(delta) for delta in _tool_deltas(served, served.ask.function)]
    ending = {"role": "assistant", "content": ""}
    events.append(chunk(ending, served.finish))
    # The usage chunk repeats the choice and its finish reason; OpenAI's own has empty choices.
    events.append(chunk(ending, served.finish, usage=usage_of(served)))
    events.append(DONE)
    return events


def _tool_deltas(served: Served, function: dict[str, Any]) -> list[dict[str, Any]]:
    """A call in pieces: its name first, then its arguments in two parts."""
    whole = tool_call(served, function)
    arguments: str = whole["function"]["arguments"]
    half = len(arguments) // 2
    opening = {**whole, "function": {"name": whole["function"]["name"], "arguments": ""}}
    rest = [
        {"index": 0, "type": "function", "function": {"arguments": part}}
        for part in (arguments[:half], arguments[half:])
        if part
    ]
    return [{"role": "assistant", "content": None, "tool_calls": [call]} for call in (opening, *rest)]


def completion_reply(served: Served, chunks: int) -> Reply:
    """The legacy endpoint: the same, with `text` in place of messages."""
    base = _base(served, "text_completion")
    if not served.ask.stream:
        choices = [_text_choice(served.text, index, served.finish) for index in range(served.ask.choices)]
        body = as_json({**base, "choices": choices, "usage": usage_of(served)})
        return Reply(200, body, headers=generation_headers(served))
    events = [event({**base, "choices": [_text_choice(piece, 0, None)]}) for piece in pieces(served.text, chunks)]
    events.append(event({**base, "choices": [_text_choice("", 0, served.finish)], "usage": usage_of(served)}))
    return Reply(200, events=(*events, DONE), content_type=STREAM_TYPE, headers=generation_headers(served))


def _text_choice(text: str, index: int, finish: str | None) -> dict[str, Any]:
    native = _NATIVE[finish] if finish else None
    return {"index": index, "text": text, "finish_reason": finish, "native_finish_reason": native, "logprobs": None}


def wants_stream(ask: Ask) -> bool:
    return ask.stream and ask.endpoint in ("chat", "completions", "responses", "messages")
