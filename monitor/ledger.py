"""Reserve, settle, release: every attempt is booked before it leaves and settled after it returns.

Each is one short write transaction, so no two processes can take the same last request. What a process that died left
open is settled by a sweep. The decision itself is `policy.admit`; here it gets its figures and its effects.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, replace

from monitor import bookings
from monitor.bookings import Hold
from monitor.clock import Clock, age_of, day_of
from monitor.config import Settings
from monitor.errors import StoreError
from monitor.model import BUDGET_REASONS, Action, Ending, Intent, KeyFacts, Mode, Outcome, Reason, Tier, Verdict
from monitor.policy.admission import admit, takes_free_quota
from monitor.redact import redact
from monitor.store.protocol import OpenCall, Store, Transaction

LEASE_SECONDS = 900.0
"""How long a hold stands without a sign of life. A stream renews it while bytes flow, in the proxy while it lasts."""

SWEEP_SECONDS = 30.0
SWEEP_BATCH = 100
LEFT_OVER_LIMIT = 10_000
KEY_FIGURES_SECONDS = 60.0
"""A refusal for the day's limit is not given on figures of OpenRouter's older than this, if new ones can be had."""

LOST = Ending(Outcome.ABANDONED, error="the process that sent it ended, or lost it")

log = logging.getLogger("monitor.ledger")


@dataclass(slots=True)
class Ask:
    """One attempt that wants to leave: who asks for what, and which try of which call it is.

    `storm` is the refusal of what has failed too often in a row, and takes the place of an admission or a delay.
    """

    intent: Intent
    app: str
    call_id: str
    attempt: int = 1
    storm: Verdict | None = None


@dataclass(slots=True)
class Patience:
    """What the caller would still do rather than be refused: wait `seconds`, or fetch what is missing.

    Without `cooldowns` it does not wait for a model that cools down, for it would rather ask another one.
    """

    seconds: float = 0.0
    fetch_catalogue: bool = False
    fetch_key: bool = False
    cooldowns: bool = True


@dataclass(slots=True)
class Decision:
    """The verdict, and the hold when the attempt may leave.

    `deferred`: nothing was recorded, for the caller has the patience to change the outcome. `refresh_due`: the
    catalogue or the key's figures are usable but due for a fetch in the background.
    """

    verdict: Verdict
    hold: Hold | None = None
    deferred: bool = False
    refresh_due: bool = False


@dataclass(slots=True)
class LeftOver:
    """A booking that could not be written when it was due."""

    hold: Hold
    ending: Ending
    at: float
    sent: bool


class Ledger:
    """The books of one account. Safe for threads and for any number of processes on one store."""

    def __init__(self, store: Store, settings: Settings, clock: Clock) -> None:
        self.store = store
        self.settings = settings
        self.clock = clock
        self._next_sweep = 0.0
        self._left_over: deque[LeftOver] = deque(maxlen=LEFT_OVER_LIMIT)

    def __repr__(self) -> str:
        return f"<Ledger of {self.settings.account!r} in {self.store!r}>"

    @property
    def ready(self) -> bool:
        """Whether the next transaction has nothing to do besides: then an event loop may run it, without waiting."""
        return self.store.ready and not self._left_over and self.clock.monotonic() < self._next_sweep

    def reserve(self, ask: Ask, patience: Patience | None = None, *, block: bool = True) -> Decision:
        """Judge an attempt and, if it may leave, take what it needs. A refusal is recorded, unless it is deferred.

        Raises StoreUnreachable or StoreDamaged; then nothing was taken and the attempt must not leave. With
        `block=False` it is also raised when another transaction is under way: ask again where waiting does no harm.
        """
        if block:
            self.housekeep()
        return self.store.transact(self._reserve, ask, patience, block=block)

    def reserve_within(self, ask: Ask, patience: Patience | None, tx: Transaction) -> Decision:
        """The same as a part of a transaction that somebody else has begun."""
        return self._reserve(tx, ask, patience)

    def _reserve(self, tx: Transaction, ask: Ask, patience: Patience | None) -> Decision:
        # Read in the transaction: after a wait for it, an instant of before would stamp the send too early, and
        # make the sends of those who went first look as if the clock had stepped back.
        now = self.clock.now()
        books = bookings.read(tx, ask.intent.models, self.settings, ask.app, now)
        mode = self.settings.guard.mode
        if mode is Mode.OFF:
            verdict = Verdict(Action.ADMIT)
        else:
            verdict = admit(ask.intent, books.balances, self.settings, ask.app)
            if ask.storm is not None and verdict.action is not Action.REFUSE:
                verdict = replace(ask.storm, tier=verdict.tier, estimate_usd=verdict.estimate_usd)
        admitted = verdict.action is Action.ADMIT
        if not admitted and patience is not None and self._worth_waiting(verdict, patience, books):
            return Decision(verdict, deferred=True, refresh_due=books.refresh_due)
        if admitted or mode is not Mode.ENFORCE:
            return Decision(verdict, self._take(tx, ask, verdict, books, now), refresh_due=books.refresh_due)
        self._record_refusal(tx, ask, verdict, now)
        return Decision(replace(verdict, action=Action.REFUSE), refresh_due=books.refresh_due)

    def settle(self, hold: Hold, ending: Ending, *, block: bool = True) -> None:
        """Book how the attempt ended. Idempotent; never raises: what cannot be written now is kept and written later.

        With `block=False` it never waits for another transaction: for finalizers.
        """
        at = self.clock.now()
        try:
            self.store.transact(bookings.settle, hold, ending, self.settings, at, block=block)
        except StoreError as exc:
            self.keep(LeftOver(hold, ending, at, sent=True), exc if block else None)

    def settle_at_once(self, hold: Hold, ending: Ending) -> bool:
        """Settle without waiting for anybody, as an event loop must. False when that cannot be: then use `settle`."""
        if not self.ready:
            return False
        try:
            self.store.transact(bookings.settle, hold, ending, self.settings, self.clock.now(), block=False)
        except StoreError:
            return False
        return True

    def release(self, hold: Hold, ending: Ending) -> None:
        """Give back what was taken: no connection was made, so nothing can have been counted or billed.

        Idempotent and never raising, as `settle`.
        """
        at = self.clock.now()
        try:
            self.store.transact(bookings.release, hold, ending, at)
        except StoreError as exc:
            self.keep(LeftOver(hold, ending, at, sent=False), exc)

    def keep_request(self, hold: Hold, body: bytes) -> None:
        """Keep the request's body beside its row; only called where bodies are logged. Never raises."""
        try:
            text = redact(body.decode("utf-8", "replace"), limit=bookings.BODY_LIMIT)
            self.store.transact(lambda tx: tx.keep_bodies(hold.row, text, None))
        except StoreError as exc:
            log.warning("the body of call %s could not be kept: %s", hold.call.call_id, exc)

    def renew(self, hold: Hold) -> None:
        """Keep the hold of an attempt that shows signs of life. Never raises."""
        try:
            self.store.transact(lambda tx: tx.renew(hold.row, self.clock.now() + LEASE_SECONDS))
        except StoreError as exc:
            log.warning("the hold of call %s could not be renewed: %s", hold.call.call_id, exc)

    def sweep(self) -> int:
        """Settle the holds whose lease ran out, at their estimate: they may have been billed. Returns how many."""
        swept = 0
        above: int | None = -1
        first_open: int | None = None
        while above is not None:
            some, above, first_open = self.store.transact(self._sweep_batch, above, first_open, self.clock.now())
            swept += some
        return swept

    def _sweep_batch(
        self, tx: Transaction, above: int, first_open: int | None, now: float
    ) -> tuple[int, int | None, int | None]:
        """Settle a batch of holds: how many, the row to go on after (None: nowhere), the first that stays open."""
        swept, rows = 0, tx.open_rows(SWEEP_BATCH, above)
        for row in rows:
            if row.call.lease_until is not None and row.call.lease_until < now:
                bookings.settle(tx, Hold(row.id, row.call, day_of(row.call.started_at)), LOST, self.settings, now)
                swept += 1
            elif first_open is None:
                first_open = row.id
        if len(rows) == SWEEP_BATCH:
            return swept, rows[-1].id, first_open
        tx.nothing_open_below(tx.newest_row() if first_open is None else first_open)
        return swept, None, first_open

    def note_key(self, facts: KeyFacts | None, *, asked_at: float, error: str | None = None) -> None:
        """Book what `/key` said, or why it said nothing. `asked_at`: epoch seconds when the request was sent.

        One that comes after a look that was sent later is dropped. Raises StoreUnreachable or StoreDamaged.
        """
        account = self.settings.account

        def note(tx: Transaction) -> None:
            at = tx.account(account).key_at
            overtaken = at is not None and asked_at < at and age_of(at, self.clock.now()) is not None
            if not overtaken:
                bookings.note_key(tx, account, facts, asked_at=asked_at, error=error)

        self.store.transact(note)

    def write_left_over(self) -> int:
        """Write what could not be written before; returns how much of it still cannot. Never raises."""
        for _ in range(len(self._left_over)):
            try:
                entry = self._left_over.popleft()
            except IndexError:
                break  # another thread is at it too
            try:
                self._write(entry)
            except StoreError:
                self._left_over.appendleft(entry)
                break
        return len(self._left_over)

    def keep(self, entry: LeftOver, why: StoreError | None) -> None:
        """Keep a booking that cannot be written now, to be written later."""
        self._left_over.append(entry)
        if why is not None:
            # The answer must reach the app all the same; the row stays open, so the cost is not forgotten.
            log.warning("the end of call %s could not be booked now: %s", entry.hold.call.call_id, why)

    def _write(self, entry: LeftOver) -> None:
        if entry.sent:
            self.store.transact(bookings.settle, entry.hold, entry.ending, self.settings, entry.at)
        else:
            self.store.transact(bookings.release, entry.hold, entry.ending, entry.at)

    def housekeep(self) -> None:
        """Write what is left over, and sweep when it is time to. Raises StoreUnreachable or StoreDamaged."""
        if self._left_over:
            self.write_left_over()
        if self.clock.monotonic() >= self._next_sweep:
            self._next_sweep = self.clock.monotonic() + SWEEP_SECONDS
            self.sweep()

    def _worth_waiting(self, verdict: Verdict, patience: Patience, books: bookings.Books) -> bool:
        if verdict.reason is Reason.CATALOGUE_STALE:
            return patience.fetch_catalogue
        if self.settings.guard.mode is not Mode.ENFORCE:
            return False  # it will pass at once; only what it passes as depends on the catalogue
        if verdict.action is Action.DELAY:
            of_model = verdict.reason is Reason.COOLDOWN and verdict.model is not None
            return verdict.delay <= patience.seconds and (patience.cooldowns or not of_model)
        if verdict.reason in BUDGET_REASONS and books.balances.catalogue_age is None:
            return patience.fetch_catalogue  # the worst case may only be unknown because no price is
        if verdict.reason is Reason.DAY_LIMIT and patience.fetch_key:
            return books.key_age is None or books.key_age > KEY_FIGURES_SECONDS
        return False

    def _take(self, tx: Transaction, ask: Ask, verdict: Verdict, books: bookings.Books, now: float) -> Hold:
        shadowed = verdict.reason if verdict.action is not Action.ADMIT else None
        counted = verdict.tier is Tier.FREE or takes_free_quota(ask.intent.models, books.balances)
        tier = verdict.tier
        if shadowed is not None or self.settings.guard.mode is Mode.OFF:
            tier = bookings.tier_of(ask.intent, books.balances)
        call = self._call(ask, now, tier=tier, reason=shadowed, estimate=verdict.estimate_usd, counted=counted)
        row = tx.open_call(call)
        send = books.next_send if counted else None
        if send is not None:
            tx.take_free(call.account, ask.app, day_of(now), now, send, self.settings.quota.per_minute)
        if call.estimate_usd > 0:
            bookings.move_money(tx, call.account, now, usd=0.0, reserved_usd=call.estimate_usd)
        if shadowed is not None:
            tx.count_refusal(ask.app, shadowed, shadow=True)
        return Hold(row, call, day_of(now), send, cooled=bool(books.balances.cooldowns))

    def _is_vouched(self, tier: Tier) -> bool:
        return tier is Tier.FREE and self.settings.guard.catalogue != "suffix"

    def _record_refusal(self, tx: Transaction, ask: Ask, verdict: Verdict, now: float) -> None:
        assert verdict.reason is not None
        call = self._call(ask, now, tier=Tier.UNKNOWN, reason=verdict.reason)
        tx.record_refusal(replace(call, lease_until=None), now, redact(verdict.detail))
        tx.count_refusal(ask.app, verdict.reason, shadow=False)

    def _call(
        self,
        ask: Ask,
        now: float,
        *,
        tier: Tier,
        reason: Reason | None = None,
        estimate: float = 0.0,
        counted: bool = False,
    ) -> OpenCall:
        model = ask.intent.model
        return OpenCall(
            started_at=now,
            app=ask.app,
            account=self.settings.account,
            endpoint=ask.intent.endpoint,
            # An id that no catalogue vouches for may be anything that was put there by mistake, a key for instance.
            model=model if model is None or self._is_vouched(tier) else redact(model, limit=200),
            tier=tier,
            stream=ask.intent.stream,
            attempt=ask.attempt,
            call_id=ask.call_id,
            reason=reason,
            estimate_usd=estimate,
            counted=counted,
            lease_until=now + LEASE_SECONDS,
        )


def store_refusal(exc: StoreError) -> Verdict:
    """The verdict when the store cannot be reached: nothing leaves unrecorded."""
    return Verdict(Action.REFUSE, reason=Reason.STORE_UNAVAILABLE, detail=exc.message.rstrip("."), hint=exc.hint)
