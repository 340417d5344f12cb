"""What a refusal says to people: what happened, and what to do about it."""

from __future__ import annotations

from monitor.clock import iso
from monitor.model import Reason, Verdict

_WHAT: dict[Reason, str] = {
    Reason.MODEL_MISSING: "The request names no model",
    Reason.MODEL_UNKNOWN: "The model {model} is not in OpenRouter's catalogue",
    Reason.MODEL_NOT_FREE: "The model {model} is not free",
    Reason.MODEL_DENIED: "The model {model} is not allowed here",
    Reason.FALLBACK_NOT_FREE: "The fallback model {model} is not free",
    Reason.ROUTER_MODEL: "The model {model} may route to one that bills",
    Reason.PRESET: "The request uses a preset, which may choose paid models and tools",
    Reason.PAID_PLUGIN: "The request uses something that bills besides the model",
    Reason.SERVER_TOOL: "The request uses a server tool, which bills even on free models",
    Reason.PAID_MODALITY: "The request asks for output that bills",
    Reason.PAID_SERVICE_TIER: "The request asks for a paid service tier",
    Reason.ENDPOINT_UNKNOWN: "This endpoint could bill and is not known",
    Reason.BODY_UNREADABLE: "The request cannot be read with certainty",
    Reason.CATALOGUE_STALE: "There is no recent catalogue, so nobody knows whether the model {model} is free",
    Reason.MINUTE_LIMIT: "The account's free requests for this minute are used",
    Reason.DAY_LIMIT: "The account's free requests for today are used",
    Reason.APP_LIMIT: "This app's free requests for today are used",
    Reason.APP_SHARE: "What is left of today's free requests is promised to other apps",
    Reason.BUDGET_CALL: "The call could cost more than the budget of one call",
    Reason.BUDGET_DAY: "The call could break today's budget",
    Reason.BUDGET_MONTH: "The call could break this month's budget",
    Reason.KEY_LIMIT: "The API key's own spending limit is used up",
    Reason.COOLDOWN: "OpenRouter asked to slow down",
    Reason.PAUSED: "Calls are paused",
    Reason.STORE_UNAVAILABLE: "The call could not be recorded, so it was not sent",
}
_TODO: dict[Reason, str] = {
    Reason.MODEL_MISSING: "Name a model that ends in :free.",
    Reason.MODEL_UNKNOWN: "Check the id with `openrouter-monitor models --free`.",
    Reason.MODEL_NOT_FREE: "Use a :free variant (`openrouter-monitor models --free`), or set guard.allow.",
    Reason.MODEL_DENIED: "See guard.models and guard.deny in the settings.",
    Reason.FALLBACK_NOT_FREE: "List only :free models as fallbacks.",
    Reason.ROUTER_MODEL: "Name a concrete :free model, or openrouter/free.",
    Reason.PRESET: "Write the model and its parameters into the request.",
    Reason.PAID_PLUGIN: "Remove it from the request, or set guard.allow.",
    Reason.SERVER_TOOL: "Use function tools of your own, or set guard.allow.",
    Reason.PAID_MODALITY: "Ask for text, or set guard.allow.",
    Reason.PAID_SERVICE_TIER: "Leave the service tier out.",
    Reason.ENDPOINT_UNKNOWN: "If it is safe, call it without the guard, and tell us about it.",
    Reason.BODY_UNREADABLE: "Send plain JSON in UTF-8 in which no key stands twice.",
    Reason.CATALOGUE_STALE: "Check the connection to OpenRouter (`openrouter-monitor doctor`).",
    Reason.MINUTE_LIMIT: "Wait for it, or set guard.wait so that calls queue for a slot.",
    Reason.DAY_LIMIT: "Wait for midnight UTC; 10 credits bought once raise the limit to 1000 a day.",
    Reason.APP_LIMIT: "Raise apps.<name>.per_day, or wait for midnight UTC.",
    Reason.APP_SHARE: "Give this app a share (apps.<name>.share); unclaimed shares free up from 18:00 UTC.",
    Reason.BUDGET_CALL: "Lower max_tokens, choose a cheaper model, or raise budget.per_call_usd.",
    Reason.BUDGET_DAY: "Wait for midnight UTC, or raise budget.per_day_usd.",
    Reason.BUDGET_MONTH: "Wait for the next month, or raise budget.per_month_usd.",
    Reason.KEY_LIMIT: "Raise the key's limit at OpenRouter; free models still work.",
    Reason.COOLDOWN: "Wait, or use another free model.",
    Reason.PAUSED: "Run `openrouter-monitor resume` to go on.",
    Reason.STORE_UNAVAILABLE: "Run `openrouter-monitor doctor`.",
}
NOT_SENT = "Nothing was sent and nothing was spent."


def message_for(verdict: Verdict) -> str:
    """One line: what happened and why, that it cost nothing, and what to do. SDKs show little else than this."""
    assert verdict.reason is not None
    what = verdict.what or _WHAT[verdict.reason].format(model=verdict.model or "asked for")
    why = f" ({verdict.detail})" if verdict.detail else ""
    when = f" It opens at {iso(verdict.resets_at)}." if verdict.resets_at is not None else ""
    return f"{what}{why}.{when} {NOT_SENT} {hint_for(verdict)}"


def hint_for(verdict: Verdict) -> str:
    """One line: what to do."""
    assert verdict.reason is not None
    return verdict.hint or _TODO[verdict.reason]
