"""Shares of the day's quota: what one app is promised, no other can eat.

An app with `share = 0.4` of a limit of 50 has 20 requests of its own. What no share claims is common. An app spends
its own part first, then the common one. The part that an app has not used is held back from the others in full until
18:00 UTC, then gives way evenly, to nothing at midnight: at 21:00 half of it is held back. Quota that is not used by
midnight is lost to everybody, so late in the day a promise is worth less than a request somebody wants to make.

What was used elsewhere on the account is taken from the common part first, since nobody else can give it back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from monitor.clock import DAY

RELEASE_FROM = 18 * 3600.0
"""Seconds after midnight UTC at which unclaimed shares begin to free up."""


def promised(share: float, limit: int) -> int:
    """Whole requests that a share of `limit` promises; rounded down, so that promises never exceed the limit."""
    # 0.29 * 100 is 28.999…: without the tolerance a share would lose a request to floating point.
    return math.floor(share * limit + 1e-9)


def held_back(shares: Mapping[str, float], used: Mapping[str, int], limit: int, now: float, *, but_for: str) -> int:
    """Requests of `limit` that other apps' unused promises keep from `but_for` at `now` (epoch seconds)."""
    seconds = now % DAY
    fraction = 1.0 if seconds <= RELEASE_FROM else (DAY - seconds) / (DAY - RELEASE_FROM)
    held = 0
    for app, share in shares.items():
        if app != but_for and share > 0:
            unused = promised(share, limit) - used.get(app, 0)
            held += math.ceil(max(0, unused) * fraction)
    return held


def share_admits(
    app: str, shares: Mapping[str, float], used: Mapping[str, int], *, total_used: int, limit: int, now: float
) -> bool:
    """Whether `app` may take one of the day's requests without touching what others were promised.

    Says nothing of the day's limit itself, which is judged before.
    """
    if used.get(app, 0) < promised(shares.get(app, 0.0), limit):
        return True
    return total_used + held_back(shares, used, limit, now, but_for=app) < limit


def left_for(
    app: str, shares: Mapping[str, float], used: Mapping[str, int], *, total_used: int, limit: int, now: float
) -> int:
    """How many more requests `app` may make today, one after the other, if nobody else makes any."""
    own = promised(shares.get(app, 0.0), limit) - used.get(app, 0)
    common = limit - total_used - held_back(shares, used, limit, now, but_for=app)
    return max(0, min(max(own, common), limit - total_used))
