"""The daemon's alerts as one of its jobs: a look at the figures, and then whoever is to be told."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Callable, Iterable, Sequence

from prometheus_client.core import Metric

from monitor.alerting.notify import Courier, Couriers
from monitor.alerting.occasions import occasions
from monitor.alerting.told import Told
from monitor.alerting.watch import Watch
from monitor.alerting.way import Way
from monitor.clock import Clock
from monitor.config import Settings
from monitor.errors import StoreError
from monitor.metrics.polls import Polls
from monitor.poller.job import Trouble
from monitor.store import SQLiteStore

_watches = itertools.count()


class AlertsJob:
    """A job of the scheduler. `start` lets messages go, `end` comes after the last run."""

    name = "alerts"
    first = 0.0

    def __init__(
        self,
        store: SQLiteStore,
        settings: Settings,
        clock: Clock,
        polls: Polls,
        *,
        collect: Callable[[], Iterable[Metric]],
        ways: Sequence[Way],
        url: str,
    ) -> None:
        self.seconds = settings.alerts.evaluate_seconds
        host = socket.gethostname()
        holder = f"{host}:{os.getpid()}:{next(_watches)}"
        self.watch = Watch(store, settings, clock, collect, holder=holder, instance=host)
        timed = occasions(settings)
        self.couriers = Couriers(
            [
                Courier(way, self.watch, Told(store, way.name), settings.alerts, clock, polls, url, timed)
                for way in ways
            ],
            store,
        )
        self._tidied = False
        self._trouble, self._defect = Trouble("alerts"), Trouble("alerts that could not be judged")
        for way in ways:
            polls.tells_by(way.channel)

    def __repr__(self) -> str:
        return f"<AlertsJob every {self.seconds:g} s>"

    def delay(self) -> float:
        return self.seconds

    def start(self) -> None:
        self.couriers.start()

    def run(self) -> bool:
        try:
            self.watch.look()
            if self.watch.leading and not self._tidied:
                self.couriers.tidy()
                self._tidied = True
            self._trouble.over()
        except StoreError as exc:
            self._trouble.met(str(exc))
            return False
        finally:
            self.couriers.wake()
        if self.watch.failed:
            self._defect.met("; ".join(f"{rule}: {why}" for rule, why in self.watch.failed.items()))
        else:
            self._defect.over()
        return not self.watch.failed

    def end(self) -> None:
        """No message begins any more; the next daemon may look at once."""
        self.couriers.end()
        try:
            self.watch.end()
        except StoreError as exc:
            self._trouble.met(str(exc))
