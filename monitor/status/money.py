"""The key as OpenRouter tells of it, and what was spent by our own books."""

from __future__ import annotations

import dataclasses
from typing import Any

from monitor.clock import day_of, month_start_day
from monitor.config import Settings
from monitor.errors import ConfigError
from monitor.model import KeyFacts
from monitor.store.sqlite.reports import Reports


def key(reports: Reports, settings: Settings) -> dict[str, Any]:
    reading = reports.key_reading(settings.account)
    facts = dataclasses.asdict(reading.facts) if reading.facts else no_facts()
    return {"present": key_present(settings), "read_at": reading.at, "error": reading.error, **facts}


def no_facts() -> dict[str, Any]:
    return dataclasses.asdict(KeyFacts())


def key_present(settings: Settings) -> bool:
    """Whether an API key is set, and can be read."""
    try:
        return bool(settings.key())
    except ConfigError:
        return False


def spend(reports: Reports, settings: Settings, now: float) -> dict[str, Any]:
    day = reports.spent_in(settings.account, "day", day_of(now))
    month = reports.spent_in(settings.account, "month", month_start_day(now))
    return money(settings, day.usd, month.usd, month.reserved_usd)


def money(settings: Settings, day: float, month: float, reserved: float) -> dict[str, Any]:
    return {
        "day_usd": day,
        "month_usd": month,
        "reserved_usd": reserved,
        "budget_day_usd": settings.budget.per_day_usd,
        "budget_month_usd": settings.budget.per_month_usd,
    }
