"""Prices as they are compared and told: by the million tokens, in USD."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from monitor.model import ModelFacts, PriceClass

JITTER = 0.01
"""A relative difference below which two figures are the same."""

FREE = "free"
"""How the price of a free model is told."""


class Price(NamedTuple):
    """What a model costs: USD per token (`request_usd`: per request), None where not listed."""

    kind: PriceClass
    prompt_usd: float | None = None
    completion_usd: float | None = None
    request_usd: float | None = None


def price_of(facts: ModelFacts) -> Price:
    return Price(facts.price, facts.prompt_usd, facts.completion_usd, facts.request_usd)


def is_free(price: Price) -> bool:
    """Free as people say it: a `:free` variant at zero, or text at zero without the suffix."""
    return price.kind is PriceClass.FREE or price.kind is PriceClass.ZERO


def same_price(one: Price, other: Price) -> bool:
    """Whether nobody would call it another price."""
    if one == other or (is_free(one) and is_free(other)):
        return True
    # For what is routed or cannot be read, the figures beside it say nothing.
    return one.kind is other.kind and (one.kind is not PriceClass.PAID or all(map(same_figure, one[1:], other[1:])))


def same_figure(one: float | None, other: float | None) -> bool:
    """Whether two figures differ by less than `JITTER`."""
    # A key that is not listed and one at zero cost the same; the zero `request` came and went by the era.
    one, other = one or 0.0, other or 0.0
    return abs(one - other) < JITTER * max(abs(one), abs(other)) or one == other


def price_text(price: Price) -> str:
    """`free`, `$0.15 in, $0.6 out per million tokens`, and the like."""
    match price.kind:
        case PriceClass.FREE | PriceClass.ZERO:
            return FREE
        case PriceClass.VARIABLE:
            return "priced by where it is routed"
        case PriceClass.UNKNOWN:
            return "a price that cannot be read"
        case PriceClass.PAID:
            return _paid_text(price)


def _paid_text(price: Price) -> str:
    said = []
    if price.prompt_usd or price.completion_usd:
        said.append(f"${_million(price.prompt_usd)} in, ${_million(price.completion_usd)} out per million tokens")
    if price.request_usd:
        said.append(f"${_plain(price.request_usd)} a request")
    # Lyria is at zero a token and bills by the song; an override can be all that costs.
    return ", ".join(said) or "$0 a token, and charged by something else"


def _million(usd: float | None) -> str:
    return _plain((usd or 0.0) * 1e6)


def _plain(usd: float) -> str:
    """Six significant digits at most, without an exponent or idle zeros."""
    return format(Decimal(f"{usd:.6g}").normalize(), "f")
