"""The free windows: twenty requests a minute, and a number of them a UTC day.

The minute is kept as a sliding window: a request may leave when the L-th newest before it left sixty-one seconds ago or
earlier. Whatever sixty seconds one looks at then hold at most L requests, and so does every clock minute, for a clock
minute is sixty seconds. OpenRouter's own counter appears to run by clock minutes; nobody outside knows.

The sixty-first second is for the way: OpenRouter counts when a request arrives, we when it leaves. One that was long on
its way (a new connection) and one that was not arrive closer together than they left, and twenty that leave just before
a clock minute may arrive in it, before twenty more that leave just before its end. With the margin no minute of
OpenRouter's holds more than L requests, slid or aligned, as long as no way is a second longer than another.

An example with L = 2: requests at 00:00:10 and 00:00:50. The next may leave at 00:01:11, not at 00:01:00, though a new
clock minute begins there; the one after it at 00:01:51.
"""

from __future__ import annotations

from monitor.clock import MINUTE, next_midnight
from monitor.policy.balances import DayWindow, MinuteWindow

MARGIN = 1.0
"""Seconds that a slot stays taken beyond its minute, for what requests differ in on their way."""

SLOT = MINUTE + MARGIN


def minute_opens_at(window: MinuteWindow, now: float) -> float | None:
    """Epoch seconds at which the minute window admits a request; None when it does now."""
    opens = window.closed_until
    if window.limit <= 0:
        opens = max(opens, now + MINUTE)
    if window.blocking_at is not None:
        # A send stamped later than now means that the clock stepped back. It still counts, for one slot at most.
        sent = min(window.blocking_at, now)
        opens = max(opens, sent + SLOT)
    return opens if opens > now else None


def day_opens_at(window: DayWindow, now: float) -> float | None:
    """Epoch seconds at which the day window admits a request; None when it does now."""
    if window.closed_until > now:
        return window.closed_until
    return next_midnight(now) if window.used >= window.limit else None


def day_remaining(window: DayWindow, now: float) -> int:
    """Requests left today; 0 while OpenRouter itself says that the day is spent, whatever was counted."""
    return 0 if window.closed_until > now else max(0, window.limit - window.used)
