"""Figures of the catalogue: how many models there are, what became of those that matter here, what changed."""

from __future__ import annotations

from monitor.config import Settings
from monitor.metrics.families import CHANGES
from monitor.metrics.sheet import Sheet
from monitor.model import ModelFacts, PriceClass, Tier
from monitor.openrouter.values import instant
from monitor.policy.changes import plural
from monitor.store.sqlite.scrape import CAPS, Scrape

_WILD = frozenset("*?[")


def named_in(settings: Settings) -> tuple[str, ...]:
    """The ids that the settings name: their absence from the catalogue matters, even if nobody has called them."""
    return tuple(model for model in settings.guard.models if not _WILD & set(model))


def fill(sheet: Sheet, scrape: Scrape, settings: Settings) -> None:
    for kind, change in CHANGES.items():
        told = scrape.events.get(kind, 0) + scrape.events.get(plural(kind), 0)
        sheet.set("openrouter_model_changes_total", told, change)
    if scrape.catalogue is None or scrape.catalogue.source != settings.base_url:
        return  # what another upstream lists is not true of this one
    for tier in Tier:
        sheet.add("openrouter_models", 0, tier)
    for price, n in scrape.models.items():
        sheet.add("openrouter_models", n, ModelFacts("", PriceClass(price)).tier)
    for name in named_in(settings)[: CAPS.models]:
        if name not in scrape.watched:
            sheet.set("openrouter_model_available", 0, name)
            sheet.set("openrouter_model_free", 0, name)
    for name, (facts, listed) in scrape.watched.items():
        _model(sheet, name, facts, listed)


def _model(sheet: Sheet, name: str, facts: ModelFacts, listed: bool) -> None:
    sheet.set("openrouter_model_available", int(listed), name)
    sheet.set("openrouter_model_free", int(listed and facts.tier is Tier.FREE), name)
    if not listed or facts.price is PriceClass.VARIABLE:
        return  # a negative price is OpenRouter's sign for "it depends"
    sheet.set("openrouter_model_price_usd_per_token", facts.prompt_usd, name, "input")
    sheet.set("openrouter_model_price_usd_per_token", facts.completion_usd, name, "output")
    sheet.set("openrouter_model_price_usd_per_token", facts.request_usd, name, "request")
    sheet.set("openrouter_model_deprecation_timestamp_seconds", instant(facts.expires), name)
