"""The only module that reads the time.

Everything else is given a `Clock`, or the instant itself, so that a test can stand at one second before
midnight UTC. Ruff's banned-api rule keeps `time.time()` and `datetime.now()` out of every other module.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

MINUTE = 60.0
DAY = 86_400.0
AHEAD = 60.0
"""Seconds that a stamp may lie ahead of now: clocks of one machine differ by less, unless somebody set one back."""


class Clock(Protocol):
    """What the package asks of time. Epoch seconds are UTC."""

    def now(self) -> float:
        """Epoch seconds, UTC. It can step back: the operator may set the machine's clock."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary point, never decreasing: for durations and waits."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block this thread for `seconds`."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class FakeClock:
    """A clock that moves only when it is told to; public, so that users can test their own use of the guard.

    `sleep` advances it at once. `set` may step wall time back and leaves monotonic time alone, as a machine does.
    """

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self._now = now
        self._monotonic = 0.0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self._now += seconds
        self._monotonic += seconds

    def set(self, now: float) -> None:
        self._now = now


def age_of(at: float, now: float) -> float | None:
    """Seconds since `at`; None for a stamp from the future, left by a clock that has been set back since."""
    return None if at > now + AHEAD else max(0.0, now - at)


def day_of(at: float) -> int:
    """The UTC day that `at` falls in, as days since the epoch. OpenRouter's free quota is counted by it."""
    return int(at // DAY)


def day_name(day: int) -> str:
    """`2026-11-24` for a day number."""
    return iso(day * DAY)[:10]


def next_midnight(at: float) -> float:
    """Epoch seconds of the UTC midnight after `at`: when OpenRouter's daily counter resets."""
    return (day_of(at) + 1) * DAY


def next_minute(at: float) -> float:
    """Epoch seconds of the next whole UTC minute after `at`."""
    return (at // MINUTE + 1) * MINUTE


def month_start_day(at: float) -> int:
    """The day number of the first of `at`'s UTC month: dollar budgets by the month count from it."""
    return day_of(datetime.fromtimestamp(at, UTC).replace(day=1).timestamp())


def next_month(at: float) -> float:
    """Epoch seconds at which the next UTC month begins."""
    first = datetime.fromtimestamp(at, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    year, month = (first.year + 1, 1) if first.month == 12 else (first.year, first.month + 1)
    return first.replace(year=year, month=month).timestamp()


def iso(at: float) -> str:
    """`2026-11-24T23:02:51Z` for epoch seconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
