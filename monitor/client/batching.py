"""A run over a batch: which item is next and when, and what is written down of each. No threads, no HTTP.

Every item is marked before it is sent and written down when it is answered, so that a process that dies loses no answer
and a second run asks only what has none. What was under way at that moment is asked again, for nobody has its answer.
The pace is the ledger's: an item takes its slot like any call, and when the day is spent the rest is left for later.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from monitor.client.answers import Answer, Attempt
from monitor.client.failures import UNAUTHORIZED
from monitor.client.items import SENT, BatchItem, Item, State, content_of, failure_of, result_of
from monitor.client.leases import BatchLease
from monitor.client.results import BatchResult, Progress
from monitor.clock import day_of, iso, next_midnight
from monitor.errors import (
    BudgetExceeded,
    CallFailed,
    ConfigError,
    GuardRefused,
    MonitorError,
    NotFree,
    PollError,
    QuotaExhausted,
    StoreError,
    StoreUnreachable,
)
from monitor.model import Reason
from monitor.policy.pacing import Plan, Spread, Supply, pause_between, plan
from monitor.policy.retry_budget import SPANS, span_of
from monitor.policy.windows import SLOT
from monitor.store.protocol import Transaction
from monitor.transport.course import Guard

__all__ = ["LONGEST_NAP", "MOST_IN_A_ROW", "BatchResult", "BatchRun", "Progress"]

MOST_IN_A_ROW = 20
"""So many failures, one after the other, end a run: what is wrong is not the items' doing."""

LONGEST_NAP = 30.0
"""Seconds after which a worker that waits looks up: the run may have been stopped, and its lease must be kept."""

OFFLINE_PAUSE, LONGEST_OFFLINE = 30.0, 3600.0
"""Seconds between two tries while no connection can be made, which costs nothing, and after which the run ends."""

_CALLS_THAT_TELL = 10
_TAKEN_OVER = "another process works on it now"
_SHORT = frozenset({Reason.MINUTE_LIMIT, Reason.COOLDOWN})
"""Limits that are over in a while: a guard before OpenRouter, a proxy's say, need not be as patient as ours."""


class BatchRun:
    """One run. Methods block for as long as a transaction takes; any number of workers may call them."""

    def __init__(
        self,
        guard: Guard,
        items: Sequence[Item],
        name: str,
        spread: Spread,
        supply: Callable[[], Supply],
        *,
        fresh: bool = False,
    ) -> None:
        """`fresh`: what a run before has found is forgotten when this one begins."""
        self.name = name
        self.items = items
        self._fresh = fresh
        self.trouble: MonitorError | None = None
        """What ended the run and is not about any item: a missing key, a store that is gone."""
        self.stopped = ""
        self._spread = spread
        self._supply = supply
        self._clock = guard.clock
        self._store = guard.ledger.store
        self._account = guard.settings.account
        self._lock = threading.Lock()
        self._pending: deque[Item] = deque()
        self._done = self._failed = self._in_a_row = 0
        self._closed_until = self._opens_at = 0.0
        self._offline_since: float | None = None
        self._unsaved: list[tuple[Item, str]] = []
        """Answers that the store did not take when they came: they are tried again at the end."""
        self._due, self._pause, self._day = 0.0, 0.0, -1
        self._lease = BatchLease(name)

    # Beginning and end

    def begin(self) -> None:
        """Take the batch for this process, and see what is left to do. Raises MonitorError when another one has it."""
        self._store.transact(self._begin)

    def _begin(self, tx: Transaction) -> None:
        now = self._clock.now()
        self._lease.take(tx, now)
        if self._fresh:
            tx.forget_batch(self.name)
            self._fresh = False
        tx.use_batch(self.name, now)
        for item, result in zip(self.items, self._results(tx), strict=True):
            if result.state is State.DONE:
                self._done += 1
            else:
                self._pending.append(item)

    def look(self) -> BatchResult:
        """How the batch stands, without working on it."""
        return self._store.transact(self._result)

    def end(self) -> BatchResult:
        """Give the batch back; what came of it. Raises what ended the run, if it was not about the items."""
        found = self._store.transact(self._end)
        if self.trouble is not None:
            raise self.trouble
        return found

    def _end(self, tx: Transaction) -> BatchResult:
        for item, content in self._unsaved:
            tx.save_batch_item(self.name, item.key, State.DONE, self._clock.now(), content)
        self._lease.end(tx)
        return self._result(tx)

    def stop(self, why: str) -> None:
        """Let no further item go."""
        with self._lock:
            self.stopped = self.stopped or why

    def keep(self) -> None:
        """Renew the lease, if that is due, however long an item takes. Ends the run when the batch is another's now."""
        now = self._clock.now()
        if self._lease.is_due(now) and not self._store.transact(self._lease.keep, now):
            self.stop(_TAKEN_OVER)

    def troubled(self, exc: MonitorError) -> None:
        """End the run by what is not about its items; `end` raises it."""
        self.trouble = exc
        self.stop(exc.message)

    # Items

    def take(self) -> Item | float | None:
        """The next item, which is marked as sent; or seconds to wait for one; or None when there is none to come."""
        with self._lock:
            now = self._clock.now()
            if self.stopped or not self._pending:
                return None
            if now < self._closed_until and self._spread is not Spread.DAYS:
                self.stopped = f"the day's requests are spent until {iso(self._closed_until)}"
                return None
            wait = max(self._closed_until, self._opens_at, self._due_at(now)) - now
            if self.stopped:
                return None
            item = self._pending[0] if wait <= 0 else None
            if (item is not None or self._lease.is_due(now)) and not self._store.transact(self._mark, item, now):
                self.stopped = _TAKEN_OVER
                return None
            if item is None:
                return min(wait, LONGEST_NAP)
            self._due = max(self._due, now - self._pause) + self._pause
            return self._pending.popleft()

    def _mark(self, tx: Transaction, item: Item | None, now: float) -> bool:
        """Keep the lease, and mark the item as sent; False when the batch is another's now."""
        if not self._lease.keep(tx, now):
            return False
        if item is not None:
            tx.save_batch_item(self.name, item.key, SENT, now, "")
        return True

    def _due_at(self, now: float) -> float:
        """When the next item is due by the pace of the day; a new day has a pace of its own."""
        if self._spread is Spread.NOW:
            return now
        if day_of(now) != self._day:
            if self._day >= 0 and self._spread is Spread.DAY:
                self.stopped = "the day is over"
                return now
            self._day, self._due = day_of(now), now
            self._pause = pause_between(len(self._pending), self._supply(), now)
        return self._due

    def answered(self, item: Item, answer: Answer) -> None:
        """Write an answer down."""
        content = content_of(item, answer)
        try:
            self._save(item, State.DONE, content)
        except StoreError:
            self._unsaved.append((item, content))
            raise
        with self._lock:
            self._done += 1
            self._in_a_row = 0
            self._offline_since = None

    def failed(self, item: Item, exc: MonitorError) -> None:
        """Write a failure down; or, when it is not the item's, leave the item for later and end or suspend the run."""
        if isinstance(exc, QuotaExhausted):
            self._later(item)
            now = self._clock.now()
            with self._lock:
                if exc.reason in _SHORT:
                    self._opens_at = max(self._opens_at, exc.resets_at or now + SLOT)
                else:
                    self._closed_until = max(self._closed_until, exc.resets_at or next_midnight(now))
        elif _never_left(exc) and self._waits_for_the_network():
            self._later(item)
        elif _is_about(exc):
            self._save(item, State.FAILED, failure_of(item, exc))
            with self._lock:
                self._failed += 1
                self._offline_since = None
                self._in_a_row += 1
                if self._in_a_row >= MOST_IN_A_ROW:
                    self.stopped = self.stopped or f"{MOST_IN_A_ROW} items in a row failed, the last so: {exc.message}"
        else:
            self._later(item)
            if isinstance(exc, GuardRefused) and exc.reason == Reason.STORE_UNAVAILABLE:
                self.troubled(StoreUnreachable(exc.message, hint=exc.hint))  # as if we had met it ourselves
            elif isinstance(exc, GuardRefused):
                self.stop(exc.message)
            else:
                self.troubled(exc)

    def _waits_for_the_network(self) -> bool:
        """Pause the whole run, for no item is at fault; False when that has lasted for too long."""
        now = self._clock.now()
        with self._lock:
            since = self._offline_since = now if self._offline_since is None else min(self._offline_since, now)
            self._opens_at = max(self._opens_at, now + OFFLINE_PAUSE)
            return now - since < LONGEST_OFFLINE

    def given_up(self, item: Item) -> None:
        """The worker was ended while the item was under way: it is left for later."""
        self._later(item)

    def _later(self, item: Item) -> None:
        self._store.transact(lambda tx: tx.drop_batch_item(self.name, item.key))
        with self._lock:
            self._pending.appendleft(item)

    def _save(self, item: Item, state: State, content: str) -> None:
        now = self._clock.now()
        self._store.transact(lambda tx: tx.save_batch_item(self.name, item.key, state, now, content))

    # Figures

    def progress(self) -> Progress:
        """How the run stands now."""
        with self._lock:
            now, left = self._clock.now(), len(self.items) - self._done - self._failed
            waits = max(self._closed_until, self._opens_at, self._due if self._spread is not Spread.NOW else 0.0)
        ends_at = self._plan(left).ends_at if left else now
        return Progress(len(self.items), self._done, self._failed, ends_at, waits if waits > now else None)

    def _plan(self, left: int) -> Plan:
        now = self._clock.now()
        factor = self._store.transact(self._requests_per_item, now)
        supply = self._supply()
        if now < self._closed_until:
            supply = replace(supply, left_today=0)
        return plan(left, supply, now, spread=self._spread, requests_per_item=factor)

    def _requests_per_item(self, tx: Transaction, now: float) -> float:
        span = span_of(now)
        calls, retries = tx.counted_in_spans(self._account, span - SPANS + 1, span)
        return 1.0 + retries / calls if calls >= _CALLS_THAT_TELL else 1.0

    def _results(self, tx: Transaction) -> Iterator[BatchItem]:
        keys = [] if self._fresh else [item.key for item in self.items]
        kept = {row.item: row for row in tx.batch_items(self.name, keys)}
        for item in self.items:
            row = kept.get(item.key)
            yield result_of(item, row.state if row else "", row.content if row else "")

    def _result(self, tx: Transaction) -> BatchResult:
        return BatchResult(self.name, tuple(self._results(tx)), Plan((), 0), self.stopped)

    def with_plan(self, found: BatchResult) -> BatchResult:
        """The result with when its unanswered items can go."""
        left = len(found.items) - len(found.done)
        return replace(found, plan=self._plan(left)) if left else found


def _is_about(exc: MonitorError) -> bool:
    """Whether a failure is about the item that met it, rather than about all."""
    if isinstance(exc, BudgetExceeded):
        return exc.reason == Reason.BUDGET_CALL
    if isinstance(exc, CallFailed) and (exc.status == UNAUTHORIZED or _never_left(exc)):
        return False
    return isinstance(exc, CallFailed | NotFree | ConfigError)


def _never_left(exc: MonitorError) -> bool:
    """Whether a call failed for want of a connection, or of a catalogue, which needs one."""
    if isinstance(exc, PollError) or (isinstance(exc, GuardRefused) and exc.reason == Reason.CATALOGUE_STALE):
        return True
    last = exc.attempts[-1] if isinstance(exc, CallFailed) and exc.attempts else None
    return isinstance(last, Attempt) and not last.sent
