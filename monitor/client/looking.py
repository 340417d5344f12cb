"""What the client can be asked besides answers: which models there are, which it would choose, what is left to ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from monitor import bookings
from monitor.client.base import Base
from monitor.clock import next_midnight
from monitor.model import ModelFacts
from monitor.policy.pacing import Supply
from monitor.policy.routing import Needs, Ranking
from monitor.policy.shares import left_for
from monitor.policy.tasks import GENERAL
from monitor.policy.windows import SLOT, day_remaining, minute_opens_at
from monitor.refresh import Fetch
from monitor.store.protocol import Transaction


@dataclass(frozen=True, slots=True)
class Quota:
    """Free requests of the account, and what of them this app may still make today. Times are epoch seconds.

    `minute_opens_at` is when the next request may leave; None: now.
    """

    day_left: int
    day_limit: int
    day_used: int
    day_resets_at: float
    app_left: int
    minute_left: int
    minute_limit: int
    minute_opens_at: float | None

    @property
    def supply(self) -> Supply:
        """The same as a batch plans by."""
        return Supply(self.app_left, self.day_limit, self.minute_limit)

    def as_json(self) -> dict[str, Any]:
        """As `batch --dry-run --json` tells it."""
        return asdict(self)


def models_of(base: Base, fetch: Fetch, *, free: bool, task: str | None) -> list[ModelFacts]:
    """Models of the newest catalogue by id; with a task, the free ones that can serve it, the best first."""
    known = base.calls.chooser.known(fetch)
    if task is not None:
        facts = {each.id: each for each in known.free}
        return [facts[model] for model in ranking_of(base, fetch, task).models]
    if free:
        return list(known.free)
    every = base.guard.ledger.store.transact(lambda tx: tx.all_facts())
    return sorted((facts for facts, listed in every.values() if listed), key=lambda each: each.id)


def ranking_of(base: Base, fetch: Fetch, task: str | None, needs: Needs | None = None) -> Ranking:
    """The free models for a task, best first, with the reasons. Raises ConfigError, PollError and StoreError."""
    chooser = base.calls.chooser
    return chooser.routes.ranking(chooser.known(fetch), task or GENERAL, needs or Needs(), base.guard.clock.now())


def quota_of(base: Base, fetch: Fetch) -> Quota:
    """What is left, by the ledger and OpenRouter's own figures, read anew if they are old. Raises StoreError."""
    base.calls.chooser.refresh_key(fetch)
    return base.guard.ledger.store.transact(_quota, base)


def supply_of(base: Base) -> Supply:
    """What a batch of this app can plan by, by what is known already. Raises StoreError."""
    return base.guard.ledger.store.transact(_quota, base).supply


def _quota(tx: Transaction, base: Base) -> Quota:
    settings, now, app = base.settings, base.guard.clock.now(), base.guard.app
    balances = bookings.read(tx, (), settings, app, now).balances
    day, minute = balances.day, balances.minute
    left = day_remaining(day, now)
    opens_at = minute_opens_at(minute, now)
    sent = tx.sends_since(settings.account, now - SLOT)
    return Quota(
        day_left=left,
        day_limit=day.limit,
        day_used=day.used,
        day_resets_at=next_midnight(now),
        app_left=min(left, _app_left(base, balances.apps, day.used, day.limit, now)),
        minute_left=0 if opens_at is not None else max(0, minute.limit - sent),
        minute_limit=minute.limit,
        minute_opens_at=opens_at,
    )


def _app_left(base: Base, used: Mapping[str, int], total: int, limit: int, now: float) -> int:
    apps, app = base.settings.apps, base.guard.app
    if not apps:
        return limit
    claims = {name: one.share for name, one in apps.items() if one.share > 0}
    left = left_for(app, claims, used, total_used=total, limit=limit, now=now)
    own = apps.get(app)
    if own is not None and own.per_day is not None:
        left = min(left, max(0, own.per_day - used.get(app, 0)))
    return left
