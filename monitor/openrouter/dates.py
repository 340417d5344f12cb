"""OpenRouter's clock, as the headers of an answer tell it: a quota day turns over by theirs, not by ours."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

DATE_STEP = 1.0
"""Seconds: the header counts whole ones, so the true time lies half of it later on average."""


def sent_at(headers: Mapping[str, str]) -> float | None:
    """When an answer was made by the server's clock (epoch seconds), to half a second.

    None without a readable `Date`, and with an `Age`: then a cache keeps the answer, and the date may be that of its
    making or of its delivery. `headers` must find names in any case.
    """
    if "Age" in headers:
        return None
    try:
        return parsedate_to_datetime(headers["Date"]).timestamp() + DATE_STEP / 2
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
