"""Alerts about the models that apps use: gone, no longer free, another price, badly served."""

from __future__ import annotations

from monitor.alerting.rule import Alert, Component, Dashboard, Group, Options, Severity, number

MODELS = Dashboard.of("openrouter-models", "model")


def group(o: Options) -> Group:
    available, free = o.of("openrouter_model_available"), o.of("openrouter_model_free")
    price, uptime = o.of("openrouter_model_price_usd_per_token"), o.of("openrouter_model_endpoint_uptime_ratio")
    return Group(
        "openrouter-models",
        (
            Alert(
                name="OpenRouterModelNoLongerFree",
                # Listed: what has vanished is not free either, and has its own alert.
                expr=f"""\
max_over_time({free}[1d]) == 1
and {free} == 0
and {available} == 1""",
                severity=Severity.CRITICAL,
                component=Component.MODELS,
                summary="A model that was free is no longer free.",
                description="{{ $labels.model }} was free within the last day and now has a price. While only free"
                " models are allowed the guard refuses it; elsewhere it bills.",
                dashboard=MODELS,
            ),
            Alert(
                name="OpenRouterModelDisappeared",
                # Seen within a week: a model that nobody has used for longer than that must not be told of for ever.
                expr=f"""\
max_over_time({available}[15m]) == 0
and max_over_time({available}[7d]) == 1""",
                lasts="15m",
                severity=Severity.WARNING,
                component=Component.MODELS,
                summary="A model that apps use is no longer listed.",
                description="OpenRouter no longer lists {{ $labels.model }}: calls to it are refused, or fail.",
                dashboard=MODELS,
            ),
            Alert(
                name="OpenRouterFreeModelUptimeLow",
                expr=f"""\
max by (job, instance, model) ({uptime}) < {number(o.thresholds.model_uptime)}
and {free} == 1""",
                lasts="30m",
                severity=Severity.WARNING,
                component=Component.MODELS,
                summary="A free model is badly served by all its providers.",
                description="Even the best provider of {{ $labels.model }} was up only"
                " {{ $value | humanizePercentage }} of the last 30 minutes.",
                dashboard=MODELS,
            ),
            Alert(
                name="OpenRouterModelPriceChanged",
                expr=f"sum by (job, instance, model) (changes({price}[1h])) > 0",
                severity=Severity.INFO,
                component=Component.MODELS,
                summary="The listed price of a model changed.",
                description="Changes of the listed prices of {{ $labels.model }} in the last hour: {{ $value }}.",
                dashboard=MODELS,
            ),
        ),
    )
