"""The daemon's own figures as rules see them: the samples of a scrape, with the labels that Prometheus would add."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable

from prometheus_client.core import Metric

from monitor.alerting.history import Labels

TAKEN = ("job", "instance")
"""Labels whose place is taken by who was scraped: what a series itself says there is `exported_…`."""


def figures(
    metrics: Iterable[Metric], *, job: str, instance: str, wanted: Container[str]
) -> dict[str, dict[Labels, float]]:
    """Values by name and labels, of the names that are wanted."""
    told: dict[str, dict[Labels, float]] = {}
    who = {"job": job, "instance": instance}
    for metric in metrics:
        for sample in metric.samples:
            if sample.name not in wanted or math.isnan(sample.value):
                continue
            labels = {name: value for name, value in sample.labels.items() if value}
            own = {f"exported_{name}" if name in TAKEN else name: value for name, value in labels.items()}
            told.setdefault(sample.name, {})[tuple(sorted((own | who).items()))] = float(sample.value)
    return told
