"""Answers of `/responses`: OpenAI's Responses API with OpenRouter's usage."""

from __future__ import annotations

from typing import Any

from monitor.simulator.chat import tool_call
from monitor.simulator.desk import Served
from monitor.simulator.reading import list_of
from monitor.simulator.reply import DONE, STREAM_TYPE, Reply, as_json, cost_details, event, generation_headers
from monitor.simulator.text import pieces


def responses_reply(served: Served, chunks: int) -> Reply:
    headers = generation_headers(served)
    if served.ask.stream:
        return Reply(200, events=tuple(_events(served, chunks)), content_type=STREAM_TYPE, headers=headers, first=2)
    return Reply(200, as_json(_response(served, "completed")), headers=headers)


def response_usage(served: Served) -> dict[str, Any]:
    details = cost_details(served)
    return {
        "input_tokens": served.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": served.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": served.reasoning_tokens},
        "total_tokens": served.prompt_tokens + served.completion_tokens,
        "cost": 0 if served.bill.total == 0 else served.bill.total,
        "is_byok": False,
        "cost_details": {
            "upstream_inference_cost": details["upstream_inference_cost"],
            "upstream_inference_input_cost": details["upstream_inference_prompt_cost"],
            "upstream_inference_output_cost": details["upstream_inference_completions_cost"],
        },
    }


def _response(served: Served, status: str) -> dict[str, Any]:
    """The response object; while it is in progress it has neither output nor usage."""
    done = status == "completed"
    body = served.ask.body
    cut = served.finish == "length"
    return {
        "id": served.generation_id,
        "object": "response",
        "created_at": served.created,
        "model": served.entry.served_name,
        # A token limit is told as success, with the reason beside it.
        "status": status,
        "completed_at": served.created if done else None,
        "output": [_item(served, "completed")] if done else [],
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if done and cut else None,
        "tools": [each for each in list_of(body, "tools") if isinstance(each, dict)],
        "tool_choice": body.get("tool_choice") or "auto",
        "parallel_tool_calls": True,
        "max_output_tokens": served.ask.max_tokens,
        "temperature": 1,
        "top_p": 1,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "top_logprobs": 0,
        "max_tool_calls": None,
        "metadata": {},
        "background": False,
        "previous_response_id": None,
        "service_tier": "auto",
        "truncation": "disabled",
        "store": False,
        "instructions": body.get("instructions"),
        "text": {"format": {"type": "text"}},
        "reasoning": None,
        "safety_identifier": None,
        "prompt_cache_key": None,
        "usage": response_usage(served) if done else None,
    }


def _item(served: Served, status: str) -> dict[str, Any]:
    """The one output item: a message, or a call of a function."""
    tail = served.generation_id[-11:]
    if served.ask.function is None:
        content = [_text_part(served.text)] if status == "completed" else []
        return {"id": f"msg_tmp_{tail}", "type": "message", "status": status, "role": "assistant", "content": content}
    call = tool_call(served, served.ask.function)
    return {
        "id": f"fc_tmp_{tail}",
        "type": "function_call",
        "status": status,
        "call_id": call["id"],
        "name": call["function"]["name"],
        "arguments": call["function"]["arguments"] if status == "completed" else "",
    }


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _events(served: Served, chunks: int) -> list[bytes]:
    item_id = _item(served, "in_progress")["id"]
    middle = _text_steps(served, item_id, chunks) if served.ask.function is None else _call_steps(served, item_id)
    steps: list[dict[str, Any]] = [
        {"type": "response.created", "response": _response(served, "in_progress")},
        {"type": "response.in_progress", "response": _response(served, "in_progress")},
        {"type": "response.output_item.added", "output_index": 0, "item": _item(served, "in_progress")},
        *middle,
        {"type": "response.output_item.done", "output_index": 0, "item": _item(served, "completed")},
        {"type": "response.completed", "response": _response(served, "completed")},
    ]
    return [event({**step, "sequence_number": number}) for number, step in enumerate(steps)] + [DONE]


def _text_steps(served: Served, item_id: str, chunks: int) -> list[dict[str, Any]]:
    where = {"output_index": 0, "item_id": item_id, "content_index": 0}
    deltas = [
        {"type": "response.output_text.delta", **where, "delta": piece, "logprobs": []}
        for piece in pieces(served.text, chunks)
    ]
    return [
        {"type": "response.content_part.added", **where, "part": _text_part("")},
        *deltas,
        {"type": "response.output_text.done", **where, "text": served.text, "logprobs": []},
        {"type": "response.content_part.done", **where, "part": _text_part(served.text)},
    ]


def _call_steps(served: Served, item_id: str) -> list[dict[str, Any]]:
    item = _item(served, "completed")
    where = {"output_index": 0, "item_id": item_id}
    deltas = [
        {"type": "response.function_call_arguments.delta", **where, "delta": piece}
        for piece in pieces(item["arguments"], 2)
    ]
    done = {"type": "response.function_call_arguments.done", **where, "arguments": item["arguments"]}
    return [*deltas, {**done, "name": item["name"]}]
