"""Errors that a fault rule can ask for by name, whatever the request deserves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from monitor.clock import next_minute
from monitor.simulator.options import SimulatorOptions
from monitor.simulator.refusals import (
    Refusal,
    credits_402,
    free_daily,
    free_minute,
    key_limit_402,
    key_limit_403,
    never_purchased_402,
    no_endpoints,
)

_PAGE = (
    '<!DOCTYPE html>\n<html lang="en-US"><head><title>Access denied | openrouter.ai used Cloudflare to restrict access'
    "</title></head><body><h1>Error 1015</h1><p>You are being rate limited.</p></body></html>\n"
)


@dataclass(frozen=True, slots=True)
class Scene:
    """What the words of an injected error depend on."""

    now: float
    model: str
    provider: str
    options: SimulatorOptions


def named(kind: str, scene: Scene) -> Refusal:
    """The error that a fault rule asks for by name."""
    return _NAMED[kind](scene)


def _upstream_429(scene: Scene) -> Refusal:
    settings = "https://openrouter.ai/settings/integrations"
    raw = f"{scene.model} is temporarily rate-limited upstream. Please retry shortly, or add your own key to accumulate"
    metadata = {
        "raw": f"{raw} your rate limits: {settings}",
        "provider_name": scene.provider,
        "is_byok": False,
        "provider_error_code": "429",
        "limit_source": "upstream_provider_shared_pool",
        "remedy_hint": f"Retry shortly, add your own provider key ({settings}), or route to another provider.",
    }
    return Refusal("upstream_429", 429, "Provider returned error", metadata)


def _capacity_429(scene: Scene) -> Refusal:
    availability = {
        "code": "capacity_exhausted",
        "retryable": True,
        "retry_after": 40,
        "requested_models": [scene.model],
        "affected_providers": [scene.provider],
        "fallback_models": [],
    }
    message = f"All providers for {scene.model} are at capacity. Retry after 40 seconds."
    extra = {"error_type": "rate_limit_exceeded", "http_status": 429, "availability": availability}
    return Refusal("capacity_429", 429, message, {"previous_errors": []}, {"Retry-After": "40"}, extra)


def _admission(scene: Scene) -> Refusal:
    metadata = {
        "limit_source": "openrouter_admission_control",
        "remedy_hint": "Slow down the request rate for this account, then retry after the reset.",
        "headers": {"Retry-After": "10"},
        "provider_name": None,
    }
    message = "OpenRouter could not verify available credits for this request in time. Retry shortly."
    return Refusal("admission", 429, message, metadata, {"Retry-After": "10"}, next_may_serve=False)


def _edge_html(scene: Scene) -> Refusal:
    return Refusal("edge_html", 429, "", headers={"Retry-After": "30"}, html=_PAGE, next_may_serve=False)


def _in_flight_402(scene: Scene) -> Refusal:
    message = (
        "This request would exceed your available credits given your current in-flight requests. Retry after in-flight "
        "requests settle, or add credits."
    )
    metadata = {
        "reason": "in_flight_budget_exhausted",
        "limit_source": "openrouter_in_flight_budget",
        "remedy_hint": "Retry after your in-flight requests settle (see the Retry-After header).",
    }
    return Refusal("in_flight_402", 402, message, metadata, {"Retry-After": "120"})


def _budget_403(scene: Scene) -> Refusal:
    resets = "2026-12-01T00:00:00.000Z"
    metadata = {
        "limit_source": "openrouter_workspace_budget",
        "scope": "workspace",
        "limit_usd": 25,
        "spend_usd": 25.02,
        "resets_at": resets,
    }
    return Refusal("budget_403", 403, "Workspace monthly budget of $25.00 exceeded.", metadata, next_may_serve=False)


def _moderation_403(scene: Scene) -> Refusal:
    metadata = {
        "reasons": ["violence"],
        "flagged_input": "the part of the prompt that was flagged",
        "provider_name": scene.provider,
        "model_slug": scene.model,
    }
    message = f'{scene.model} requires moderation on {scene.provider}. Your input was flagged for "violence".'
    return Refusal("moderation_403", 403, message, metadata)


def _provider_error(status: int, words: str) -> Callable[[Scene], Refusal]:
    def build(scene: Scene) -> Refusal:
        metadata = {"raw": words, "provider_name": scene.provider, "is_byok": False}
        return Refusal(str(status), status, "Provider returned error", metadata)

    return build


_NAMED: Mapping[str, Callable[[Scene], Refusal]] = {
    "free_daily": lambda scene: free_daily(scene.now, scene.options),
    "free_minute": lambda scene: free_minute(next_minute(scene.now), scene.options),
    "upstream_429": _upstream_429,
    "capacity_429": _capacity_429,
    "admission": _admission,
    "edge_html": _edge_html,
    "credits_402": lambda scene: credits_402(64_000, 2_666),
    "never_purchased_402": lambda scene: never_purchased_402(),
    "key_limit_402": lambda scene: key_limit_402(65_536, 64_381),
    "key_limit_403": lambda scene: key_limit_403(20.0, 20.05, "weekly", "2026-12-07T00:00:00.000Z"),
    "in_flight_402": _in_flight_402,
    "budget_403": _budget_403,
    "moderation_403": _moderation_403,
    "400": lambda scene: Refusal("400", 400, "messages: at least one message is required"),
    "404_model": lambda scene: no_endpoints(scene.model),
    "408": lambda scene: Refusal("408", 408, "Request timed out"),
    "500": lambda scene: Refusal("500", 500, "Internal Server Error"),
    "502": _provider_error(502, "upstream connect error or disconnect/reset before headers"),
    "503": lambda scene: Refusal("503", 503, "No instances available"),
    "524": lambda scene: Refusal("524", 524, "A timeout occurred"),
    "529": _provider_error(529, "overloaded_error"),
}
NAMED_KINDS = frozenset(_NAMED)
