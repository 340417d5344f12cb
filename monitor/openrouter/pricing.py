"""The `pricing` object of a catalogue entry.

OpenRouter's SDK 1.3 (PublicPricing): decimal strings in USD, per token unless the key speaks of something else;
`discount` is a fraction and `overrides` a list of conditional prices. Keys come and go: none but prompt and completion
may be relied on, and every one that is there must be zero for a model to be free.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

_CONDITIONS = frozenset({"min_prompt_tokens", "utc_start", "utc_end", "utc_days"})
_PROMPT = frozenset(
    {
        "prompt",
        "audio",
        "image_token",
        "input_audio_cache",
        "input_cache_read",
        "input_cache_write",
        "input_cache_write_1h",
    }
)
_COMPLETION = frozenset({"completion", "audio_output", "image_token", "internal_reasoning"})
# Billed only when a request asks for it by a plugin or a tool, which is an objection of its own.
_ASKED_FOR = frozenset({"web_search"})
_TOO_DEAR = Decimal(10**9)


@dataclass(frozen=True, slots=True)
class Prices:
    """What a `pricing` object says. USD per token (`request_usd`: per request, `image_usd`: per image of the prompt);
    None where it is not listed.

    `readable`: prompt and completion are there and every price is a number. `zero`: so is every one of them, overrides
    included. `bounded`: nothing else than tokens and the request itself is priced.
    """

    readable: bool = False
    negative: bool = False
    zero: bool = False
    bounded: bool = True
    prompt_usd: float | None = None
    completion_usd: float | None = None
    request_usd: float | None = None
    worst_prompt_usd: float | None = None
    worst_completion_usd: float | None = None
    image_usd: float | None = None


def read_prices(pricing: object) -> Prices:
    """The prices in `pricing`; never raises."""
    if not isinstance(pricing, dict) or not pricing:
        return Prices()
    listed = list(_listed(pricing))
    known = [(key, price) for key, price in listed if price is not None]
    base = {key: price for key, price in ((key, _price(value)) for key, value in pricing.items()) if price is not None}
    if any(price < 0 for _, price in known):
        return Prices(negative=True)
    readable = len(known) == len(listed) and "prompt" in base and "completion" in base
    return Prices(
        readable=readable,
        zero=readable and all(price == 0 for _, price in known),
        bounded=all(_is_bounded(key, price) for key, price in known),
        prompt_usd=_usd(base.get("prompt")),
        completion_usd=_usd(base.get("completion")),
        request_usd=_worst(known, frozenset({"request"})),
        worst_prompt_usd=_worst(known, _PROMPT),
        worst_completion_usd=_worst(known, _COMPLETION),
        image_usd=_usd(base.get("image")),
    )


def _listed(pricing: Mapping[str, Any]) -> Iterator[tuple[str, Decimal | None]]:
    """Every price, those of the overrides too; None for one that is there and cannot be read."""
    for key, value in pricing.items():
        if key == "overrides":
            yield from _overridden(value)
        elif key != "discount" and value is not None:
            # A discount only lowers a price: the zero test must not lean on it.
            yield key, _price(value)


def _overridden(overrides: object) -> Iterator[tuple[str, Decimal | None]]:
    if overrides is None:
        return
    if not isinstance(overrides, list):
        yield "overrides", None
        return
    for override in overrides:
        if not isinstance(override, dict):
            yield "overrides", None
            continue
        for key, value in override.items():
            if key not in _CONDITIONS and value is not None:
                yield key, _price(value)


def _price(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        price = Decimal(str(value).strip())
    except (InvalidOperation, ValueError):
        return None
    return price if price.is_finite() and abs(price) < _TOO_DEAR else None


def _is_bounded(key: str, price: Decimal) -> bool:
    return price == 0 or key == "request" or key in _PROMPT or key in _COMPLETION or key in _ASKED_FOR


def _worst(known: list[tuple[str, Decimal]], keys: frozenset[str]) -> float | None:
    return _usd(max((price for key, price in known if key in keys), default=None))


def _usd(price: Decimal | None) -> float | None:
    return None if price is None else float(price)
