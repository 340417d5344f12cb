"""Every error that OpenRouter is known to answer with, in its own words and shape, by a name of ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from monitor.clock import next_midnight
from monitor.simulator.options import SimulatorOptions

HIGH_BALANCE = 1000
"""The daily limit from which OpenRouter's message speaks of a high balance."""

_ERROR_TYPES = {
    400: "invalid_request",
    401: "authentication",
    402: "payment_required",
    403: "permission_denied",
    404: "not_found",
    408: "timeout",
    412: "precondition_failed",
    413: "payload_too_large",
    422: "unprocessable",
    429: "rate_limit_exceeded",
    500: "server",
    502: "provider_unavailable",
    503: "provider_overloaded",
    504: "timeout",
    524: "timeout",
    529: "provider_overloaded",
}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer. `kind` is our name for it; `next_may_serve` says whether a fallback model is tried after it."""

    kind: str
    status: int
    message: str
    metadata: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of the `error` object."""
    html: str | None = None
    raw: Any = None
    """A body of a fault rule's own: text as it is, anything else as JSON."""
    next_may_serve: bool = True
    user_id: bool = True

    def with_previous(self, earlier: list[Refusal]) -> Refusal:
        """This refusal, telling of those that came before it, as it does when a list of models was asked."""
        previous = [{"code": each.status, "message": each.message} for each in earlier]
        metadata = {**(self.metadata or {}), "previous_errors": previous}
        return replace(self, metadata=metadata)

    def body(self, endpoint: str) -> bytes:
        """The body, in the shape of the endpoint: Anthropic's for `messages`, OpenRouter's else."""
        if self.raw is not None:
            return self.raw.encode() if isinstance(self.raw, str) else json.dumps(self.raw).encode()
        if self.html is not None:
            return self.html.encode()
        error_type = _ERROR_TYPES.get(self.status, "unmapped")
        if endpoint == "messages":
            inner = {"type": _ANTHROPIC_TYPES.get(self.status, "api_error"), "message": self.message}
            answer: dict[str, Any] = {"type": "error", "error": {**inner, "error_type": error_type}}
            if self.metadata is not None:
                answer["metadata"] = dict(self.metadata)
            return json.dumps(answer).encode()
        error: dict[str, Any] = {"message": self.message, "code": self.status, **self.extra}
        if self.metadata is not None:
            error["metadata"] = dict(self.metadata)
        answer = {"error": error}
        if self.user_id:
            answer["user_id"] = "user_simulated"
        if endpoint == "responses":
            answer["error_type"] = error_type
        return json.dumps(answer).encode()


def unauthorized(*, missing: bool) -> Refusal:
    message = "Missing Authentication header" if missing else "User not found."
    return Refusal("unauthorized", 401, message, user_id=False, next_may_serve=False)


def plain(status: int, message: str, kind: str = "", **more: Any) -> Refusal:
    """An error without metadata."""
    return Refusal(kind or str(status), status, message, user_id=False, **more)


def free_daily(now: float, options: SimulatorOptions) -> Refusal:
    high = options.per_day >= HIGH_BALANCE
    unlock = "-high-balance. " if high else ". Add 10 credits to unlock 1000 free model requests per day"
    headers = _limit_headers(options.per_day, next_midnight(now))
    hint = "Wait for the daily reset (see X-RateLimit-Reset)"
    metadata = {
        "headers": headers,
        "limit_source": "openrouter_free_tier_daily",
        "remedy_hint": f"{hint}." if high else f"{hint}, or purchase credits to raise your free-model daily limit.",
        "provider_name": None,
    }
    return Refusal("free_daily", 429, f"Rate limit exceeded: free-models-per-day{unlock}", metadata, headers)


def free_minute(resets_at: float, options: SimulatorOptions) -> Refusal:
    headers = _limit_headers(options.per_minute, resets_at)
    metadata = {
        "headers": headers,
        "limit_source": "openrouter_free_tier_per_minute",
        "remedy_hint": "Slow down requests to free models, or retry after the per-minute window resets.",
    }
    return Refusal("free_minute", 429, "Rate limit exceeded: free-models-per-min. ", metadata, headers)


def _limit_headers(limit: int, resets_at: float) -> dict[str, str]:
    # Milliseconds, and strings: that is how they stand in the body as well.
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(round(resets_at * 1000)),
    }


def credits_402(requested: int, affordable: int) -> Refusal:
    message = (
        f"This request requires more credits, or fewer max_tokens. You requested up to {requested} tokens, but can "
        f"only afford {affordable}. To increase, visit "
        "https://openrouter.ai/settings/credits and upgrade to a paid account"
    )
    return Refusal("credits_402", 402, message, {"limit_source": "openrouter_credits", "provider_name": None})


def never_purchased_402() -> Refusal:
    message = (
        "Insufficient credits. This account never purchased credits. Make sure your key is on the correct account or "
        "org, and if so, purchase more at https://openrouter.ai/settings/credits"
    )
    return Refusal("never_purchased_402", 402, message)


def negative_balance_402() -> Refusal:
    message = "Insufficient credits. Add more using https://openrouter.ai/settings/credits"
    return Refusal("credits_402", 402, message, {"limit_source": "openrouter_credits", "provider_name": None})


def key_limit_402(requested: int, affordable: int) -> Refusal:
    message = (
        f"This request requires more credits, or fewer max_tokens. You requested up to {requested} tokens, but can "
        f"only afford {affordable}."
    )
    metadata = {"limit_source": "openrouter_key_limit", "remedy_hint": "Raise or remove this API key's usage limit."}
    return Refusal("key_limit_402", 402, message, metadata)


def key_limit_403(limit: float, spent: float, reset: str | None, resets_at: str | None) -> Refusal:
    window = f"{reset} limit" if reset else "total limit"
    used = f" ${spent:.2f} of ${limit:.2f} used" + (f"; resets {resets_at}." if resets_at else ".")
    message = f"Key limit exceeded ({window}). Manage it using https://openrouter.ai/workspaces/default/keys{used}"
    metadata = {"limit_source": "openrouter_key_limit", "scope": "key_limit", "limit_usd": limit, "spend_usd": spent}
    return Refusal("key_limit_403", 403, message, {**metadata, "resets_at": resets_at}, next_may_serve=False)


def invalid_model(model: str) -> Refusal:
    return Refusal("400_model", 400, f"{model} is not a valid model ID")


def context_exceeded(context: int, tokens: int) -> Refusal:
    message = (
        f"This endpoint's maximum context length is {context} tokens. However, you requested about {tokens} tokens "
        f"({tokens} of text input). Please reduce the length, or use the context-compression plugin."
    )
    return Refusal("400_context", 400, message, {"provider_name": None})


def no_endpoints(model: str) -> Refusal:
    return Refusal("404_model", 404, f"No endpoints found for {model}.")


def free_variant_ended(model: str) -> Refusal:
    """The answer to a `:free` id whose promotion is over: it names the paid id, so following the hint costs money."""
    availability = {
        "code": "free_variant_ended",
        "retryable": False,
        "retry_after": None,
        "requested_models": [model],
        "fallback_models": [model.removesuffix(":free")],
    }
    message = f"The free variant {model} is no longer available."
    return Refusal("404_model", 404, message, extra={"error_type": "not_found", "availability": availability})


def constraint_filtered(model: str, excluded_by: str) -> Refusal:
    availability = {
        "code": "constraint_filtered",
        "retryable": False,
        "retry_after": None,
        "requested_models": [model],
        "excluded_by": [excluded_by],
        "fallback_models": [],
    }
    message = f"No endpoints found for {model} that satisfy your routing constraints ({excluded_by})."
    return Refusal("constraint_filtered", 404, message, extra={"error_type": "not_found", "availability": availability})
