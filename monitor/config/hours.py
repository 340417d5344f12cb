"""What hours in the settings mean: `22:00-07:00 Europe/Berlin` is a span of every day, `08:00` an instant of every day.

Without a zone they are UTC, as OpenRouter's day is.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

_TIME = r"([01]?[0-9]|2[0-3]):([0-5][0-9])"
_SPAN = re.compile(rf"{_TIME}\s*-\s*{_TIME}(?:\s+(\S+))?")
_INSTANT = re.compile(rf"{_TIME}(?:\s+(\S+))?")


class Span(NamedTuple):
    """From one minute of the day to another, which may be of the next day."""

    begins: int
    ends: int
    zone: tzinfo

    def holds(self, at: float) -> bool:
        """Whether an instant (epoch seconds) lies in it; its end does not."""
        local = datetime.fromtimestamp(at, self.zone)
        minute = local.hour * 60 + local.minute
        if self.begins <= self.ends:
            return self.begins <= minute < self.ends
        return minute >= self.begins or minute < self.ends


class Daily(NamedTuple):
    """A minute of the day."""

    minute: int
    zone: tzinfo

    def last(self, at: float) -> float:
        """When it last was (epoch seconds), `at` included."""
        local = datetime.fromtimestamp(at, self.zone)
        then = local.replace(hour=self.minute // 60, minute=self.minute % 60, second=0, microsecond=0, fold=0)
        return (then if then <= local else then - timedelta(days=1)).timestamp()


def span(text: str) -> Span:
    """Raises ValueError saying what would be right."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise ValueError("expected hours such as 22:00-07:00, or 22:00-07:00 Europe/Berlin")
    begins, ends = _minute(found[1], found[2]), _minute(found[3], found[4])
    if begins == ends:
        raise ValueError("the hours begin when they end")
    return Span(begins, ends, _zone(found[5]))


def daily(text: str) -> Daily:
    """Raises ValueError saying what would be right."""
    found = _INSTANT.fullmatch(text.strip())
    if found is None:
        raise ValueError("expected a time such as 08:00, or 08:00 Europe/Berlin")
    return Daily(_minute(found[1], found[2]), _zone(found[3]))


def _minute(hours: str, minutes: str) -> int:
    return int(hours) * 60 + int(minutes)


def _zone(name: str | None) -> tzinfo:
    if name is None:
        return UTC  # which needs no data of zones to be installed
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - settings are read by every guarded process; few name a zone

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("there is no such time zone here; say one such as Europe/Berlin, or none for UTC") from None
