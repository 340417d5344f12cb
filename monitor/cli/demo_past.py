"""A day that has passed, put through the real ledger at a clock of its own: so that every figure is alive.

Nothing is written past the ledger: each request is judged, reserved and settled as a real one is. When requests came
and how long they were is given; which model they asked, and how they fared, is made up.
"""

from __future__ import annotations

import dataclasses
import heapq
import random
from collections.abc import Callable, Iterable, Mapping, Sequence

from monitor.bookings import Hold, note_pace
from monitor.cli.demo_arrivals import STEP_SECONDS, Arrival, made_up
from monitor.clock import DAY, MINUTE, FakeClock, day_of, next_midnight
from monitor.config import Settings
from monitor.ledger import Ask, Ledger
from monitor.model import (
    Ending,
    Endpoint,
    Intent,
    KeyFacts,
    LimitHit,
    LimitKind,
    ModelFacts,
    Objection,
    Outcome,
    PriceClass,
    Reason,
    Usage,
)
from monitor.refresh import note_catalogue
from monitor.store.protocol import ALL_APPS, Store

POLL_STEPS = 12
LATE, RETURNS, NEW, REPRICED = 6, 11, 15, 19
"""Hours after the beginning at which the catalogue changes: one model goes, returns, one is new, one costs more."""

BYTES_PER_TOKEN = 4
SPENT_BEFORE_MIDNIGHT = 45 * MINUTE
"""So long before its end the first UTC day turns out to be spent: the rest of it was used elsewhere."""

Tick = Callable[[float, str], None]


def _nobody(done: float, told: str) -> None:
    """A tick for those who do not watch."""


def replay(
    store: Store,
    settings: Settings,
    models: Mapping[str, ModelFacts],
    until: float,
    limit: int,
    arrivals: Sequence[Arrival] | None = None,
    tick: Tick = _nobody,
) -> int:
    """Live through the day before `until` (epoch seconds); returns the free requests that its last UTC day has used,
    as OpenRouter counts them.

    `models` is the catalogue at its end, `limit` the account's free requests a day. Without `arrivals` they are made
    up. `tick` is told what part of the day is over.
    """
    return _Day(store, settings, models, until, limit).live(made_up(until) if arrivals is None else arrivals, tick)


class _Day:
    """The day while it is lived through. Each arrival becomes one attempt on record, let through or refused."""

    def __init__(
        self, store: Store, settings: Settings, models: Mapping[str, ModelFacts], until: float, limit: int
    ) -> None:
        self.begins, self.until, self.limit, self.models = until - DAY, until, limit, models
        self.clock = FakeClock(self.begins)
        self.ledger = Ledger(store, settings, self.clock)
        self.chance = random.Random(20_261_124)
        names = sorted(name for name, facts in models.items() if facts.price is PriceClass.FREE)
        self.free = [name for name in names if name.endswith(":free")]
        self.under_way: list[tuple[float, int, Hold, Ending]] = []
        self.spent_at = next_midnight(self.begins) - SPENT_BEFORE_MIDNIGHT
        self.spent_on: int | None = None

    def live(self, arrivals: Iterable[Arrival], tick: Tick) -> int:
        waiting, steps = iter(arrivals), int(DAY / STEP_SECONDS)
        coming = next(waiting, None)
        for step in range(steps):
            at = self.begins + step * STEP_SECONDS
            self._wait_until(at)
            if step % POLL_STEPS == 0:
                self._poll(step // POLL_STEPS)
            with self.ledger.store.transaction() as tx:
                note_pace(tx, self.ledger.settings, at)
            while coming is not None and coming.at < at + STEP_SECONDS:
                self._wait_until(coming.at)
                self._ask(coming)
                coming = next(waiting, None)
            tick((step + 1) / steps, f"{step * STEP_SECONDS / 3600:.0f} of 24 hours")
        self._wait_until(self.until)
        self._poll(24)
        return self._used()

    def _wait_until(self, at: float) -> None:
        """Let time pass; what ends meanwhile is settled when it ends."""
        while self.under_way and self.under_way[0][0] <= at:
            ends, _, hold, ending = heapq.heappop(self.under_way)
            self.clock.advance(max(0.0, ends - self.clock.now()))
            self.ledger.settle(hold, ending)
        self.clock.advance(max(0.0, at - self.clock.now()))

    def _used(self) -> int:
        with self.ledger.store.transaction() as tx:
            windows = tx.day_windows(self.ledger.settings.account, day_of(self.clock.now()))
        attempts, uncounted = windows.get(ALL_APPS, (0, 0))
        return attempts - uncounted

    def _poll(self, hour: int) -> None:
        now, used = self.clock.now(), self._used()
        if self.spent_on == day_of(now):
            used = self.limit
        with self.ledger.store.transaction() as tx:
            note_catalogue(tx, self._catalogue(hour), source=self.ledger.settings.base_url, at=now)
        facts = KeyFacts(
            free_used=used, free_limit=self.limit, free_remaining=self.limit - used, usage_usd=0.0,
            usage_daily_usd=0.0, is_free_tier=False,
        )  # fmt: skip
        self.ledger.note_key(facts, asked_at=now)

    def _catalogue(self, hour: int) -> dict[str, ModelFacts]:
        """What was listed at that hour of the day."""
        listed, free = dict(self.models), self.free
        if len(free) > 2 and LATE <= hour < RETURNS:
            del listed[free[-1]]
        if len(free) > 2 and hour < NEW:
            del listed[free[-2]]
        priced = (name for name, facts in self.models.items() if facts.price is PriceClass.PAID and facts.prompt_usd)
        dear = next(priced, None)
        if dear is not None and hour < REPRICED:
            listed[dear] = dataclasses.replace(listed[dear], prompt_usd=(listed[dear].prompt_usd or 0.0) / 2)
        return listed

    def _ask(self, arrival: Arrival) -> None:
        intent = self._intent(arrival)
        hold = self.ledger.reserve(Ask(intent, arrival.app, f"demo-{self.chance.getrandbits(64):016x}")).hold
        if hold is None:
            return
        seconds, ending = self._fare(arrival, intent)
        ends = min(arrival.at + seconds, self.until)
        heapq.heappush(self.under_way, (ends, hold.row, hold, ending))

    def _intent(self, arrival: Arrival) -> Intent:
        """What it asks for; one in twenty makes a mistake, which the guard refuses."""
        model, luck = self.chance.choices(self.free[:3], (6, 3, 1)[: len(self.free[:3])])[0], self.chance.random()
        paid = model.removesuffix(":free")
        intent = Intent(
            Endpoint.CHAT,
            paid if luck < 0.03 else model,
            fallbacks=(paid,) if 0.03 <= luck < 0.04 else (),
            stream=self.chance.random() < 0.4,
            prompt_bytes=arrival.prompt_tokens * BYTES_PER_TOKEN,
            max_output_tokens=max(800, arrival.completion_tokens),
        )
        if 0.04 <= luck < 0.05:
            intent.objections = (Objection(Reason.PAID_PLUGIN, "the web plugin bills by the search"),)
        return intent

    def _fare(self, arrival: Arrival, intent: Intent) -> tuple[float, Ending]:
        """How long it took (seconds), and how it ended."""
        failed = self._failure(arrival)
        first = self.chance.lognormvariate(-0.9, 0.5) + arrival.prompt_tokens / 9000
        if failed is not None:
            return (30.0 if failed.status is None else first), failed
        model = intent.model or ""
        usage = Usage(
            prompt_tokens=arrival.prompt_tokens,
            completion_tokens=arrival.completion_tokens,
            cached_tokens=arrival.prompt_tokens // 2 if self.chance.random() < 0.3 else 0,
            reasoning_tokens=arrival.completion_tokens // 2 if "r1" in model else 0,
            cost_usd=0.0,
        )
        ending = Ending(
            Outcome.SUCCESS,
            status=200,
            usage=usage,
            model_served=model,
            provider="Simulated",
            generation_id=f"gen-demo-{self.chance.getrandbits(48):012x}",
            ttft=first if intent.stream else None,
        )
        return first + arrival.completion_tokens / self.chance.uniform(40, 120), ending

    def _failure(self, arrival: Arrival) -> Ending | None:
        if self.spent_on is None and self.spent_at <= arrival.at < self.spent_at + SPENT_BEFORE_MIDNIGHT:
            self.spent_on = day_of(arrival.at)
            spent = LimitHit(LimitKind.FREE_DAILY, limit=self.limit, message="free-models-per-day-high-balance")
            return Ending(Outcome.RATE_LIMITED, status=429, limit=spent, error="429: Rate limit exceeded")
        luck = self.chance.random()
        if luck < 0.03:
            busy = LimitHit(LimitKind.UPSTREAM, retry_after=20.0, message="Provider returned error")
            return Ending(Outcome.RATE_LIMITED, status=429, limit=busy, error="429 of the provider")
        if luck < 0.035:
            full = LimitHit(LimitKind.FREE_MINUTE, message="free-models-per-min")
            return Ending(Outcome.RATE_LIMITED, status=429, limit=full, error="429: Rate limit exceeded")
        if luck < 0.055:
            return Ending(Outcome.SERVER_ERROR, status=502, error="502: Provider returned error")
        if luck < 0.065:
            return Ending(Outcome.NETWORK_ERROR, error="ReadTimeout")
        return Ending(Outcome.CANCELLED, status=200, error="the app went away") if luck < 0.075 else None
