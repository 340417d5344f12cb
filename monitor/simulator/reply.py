"""An answer before it is sent: status, headers, and either a body or the events of a stream."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.simulator.desk import Served

JSON_TYPE = "application/json"
STREAM_TYPE = "text/event-stream"
DONE = b"data: [DONE]\n\n"


@dataclass(slots=True)
class Reply:
    """What goes out. `events` are the events of a stream, each whole; `first` counts those before the content."""

    status: int
    body: bytes = b""
    events: tuple[bytes, ...] | None = None
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    first: int = 0


# Made once: `json.dumps` with any option makes a new encoder each time.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def as_json(value: Any) -> bytes:
    return _encode(value).encode("utf-8", "replace")


def event(value: Any, name: str | None = None) -> bytes:
    """One server-sent event; Anthropic's carry a name as well."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + as_json(value) + b"\n\n"


def usage_of(served: Served) -> dict[str, Any]:
    """The `usage` of chat and completions. A free answer costs the number 0."""
    bill = served.bill
    free = bill.total == 0
    usage: dict[str, Any] = {
        "prompt_tokens": served.prompt_tokens,
        "completion_tokens": served.completion_tokens,
        "total_tokens": served.prompt_tokens + served.completion_tokens,
        "cost": 0 if free else bill.total,
        "is_byok": False,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 0, "video_tokens": 0},
        "cost_details": cost_details(served),
        "completion_tokens_details": {
            "reasoning_tokens": served.reasoning_tokens,
            "image_tokens": 0,
            "audio_tokens": 0,
        },
    }
    if bill.searches:
        usage["server_tool_use_details"] = {"web_search_requests": bill.searches}
    return usage


def cost_details(served: Served) -> dict[str, Any]:
    bill = served.bill
    details: dict[str, Any] = {
        # A zero is written as the number 0, not 0.0, as OpenRouter does.
        "upstream_inference_cost": round(bill.prompt + bill.completion, 12) or 0,
        "upstream_inference_prompt_cost": bill.prompt or 0,
        "upstream_inference_completions_cost": bill.completion or 0,
    }
    if bill.tools:
        details["server_tool_cost"] = bill.tools
    return details


def generation_headers(served: Served) -> dict[str, str]:
    return {"X-Generation-Id": served.generation_id}
