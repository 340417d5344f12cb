"""One look after another at the daemon's own figures: which alerts are pending, firing, over.

Of several daemons that share a store one looks, by a lease. What it knows is in its memory, and after each look in the
store, so that a restart, or another daemon, goes on where it was. While the store fails it goes on from memory: that
the store fails is itself an alert.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import Metric

from monitor.alerting.evaluator import Program
from monitor.alerting.figures import figures
from monitor.alerting.keeping import Looked, Memory, load, save
from monitor.alerting.rule import Options
from monitor.alerting.rules import groups, known
from monitor.alerting.thresholds import changed
from monitor.clock import Clock
from monitor.config import Settings
from monitor.errors import StoreError
from monitor.model import Allow
from monitor.policy.alert_states import AlertState
from monitor.store import SQLiteStore

FORGET_EVERY = 20
"""Looks between two times that old history is dropped."""

UNWATCHED_LOOKS = 3
"""Looks that must have been missed before their time counts as unwatched."""

LEASE_LOOKS = 2.5
"""Looks after which another daemon takes over from one that died."""

log = logging.getLogger("monitor.alerting")


def options_of(settings: Settings) -> Options:
    """What rules are written for here. Raises ConfigError for a threshold that is none."""
    return Options(thresholds=changed(settings.alerts.thresholds), free_only=settings.guard.allow is Allow.FREE)


def program_of(settings: Settings) -> Program:
    """The rules that the settings ask for. Raises ConfigError."""
    for name in settings.alerts.without:
        known(name)
    options = options_of(settings)
    return Program(groups(options, settings.alerts.without), options)


class Watch:
    """Looks when it is told to. `collect` gives what a scrape would; `instance` is this machine's name in the alerts.

    `states`, `leading` and `failed` (rules that could not be judged, and why) may be read by any thread.
    """

    def __init__(
        self,
        store: SQLiteStore,
        settings: Settings,
        clock: Clock,
        collect: Callable[[], Iterable[Metric]],
        *,
        holder: str,
        instance: str,
    ) -> None:
        self.program = program_of(settings)
        self.states: Mapping[str, AlertState] = {}
        self.failed: Mapping[str, str] = {}
        self.leading = False
        self._store, self._clock, self._collect = store, clock, collect
        self._holder, self._instance = holder, instance
        self._job = options_of(settings).job
        self._seconds = settings.alerts.evaluate_seconds
        self._lease = f"alerts:{settings.account}"
        self._horizons = self.program.horizons()
        self._memory: Memory | None = None

    def __repr__(self) -> str:
        return f"<Watch {'that leads' if self.leading else 'in reserve'}>"

    def look(self) -> None:
        """Take in the figures, and judge; nothing while another daemon does.

        Raises StoreError. If it was leading it has looked nevertheless.
        """
        trouble: StoreError | None = None
        try:
            leading = self._lead()
        except StoreError as exc:
            trouble, leading = exc, self._memory is not None
        if leading:
            memory = self._memory = self._memory or load(self._store.path, self._horizons)
            looked = self._judge(memory)
            self.states, self.leading = memory.states, True
            if trouble is not None:
                memory.behind = True
            else:
                self._save(memory, looked)
        else:
            self._memory, self.states, self.leading = None, {}, False
        if trouble is not None:
            raise trouble

    def end(self) -> None:
        """Let another daemon, or the next one, begin at once. Raises StoreError."""
        if self.leading:
            self.leading = False
            with self._store.transaction() as tx:
                tx.end_lease(self._lease, self._holder, "", 0.0)

    def _lead(self) -> bool:
        now = self._clock.now()
        with self._store.transaction() as tx:
            if not tx.take_lease(self._lease, self._holder, now + LEASE_LOOKS * self._seconds, now):
                return False
            newest = tx.newest_alert_tick()
        if self._memory is not None and self._memory.saved != (None if newest is None else newest[0]):
            self._memory = None  # another daemon has looked meanwhile, and its story goes on
        return True

    def _judge(self, memory: Memory) -> Looked:
        horizons = self._horizons
        told = figures(self._collect(), job=self._job, instance=self._instance, wanted=horizons)
        now, history = self._clock.now(), memory.history
        shifted = 0.0
        if history.ticks:
            last = history.ticks[-1]
            if now <= last:
                # The clock was set back: all that was is dated anew, as if the last look had been the usual time ago.
                shifted = now - self._seconds - last
                history.shift(shifted)
                memory.states = {key: state.later(shifted) for key, state in memory.states.items()}
                log.warning("alerts: the clock was set back by about %.0f s", -shifted)
            elif now - last > UNWATCHED_LOOKS * self._seconds:
                unwatched = now - last - self._seconds
                memory.states = {key: state.unwatched(unwatched) for key, state in memory.states.items()}
        changes = history.record(now, self.program.wanted(told))
        outcome = self.program.judge(history, memory.states, now)
        memory.states, self.failed = outcome.states, outcome.failed
        memory.looks += 1
        dropped = history.forget(now) if memory.looks % FORGET_EVERY == 0 else None
        return Looked(now, changes, shifted, dropped)

    def _save(self, memory: Memory, looked: Looked) -> None:
        try:
            with self._store.transaction() as tx:
                held = tx.lease(self._lease)
                if held is None or held[0] != self._holder:
                    self._memory, self.leading = None, False  # it took so long that another daemon has begun
                    return
                written = save(tx, memory, looked)
        except StoreError:
            memory.behind = True
            raise
        memory.written, memory.saved, memory.behind = written, memory.history.next_tick - 1, False
