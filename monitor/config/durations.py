"""Spans of time as people write them: `30d`, `12h`, `1h30m`, `45s`."""

from __future__ import annotations

import math
import re
from typing import Any

_UNITS = {"w": 604_800.0, "d": 86_400.0, "h": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(min|[wdhms])\s*")
_EXPECTED = "expected a span such as 30d, 12h, 1h30m or 45s"


def parse_duration(text: str) -> float:
    """Seconds. Raises ValueError saying what would be right."""
    rest, seconds = text.strip().lower(), 0.0
    if not rest:
        raise ValueError(_EXPECTED)
    while rest:
        part = _PART.match(rest)
        if part is None:
            raise ValueError(f"{_EXPECTED}, not {text!r}")
        seconds += float(part[1]) * _UNITS[part[2]]
        rest = rest[part.end() :]
    return seconds


def seconds_of(value: Any) -> float:
    """Seconds of a span, or of a number of them. Raises ValueError."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return parse_duration(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{_EXPECTED}, not {str(value)[:40]!r}")
    return float(value)
