"""The values of one scrape by family and label set, held to the table, and made into what is exposed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

from monitor.metrics.families import BY_NAME, FAMILIES
from monitor.metrics.family import Family, Type
from monitor.store.buckets import bucket

Key = tuple[str, ...]


class Sheet:
    """Collects values in any order. A name that is not in the table is a KeyError, a wrong label count a ValueError."""

    def __init__(self) -> None:
        self._values: dict[str, dict[Key, float]] = {}
        self._histograms: dict[str, dict[Key, tuple[list[int], float]]] = {}
        self._examples: dict[str, dict[Key, Exemplar]] = {}

    def add(self, name: str, value: float, *labels: str) -> None:
        """Add to a counter's or a gauge's label set; adding 0 makes it exist."""
        values = self._values.get(name)
        if values is None:
            values = self._values[name] = {}
        values[labels] = values.get(labels, 0) + value

    def set(self, name: str, value: float | None, *labels: str) -> None:
        """Set a gauge's label set; None leaves it out."""
        if value is not None:
            self._values.setdefault(name, {})[labels] = value

    def observe(
        self, name: str, counts: Sequence[int], total: float, *labels: str, example: Exemplar | None = None
    ) -> None:
        """Add observations to a histogram: how many fell in each bucket (not cumulative), and their sum.

        `example` is one of them by name, told beside its bucket, in OpenMetrics only.
        """
        histogram = self._histograms.setdefault(name, {})
        before = histogram.get(labels)
        if before is not None:
            counts, total = list(map(int.__add__, before[0], counts)), before[1] + total
        histogram[labels] = (list(counts), total)
        if example is not None:
            self._examples.setdefault(name, {})[labels] = example

    def metrics(self) -> list[Metric]:
        """The families that have values, in the table's order."""
        unknown = (self._values.keys() | self._histograms.keys()) - BY_NAME.keys()
        if unknown:
            raise KeyError(f"not in the table of families: {', '.join(sorted(unknown))}")
        made = []
        for family in FAMILIES:
            if family.type is Type.HISTOGRAM:
                if family.name in self._histograms:
                    histograms, examples = self._histograms[family.name], self._examples.get(family.name, {})
                    made.append(_histogram(family, histograms.items(), examples))
            elif family.name in self._values:
                made.append(_plain(family, self._values[family.name].items()))
        return made


def _plain(family: Family, values: Iterable[tuple[Key, float]]) -> Metric:
    made: CounterMetricFamily | GaugeMetricFamily
    if family.type is Type.COUNTER:
        # Without `created`: in the text format it would be a second series for each.
        made = CounterMetricFamily(family.name, family.help, labels=family.labels)
    else:
        made = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    for labels, value in values:
        _check(family, labels)
        made.add_metric(labels, value)
    return made


def _histogram(
    family: Family, values: Iterable[tuple[Key, tuple[list[int], float]]], examples: Mapping[Key, Exemplar]
) -> Metric:
    made = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    bounds = [*map(floatToGoString, family.buckets), "+Inf"]
    for labels, (counts, total) in values:
        _check(family, labels)
        buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = [*zip(bounds, accumulate(counts), strict=True)]
        example = examples.get(labels)
        if example is not None:
            at = bucket(example.value, family.buckets)
            buckets[at] = (*buckets[at][:2], example)
        made.add_metric(labels, buckets, total)
    return made


def _check(family: Family, labels: Key) -> None:
    if len(labels) != len(family.labels):
        raise ValueError(f"{family.name} has the labels {family.labels}, not {len(labels)} values")
