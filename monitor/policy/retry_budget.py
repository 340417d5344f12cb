"""How many retries an account may make: each is a request of the day, and when everything fails, none of them helps.

Two bounds: so many attempts a call, and so many retries an hour. The second is a part of the hour's calls, so that what
is sent stays near what was asked (*amplification*: attempts ÷ calls), and a few besides, so that one call an hour can
be retried at all. When three attempts of ten fail by chance, a call takes 1.43 of them in the mean; the few are what an
hour that is unluckier than most needs on top of the share.
"""

from __future__ import annotations

from dataclasses import dataclass

SPAN_SECONDS = 600.0
SPANS = 6
"""The hour that is looked back on, in spans of ten minutes, the running one among them."""

ALWAYS = 15
"""Retries an hour that need no calls to justify them."""


@dataclass(frozen=True, slots=True)
class Hour:
    """What clients of the account did in the last hour: calls, and retries of them."""

    calls: int = 0
    retries: int = 0


def span_of(at: float) -> int:
    """The number of the span that `at` (epoch seconds) falls in."""
    return int(at // SPAN_SECONDS)


def may_retry(hour: Hour, *, share: float) -> bool:
    """Whether one more retry is within the hour's budget; `share` is retries per call."""
    return hour.retries < ALWAYS + share * hour.calls
