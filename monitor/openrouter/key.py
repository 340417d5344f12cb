"""`GET /key`: the key's own limit, what it has spent, and the account's free requests of the day."""

from __future__ import annotations

from monitor.errors import PollError
from monitor.model import KeyFacts
from monitor.openrouter.limits import error_text
from monitor.openrouter.values import count, flag, instant, loads, mapping, number, text


def parse_key(body: bytes | object) -> KeyFacts:
    """What the key endpoint said, in the old shape or the new, inside `data` or not; a strange value is None.

    `free_model_daily_requests` is absent before September 2026 and `budgets` before October (OpenRouter's SDK 1.3
    demands both and fails): every field is optional here. Raises `PollError` when there is no object, or an error.
    """
    content = loads(body) if isinstance(body, bytes | bytearray | str) else body
    envelope = mapping(content)
    inner = envelope.get("data", envelope)
    if not isinstance(inner, dict) or not inner or "error" in envelope:
        said = error_text(content) if "error" in envelope else "the answer holds no object"
        raise PollError(f"The key endpoint gave no facts: {said}", hint="Check that OPENROUTER_API_KEY is valid.")
    free = mapping(inner.get("free_model_daily_requests"))
    management = flag(inner.get("is_management_key"))
    return KeyFacts(
        limit_usd=number(inner.get("limit")),
        limit_remaining_usd=number(inner.get("limit_remaining")),
        limit_reset=text(inner.get("limit_reset")),
        usage_usd=number(inner.get("usage")),
        usage_daily_usd=number(inner.get("usage_daily")),
        usage_weekly_usd=number(inner.get("usage_weekly")),
        usage_monthly_usd=number(inner.get("usage_monthly")),
        byok_usage_usd=number(inner.get("byok_usage")),
        is_free_tier=flag(inner.get("is_free_tier")),
        # The older name of the same thing.
        is_management_key=flag(inner.get("is_provisioning_key")) if management is None else management,
        expires_at=instant(inner.get("expires_at")),
        free_used=count(free.get("used")),
        free_limit=count(free.get("limit")),
        free_remaining=count(free.get("remaining")),
        effective_budget_remaining_usd=number(mapping(inner.get("effective_budget")).get("remaining_usd")),
    )


def parse_credits(body: bytes | object) -> dict[str, object]:
    """What `GET /credits` said: USD ever bought and ever used. Raises `PollError` when it did not say both."""
    content = loads(body) if isinstance(body, bytes | bytearray | str) else body
    envelope = mapping(content)
    inner = mapping(envelope.get("data", envelope))
    told = {name: number(inner.get(name)) for name in ("total_credits", "total_usage")}
    if None in told.values():
        raise PollError("The credits endpoint gave no figures.")
    return dict(told)
