"""What is known of a metric family before it has a value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Type(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Source(StrEnum):
    """What fills a family, and so what a counter of it survives."""

    STORE = "the store: sums that survive restart, crash and pruning"
    POLL = "the newest answer of OpenRouter"
    DAEMON = "the daemon's own process"


@dataclass(frozen=True, slots=True)
class Family:
    """One family. `bound` is how many label sets it may have; `zeros` says which exist before anything happened.

    `setting` is what must be turned on for it to be there at all.
    """

    name: str
    type: Type
    unit: str
    about: str
    labels: tuple[str, ...] = ()
    bound: int = 1
    source: Source = Source.STORE
    zeros: str = ""
    buckets: tuple[float, ...] = ()
    setting: str = ""

    @property
    def help(self) -> str:
        return f"{self.about} Unit: {self.unit}."

    @property
    def series(self) -> int:
        """The most time series it can have: a histogram has one a bucket, one for +Inf, a sum and a count."""
        return self.bound * (len(self.buckets) + 3 if self.type is Type.HISTOGRAM else 1)


def counter(
    name: str, unit: str, about: str, *labels: str, bound: int = 1, source: Source = Source.STORE, zeros: str = ""
) -> Family:
    """A counter's entry."""
    return Family(name, Type.COUNTER, unit, about, labels, bound, source, zeros)


def gauge(
    name: str, unit: str, about: str, *labels: str, bound: int = 1, source: Source = Source.STORE, zeros: str = ""
) -> Family:
    """A gauge's entry."""
    return Family(name, Type.GAUGE, unit, about, labels, bound, source, zeros)
