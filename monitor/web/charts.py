"""Where the bars and lines of a chart are: numbers for the templates, which draw them as SVG.

A drawing is stretched to the width there is, so it holds no text and no circle; what is to be read stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from monitor.clock import DAY, day_of, iso

HIGH = 100.0
"""Height of a drawing in its own units."""


class Group(NamedTuple):
    """Outcomes that are drawn alike: `name` is also the class of the stylesheet."""

    name: str
    title: str
    outcomes: tuple[str, ...]


GROUPS = (
    Group("good", "answered", ("success", "cached")),
    Group("limited", "rate limited", ("rate_limited",)),
    Group("failed", "failed", ("client_error", "server_error", "network_error", "abandoned")),
    Group("refused", "refused", ("refused",)),
    Group("open", "cancelled or in flight", ("cancelled", "in_flight")),
)
GROUP_OF = {outcome: group.name for group in GROUPS for outcome in group.outcomes}


class Part(NamedTuple):
    """A piece of a bar: where it begins and how long it is."""

    group: str
    at: float
    length: float


class Bar(NamedTuple):
    """One slot: its label, where it begins, its pieces from the bottom up, and its figures by group."""

    label: str
    x: int
    parts: list[Part]
    counts: dict[str, int]
    total: int


class Bars(NamedTuple):
    """Bars of a common scale from 0 to `top`; `labels` are for the axis below, from its beginning to its end."""

    bars: list[Bar]
    top: int
    labels: list[str]


class Line(NamedTuple):
    """A line over the UTC day, x in minutes; `points` and `forecast` as SVG wants them, "" for none."""

    points: str
    area: str
    forecast: str
    now: float
    top: int


def counts_of(outcomes: Mapping[str, int]) -> dict[str, int]:
    """Attempts by group."""
    counts = {group.name: 0 for group in GROUPS}
    for outcome, n in outcomes.items():
        counts[GROUP_OF.get(outcome, "open")] += n
    return counts


def bars(traffic: Mapping[str, Any]) -> Bars:
    """The slots of `monitor.views.traffic`, stacked."""
    slots, width = traffic["slots"], traffic["slot_seconds"]
    counted = [counts_of(slot["outcomes"]) for slot in slots]
    top = nice_top(max((sum(counts.values()) for counts in counted), default=0))
    drawn = []
    for number, (slot, counts) in enumerate(zip(slots, counted, strict=True)):
        parts = [part._replace(at=HIGH - part.at - part.length) for part in stacked(counts, top)]
        drawn.append(Bar(_slot_label(slot["at"], width), number * 10 + 1, parts, counts, sum(counts.values())))
    ends = [slots[0]["at"], slots[len(slots) // 2]["at"]] if slots else []
    return Bars(drawn, top, [*(_axis_label(at, width) for at in ends), "now"])


def stacked(counts: Mapping[str, int], top: int) -> list[Part]:
    """The pieces of one bar, in the order of the groups, `HIGH` being `top`; empty ones are left out."""
    parts, at = [], 0.0
    for group in GROUPS:
        length = HIGH * counts[group.name] / max(1, top)
        if length > 0:
            parts.append(Part(group.name, round(at, 3), round(length, 3)))
        at += length
    return parts


def use_line(status: Mapping[str, Any], notes: Sequence[Mapping[str, Any]]) -> Line:
    """How the day's use rose against its limit, and where it goes at the current pace."""
    day, now = status["day"], status["at"]
    midnight = day_of(now) * DAY
    top = max(1, day["limit"], day["used"], *(note["used"] for note in notes))
    minute = (now - midnight) / 60

    def point(at: float, used: float) -> str:
        return f"{(at - midnight) / 60:.1f},{HIGH - HIGH * used / top:.2f}"

    known = [(note["at"], note["used"]) for note in notes if note["at"] <= now]
    # A day that was not noted from its beginning on is drawn as if it had risen evenly until the first note.
    points = [point(midnight, 0), *(point(at, used) for at, used in known), point(now, day["used"])]
    end = day["exhausted_at"] if day["exhausted_at"] is not None else day["resets_at"]
    goes_to = min(day["used"] + day["pace_per_hour"] * (end - now) / 3600, float(top))
    forecast = f"{point(now, day['used'])} {point(end, goes_to)}" if day["left"] and day["pace_per_hour"] else ""
    line = " ".join(points)
    return Line(line, f"0,{HIGH:g} {line} {minute:.1f},{HIGH:g}", forecast, round(minute, 1), top)


def nice_top(highest: int) -> int:
    """The end of a scale: an even number of two digits or fewer, rounded up."""
    if highest <= 10:
        return max(2, highest + highest % 2)
    step = 2 * int(10 ** (math.floor(math.log10(highest)) - 1))
    return math.ceil(highest / step) * step


def part_of(value: float, whole: float) -> float:
    """A length from 0 to `HIGH`."""
    return round(HIGH * min(1.0, max(0.0, value / whole)), 3) if whole > 0 else 0.0


def table_of(drawn: Iterable[Bar]) -> list[Bar]:
    """What the table under a chart tells: slots in which something happened, newest first."""
    return [bar for bar in reversed(list(drawn)) if bar.total]


def _slot_label(at: float, width: float) -> str:
    text = iso(at)
    return text[:10] if width >= DAY else f"{text[5:10]} {text[11:16]}Z"


def _axis_label(at: float, width: float) -> str:
    text = iso(at)
    return f"{text[11:16]}Z" if width <= 3600 else text[5:10]
