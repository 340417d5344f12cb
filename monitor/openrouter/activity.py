"""`GET /activity`: what an account used by the UTC day, of the last 30 that are over; for management keys only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.clock import day_of
from monitor.errors import PollError
from monitor.openrouter.limits import error_text
from monitor.openrouter.values import count, instant, loads, mapping, number, text

_COUNTS = ("requests", "prompt_tokens", "completion_tokens")


def parse_activity(body: bytes | object) -> dict[str, object]:
    """The sums of the newest day that is listed; empty when none is.

    `day` is its number, `requests` and the tokens are counts over all models and keys, `usage_usd` is what OpenRouter
    billed. A row without a date, and a figure that cannot be read, count nothing. Raises `PollError` when the answer
    holds no list.
    """
    content = loads(body) if isinstance(body, bytes | bytearray | str) else body
    rows = mapping(content).get("data")
    if not isinstance(rows, list):
        said = error_text(content) if "error" in mapping(content) else "the answer holds no list"
        raise PollError(f"The activity endpoint gave no figures: {said}")
    dated = [(day, row) for row in map(mapping, rows) if (day := _day(row)) is not None]
    if not dated:
        return {}
    newest = max(day for day, _ in dated)
    of_day = [row for day, row in dated if day == newest]
    sums: dict[str, object] = {name: sum(count(row.get(name)) or 0 for row in of_day) for name in _COUNTS}
    return {"day": newest, "usage_usd": sum(number(row.get("usage")) or 0.0 for row in of_day), **sums}


def _day(row: Mapping[str, Any]) -> int | None:
    """`2026-11-23`, or the same with a time behind it."""
    at = instant((text(row.get("date")) or "")[:10])
    return None if at is None else day_of(at)
