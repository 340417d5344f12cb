"""The models endpoint: what each model costs, and whether that is nothing.

Read leniently, for its shape has changed with every year since 2024; judged strictly, for a price that cannot be read
is not zero. A broken entry is skipped with a word about it, never fatal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitor.errors import PollError
from monitor.model import ModelFacts, PriceClass
from monitor.openrouter.limits import error_text
from monitor.openrouter.pricing import Prices, read_prices
from monitor.openrouter.values import count, loads, mapping, text
from monitor.redact import redact

_MAX_ID = 512
_MAX_PROBLEMS = 50
# Duplicate ids were never met; if one is, the reading that costs more stands.
_WORSE = [PriceClass.FREE, PriceClass.ZERO, PriceClass.PAID, PriceClass.VARIABLE, PriceClass.UNKNOWN]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The models of one answer. `next_page` is set when there is more; `total` counts the models of all pages."""

    models: Mapping[str, ModelFacts]
    problems: tuple[str, ...]
    next_page: str | None
    total: int | None


def parse_catalogue(body: bytes | str | object) -> Catalogue:
    """The catalogue in an answer of `GET /models`: a bare list, `{"data": […]}`, or the same with pages.

    Raises `PollError` when it is no catalogue at all: no JSON, an error, no list, or a list without one model. An
    empty catalogue would make every model vanish, so it is not believed.
    """
    content = loads(body) if isinstance(body, bytes | bytearray | str) else body
    envelope = mapping(content)
    rows = content if isinstance(content, list) else envelope.get("data")
    if not isinstance(rows, list):
        said = error_text(content) if "error" in envelope else "the answer holds no list of models"
        raise PollError(f"The models endpoint gave no catalogue: {said}", hint="The last good catalogue stays in use.")
    models: dict[str, ModelFacts] = {}
    problems: list[str] = []
    for position, row in enumerate(rows):
        facts = _read(row)
        if facts is None:
            problems.append(f"entry {position} has no id that can be read, and was skipped")
        elif facts.id in models:
            problems.append(f'"{redact(facts.id, limit=80)}" is listed twice: the dearer entry stands')
            models[facts.id] = dearer(models[facts.id], facts)
        else:
            models[facts.id] = facts
    if not models:
        raise PollError("The models endpoint gave an empty catalogue.", hint="The last good catalogue stays in use.")
    return Catalogue(
        models=models,
        problems=tuple(problems[:_MAX_PROBLEMS]),
        next_page=text(mapping(envelope.get("links")).get("next")),
        total=count(envelope.get("total_count")),
    )


def dearer(one: ModelFacts, other: ModelFacts) -> ModelFacts:
    """Of two entries of one id the one that costs more: a second must not hide the price of the first."""
    return max(one, other, key=_dearness)


def classify_price(entry: Mapping[str, Any]) -> PriceClass:
    """What the prices of one entry of the catalogue say of the model; see `PriceClass` for the meanings."""
    return _classify(entry, read_prices(entry.get("pricing")))


def _classify(entry: Mapping[str, Any], prices: Prices) -> PriceClass:
    name = entry.get("id")
    if not isinstance(name, str):
        return PriceClass.UNKNOWN
    # An alias bills at its target, whatever its own row says (OpenRouter's SDK, `alias_target`).
    if prices.negative or name.startswith("~") or entry.get("alias_target"):
        return PriceClass.VARIABLE
    if not prices.readable:
        return PriceClass.UNKNOWN
    if not prices.zero:
        return PriceClass.PAID
    if name.endswith(":free") or name == "openrouter/free":
        return PriceClass.FREE
    # `google/lyria-3-pro-preview` is listed at zero a token and bills by the song: only text at zero is zero.
    return PriceClass.ZERO if _outputs(entry) == ("text",) else PriceClass.PAID


def _read(row: object) -> ModelFacts | None:
    if not isinstance(row, dict):
        return None
    name = row.get("id")
    if not isinstance(name, str) or not name or len(name) > _MAX_ID or not name.isprintable():
        return None
    prices = read_prices(row.get("pricing"))
    architecture, provider = mapping(row.get("architecture")), mapping(row.get("top_provider"))
    return ModelFacts(
        id=name,
        price=_classify(row, prices),
        name=text(row.get("name")) or "",
        prompt_usd=prices.prompt_usd,
        completion_usd=prices.completion_usd,
        request_usd=prices.request_usd,
        worst_prompt_usd=prices.worst_prompt_usd,
        worst_completion_usd=prices.worst_completion_usd,
        bounded=prices.bounded,
        context_length=count(row.get("context_length")),
        max_completion_tokens=count(provider.get("max_completion_tokens")),
        input_modalities=_words(architecture.get("input_modalities")) or _sides(architecture)[0],
        output_modalities=_outputs(row),
        supported_parameters=_words(row.get("supported_parameters")),
        created=count(row.get("created")),
        expires=text(row.get("expiration_date")),
        alias_target=text(mapping(row.get("alias_target")).get("slug")),
        image_usd=prices.image_usd,
    )


def _outputs(entry: Mapping[str, Any]) -> tuple[str, ...]:
    architecture = mapping(entry.get("architecture"))
    return _words(architecture.get("output_modalities")) or _sides(architecture)[1]


def _sides(architecture: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What goes in and comes out by `modality` (`text+image->text`), all that was listed before 2025."""
    before, arrow, after = (text(architecture.get("modality")) or "").partition("->")
    if not arrow:
        return (), ()
    return tuple(filter(None, before.split("+"))), tuple(filter(None, after.split("+")))


def _words(value: object) -> tuple[str, ...]:
    return tuple(word for item in value if (word := text(item))) if isinstance(value, list) else ()


def _dearness(facts: ModelFacts) -> tuple[int, float]:
    return _WORSE.index(facts.price), (facts.worst_prompt_usd or 0.0) + (facts.worst_completion_usd or 0.0)
