"""Attempts over a stretch of time: by slot, app, model, limit and reason, as one object of plain values.

| name | holds |
|---|---|
| `window` | today (of the UTC day), 24h, 7d, 30d |
| `since`, `until` | epoch seconds; `slot_seconds`: how wide a slot is |
| `app`, `model` | whose attempts alone are counted; null for all |
| `complete` | false while some older attempts are not counted yet |
| `attempts`, `billed`, `cost_usd`, `prompt_tokens`, `completion_tokens` | of all of them; `billed` cost something |
| `outcomes` | attempts by outcome |
| `slots` | list of `at` (epoch seconds) and `outcomes`, none left out |
| `apps`, `models` | list of `name`, `attempts`, `outcomes`, `billed`, `cost_usd`, `tokens`; most attempts first |
| `limits` | 429s and the like by whose limit it was |
| `reasons` | refused attempts by reason; `shadow`: what left, but would have been refused |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from monitor.clock import DAY
from monitor.model import Outcome
from monitor.store.sqlite.hours import HOUR, HourSum, SlotSum
from monitor.store.sqlite.reader import Reader

WINDOWS = ("today", "24h", "7d", "30d")
NAMES_SHOWN = 50


class Asked(NamedTuple):
    """What a visitor wants to see: a window of `WINDOWS`, and one app or model."""

    window: str = "24h"
    app: str | None = None
    model: str | None = None


class _Span(NamedTuple):
    """Slots `first` to `last`, each `width` hours wide, counted since the epoch in their own width."""

    width: int
    first: int
    last: int


def traffic(reader: Reader, asked: Asked, now: float) -> dict[str, Any]:
    """Everything at once; all zeros where there is no store. Raises StoreError."""
    span = _span(asked.window, now)
    sums: list[HourSum] = []
    slots: list[SlotSum] = []
    complete = True
    if reader.exists:
        with reader.moment() as reports:
            since = span.first * span.width
            sums, slots, complete = reports.traffic(since, span.width, app=asked.app, model=asked.model)
    found = {
        "window": asked.window,
        "since": span.first * span.width * HOUR,
        "until": now,
        "slot_seconds": span.width * HOUR,
        "app": asked.app,
        "model": asked.model,
        "complete": complete,
    }
    whole = _row("", sums)
    return found | {
        "attempts": whole["attempts"],
        "outcomes": whole["outcomes"],
        "billed": whole["billed"],
        "cost_usd": whole["cost_usd"],
        "prompt_tokens": sum(each.prompt_tokens for each in sums),
        "completion_tokens": sum(each.completion_tokens for each in sums),
        "slots": _slots(slots, span),
        "apps": _rows(sums, lambda each: each.app),
        "models": _rows(sums, lambda each: each.model),
        "limits": _counted((each.kind, each.n) for each in sums if each.kind),
        "reasons": _counted((each.reason, each.n) for each in sums if each.outcome == Outcome.REFUSED),
        "shadow": _counted((each.reason, each.n) for each in sums if each.reason and each.outcome != Outcome.REFUSED),
    }


def _span(window: str, now: float) -> _Span:
    """Whole slots in UTC, the current one last: a slot keeps its place while a page is looked at again and again."""
    hour, day = int(now // HOUR), int(now // DAY)
    match window:
        case "today":
            return _Span(1, day * 24, hour)
        case "7d":
            return _Span(6, hour // 6 - 27, hour // 6)
        case "30d":
            return _Span(24, day - 29, day)
        case _:
            return _Span(1, hour - 23, hour)


def _slots(sums: Iterable[SlotSum], span: _Span) -> list[dict[str, Any]]:
    by_slot: dict[int, Counter[str]] = {slot: Counter() for slot in range(span.first, span.last + 1)}
    for each in sums:
        # What a clock that ran ahead has stamped is counted in the last slot, not lost.
        by_slot[min(each.slot, span.last)][each.outcome] += each.n
    return [{"at": slot * span.width * HOUR, "outcomes": dict(counted)} for slot, counted in by_slot.items()]


def _rows(sums: Iterable[HourSum], name_of: Callable[[HourSum], str]) -> list[dict[str, Any]]:
    grouped: dict[str, list[HourSum]] = {}
    for each in sums:
        grouped.setdefault(name_of(each), []).append(each)
    rows = [_row(name, group) for name, group in grouped.items()]
    return sorted(rows, key=lambda row: (-row["attempts"], row["name"]))[:NAMES_SHOWN]


def _row(name: str, sums: Iterable[HourSum]) -> dict[str, Any]:
    outcomes: Counter[str] = Counter()
    attempts = billed = tokens = 0
    cost = 0.0
    for each in sums:
        outcomes[each.outcome] += each.n
        attempts += each.n
        billed += each.billed
        tokens += each.prompt_tokens + each.completion_tokens
        cost += each.cost_usd
    return {
        "name": name,
        "attempts": attempts,
        "outcomes": dict(outcomes),
        "billed": billed,
        "cost_usd": cost,
        "tokens": tokens,
    }


def _counted(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for name, n in pairs:
        counted[name] += n
    return dict(counted.most_common())
