"""A store filled through the ledger, and what a scrape of it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from monitor.clock import FakeClock
from monitor.ledger import Ledger
from monitor.metrics.collector import StoreCollector, registry
from monitor.metrics.polls import Polls
from monitor.metrics.proxied import Proxied
from monitor.model import Ending
from monitor.refresh import note_catalogue
from tests.fakes.builders import CATALOGUE, FREE, ledger, success, take

PLENTY = {"per_minute": 10**6, "per_day": 10**6}


class Scene:
    """An account's books and the collector that reads them; `value` asks a private registry."""

    def __init__(self, folder: Path, clock: FakeClock, **sections: Any) -> None:
        self.clock = clock
        self.path = folder / "monitor.db"
        self.book: Ledger = ledger(self.path, clock, store=str(self.path), **sections)
        self.polls: Polls | None = None
        self.proxied: Proxied | None = None
        self.restart()

    def restart(self) -> None:
        """A new process of the daemon: nothing is remembered but what the store holds."""
        self.collector = StoreCollector(self.book.settings, self.clock, self.polls, self.proxied)
        self.registry: CollectorRegistry = registry(self.collector)

    def call(
        self, model: str | None = FREE, ending: Ending | None = None, *, seconds: float = 0.0, **more: Any
    ) -> None:
        """One attempt from its reservation to its end."""
        hold = take(self.book, model, **more)
        self.clock.advance(seconds)
        self.book.settle(hold, success() if ending is None else ending)

    def poll(self, catalogue: dict[str, Any] | None = None, **more: Any) -> None:
        """A new catalogue, asked for now."""
        with self.book.store.transaction() as tx:
            listed = CATALOGUE if catalogue is None else catalogue
            note_catalogue(tx, listed, source=self.book.settings.base_url, at=self.clock.now(), **more)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def all(self, name: str) -> dict[tuple[str, ...], float]:
        """A family's samples by label values, in the order of the labels' names."""
        return {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value
            for metric in self.metrics()
            for sample in metric.samples
            if sample.name == name
        }

    def metrics(self) -> list[Metric]:
        return list(self.collector.collect())

    def counters(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Every sample that must never go back."""
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for metric in self.metrics()
            if metric.type in ("counter", "histogram")
            for sample in metric.samples
        }
