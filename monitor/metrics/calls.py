"""Figures of what apps asked and got, from the totals."""

from __future__ import annotations

from monitor.metrics.families import ENDINGS, OTHER, USUAL_LIMITS
from monitor.metrics.labels import Labels, code
from monitor.metrics.sheet import Sheet
from monitor.model import LimitKind, Reason, Tier
from monitor.store.sqlite.scrape import Scrape


def fill(sheet: Sheet, scrape: Scrape, labels: Labels, *, shadow: bool) -> None:
    """`shadow`: whether the guard runs in shadow mode."""
    _zeros(sheet, labels, shadow)
    for row in scrape.totals:
        app, model = labels.app_model(row.app, row.model)
        sheet.add("openrouter_requests_total", row.n, app, model, row.tier, code(row.code), row.outcome)
        sheet.add("openrouter_tier_requests_total", row.n, app, row.tier)
        sheet.add("openrouter_calls_total", row.calls, app)
        for kind in USUAL_LIMITS:
            sheet.add("openrouter_rate_limited_total", 0, app, model, kind)
        if row.kind:
            sheet.add("openrouter_rate_limited_total", row.n, app, model, row.kind)
        sheet.add("openrouter_tokens_total", row.prompt_tokens, app, model, "input")
        sheet.add("openrouter_tokens_total", row.completion_tokens, app, model, "output")
        sheet.add("openrouter_cached_input_tokens_total", row.cached_tokens, app, model)
        sheet.add("openrouter_reasoning_output_tokens_total", row.reasoning_tokens, app, model)
        sheet.add("openrouter_cost_usd_total", row.cost_usd, app, model)
    _latencies(sheet, scrape, labels)
    for name, reason, shadowed, n in scrape.refusals:
        family = "openrouter_shadow_refusals_total" if shadowed else "openrouter_refusals_total"
        sheet.add(family, n, labels.app(name), reason)
    for name, n in scrape.saved.items():
        sheet.add("openrouter_saved_requests_total", n, labels.app(name))
    for name, n in scrape.in_flight.items():
        sheet.add("openrouter_requests_in_flight", n, labels.app(name))


def _zeros(sheet: Sheet, labels: Labels, shadow: bool) -> None:
    """What exists before anything happened: an alert on `increase()` cannot see a series that is born at 1."""
    for app in labels.apps:
        for tier in Tier:
            sheet.add("openrouter_tier_requests_total", 0, app, tier)
        sheet.add("openrouter_calls_total", 0, app)
        sheet.add("openrouter_saved_requests_total", 0, app)
        for kind in LimitKind:
            sheet.add("openrouter_rate_limited_total", 0, app, OTHER, kind)
        for reason in Reason:
            sheet.add("openrouter_refusals_total", 0, app, reason)
            if shadow:
                sheet.add("openrouter_shadow_refusals_total", 0, app, reason)
        sheet.add("openrouter_requests_in_flight", 0, app)


def _latencies(sheet: Sheet, scrape: Scrape, labels: Labels) -> None:
    success, failure = ENDINGS
    for row in scrape.latencies:
        model = labels.model(row.model)
        ending = success if row.success else failure
        if any(row.durations):
            sheet.observe("openrouter_request_duration_seconds", row.durations, row.duration_seconds, model, ending)
        if any(row.ttfts):
            sheet.observe("openrouter_time_to_first_token_seconds", row.ttfts, row.ttft_seconds, model)
