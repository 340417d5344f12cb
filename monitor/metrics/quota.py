"""Figures of the account's free windows, and of its key's money."""

from __future__ import annotations

from dataclasses import replace

from monitor.bookings import KEY_REFUSED, day_window, minute_limit
from monitor.clock import DAY, day_of, month_start_day, next_midnight, next_month
from monitor.config import Settings
from monitor.config.sections import QuotaSettings
from monitor.metrics.sheet import Sheet
from monitor.model import KeyFacts
from monitor.openrouter.values import count, number
from monitor.policy.circuit import Circuit, State, state_of
from monitor.policy.forecast import exhaustion_at
from monitor.store.sqlite.scrape import AccountMoment

RESETS = ("daily", "weekly", "monthly")


def fill(sheet: Sheet, account: AccountMoment, settings: Settings, now: float) -> None:
    """All of one account. Settings of quota are those of the configured account; others have OpenRouter's limits."""
    if account.name != settings.account:
        settings = replace(settings, quota=QuotaSettings())
    _windows(sheet, account, settings, now)
    if account.key is not None or account.key_error is not None:
        _key(sheet, account, now)
    opened = [row for row in account.circuits.values() if state_of(Circuit(*row), now) is State.OPEN]
    sheet.set("openrouter_circuits_open", len(opened), account.name)
    _credits(sheet, account)
    _activity(sheet, account)


def _credits(sheet: Sheet, account: AccountMoment) -> None:
    told = account.credits.summary
    total, used = number(told.get("total_credits")), number(told.get("total_usage"))
    if total is not None and used is not None:
        sheet.set("openrouter_account_credits_usd", total - used, account.name)
        sheet.set("openrouter_account_usage_usd", used, account.name)


def _activity(sheet: Sheet, account: AccountMoment) -> None:
    told, name = account.activity.summary, account.name
    day = count(told.get("day"))
    if day is None:
        return
    sheet.set("openrouter_account_activity_day_timestamp_seconds", day * DAY, name)
    sheet.set("openrouter_account_activity_requests", count(told.get("requests")), name)
    sheet.set("openrouter_account_activity_tokens", count(told.get("prompt_tokens")), name, "input")
    sheet.set("openrouter_account_activity_tokens", count(told.get("completion_tokens")), name, "output")
    usage = number(told.get("usage_usd"))
    if usage is not None:
        sheet.set("openrouter_account_activity_usage_usd", usage, name)
        unaccounted = usage - account.activity_spent_usd
        sheet.set("openrouter_account_activity_unaccounted_usage_usd", unaccounted, name)


def _windows(sheet: Sheet, account: AccountMoment, settings: Settings, now: float) -> None:
    name, state = account.name, account.state
    day = day_window(state, settings, account.attempts, account.uncounted, now)
    told = day.elsewhere is not None
    limit_told = state.server_limit is not None and day.limit == state.server_limit
    sheet.set("openrouter_free_daily_requests_limit", day.limit, name)
    # When OpenRouter itself says that the day is spent, it is, whatever was counted.
    used = max(day.used, day.limit) if day.closed_until > now else day.used
    sheet.set("openrouter_free_daily_requests_used", used, name)
    sheet.set("openrouter_free_daily_requests_elsewhere", state.elsewhere if told else 0, name)
    sheet.set("openrouter_free_daily_reset_timestamp_seconds", next_midnight(now), name)
    ends = exhaustion_at(used, day.limit, now, account.mark)
    sheet.set("openrouter_free_daily_exhaustion_timestamp_seconds", ends, name)
    sheet.set("openrouter_free_daily_quota_authoritative", int(told and limit_told), name)
    per_minute = minute_limit(state.minute_limit, state.minute_limit_at, settings, now)
    sheet.set("openrouter_free_minute_requests_limit", per_minute, name)
    sheet.set("openrouter_free_minute_requests_used", min(account.sent, per_minute), name)


def _key(sheet: Sheet, account: AccountMoment, now: float) -> None:
    name, refused = account.name, KEY_REFUSED in (account.key_error or "")
    if refused or account.state.key_at is not None:
        # After another error than 401, what was known of it holds.
        sheet.set("openrouter_key_valid", int(not refused), name)
    key, at = account.key, account.state.key_at
    if key is None or at is None:
        return
    tier = "unknown" if key.is_free_tier is None else str(key.is_free_tier).lower()
    reset = "none" if key.limit_reset is None else key.limit_reset if key.limit_reset in RESETS else "other"
    sheet.set("openrouter_key_info", 1, name, tier, reset)
    sheet.set("openrouter_key_credit_limit_usd", key.limit_usd, name)
    sheet.set("openrouter_key_credit_remaining_usd", key.limit_remaining_usd, name)
    sheet.set("openrouter_key_usage_usd_total", key.usage_usd, name)
    sheet.set("openrouter_key_expires_timestamp_seconds", key.expires_at, name)
    sheet.set("openrouter_key_limit_reset_timestamp_seconds", _reset_at(key, now), name)
    # A figure of a period that is over says nothing of the one that runs.
    if day_of(at) == day_of(now):
        sheet.set("openrouter_key_usage_daily_usd", key.usage_daily_usd, name)
        if key.usage_daily_usd is not None:
            sheet.set("openrouter_unaccounted_usage_usd", key.usage_daily_usd - account.spent_usd, name)
    if _monday(at) == _monday(now):
        sheet.set("openrouter_key_usage_weekly_usd", key.usage_weekly_usd, name)
    if month_start_day(at) == month_start_day(now):
        sheet.set("openrouter_key_usage_monthly_usd", key.usage_monthly_usd, name)


def _reset_at(key: KeyFacts, now: float) -> float | None:
    if key.limit_usd is None:
        return None
    match key.limit_reset:
        case "daily":
            return next_midnight(now)
        case "weekly":
            return (_monday(now) + 7) * DAY
        case "monthly":
            return next_month(now)
        case _:
            return None


def _monday(at: float) -> int:
    """The day number of the Monday that `at`'s UTC week begins with; 1970-01-05 was one."""
    return (day_of(at) - 4) // 7 * 7 + 4
