"""The models that could answer a call, the one to ask next, and what is remembered of those that failed.

All of it is short transactions of the store, so that every process of the account sees the same circuits and spends
from the same budget of retries. They block: a shell runs them where it may.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from monitor.client import failures
from monitor.client.answers import Attempt
from monitor.client.routes import Known, Routes, nobody, paid_fallback
from monitor.client.wishes import Wish
from monitor.errors import PollError
from monitor.model import Ending
from monitor.policy.circuit import CLOSED, Circuit, Trouble, entered, failed, trouble_of
from monitor.policy.picking import Pick, pick
from monitor.policy.retry_budget import SPANS, Hour, may_retry, span_of
from monitor.refresh import Fetch
from monitor.store.protocol import CircuitRow, Transaction
from monitor.transport.course import Guard

log = logging.getLogger("monitor.client")
T = TypeVar("T")


@dataclass(slots=True)
class Call:
    """What is known of a call under way. `deadline` is of the monotonic clock, other times are epoch seconds."""

    wish: Wish
    id: str
    deadline: float
    candidates: tuple[str, ...] = ()
    free: frozenset[str] = frozenset()
    why: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tried: set[str] = field(default_factory=set)
    cooling: dict[str, float] = field(default_factory=dict)
    again_at: float = 0.0
    attempts: list[Attempt] = field(default_factory=list)
    """Those that left."""
    pieces: list[str] = field(default_factory=list)
    """Of the stream, as they were handed on."""
    troubled: bool = False
    """The model that is being asked has failed lately: should it answer, that is to be noted."""

    @property
    def alone(self) -> bool:
        """Whether the app named one model, and no other may answer."""
        return self.wish.model is not None and self.wish.fallbacks == ()


class Chooser:
    """Chooses models for the calls of one guard."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.routes = Routes(guard.settings)
        self._store = guard.ledger.store
        self._clock = guard.clock
        self._account = guard.settings.account
        self._gone: dict[str, float] = {}
        """Models that nobody served when this client asked, and until when (epoch seconds) they are left alone."""

    def known(self, fetch: Fetch) -> Known:
        """The free models of the catalogue, fetched if need be. Raises PollError and StoreError."""
        known = self._store.transact(self._known)
        if known is None:
            self._fetch_catalogue(fetch)
            known = self._store.transact(self._known)
        return _there(known)

    def choose(self, call: Call, fetch: Fetch) -> Pick:
        """The model to ask next. What it takes (a circuit's probe, a retry of the hour) is written down at once.

        Raises CallFailed, NotFree, ConfigError, PollError and StoreError.
        """
        chosen = self._store.transact(self._choose, call)
        if chosen is None:
            self._fetch_catalogue(fetch)
            chosen = self._store.transact(self._choose, call)
        chosen = _there(chosen)
        if chosen.at > self._clock.now() and all(self._gone.get(each, 0.0) >= chosen.at for each in call.candidates):
            raise failures.gone(call.attempts, chosen.model, chosen.at)
        return chosen

    def note_failure(self, model: str, ending: Ending, *, never_sent: bool) -> None:
        """Remember what a failed attempt says of its model. Raises StoreError."""
        trouble = trouble_of(ending, never_sent=never_sent)
        if trouble is None:
            return
        now, limit = self._clock.now(), ending.limit
        asked = None if limit is None else limit.retry_after
        if asked is None and limit is not None and limit.resets_at is not None:
            asked = limit.resets_at - now

        def note(tx: Transaction) -> float:
            row = tx.circuits(self._account).get(model)
            after = failed(CLOSED if row is None else Circuit(*row), trouble, now, asked)
            tx.save_circuit(self._account, model, _row(after))
            return after.open_until

        open_until = self._store.transact(note)
        if trouble is Trouble.GONE:
            self._gone[model] = open_until

    def note_success(self, model: str) -> None:
        """Forget what was remembered against a model. Raises StoreError."""
        self._store.transact(lambda tx: tx.close_circuit(self._account, model))

    def _known(self, tx: Transaction) -> Known | None:
        return self.routes.known(tx, self._clock.now())

    def _fetch_catalogue(self, fetch: Fetch) -> None:
        oldest = self._clock.now() - self.guard.settings.guard.catalogue_max_age
        if not self.guard.refresher.models(fetch, newer_than=oldest):
            raise PollError("another process is still fetching the catalogue.", hint="Try again in a moment.")
        # Before the first request leaves: afterwards, what OpenRouter's lagging counter shows could be somebody else's.
        self.refresh_key(fetch)

    def refresh_key(self, fetch: Fetch) -> None:
        """Have OpenRouter's own figures of the quota, if they can be had. Raises ConfigError and StoreError."""
        settings = self.guard.settings
        key = settings.key()
        if key is None:
            return
        try:
            newer_than = self._clock.now() - settings.poll.key_seconds
            self.guard.refresher.key(fetch, key.reveal(), newer_than=newer_than)
        except PollError as exc:
            log.warning("the key's figures cannot be fetched, the quota is our own count: %s", exc)

    def _choose(self, tx: Transaction, call: Call) -> Pick | None:
        """None when there is no catalogue to choose by."""
        now = self._clock.now()
        if not call.candidates:
            needs_catalogue = call.wish.model is None or call.wish.fallbacks != ()
            known = self.routes.known(tx, now) if needs_catalogue else None
            if needs_catalogue and known is None:
                return None
            self._begin(call, known, now)
            tx.count_in_span(self._account, span_of(now), calls=1)
        rows = tx.circuits(self._account)
        circuits = {model: Circuit(*row) for model, row in rows.items()}
        cooling = {**tx.cooldowns(self._account, call.candidates), **call.cooling}
        chosen = pick(call.candidates, circuits, cooling, call.tried, now, again_at=call.again_at)
        if chosen.at > now:
            return chosen
        if call.attempts and call.attempts[-1].sent:  # what never left has spent nothing
            self._take_retry(tx, call.attempts, now)
        before = circuits.get(chosen.model, CLOSED)
        entering = entered(before, now)
        if entering != before:
            tx.save_circuit(self._account, chosen.model, _row(entering))
        call.troubled = chosen.model in rows
        return chosen

    def _begin(self, call: Call, known: Known | None, now: float) -> None:
        wish = call.wish
        named = (wish.model,) if wish.model is not None else ()
        if known is None:
            call.candidates = named
            return
        call.free = frozenset(facts.id for facts in known.free)
        if wish.fallbacks is not None:
            for model in wish.fallbacks:
                if model not in call.free:
                    raise paid_fallback(model)
            call.candidates = tuple(dict.fromkeys((*named, *wish.fallbacks)))
            return
        ranking = self.routes.ranking(known, wish.task, wish.needs, now)
        call.why = {choice.model: choice.why for choice in ranking.choices}
        call.candidates = tuple(dict.fromkeys((*named, *ranking.models)))
        if not call.candidates:
            raise nobody(ranking)

    def _take_retry(self, tx: Transaction, attempts: Sequence[Attempt], now: float) -> None:
        span = span_of(now)
        hour = Hour(*tx.counted_in_spans(self._account, span - SPANS + 1, span))
        if not may_retry(hour, share=self.guard.settings.client.retry_share):
            raise failures.out_of_budget(attempts, hour)
        tx.count_in_span(self._account, span, retries=1)


def _row(circuit: Circuit) -> CircuitRow:
    return CircuitRow(circuit.failures, circuit.trips, circuit.open_until, circuit.probe_until)


def _there(found: T | None) -> T:
    if found is None:
        raise PollError("the catalogue was fetched, but cannot be used.", hint="Run `openrouter-monitor doctor`.")
    return found
