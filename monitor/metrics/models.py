"""Figures of the catalogue: how many models there are, what became of those that matter here, what changed."""

from __future__ import annotations

from monitor.clock import age_of
from monitor.config import Settings
from monitor.metrics.families import CHANGES
from monitor.metrics.sheet import Sheet
from monitor.model import ModelFacts, PriceClass, Tier
from monitor.openrouter.values import instant, mapping, number
from monitor.policy.changes import plural
from monitor.store.sqlite.scrape import CAPS, Scrape

LOOKS_KEPT = 4
"""Intervals after which what was told of providers is no longer told on."""

_WILD = frozenset("*?[")


def named_in(settings: Settings) -> tuple[str, ...]:
    """The ids that the settings name: their absence from the catalogue matters, even if nobody has called them."""
    return tuple(model for model in settings.guard.models if not _WILD & set(model))


def fill(sheet: Sheet, scrape: Scrape, settings: Settings, now: float) -> None:
    for kind, change in CHANGES.items():
        told = scrape.events.get(kind, 0) + scrape.events.get(plural(kind), 0)
        sheet.set("openrouter_model_changes_total", told, change)
    _providers(sheet, scrape, settings, now)
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


def providers_told(scrape: Scrape, settings: Settings) -> bool:
    """Whether the newest look at the models' providers was at this upstream."""
    return scrape.endpoints.summary.get("source") == settings.base_url


def _providers(sheet: Sheet, scrape: Scrape, settings: Settings, now: float) -> None:
    at = scrape.endpoints.at
    age = None if at is None else age_of(at, now)
    if age is None or age > LOOKS_KEPT * settings.poll.endpoints_seconds or not providers_told(scrape, settings):
        return  # what was up half a day ago says nothing of now
    for model, uptimes in mapping(scrape.endpoints.summary.get("uptime")).items():
        for provider, ratio in mapping(uptimes).items():
            sheet.set("openrouter_model_endpoint_uptime_ratio", number(ratio), model, provider)


def _model(sheet: Sheet, name: str, facts: ModelFacts, listed: bool) -> None:
    sheet.set("openrouter_model_available", int(listed), name)
    sheet.set("openrouter_model_free", int(listed and facts.tier is Tier.FREE), name)
    if not listed or facts.price is PriceClass.VARIABLE:
        return  # a negative price is OpenRouter's sign for "it depends"
    sheet.set("openrouter_model_price_usd_per_token", facts.prompt_usd, name, "input")
    sheet.set("openrouter_model_price_usd_per_token", facts.completion_usd, name, "output")
    sheet.set("openrouter_model_price_usd_per_token", facts.request_usd, name, "request")
    sheet.set("openrouter_model_price_usd_per_token", facts.image_usd, name, "image")
    sheet.set("openrouter_model_deprecation_timestamp_seconds", instant(facts.expires), name)
