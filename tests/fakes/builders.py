"""Nouns with sensible defaults, so that a test names only what it is about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monitor.clock import Clock
from monitor.config import Settings
from monitor.ledger import Ask, Hold, Ledger
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
from monitor.policy.balances import Balances, DayWindow, MinuteWindow
from monitor.refresh import note_catalogue
from monitor.store import SQLiteStore

MIDNIGHT = 20_717 * 86_400.0
"""A UTC midnight, epoch seconds."""
HOUR = 3600.0
NOON = MIDNIGHT + 12 * HOUR

FREE, FREE2, PAID, ZERO, ROUTED = "lab/gull:free", "lab/tern:free", "lab/heron", "lab/stealth", "lab/auto"
GHOST = "lab/ghost:free"
"""Named as a free one, and in no catalogue."""
PAID_FREE = "lab/crow:free"
"""Named as a free one, listed at a price."""

PROMPT_USD, COMPLETION_USD = 1e-6, 4e-6


def facts(model: str, price: PriceClass, **more: Any) -> ModelFacts:
    usd = {PriceClass.PAID: (PROMPT_USD, COMPLETION_USD), PriceClass.VARIABLE: (None, None)}.get(price, (0.0, 0.0))
    given = {"prompt_usd": usd[0], "completion_usd": usd[1], "context_length": 8192, "max_completion_tokens": 1000}
    return ModelFacts(id=model, price=price, **(given | more))


CATALOGUE = {
    FREE: facts(FREE, PriceClass.FREE),
    FREE2: facts(FREE2, PriceClass.FREE),
    PAID: facts(PAID, PriceClass.PAID),
    ZERO: facts(ZERO, PriceClass.ZERO),
    ROUTED: facts(ROUTED, PriceClass.VARIABLE),
    PAID_FREE: facts(PAID_FREE, PriceClass.PAID),
    "openrouter/free": facts("openrouter/free", PriceClass.FREE),
}


def intent(model: str | None = FREE, **more: Any) -> Intent:
    return Intent(**({"endpoint": Endpoint.CHAT, "model": model, "prompt_bytes": 100} | more))


def balances(now: float = NOON, **more: Any) -> Balances:
    given: dict[str, Any] = {
        "now": now,
        "minute": MinuteWindow(20),
        "day": DayWindow(50),
        "facts": CATALOGUE,
        "catalogue_age": 60.0,
    }
    return Balances(**(given | more))


def settings(**sections: Any) -> Settings:
    return Settings(**sections)


def ask(model: str | None = FREE, *, app: str = "app", call_id: str = "call-1", attempt: int = 1, **more: Any) -> Ask:
    return Ask(intent(model, **more), app, call_id, attempt)


def success(cost_usd: float | None = 0.0, **more: Any) -> Ending:
    usage = Usage(prompt_tokens=7, completion_tokens=5, cached_tokens=2, reasoning_tokens=1, cost_usd=cost_usd)
    return Ending(**({"outcome": Outcome.SUCCESS, "status": 200, "usage": usage} | more))


def refused_by(kind: LimitKind, status: int = 429, **limit: Any) -> Ending:
    return Ending(Outcome.RATE_LIMITED, status=status, limit=LimitHit(kind, **limit))


def key_facts(used: int | None = None, limit: int | None = 50, **more: Any) -> KeyFacts:
    return KeyFacts(free_used=used, free_limit=limit, **more)


def fill(store: SQLiteStore, config: Settings, at: float, catalogue: dict[str, ModelFacts] | None = None) -> None:
    """Put a catalogue into the store, as a poll does."""
    with store.transaction() as tx:
        note_catalogue(tx, CATALOGUE if catalogue is None else catalogue, source=config.base_url, at=at)


def ledger(path: Path, clock: Clock, *, catalogue: bool = True, **sections: Any) -> Ledger:
    """A ledger over a store at `path`, with a catalogue fetched just now."""
    config = settings(**sections)
    store = SQLiteStore(path)
    if catalogue:
        fill(store, config, clock.now())
    return Ledger(store, config, clock)


def take(book: Ledger, *args: Any, **more: Any) -> Hold:
    """Reserve what must be admitted."""
    decision = book.reserve(ask(*args, **more))
    assert decision.hold is not None, decision
    return decision.hold


def rows(book: Ledger | SQLiteStore, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """What a statement reads, in one look."""
    store = book.store if isinstance(book, Ledger) else book
    assert isinstance(store, SQLiteStore)
    with store.connection.reading() as connection:
        return connection.execute(query, values).fetchall()


def one(book: Ledger | SQLiteStore, query: str, *values: Any) -> Any:
    """The single value that a statement reads."""
    ((value,),) = rows(book, query, *values)
    return value
