"""When the day's free quota ends, at the pace of the day and of its last hour.

The larger of the two paces counts, for this is a warning. The last hour alone would make the forecast come and go with
a job that runs every second hour; the day alone would notice a loop that begins in the afternoon only when it has used
as much as the whole morning. What that costs is a forecast too early after a burst that is over, and as the day goes on
its pace falls by itself.

Neither pace is taken over less than an hour: five requests at five past midnight are no day of sixty an hour.
"""

from __future__ import annotations

from monitor.clock import DAY, day_of, next_midnight

HOUR = 3600.0


def exhaustion_at(used: int, limit: int, now: float, mark: tuple[float, int] | None = None) -> float | None:
    """Epoch seconds at which `used` reaches `limit` (requests of the UTC day); None when it lasts until midnight.

    `mark` is an earlier instant of the same day, best an hour ago, and what was used by then; any other is ignored. A
    spent quota is exhausted now.
    """
    if used >= limit:
        return now
    pace = pace_per_hour(used, now, mark)
    if pace <= 0:
        return None
    at = now + (limit - used) / pace * HOUR
    return at if at < next_midnight(now) else None


def pace_per_hour(used: int, now: float, mark: tuple[float, int] | None = None) -> float:
    """Requests an hour: the larger of the day's pace and of the pace since `mark`, as in `exhaustion_at`."""
    midnight = day_of(now) * DAY
    pace = _pace(used, now - midnight)
    if mark is not None and midnight <= mark[0] <= now:
        pace = max(pace, _pace(used - mark[1], now - mark[0]))
    return pace * HOUR


def _pace(requests: int, seconds: float) -> float:
    return requests / max(seconds, HOUR)
