"""One scrape: one moment of the store, read-only, made into families. No network, no write, no state between scrapes
but the last good one, which is told again should the store fail.

Reading blocks, so it belongs on a worker thread, never on an event loop.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from monitor.clock import Clock
from monitor.config import Settings
from monitor.errors import StoreError
from monitor.metrics import calls, models, quota, semconv
from monitor.metrics.build import revision
from monitor.metrics.labels import Labels
from monitor.metrics.polls import Polls
from monitor.metrics.proxied import Proxied
from monitor.metrics.sheet import Sheet
from monitor.model import Mode
from monitor.store import Store
from monitor.store.sqlite.names import APP
from monitor.store.sqlite.reader import Reader
from monitor.store.sqlite.scrape import CAPS, Scrape
from monitor.version import __version__

log = logging.getLogger("monitor.metrics")


def name_apps(store: Store, settings: Settings) -> None:
    """Give the configured apps their places before others come. The daemon does so once, when it starts.

    Raises StoreUnreachable or StoreDamaged.
    """
    with store.transaction() as tx:
        tx.give_places(APP, tuple(settings.apps)[: CAPS.apps])


class StoreCollector(Collector):
    """Tells what the store at `settings.store_path` holds, and how the daemon itself does."""

    def __init__(
        self, settings: Settings, clock: Clock, polls: Polls | None = None, proxied: Proxied | None = None
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.polls = polls
        self.proxied = proxied
        self._path = Path(settings.store_path).expanduser()
        self._last: list[Metric] = []
        self._revision = revision()

    def __repr__(self) -> str:
        return f"<StoreCollector of {self._path}>"

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not read the store."""
        return []

    def collect(self) -> Iterable[Metric]:
        """All families. Never raises: an exception here would turn the whole scrape into an error."""
        told = self._from_store()
        if told is not None:
            self._last = told
        return [*self._last, *self._own(ok=told is not None)]

    def _from_store(self) -> list[Metric] | None:
        try:
            # Opened for each scrape, which costs a fraction of it: a store that was moved or replaced is noticed.
            with Reader(self._path) as reader, reader.moment() as moment:
                now = self.clock.now()
                scrape = moment.scrape(
                    self.settings.account,
                    now,
                    watched=models.named_in(self.settings),
                    semconv=self.settings.metrics.genai_semconv,
                )
            return metrics(scrape, self.settings, now)
        except StoreError as exc:
            log.warning("the store could not be read for a scrape: %s", exc)
        except Exception:
            log.exception("a scrape failed")
        return None

    def _own(self, *, ok: bool) -> list[Metric]:
        sheet = Sheet()
        sheet.set("openrouter_monitor_build_info", 1, __version__, self._revision, platform.python_version())
        sheet.set("openrouter_monitor_scrape_ok", int(ok))
        with contextlib.suppress(OSError):
            size = self._path.stat().st_size
            with contextlib.suppress(OSError):
                size += os.stat(f"{self._path}-wal").st_size
            sheet.set("openrouter_monitor_call_log_size_bytes", size)
        if self.polls is not None:
            self.polls.fill(sheet)
        if self.proxied is not None:
            self.proxied.fill(sheet)
        return sheet.metrics()


def metrics(scrape: Scrape, settings: Settings, now: float) -> list[Metric]:
    """The families that come from the store, of one moment of it."""
    sheet = Sheet()
    labels = Labels(scrape, settings.apps)
    calls.fill(sheet, scrape, labels, shadow=settings.guard.mode is Mode.SHADOW)
    for account in scrape.accounts:
        quota.fill(sheet, account, settings, now)
    models.fill(sheet, scrape, settings, now)
    semconv.fill(sheet, scrape.semconv)
    records = sum(row.n for row in scrape.totals) + sum(n for _, _, shadow, n in scrape.refusals if not shadow)
    sheet.set("openrouter_monitor_call_log_records_total", records)
    for label, n in labels.overflow.items():
        sheet.set("openrouter_monitor_label_overflow_total", n, label)
    last_success = "openrouter_monitor_poll_last_success_timestamp_seconds"
    if scrape.catalogue is not None and scrape.catalogue.source == settings.base_url:
        sheet.set(last_success, scrape.catalogue.fetched_at, "models")
    for account in scrape.accounts:
        if account.name == settings.account:
            sheet.set(last_success, account.state.key_at, "key")
            sheet.set(last_success, account.credits.at, "credits")
            sheet.set(last_success, account.activity.at, "activity")
    if models.providers_told(scrape, settings):
        sheet.set(last_success, scrape.endpoints.at, "endpoints")
    return sheet.metrics()


def registry(collector: StoreCollector) -> CollectorRegistry:
    """A registry of its own, never the global one: the collector, and what is known of this process."""
    made = CollectorRegistry()
    made.register(collector)
    ProcessCollector(registry=made)
    PlatformCollector(registry=made)
    return made
