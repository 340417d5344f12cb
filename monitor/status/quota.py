"""What is left of the free requests, today and this minute, and who used how much."""

from __future__ import annotations

from typing import Any

from monitor.bookings import day_window, minute_limit
from monitor.clock import day_of, next_midnight
from monitor.config import Settings
from monitor.policy.balances import MinuteWindow
from monitor.policy.forecast import exhaustion_at, pace_per_hour
from monitor.policy.shares import promised
from monitor.policy.windows import SLOT, day_remaining, minute_opens_at
from monitor.store.protocol import ALL_APPS, AccountState
from monitor.store.sqlite.reports import Reports


def day(
    account: AccountState,
    settings: Settings,
    windows: dict[str, tuple[int, int]],
    now: float,
    mark: tuple[float, int] | None = None,
) -> dict[str, Any]:
    window = day_window(account, settings, *windows.get(ALL_APPS, (0, 0)), now)
    of_today = account.server_at is not None and day_of(account.server_at) == day_of(now)
    source = "assumed"
    if account.server_limit is not None:
        source = "openrouter"
    if settings.quota.per_day is not None and settings.quota.per_day == window.limit:
        source = "settings"
    left = day_remaining(window, now)
    return {
        "limit": window.limit,
        "limit_source": source,
        "used": window.used,
        "used_source": "counted" if window.elsewhere is None else "openrouter",
        "left": left,
        "resets_at": next_midnight(now),
        "elsewhere": account.elsewhere if of_today else 0,
        "read_at": account.server_at if of_today else None,
        "closed_until": account.day_closed_until if account.day_closed_until > now else None,
        "pace_per_hour": pace_per_hour(window.used, now, mark),
        # What is left says more than used and limit: OpenRouter may have said that the day is spent.
        "exhausted_at": exhaustion_at(window.used, window.used + left, now, mark),
    }


def minute(reports: Reports, account: AccountState, settings: Settings, now: float) -> dict[str, Any]:
    limit = minute_limit(account.minute_limit, account.minute_limit_at, settings, now)
    newest = reports.newest_send(settings.account)
    full = newest is not None and newest[0] >= limit > 0
    blocking = reports.sent_at(settings.account, newest[0] - limit + 1) if full and newest else None
    opens_at = minute_opens_at(MinuteWindow(limit, blocking, account.minute_closed_until), now)
    used = min(limit, reports.sends_since(settings.account, now - SLOT))
    ends_at = newest[1] + SLOT if newest else 0.0
    return {
        "limit": limit,
        "used": used,
        "left": 0 if opens_at is not None else max(0, limit - used),
        "opens_at": opens_at,
        "resets_at": ends_at if ends_at > now else None,
    }


def apps(settings: Settings, windows: dict[str, tuple[int, int]], limit: int) -> list[dict[str, Any]]:
    names = sorted({*settings.apps, *(app for app in windows if app != ALL_APPS)})
    rows = []
    for name in names:
        attempts, uncounted = windows.get(name, (0, 0))
        own = settings.apps.get(name)
        share = own.share if own else 0.0
        rows.append(
            {
                "app": name,
                "used": attempts - uncounted,
                "share": share,
                "promised": promised(share, limit),
                "per_day": own.per_day if own else None,
            }
        )
    return rows
