"""A short history of series, for rules that look back: told tick by tick, kept as the runs of equal values.

A tick is one look at all series. A series that is not among what a tick tells has ended there, as in Prometheus a
series that a scrape no longer finds; one that a tick says nothing of (`GAP`) may still be looked back at for a while.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

Labels = tuple[tuple[str, str], ...]
"""Names and values of labels, sorted by name; without the metric's name."""

Told = Mapping[str, Mapping[Labels, float]]
"""What a tick tells: values by metric and labels."""

LOOKBACK_SECONDS = 300.0
"""How old a newest value may be: Prometheus' own figure."""


class _Gap:
    def __repr__(self) -> str:
        return "GAP"


GAP = _Gap()
"""In place of a value: this tick says nothing of the series."""

Held = float | _Gap | None
"""A value, `GAP`, or None: the series has ended."""


class Run(NamedTuple):
    """A value that several ticks in a row told: the first and last of them, as places in `History.ticks`."""

    first: int
    last: int
    value: float


class Change(NamedTuple):
    """From this tick on a series has another value; None: it has ended."""

    metric: str
    labels: Labels
    value: float | None


class Dropped(NamedTuple):
    """What was forgotten: ticks below a number, and of each series the changes below one of its own."""

    below: int
    series: list[tuple[str, Labels, int]]


class _Series:
    """Where each run begins, and its value; it lasts until the next begins."""

    __slots__ = ("starts", "values")

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.values: list[Held] = []

    def put(self, tick: int, value: Held) -> bool:
        """Whether that is a change. NaN is told again each time, which is harmless."""
        if self.values and (self.values[-1] is value or self.values[-1] == value):
            return False
        self.starts.append(tick)
        self.values.append(value)
        return True

    def ended(self) -> bool:
        return self.values[-1] is None


class History:
    """Values by tick. `horizons` says for how many seconds those of a metric are kept; others are not taken in."""

    def __init__(self, horizons: Mapping[str, float]) -> None:
        self.horizons = dict(horizons)
        self.ticks: list[float] = []
        """Instants of the ticks (epoch seconds), the oldest first."""
        self._base = 0
        self._metrics: dict[str, dict[Labels, _Series]] = {name: {} for name in horizons}

    def __repr__(self) -> str:
        return f"<History of {len(self.ticks)} ticks>"

    @property
    def first_tick(self) -> int:
        """The number of the oldest tick."""
        return self._base

    @property
    def next_tick(self) -> int:
        """The number that the next tick will have; numbers are never given twice."""
        return self._base + len(self.ticks)

    def record(self, at: float, told: Mapping[str, Mapping[Labels, Held]]) -> list[Change]:
        """Take in a tick, which must be later than the last; what it changed."""
        assert not self.ticks or at > self.ticks[-1], "ticks go forward"
        tick = self.next_tick
        self.ticks.append(at)
        changes = []
        for metric, kept in self._metrics.items():
            values = told.get(metric, {})
            for labels, series in kept.items():
                if labels not in values and series.put(tick, None):
                    changes.append(Change(metric, labels, None))
            for labels, value in values.items():
                if kept.setdefault(labels, _Series()).put(tick, value) and not isinstance(value, _Gap):
                    changes.append(Change(metric, labels, value))
        return changes

    def restore(self, first: int, ticks: list[float], changes: Iterable[tuple[int, Change]]) -> None:
        """Begin with what was written down: the ticks from number `first` on, and each change with its tick."""
        self._base, self.ticks = first, list(ticks)
        self._metrics = {name: {} for name in self.horizons}
        for tick, (metric, labels, value) in changes:
            if metric in self._metrics:
                self._metrics[metric].setdefault(labels, _Series()).put(tick, value)

    def shift(self, seconds: float) -> None:
        """Date all ticks anew, after the clock was set."""
        self.ticks = [at + seconds for at in self.ticks]

    def forget(self, now: float) -> Dropped:
        """Drop what is older than its metric's horizon."""
        below: list[tuple[str, Labels, int]] = []
        for metric, kept in self._metrics.items():
            oldest = self._base + bisect_left(self.ticks, now - self.horizons[metric] - LOOKBACK_SECONDS)
            for labels, series in list(kept.items()):
                if series.ended() and series.starts[-1] <= oldest:
                    del kept[labels]
                    below.append((metric, labels, self.next_tick))
                    continue
                gone = bisect_right(series.starts, oldest) - 1
                if gone > 0:
                    del series.starts[:gone], series.values[:gone]
                    below.append((metric, labels, series.starts[0]))
        longest = max(self.horizons.values(), default=0.0) + LOOKBACK_SECONDS
        gone = min(bisect_left(self.ticks, now - longest), max(0, len(self.ticks) - 1))
        del self.ticks[:gone]
        self._base += gone
        return Dropped(self._base, below)

    def told(self) -> Iterator[tuple[int, Change]]:
        """All that is kept, as changes with their tick's number."""
        for metric, kept in self._metrics.items():
            for labels, series in kept.items():
                for tick, value in zip(series.starts, series.values, strict=True):
                    if not isinstance(value, _Gap):
                        yield tick, Change(metric, labels, value)

    def series(self, metric: str) -> Iterator[Labels]:
        yield from self._metrics.get(metric, {})

    def newest(self, metric: str, labels: Labels, at: float) -> float | None:
        """The value at an instant: the newest told until then, unless it is too old or the series has ended."""
        tick = self._base + bisect_right(self.ticks, at) - 1
        series = self._metrics[metric][labels]
        while tick >= self._base:
            place = bisect_right(series.starts, tick) - 1
            value = series.values[place] if place >= 0 else None
            if not isinstance(value, _Gap):
                return value if self.ticks[tick - self._base] >= at - LOOKBACK_SECONDS else None
            tick = series.starts[place] - 1
        return None

    def runs(self, metric: str, labels: Labels, since: float, until: float) -> list[Run]:
        """What ticks from `since` to `until`, both included, told of a series."""
        low, high = bisect_left(self.ticks, since), bisect_right(self.ticks, until) - 1
        series = self._metrics[metric][labels]
        found: list[Run] = []
        if high < low:
            return found
        place = max(0, bisect_right(series.starts, self._base + low) - 1)
        while place < len(series.starts) and series.starts[place] - self._base <= high:
            ends = series.starts[place + 1] - 1 if place + 1 < len(series.starts) else self._base + len(self.ticks) - 1
            first, last = max(low, series.starts[place] - self._base), min(high, ends - self._base)
            value = series.values[place]
            if first <= last and value is not None and not isinstance(value, _Gap):
                found.append(Run(first, last, value))
            place += 1
        return found
