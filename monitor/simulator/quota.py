"""The free-model quota of an account: requests a minute and requests a UTC day, over all its keys."""

from __future__ import annotations

from collections import deque
from enum import StrEnum

from monitor.clock import DAY, MINUTE, day_of
from monitor.simulator.options import SimulatorOptions


class Window(StrEnum):
    """Which window a request broke."""

    DAY = "day"
    MINUTE = "minute"


class FreeQuota:
    """Counts what was admitted. Not thread-safe: only the server's loop touches it; other threads go through it."""

    def __init__(self, options: SimulatorOptions) -> None:
        self._options = options
        self._day = -1
        self._used = 0
        self._minute = -1
        self._in_minute = 0
        self._recent: deque[float] = deque()
        self._history: deque[tuple[float, int]] = deque()

    def used(self, now: float) -> int:
        """Free requests of the UTC day of `now`, as enforcement reads it."""
        self._turn(now)
        return self._used

    def shown(self, now: float) -> int:
        """The same counter as `/key` shows it: what it was `key_lag_seconds` ago."""
        current = self.used(now)
        if self._options.key_lag_seconds == 0:
            return current
        seen = 0
        for at, used in self._history:
            if at > now - self._options.key_lag_seconds:
                break
            seen = used
        return seen

    def set_used(self, now: float, used: int) -> None:
        """Quota spent elsewhere, or given back."""
        self._turn(now)
        self._write(now, used)

    def reset_minute(self) -> None:
        self._minute, self._in_minute = -1, 0
        self._recent.clear()

    def take(self, now: float) -> Window | None:
        """Count one request, or say which window is full. The day comes first: waiting a minute would not help."""
        self._turn(now)
        if self._used >= self._options.per_day:
            return Window.DAY
        if self._minute_count(now) >= self._options.per_minute:
            return Window.MINUTE
        self._in_minute += 1
        if self._options.minute_window == "sliding":
            self._recent.append(now)
        self._write(now, self._used + 1)
        return None

    def count_rejection(self, now: float) -> None:
        """The platform's own refusal adds to the day's counter too, so it can pass its limit."""
        self._turn(now)
        self._write(now, self._used + 1)

    def refund(self, now: float) -> None:
        """A provider's 429 is taken off the day; the minute keeps it, for the request did arrive."""
        self._turn(now)
        self._write(now, max(0, self._used - 1))

    def minute_reset(self, now: float) -> float:
        """Epoch seconds at which the minute window lets one more in."""
        if self._options.minute_window == "sliding" and self._recent:
            return self._recent[0] + MINUTE
        return (now // MINUTE + 1) * MINUTE

    def _minute_count(self, now: float) -> int:
        while self._recent and self._recent[0] <= now - MINUTE:
            self._recent.popleft()
        minute = int(now // MINUTE)
        if minute != self._minute:
            self._minute, self._in_minute = minute, 0
        return len(self._recent) if self._options.minute_window == "sliding" else self._in_minute

    def _turn(self, now: float) -> None:
        day = day_of(now)
        if day != self._day:
            self._day = day
            self._used = 0
            self._note(day * DAY, 0)

    def _write(self, now: float, used: int) -> None:
        self._used = used
        self._note(now, used)

    def _note(self, at: float, used: int) -> None:
        lag = self._options.key_lag_seconds
        if lag == 0:
            return
        self._history.append((at, used))
        # The newest entry that is older than the lag is still needed: it is what the counter shows.
        while len(self._history) > 1 and self._history[1][0] <= at - lag:
            self._history.popleft()
