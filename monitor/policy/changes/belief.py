"""What is believed of one model: what was last told of it, and since when something else is seen.

A belief is kept as text (`to_text`), whose meaning belongs to this package: rules change without a migration.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, NamedTuple

from monitor.model import ModelFacts, PriceClass
from monitor.policy.changes.prices import Price, price_of


class Presence(StrEnum):
    """Where a model stands. `new`: seen, not told of yet. `missing`: absent, whether or not that was told."""

    NEW = "new"
    LISTED = "listed"
    MISSING = "missing"
    REMOVED = "removed"


class PriceDoubt(NamedTuple):
    """A price that is not believed yet, and since when it was seen at every poll."""

    price: Price
    since: float


class Doubt(NamedTuple):
    """The same for a date, an alias' target, or a context's length."""

    value: str | None
    since: float


class Belief(NamedTuple):
    """One model. Times are epoch seconds.

    `since`: when it was first seen (0: before we looked). `absent_since`: absent at every poll from then on.
    `back_since`: listed at every poll from then on, its absence having been told. `told`: whether the absence was.
    `lost`: it was told as no longer free once. `warned`: the distance in days at which its expiry was last told, or 0.
    """

    presence: Presence
    price: Price
    since: float = 0.0
    absent_since: float | None = None
    back_since: float | None = None
    told: bool = False
    lost: bool = False
    price_doubt: PriceDoubt | None = None
    expires: str | None = None
    expires_doubt: Doubt | None = None
    warned: int = 0
    alias: str | None = None
    alias_doubt: Doubt | None = None
    context: int | None = None
    context_doubt: Doubt | None = None


def first_belief(facts: ModelFacts) -> Belief:
    """Of a model that the first catalogue lists: it is so, and no news."""
    return Belief(
        Presence.LISTED,
        price_of(facts),
        expires=facts.expires,
        alias=facts.alias_target,
        context=facts.context_length,
    )


def new_belief(facts: ModelFacts, now: float) -> Belief:
    """Of a model that was never seen before."""
    return first_belief(facts)._replace(presence=Presence.NEW, since=now)


_DEFAULTS = Belief._field_defaults


def to_text(belief: Belief) -> str:
    """A belief as the store keeps it; what is as usual is left out."""
    told = {
        name: value
        for name, value in zip(Belief._fields, belief, strict=True)
        if name not in _DEFAULTS or value != _DEFAULTS[name]
    }
    return json.dumps(told, separators=(",", ":"))


def from_text(text: str) -> Belief | None:
    """A belief out of the store; None for what cannot be read, whose model is then judged anew."""
    try:
        told = json.loads(text)
        told["presence"] = Presence(told["presence"])
        told["price"] = _price(told["price"])
        if "price_doubt" in told:
            price, since = told["price_doubt"]
            told["price_doubt"] = PriceDoubt(_price(price), float(since))
        for name in ("expires_doubt", "alias_doubt", "context_doubt"):
            if name in told:
                told[name] = Doubt(*told[name])
        return Belief(**told)
    except (ValueError, TypeError, KeyError):
        return None


def _price(value: Any) -> Price:
    kind, *figures = value
    return Price(PriceClass(kind), *figures)
