"""What is listed, what became of the models in use, and what one could use instead."""

from __future__ import annotations

from monitor.alerting.thresholds import Thresholds
from monitor.grafana.boards.names import ERRORS, MODELS
from monitor.grafana.panels import GREEN, ORANGE, PURPLE, RED, YELLOW, Board, Kind, Panel, Query, Row, Text, now, steps
from monitor.grafana.queries import RANGE, chosen, highest, in_range, per_hour, quantile
from monitor.grafana.shapes import (
    GOOD_WHEN_MANY,
    OUTCOMES,
    PLAIN,
    SELDOM,
    STATES,
    Column,
    colored,
    lines,
    stacked,
    stat,
    table,
)

LISTED = highest("openrouter_model_available", by="model")
FREE = highest("openrouter_model_free", by="model")
STATE = f"{LISTED} + {FREE}"
WITHDRAWN = highest("openrouter_model_deprecation_timestamp_seconds", by="model")
MILLION = 1_000_000
DAY = 86400


def board(t: Thresholds) -> Board:
    return Board(
        MODELS,
        "OpenRouter / Models and availability",
        "Which models are listed and free, how their providers fare, what they cost, and what changed.",
        (
            Row("How things stand", _figures()),
            Row("Models in use", _states(t)),
            Row("The catalogue", _catalogue()),
            Row("Calls by model", _calls()),
        ),
        ("app", "model"),
        ("catalogue",),
    )


def _figures() -> tuple[Panel, ...]:
    models = highest("openrouter_models", by="tier")
    return (
        stat(
            "Free models listed",
            "Models of the newest catalogue whose every price is zero.",
            "short",
            now('max(openrouter_models{job=~"$job", instance=~"$instance", tier="free"})', "free"),
            width=4,
            thresholds=steps((1, GREEN), base=RED),
        ),
        stat(
            "Models listed",
            "Models of the newest catalogue, whatever they cost.",
            "short",
            now(f"sum({models})", "models"),
            width=4,
        ),
        stat(
            "In use and gone",
            "Models that apps use, or that the settings name, and that are not listed now.",
            "short",
            now(f"sum(1 - {LISTED})", "models"),
            width=4,
            thresholds=steps((1, RED)),
            look={"fill": "background_solid"},
        ),
        stat(
            "In use and not free",
            "Models that apps use, or that the settings name, that are listed and have a price.",
            "short",
            now(f"sum({LISTED} - {FREE})", "models"),
            width=4,
            thresholds=steps((1, ORANGE)),
            look={"fill": "background_solid"},
        ),
        stat(
            "Next withdrawal",
            "Time until the first of the models in use is withdrawn, by the date that OpenRouter lists.",
            "s",
            now(f"min({WITHDRAWN}) - time()", "first"),
            width=4,
            decimals=0,
            thresholds=steps((3 * DAY, YELLOW), (14 * DAY, "text"), base=RED),
            nothing="none listed",
        ),
        stat(
            "Changes",
            "Changes of the catalogue in the range looked at that were recorded as events, of whatever kind.",
            "short",
            now(in_range("openrouter_model_changes_total"), "changes"),
            width=4,
            decimals=0,
        ),
    )


def _states(t: Thresholds) -> tuple[Panel, ...]:
    prices = chosen("openrouter_model_price_usd_per_token", 'type=~"input|output"')
    uptime = highest("openrouter_model_endpoint_uptime_ratio", by="model, provider")
    return (
        Panel(
            Kind.TIMELINE,
            "Listed and free",
            "What each model in use is: listed and free, listed with a price, or gone from the catalogue.",
            "short",
            (Query(STATE, "{{model}}"),),
            width=12,
            height=9,
            thresholds=PLAIN,
            texts=tuple(Text(float(value), *told) for value, told in STATES.items()),
        ),
        lines(
            "Uptime by provider",
            "Part of the last 30 minutes in which a provider served a model, as OpenRouter reckons, of models used"
            f" within a day. Answers of 429 are left out of it. An alert begins below {t.model_uptime:.0%}.",
            "percentunit",
            Query(uptime, "{{model}} by {{provider}}"),
            width=12,
            height=9,
            minimum=None,
            maximum=1,
            thresholds=steps((t.model_uptime, "transparent"), base=RED),
            look={"line": "dashed", "calcs": ["min", "lastNotNull"], "legend": "table", "fill": 0},
            nothing="No figure yet",
        ),
        lines(
            "Price of models in use",
            "Listed price of a million tokens, of those that have one.",
            "currencyUSD",
            Query(f"max by (model, type) ({prices}) * {MILLION} > 0", "{{model}} {{type}}"),
            width=12,
            height=9,
            look={"steps": True, "legend": "table", "calcs": ["min", "max", "lastNotNull"], "fill": 0},
            nothing="All are free",
        ),
        table(
            "What each is now",
            "State, prices of a million tokens, the best provider's uptime, and when it will be withdrawn.",
            {"model": "Model"},
            Column("Now", STATE, texts=STATES, width=70),
            Column("Input", _price("input"), "currencyUSD", 2, width=75),
            Column("Output", _price("output"), "currencyUSD", 2, width=75),
            Column(
                "Best uptime",
                f"max by (model) ({chosen('openrouter_model_endpoint_uptime_ratio')})",
                "percentunit",
                1,
                steps((t.model_uptime, GREEN), base=RED),
                width=95,
            ),
            Column("Withdrawn", f"1000 * {WITHDRAWN}", "dateTimeFromNow", width=110),
            width=12,
            height=9,
        ),
    )


def _price(kind: str) -> str:
    matcher = f'type="{kind}"'
    return f"{highest('openrouter_model_price_usd_per_token', matcher, by='model')} * {MILLION}"


def _catalogue() -> tuple[Panel, ...]:
    return (
        lines(
            "Models listed",
            "Models of the catalogue by what they cost; unknown where a price could not be read.",
            "short",
            Query(highest("openrouter_models", by="tier"), "{{tier}}"),
            width=12,
            decimals=0,
            fields=(colored("free", GREEN), colored("paid", ORANGE), colored("unknown", "#8e8e8e")),
            look={"steps": True},
        ),
        stacked(
            "Changes of the catalogue",
            "Changes that were recorded as events, by kind, each where it was seen. free_removed: a model that was free"
            " has a price.",
            "short",
            Query(
                f"sum by (change) (increase({chosen('openrouter_model_changes_total')}[$__rate_interval]))",
                "{{change}}",
            ),
            width=12,
            decimals=0,
            fields=(colored("free_removed", RED), colored("removed", ORANGE), colored("price", PURPLE)),
            every=SELDOM,
            look={"calcs": [], "highest": 1},
        ),
    )


def _calls() -> tuple[Panel, ...]:
    attempts = in_range("openrouter_requests_total", by="model")
    good = in_range("openrouter_requests_total", 'outcome="success"', by="model")
    ttft = quantile(0.5, "openrouter_time_to_first_token_seconds", by="model", window=RANGE)
    duration = quantile(0.95, "openrouter_request_duration_seconds", 'outcome="success"', by="model", window=RANGE)
    limited = in_range("openrouter_rate_limited_total", by="model")
    free = f"and on (model) ({FREE} == 1)"
    return (
        stacked(
            "Attempts by model",
            "Attempts an hour that left, by the model asked for; `other` is all that has no name of its own.",
            "suffix: /h",
            Query(per_hour("model", "openrouter_requests_total"), "{{model}}"),
            width=12,
            look={"calcs": []},
            link=ERRORS,
        ),
        stacked(
            "Outcomes of these models",
            "Attempts an hour that left, by how they ended: choose a model above to see its own.",
            "suffix: /h",
            Query(per_hour("outcome", "openrouter_requests_total"), "{{outcome}}"),
            width=12,
            fields=OUTCOMES,
            look={"calcs": []},
            link=ERRORS,
        ),
        table(
            "Free models compared",
            "Models that are free now, best first: candidates to replace one that is gone, slow or busy.",
            {"model": "Model"},
            Column(
                "Succeeded",
                f"({good} / ({attempts} > 0)) {free}",
                "percentunit",
                1,
                GOOD_WHEN_MANY,
            ),
            Column("Attempts", f"{attempts} {free}", decimals=0),
            Column(
                "429s",
                f"{limited} {free}",
                decimals=0,
            ),
            Column("p95", f"{duration} {free}", "s", 1),
            Column("First token, p50", f"{ttft} {free}", "s", 1),
            width=24,
            widths={"model": 420},
        ),
    )
