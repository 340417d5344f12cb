"""When the requests of a batch can go: so many a minute, so many a UTC day, at once or spread out.

An example: 500 requests on a 50-a-day account of which 10 are used, 20 a minute, at noon. 40 go today, the last of them
61 s after the first; then 50 a day, from midnight on, and the last 10 on the tenth day after.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from monitor.clock import DAY, next_midnight
from monitor.policy.windows import SLOT

MOST_DAYS = 3650
"""A plan that would take longer than ten years has no end."""


class Spread(StrEnum):
    """How a batch uses the time: as fast as the minute allows, evenly over the day, or so over as many as it takes.

    `now` and `day` leave what does not fit into today for another run; `days` waits for tomorrow.
    """

    NOW = "now"
    DAY = "day"
    DAYS = "days"


@dataclass(frozen=True, slots=True)
class Supply:
    """Requests that an app can make: what is left today, a day, and a minute."""

    left_today: int
    per_day: int
    per_minute: int


@dataclass(frozen=True, slots=True)
class DayPart:
    """What falls on one UTC day: how many items, from when to when (epoch seconds)."""

    starts_at: float
    ends_at: float
    items: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A forecast: items by day, and requests that they will take in all. `unplanned` items fit into no day."""

    days: tuple[DayPart, ...]
    requests: int
    unplanned: int = 0

    @property
    def ends_at(self) -> float | None:
        """When the last item goes (epoch seconds); None when there is none, or when some never can."""
        return self.days[-1].ends_at if self.days and not self.unplanned else None

    @property
    def items(self) -> int:
        return sum(part.items for part in self.days)


def plan(
    items: int, supply: Supply, now: float, *, spread: Spread = Spread.NOW, requests_per_item: float = 1.0
) -> Plan:
    """When `items` can go from `now` (epoch seconds) on. `requests_per_item`: what retries made of it lately."""
    factor = max(1.0, requests_per_item)
    parts: list[DayPart] = []
    left = items
    for starts_at, requests in _days(supply, now):
        fit = min(left, int(requests / factor + 1e-9))
        if fit > 0:
            parts.append(DayPart(starts_at, _end(starts_at, fit, factor, supply, spread), fit))
            left -= fit
        if left <= 0 or supply.per_day / factor < 1:
            break
    return Plan(tuple(parts), math.ceil(items * factor - 1e-9), left)


def pause_between(items: int, supply: Supply, now: float) -> float:
    """Seconds from one item to the next, for `items` to be spread evenly over what is left of the UTC day."""
    fit = min(items, supply.left_today)
    return (next_midnight(now) - now) / fit if fit > 0 else 0.0


def _days(supply: Supply, now: float) -> Iterator[tuple[float, int]]:
    yield now, supply.left_today
    first = next_midnight(now)
    for number in range(MOST_DAYS):
        yield first + number * DAY, supply.per_day


def _end(starts_at: float, fit: int, factor: float, supply: Supply, spread: Spread) -> float:
    requests = math.ceil(fit * factor - 1e-9)
    at_once = (requests - 1) // max(1, supply.per_minute) * SLOT
    if spread is Spread.NOW:
        return starts_at + at_once
    whole = next_midnight(starts_at) - starts_at
    return starts_at + max(at_once, whole * (fit - 1) / fit)
