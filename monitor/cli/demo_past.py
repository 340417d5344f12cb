"""A day that has passed, made up and put through the real ledger at a clock of its own: so that every figure is alive.

Nothing is written past the ledger: each made-up call is judged, reserved and settled as a real one is.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping

from monitor.bookings import note_pace
from monitor.clock import DAY, FakeClock, day_of
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
    Outcome,
    PriceClass,
    Usage,
)
from monitor.refresh import note_catalogue
from monitor.store.protocol import ALL_APPS, Store

STEP_SECONDS = 300.0
POLL_STEPS = 12
BUSY_HOUR = 14
"""UTC hour of the most calls."""

PER_STEP = {"billing-bot": 1.1, "summariser": 1.6, "notebook": 0.5}
"""Calls of each app in five minutes at the busiest hour."""

LATE, RETURNS, NEW, REPRICED = 6, 11, 15, 19
"""Hours after the beginning at which the catalogue changes: one model goes, returns, one is new, one costs more."""


def replay(store: Store, settings: Settings, models: Mapping[str, ModelFacts], until: float, limit: int) -> int:
    """Live through the day before `until` (epoch seconds); returns the free requests that its last UTC day has used.

    `models` is the catalogue at its end; `limit` the account's free requests a day.
    """
    clock, chance = FakeClock(until - DAY), random.Random(20_261_124)
    ledger = Ledger(store, settings, clock)
    free = sorted(name for name, facts in models.items() if facts.price is PriceClass.FREE and name.endswith(":free"))
    for step in range(int(DAY / STEP_SECONDS)):
        if step % POLL_STEPS == 0:
            _poll(ledger, _catalogue(models, free, step // POLL_STEPS), limit)
        with store.transaction() as tx:
            note_pace(tx, settings, clock.now())
        ends = clock.now() + STEP_SECONDS
        for app, most in PER_STEP.items():
            for _ in range(_how_many(chance, most, clock.now())):
                clock.advance(chance.uniform(2.0, 20.0))
                _call(ledger, clock, chance, app, free)
        clock.set(max(ends, clock.now()))
    _poll(ledger, models, limit)
    return _used(ledger)


def _used(ledger: Ledger) -> int:
    with ledger.store.transaction() as tx:
        return tx.day_windows(ledger.settings.account, day_of(ledger.clock.now())).get(ALL_APPS, (0, 0))[0]


def _catalogue(models: Mapping[str, ModelFacts], free: list[str], hour: int) -> dict[str, ModelFacts]:
    """What was listed at that hour of the day."""
    listed = dict(models)
    if len(free) > 2 and LATE <= hour < RETURNS:
        del listed[free[-1]]
    if len(free) > 2 and hour < NEW:
        del listed[free[-2]]
    dear = next((name for name, facts in models.items() if facts.price is PriceClass.PAID and facts.prompt_usd), None)
    if dear is not None and hour < REPRICED:
        listed[dear] = dataclasses.replace(models[dear], prompt_usd=(models[dear].prompt_usd or 0.0) / 2)
    return listed


def _poll(ledger: Ledger, models: Mapping[str, ModelFacts], limit: int) -> None:
    now, used = ledger.clock.now(), _used(ledger)
    with ledger.store.transaction() as tx:
        note_catalogue(tx, models, source=ledger.settings.base_url, at=now)
    facts = KeyFacts(
        free_used=used, free_limit=limit, free_remaining=limit - used, usage_usd=0.0, usage_daily_usd=0.0,
        is_free_tier=False,
    )  # fmt: skip
    ledger.note_key(facts, asked_at=now)


def _how_many(chance: random.Random, most: float, at: float) -> int:
    hour = at % DAY / 3600
    distance = min(abs(hour - BUSY_HOUR), 24 - abs(hour - BUSY_HOUR))
    rate = most * (0.15 + 0.85 * max(0.0, 1 - distance / 9))
    return int(rate) + (chance.random() < rate % 1)


def _call(
    ledger: Ledger,
    clock: FakeClock,
    chance: random.Random,
    app: str,
    free: list[str],
) -> None:
    model = chance.choices(free[:3], (6, 3, 1)[: len(free[:3])])[0]
    if chance.random() < 0.04:
        model = model.removesuffix(":free")  # a mistake, which the guard refuses
    intent = Intent(
        Endpoint.CHAT,
        model,
        stream=chance.random() < 0.4,
        prompt_bytes=chance.randint(200, 9000),
        max_output_tokens=800,
    )
    hold = ledger.reserve(Ask(intent, app, f"demo-{chance.getrandbits(64):016x}")).hold
    if hold is None:
        return
    clock.advance(chance.lognormvariate(0.8, 0.7))
    ledger.settle(hold, _ending(chance, intent, clock.now()))


def _ending(chance: random.Random, intent: Intent, now: float) -> Ending:
    luck = chance.random()
    if luck < 0.03:
        hit = LimitHit(LimitKind.UPSTREAM, retry_after=20.0, message="Provider returned error")
        return Ending(Outcome.RATE_LIMITED, status=429, limit=hit, error="429 of the provider")
    if luck < 0.05:
        return Ending(Outcome.SERVER_ERROR, status=502, error="502: Provider returned error")
    if luck < 0.06:
        return Ending(Outcome.NETWORK_ERROR, error="ReadTimeout")
    usage = Usage(
        prompt_tokens=intent.prompt_bytes // 4,
        completion_tokens=chance.randint(30, 800),
        cached_tokens=0,
        reasoning_tokens=0,
        cost_usd=0.0,
    )
    first = chance.lognormvariate(-0.6, 0.5) if intent.stream else None
    return Ending(Outcome.SUCCESS, status=200, usage=usage, model_served=intent.model, provider="Simulated", ttft=first)
