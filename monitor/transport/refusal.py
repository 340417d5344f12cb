"""How a refusal looks: an HTTP answer in OpenRouter's own error shape, so every SDK raises its own exception.

Never a 5xx, which OpenRouter's own SDK would send again for an hour; `x-should-retry: false` stops OpenAI's and
Anthropic's SDKs. The message is for people, `error.metadata` and the header for programs.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from monitor.clock import iso
from monitor.model import BUDGET_REASONS, QUOTA_REASONS, Endpoint, Reason, Verdict
from monitor.policy.hints import hint_for, message_for
from monitor.redact import redact

REASON_HEADER = "x-openrouter-monitor-reason"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer made here. Header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def status_of(reason: Reason) -> int:
    """402 for money, 429 for quota that time brings back, 403 for the rest."""
    if reason in BUDGET_REASONS:
        return 402
    return 429 if reason in QUOTA_REASONS else 403


def refusal(verdict: Verdict, endpoint: Endpoint, now: float) -> Answer:
    """The answer for a refused attempt; `now` is epoch seconds."""
    reason = verdict.reason
    assert reason is not None
    status = status_of(reason)
    headers = {"content-type": "application/json", "x-should-retry": "false", REASON_HEADER: reason.value}
    if verdict.resets_at is not None:
        headers["retry-after"] = str(max(1, math.ceil(verdict.resets_at - now)))
        headers["x-ratelimit-reset"] = str(int(verdict.resets_at * 1000))
    if verdict.limit is not None:
        headers["x-ratelimit-limit"] = str(verdict.limit)
        headers["x-ratelimit-remaining"] = str(verdict.remaining or 0)
    model = None if verdict.model is None else redact(verdict.model, limit=200)
    metadata = {
        "limit_source": "openrouter_monitor",
        "reason": reason.value,
        "model": model,
        "hint": hint_for(verdict),
        "resets_at": None if verdict.resets_at is None else iso(verdict.resets_at),
    }
    error = {"code": status, "message": redact(message_for(verdict), limit=800), "metadata": metadata}
    body: dict[str, object] = {"error": error}
    if endpoint is Endpoint.MESSAGES:
        body = {"type": "error", "error": {"type": _anthropic_type(status), **error}}
    payload = json.dumps(body).encode()
    headers["content-length"] = str(len(payload))
    return Answer(status, headers, payload)


def _anthropic_type(status: int) -> str:
    return {402: "billing_error", 429: "rate_limit_error"}.get(status, "permission_error")
