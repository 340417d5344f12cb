"""Everything that the daemon does at intervals: polls, and chores that look after the store."""

from __future__ import annotations

import itertools
import logging
import os
import socket
from collections.abc import Callable

from monitor.bookings import note_pace
from monitor.clock import DAY, Clock
from monitor.config import Settings
from monitor.errors import MonitorError
from monitor.ledger import Ledger
from monitor.metrics.polls import Polls
from monitor.poller.job import Job, Trouble
from monitor.poller.looks import look_at_activity, look_at_credits
from monitor.poller.polls import EndpointsPoll, KeyPoll, ManagementPoll, ModelsPoll
from monitor.refresh import Fetch, Refresher
from monitor.store import SQLiteStore
from monitor.store.sqlite.hours import count_hours
from monitor.store.sqlite.pruning import prune
from monitor.store.sqlite.semconv import count_onward

SWEEP_SECONDS, PACE_SECONDS, CHECKPOINT_SECONDS, PRUNE_SECONDS = 30.0, 60.0, 60.0, 3600.0
SEMCONV_SECONDS = 10.0
HOURS_SECONDS = 15.0
PRUNE_FIRST_SECONDS = 60.0

log = logging.getLogger("monitor.poller")
_holders = itertools.count()


class Chore:
    """Something done to the store at an interval."""

    def __init__(self, name: str, seconds: float, work: Callable[[], object], *, first: float = 0.0) -> None:
        self.name, self.seconds, self.first = name, seconds, first
        self._work = work
        self._trouble = Trouble(name)

    def __repr__(self) -> str:
        return f"<Chore {self.name}>"

    def delay(self) -> float:
        return self.seconds

    def run(self) -> bool:
        try:
            self._work()
        except MonitorError as exc:
            self._trouble.met(str(exc))
            return False
        self._trouble.over()
        return True


def jobs(ledger: Ledger, store: SQLiteStore, fetch: Fetch, polls: Polls) -> list[Job]:
    """Everything that the daemon does at intervals."""
    settings, clock = ledger.settings, ledger.clock
    refresher = Refresher(ledger)
    key = KeyPoll(refresher, fetch=fetch, polls=polls)
    holder = f"{socket.gethostname()}:{os.getpid()}"
    found: list[Job] = [
        ModelsPoll(refresher, fetch=fetch, polls=polls).announced(),
        key.announced() if settings.api_key or settings.api_key_file else key,
        *_managed(refresher, store, fetch, polls),
        EndpointsPoll(refresher, store.path, fetch=fetch, polls=polls),
        Chore("sweep", SWEEP_SECONDS, lambda: sweep(ledger)),
        Chore("pace", PACE_SECONDS, lambda: pace(ledger, holder)),
        *_semconv(ledger, store),
        Chore("hours", HOURS_SECONDS, lambda: count_hours(store.path, clock)),
        Chore("checkpoint", CHECKPOINT_SECONDS, store.checkpoint),
        Chore("prune", PRUNE_SECONDS, lambda: prune_old(store, settings, clock, holder), first=PRUNE_FIRST_SECONDS),
    ]
    return found


def _managed(refresher: Refresher, store: SQLiteStore, fetch: Fetch, polls: Polls) -> list[ManagementPoll]:
    """The polls that need a management key; if one is set, they are told of from the start."""
    settings = refresher.settings
    made = [
        ManagementPoll(name, seconds, look, refresher, store.path, fetch=fetch, polls=polls)
        for name, seconds, look in (
            ("credits", settings.poll.models_seconds, look_at_credits),
            ("activity", settings.poll.activity_seconds, look_at_activity),
        )
    ]
    if settings.management_key or settings.management_key_file:
        return [poll.announced() for poll in made]
    return made


def _semconv(ledger: Ledger, store: SQLiteStore) -> list[Job]:
    """Counting for OpenTelemetry's histograms, where they are wanted."""
    if not ledger.settings.metrics.genai_semconv:
        return []
    return [Chore("semconv", SEMCONV_SECONDS, lambda: count_onward(store.path, ledger.clock))]


def sweep(ledger: Ledger) -> None:
    """Book what could not be booked before, and settle what outlived its lease. Raises StoreError."""
    left = ledger.write_left_over()
    swept = ledger.sweep()
    if left:
        log.warning("sweep: the ends of %d calls still cannot be booked", left)
    if swept:
        log.info("sweep: settled %d calls whose process died, or lost them", swept)


def pace(ledger: Ledger, holder: str) -> None:
    """Note how much of the day is used; of several daemons, one. Raises StoreError."""
    now = ledger.clock.now()
    with ledger.store.transaction() as tx:
        if tx.take_lease(
            f"pace:{ledger.settings.account}", f"{holder}:{next(_holders)}", now + PACE_SECONDS * 0.9, now
        ):
            note_pace(tx, ledger.settings, now)


def prune_old(store: SQLiteStore, settings: Settings, clock: Clock, holder: str) -> None:
    """Forget calls beyond the retention, and batches that nobody has worked on for as long, unless another daemon is at
    it. Raises StoreError."""
    now = clock.now()
    before = now - settings.retention.days * DAY
    me = f"{holder}:{next(_holders)}"
    with store.transaction() as tx:
        if not tx.take_lease("prune", me, now + PRUNE_SECONDS * 0.9, now):
            return
    pruned = prune(store.path, clock, before=before, max_rows=settings.retention.max_rows)
    if pruned.calls:
        log.info("prune: forgot %d calls beyond the retention; no sum has changed", pruned.calls)
    with store.transaction() as tx:
        batches = tx.batches_unused_since(before)
    for batch in batches:
        with store.transaction() as tx:
            answers = tx.forget_batch(batch)
        log.info("prune: forgot a batch of %d items that nobody has worked on for so long", answers)
