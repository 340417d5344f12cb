"""Figures in words: spans, instants, dollars, counts; and what set a call apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from monitor.clock import iso

_NEAR_SECONDS = 12 * 3600
_STEPS = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, those that change the direction of a text, and halves of a pair, which are no text at all."""


def harmless(text: str) -> str:
    """A text without what would turn round, or hide, what stands beside it."""
    return _STEERING.sub("\N{REPLACEMENT CHARACTER}", text)


def span(seconds: float) -> str:
    """`3 h 12 min`, `45 s`: at most two units, rounded down; never less than `0 s`."""
    whole = max(0, int(seconds))
    for size, unit, smaller, smaller_unit in _STEPS:
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {smaller_unit}" if rest else "")
    return f"{whole} s"


def ago(at: float, now: float) -> str:
    """`12 min ago`, or `just now`."""
    seconds = now - at
    return "just now" if seconds < 1 else f"{span(seconds)} ago"


def lately(at: float, now: float) -> str:
    """`12 min ago`: as `ago`, in its larger unit alone."""
    return " ".join(ago(at, now).split()[:2]) + " ago" if now - at >= 1 else "just now"


def until(at: float, now: float) -> str:
    """`in 3 h 12 min`, or `now`."""
    seconds = at - now
    # Rounded up: a limit that resets in 0.4 s has not been reset.
    return "now" if seconds <= 0 else f"in {span(seconds + 0.999)}"


def clock_time(at: float, now: float) -> str:
    """`23:02:51Z` when it is near, else `2026-11-24 23:02Z`."""
    text = iso(at)
    return text[11:] if abs(now - at) < _NEAR_SECONDS else f"{text[:10]} {text[11:16]}Z"


def dollars(usd: float | None) -> str:
    """`$0.00`, `$1.25`, `$0.000123`: as many places as it takes to see that it is not nothing."""
    if usd is None:
        return "-"
    if usd == 0 or abs(usd) >= 0.01:
        return f"${usd:,.2f}"
    return f"${usd:.6f}".rstrip("0") if abs(usd) >= 0.000001 else f"${usd:.1e}"


def per_million(usd: float | None) -> str:
    """A price per token as dollars per million tokens, as price lists write it."""
    if usd is None:
        return "-"
    return "0" if usd == 0 else f"{usd * 1e6:.4f}".rstrip("0").rstrip(".")


def count(number: int, noun: str) -> str:
    """`1 model`, `3 models`, `12 000 models`."""
    return f"{number:,}".replace(",", " ") + f" {noun}" + ("" if number == 1 else "s")


def size(amount: float) -> str:
    """Bytes as `12.3 MB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError


def why(row: Mapping[str, Any]) -> str | None:
    """What set a call apart: why it was refused, whose limit it hit, what went wrong."""
    if row["outcome"] == "refused":
        return str(row["reason"])
    parts = [row["limit_kind"], row["error"]]
    if row["reason"]:
        parts.append(f"would have been refused: {row['reason']}")
    served = row.get("model_served")
    if served and row["model_requested"] and served != row["model_requested"]:
        parts.append(f"served by {served}")
    return "; ".join(str(part) for part in parts if part) or None
