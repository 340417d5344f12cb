"""A ledger for an event loop: what is asked for in one turn of the loop is booked in one transaction.

A transaction costs more than what one call writes in it, so calls that arrive together share it, and the end of one
call, which nobody waits for, is booked with the beginning of the next if that comes soon. It runs on the loop itself
while nobody else is at the store, for a thread's round trip costs ten times as much; whatever could wait (another
writer, opening the file, a checkpoint) is left to a thread, and what comes meanwhile waits for the next turn.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from monitor import bookings
from monitor.bookings import Hold
from monitor.clock import Clock
from monitor.config import Settings
from monitor.errors import StoreError
from monitor.ledger import LEASE_SECONDS, Ledger, LeftOver
from monitor.model import Ending
from monitor.store.protocol import Store, Transaction

AT_ONCE = 32
"""Bookings in one transaction: more would hold up the loop for longer than a few milliseconds."""

SOON_SECONDS = 0.005
"""How long what nobody waits for may lie until it is booked; before any verdict that it could change all the same.

Should the process be killed in that time, the call's row stays open, and is swept like any other that was lost.
"""

log = logging.getLogger("monitor.proxy")


@dataclass(slots=True, eq=False)
class _Job:
    """One booking. Somebody waits for its result (`future`), or it is done for its own sake and `failed` is told."""

    work: Callable[[Transaction], Any]
    future: asyncio.Future[Any] | None = None
    undo: Callable[[Any], None] | None = None
    failed: Callable[[StoreError], None] | None = None
    can_lie: bool = False
    """Whether no verdict depends on it."""

    @property
    def is_wanted(self) -> bool:
        return self.future is None or not self.future.done()

    def ended(self, outcome: Any) -> None:
        """Tell whoever waits; undo what nobody waits for any more."""
        failed = isinstance(outcome, Exception)
        if self.future is None:
            if failed and self.failed is not None and isinstance(outcome, StoreError):
                self.failed(outcome)
            elif failed:
                log.error("a booking failed", exc_info=outcome)
        elif self.future.done():
            if not failed and self.undo is not None:
                self.undo(outcome)
        elif failed:
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class Desk(Ledger):
    """The ledger of a daemon's event loop. `open` it there; settling and releasing then return at once."""

    def __init__(self, store: Store, settings: Settings, clock: Clock) -> None:
        super().__init__(store, settings, clock)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._jobs: list[_Job] = []
        self._called = self._timed = False
        self._away: asyncio.Future[list[Any]] | None = None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="monitor-books")

    def open(self) -> None:
        """Take bookings on the running loop."""
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()

    async def close(self) -> None:
        """Book all that is waiting. What comes later is booked by whoever brings it."""
        while self._jobs or self._away is not None:
            self._flush()
            if self._away is not None:
                await asyncio.wait([self._away])
                await asyncio.sleep(0)
        self._loop = None
        self._worker.shutdown()

    async def book(self, work: Callable[[Transaction], Any], undo: Callable[[Any], None] | None = None) -> Any:
        """What `work` returns from a transaction. Raises what it raises, StoreUnreachable or StoreDamaged.

        When the waiting task is cancelled it is not done at all, or its result is given to `undo`.
        """
        assert self._loop is not None
        future = self._loop.create_future()
        self._line_up(_Job(work, future, undo))
        try:
            return await future
        except asyncio.CancelledError:
            # The result may have come in the very turn in which the task was cancelled.
            if undo is not None and future.done() and not future.cancelled() and future.exception() is None:
                undo(future.result())
            raise

    def book_alone(self, work: Callable[[Transaction], Any]) -> tuple[Any] | None:
        """For a call that nobody shares the daemon with: what `work` returns from a transaction of its own, at once.

        None when that cannot be now; then `book` it. To let others join would cost two turns of the loop.
        """
        if self._away is not None or not self.ready or not all(job.can_lie for job in self._jobs):
            return None
        try:
            return (self.store.transact(work, block=False),)
        except StoreError:
            return None

    def settle(self, hold: Hold, ending: Ending, *, block: bool = True) -> None:
        at, settings = self.clock.now(), self.settings

        def failed(exc: StoreError) -> None:
            self.keep(LeftOver(hold, ending, at, sent=True), exc)

        can_lie = not bookings.changes_verdicts(hold, ending)
        self._hand_in(_Job(lambda tx: bookings.settle(tx, hold, ending, settings, at), None, None, failed, can_lie))

    def settle_at_once(self, hold: Hold, ending: Ending) -> bool:
        self.settle(hold, ending)
        return True

    def release(self, hold: Hold, ending: Ending) -> None:
        at = self.clock.now()

        def failed(exc: StoreError) -> None:
            self.keep(LeftOver(hold, ending, at, sent=False), exc)

        self._hand_in(_Job(lambda tx: bookings.release(tx, hold, ending, at), None, None, failed))

    def renew(self, hold: Hold) -> None:
        until = self.clock.now() + LEASE_SECONDS
        self._hand_in(_Job(lambda tx: tx.renew(hold.row, until), failed=partial(_not_renewed, hold), can_lie=True))

    def _hand_in(self, job: _Job) -> None:
        """Take a job from any thread, a finalizer's included."""
        loop = self._loop
        if loop is not None and threading.get_ident() == self._thread:
            self._put_by(job)
            return
        try:
            if loop is None:
                raise RuntimeError
            loop.call_soon_threadsafe(self._put_by, job)
        except RuntimeError:  # the loop has ended
            job.ended(self._alone(job, block=False))

    def _line_up(self, job: _Job) -> None:
        self._jobs.append(job)
        self._call_again()

    def _put_by(self, job: _Job) -> None:
        """Line it up for the next transaction, which comes soon."""
        if self._loop is None:
            job.ended(self._alone(job, block=False))  # another thread handed it in just before the end
            return
        self._jobs.append(job)
        if not (self._called or self._timed):
            self._timed = True
            self._loop.call_later(SOON_SECONDS, self._in_time)

    def _in_time(self) -> None:
        self._timed = False
        self._call_again()

    def _flush(self) -> None:
        """Book what is waiting; runs on the loop."""
        self._called = False
        if self._away is not None or self._loop is None:
            return  # `_back` will see to it
        jobs = [job for job in self._jobs[:AT_ONCE] if job.is_wanted]
        del self._jobs[:AT_ONCE]
        if not jobs:
            self._call_again()
            return
        if self.ready:
            try:
                self._told(jobs, self.store.transact(_together, jobs, block=False))
                return
            except Exception as exc:  # noqa: BLE001 - whatever it is, each is tried again alone, and told of its own
                if not isinstance(exc, StoreError):
                    log.warning("bookings are tried one by one: %s", type(exc).__name__)
        self._away = self._loop.run_in_executor(self._worker, self._booked, jobs)
        self._away.add_done_callback(partial(self._back, jobs))

    def _back(self, jobs: list[_Job], away: asyncio.Future[list[Any]]) -> None:
        self._away = None
        self._told(jobs, away.result())

    def _told(self, jobs: list[_Job], outcomes: list[Any]) -> None:
        for job, outcome in zip(jobs, outcomes, strict=True):
            job.ended(outcome)
        self._call_again()

    def _call_again(self) -> None:
        if self._jobs and not self._called and self._loop is not None:
            self._called = True
            self._loop.call_soon(self._flush)

    def _booked(self, jobs: list[_Job]) -> list[Any]:
        """Book where waiting does no harm: together, or else one by one. An outcome is a result or an exception."""
        try:
            self.housekeep()
            return self.store.transact(_together, jobs)
        except StoreError as exc:
            return [exc] * len(jobs)
        except Exception:  # noqa: BLE001 - one of them is at fault; the others must not suffer for it
            return [self._alone(job) for job in jobs]

    def _alone(self, job: _Job, *, block: bool = True) -> Any:
        try:
            return self.store.transact(job.work, block=block)
        except Exception as exc:  # noqa: BLE001 - it is the outcome
            return exc


def _together(tx: Transaction, jobs: list[_Job]) -> list[Any]:
    return [job.work(tx) for job in jobs]


def _not_renewed(hold: Hold, exc: StoreError) -> None:
    log.warning("the hold of call %s could not be renewed: %s", hold.call.call_id, exc)
