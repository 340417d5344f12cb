"""Is anything costing money, and will the quota last? Then: who uses it, for what, with what success."""

from __future__ import annotations

from monitor.alerting.thresholds import Thresholds
from monitor.grafana.boards import in_use
from monitor.grafana.boards.cost import ANY
from monitor.grafana.boards.names import ERRORS, HEALTH, LATENCY, MODELS, OVERVIEW
from monitor.grafana.panels import GREEN, ORANGE, PURPLE, RED, Board, Kind, Panel, Query, Row, Text, now, steps
from monitor.grafana.queries import RATE, chosen, highest, in_range, per_hour, quantile
from monitor.grafana.shapes import (
    GAP_MS,
    OUTCOMES,
    PLAIN,
    SELDOM,
    STATES,
    colored,
    dashed,
    lines,
    ranked,
    stacked,
    stat,
)
from monitor.grafana.variables import FIRING

USED = highest("openrouter_free_daily_requests_used")
LIMIT = highest("openrouter_free_daily_requests_limit")
RESET = highest("openrouter_free_daily_reset_timestamp_seconds")
ENDS = highest("openrouter_free_daily_exhaustion_timestamp_seconds")


def board(t: Thresholds) -> Board:
    return Board(
        OVERVIEW,
        "OpenRouter / Overview and quota",
        "Is anything costing money, and will the day's free requests last? Days are UTC days.",
        (
            Row("Is anything costing money, and will the quota last?", (*_money(t), *_quota(t))),
            Row("The free requests of the account", _windows(t)),
            Row("Calls", _calls()),
            Row("What was refused, what is listed, how long it takes", _details()),
            Row("Models in use, and the key", (in_use.models(), in_use.key(t))),
        ),
        ("app", "model", "key"),
        ("catalogue",),
    )


def _money(t: Thresholds) -> tuple[Panel, ...]:
    past_the_guard = f"clamp_min({highest('openrouter_unaccounted_usage_usd', by='key')}, 0)"
    return (
        stat(
            "Spent today",
            "What the key has spent since midnight UTC by OpenRouter's own books. Any money at all is orange. Unknown"
            " between midnight and the first read of the key.",
            "currencyUSD",
            now(highest("openrouter_key_usage_daily_usd", by="key"), "{{key}}"),
            thresholds=steps((t.spend_usd + ANY, ORANGE)),
            look={"fill": "background_solid"},
            nothing="unknown",
            link=LATENCY,
        ),
        stat(
            "Past the guard",
            "Part of today's spend that is not on record here: another program uses the key, or a call went around the"
            " guard.",
            "currencyUSD",
            now(past_the_guard, "{{key}}"),
            thresholds=steps((t.unaccounted_usd, RED)),
            look={"fill": "background_solid"},
            nothing="unknown",
            link=LATENCY,
        ),
        stat(
            "Non-free calls",
            "Attempts in the range looked at whose model has a price, or none that is known. Zero where only free"
            " models are allowed.",
            "short",
            now(in_range("openrouter_tier_requests_total", 'tier!="free"'), "calls"),
            decimals=0,
            thresholds=steps((0.5, ORANGE)),
            look={"fill": "background_solid"},
            link=LATENCY,
        ),
    )


def _quota(t: Thresholds) -> tuple[Panel, ...]:
    return (
        stat(
            "Quota used",
            "Part of the UTC day's free requests that is used, of the whole account, by whoever used it.",
            "percentunit",
            now(f"{USED} / ({LIMIT} > 0)", "{{account}}"),
            decimals=0,
            thresholds=steps((t.quota_warning, ORANGE), (t.quota_critical, RED)),
            look={"fill": "background_solid"},
        ),
        stat(
            "Runs out at",
            "When the day's free requests end, in UTC, at the pace of the day or of its last hour, whichever is faster;"
            " or that they last until midnight.",
            "time:HH:mm",
            now(f"1000 * {ENDS} or 0 * {RESET}", "{{account}}"),
            thresholds=steps((1, ORANGE)),
            texts=(Text(0, "not today", GREEN),),
            look={"fill": "background_solid"},
        ),
        stat(
            "Requests left",
            "Free requests that are left of the UTC day.",
            "short",
            now(f"clamp_min({LIMIT} - {USED}, 0)", "{{account}}"),
            decimals=0,
        ),
        stat(
            "Resets in",
            "Time until the day's free requests begin anew, at midnight UTC.",
            "s",
            now(f"{RESET} - time()", "{{account}}"),
            decimals=1,
        ),
        stat(
            "Firing alerts",
            "Alerts of openrouter-monitor that fire now; none also where Prometheus has no rules of ours.",
            "short",
            now(f"count({FIRING}) or vector(0)", "alerts"),
            decimals=0,
            thresholds=steps((0.5, RED)),
            look={"fill": "background_solid"},
            link=HEALTH,
        ),
    )


def _windows(t: Thresholds) -> tuple[Panel, ...]:
    minute = "openrouter_free_minute_requests"
    sent = f"max by (account) (max_over_time({chosen(f'{minute}_used')}{RATE}))"
    full = highest(f"{minute}_limit")
    return (
        lines(
            "Free requests of the UTC day",
            "What is used of the day's free requests, and how much of that did not pass through this ledger. The dashed"
            f" lines are the limit and where alerts begin: {t.quota_warning:.0%} and {t.quota_critical:.0%} of it.",
            "short",
            Query(USED, "used"),
            Query(highest("openrouter_free_daily_requests_elsewhere"), "of these elsewhere"),
            Query(f"{t.quota_warning} * {LIMIT}", "warning"),
            Query(f"{t.quota_critical} * {LIMIT}", "critical"),
            Query(LIMIT, "limit"),
            width=14,
            height=9,
            decimals=0,
            fields=(
                colored("used", "blue"),
                colored("of these elsewhere", PURPLE),
                dashed("warning", "yellow"),
                dashed("critical", ORANGE),
                dashed("limit"),
            ),
            look={"fill": 15},
        ),
        lines(
            "Free requests of a minute",
            "The most that was sent within 60 seconds from here, of the limit that all apps of the account share. An"
            f" alert begins at {t.minute_saturation:.0%} of it.",
            "short",
            Query(sent, "sent"),
            Query(f"{t.minute_saturation} * {full}", "warning"),
            Query(full, "limit"),
            width=10,
            height=9,
            decimals=0,
            fields=(colored("sent", "blue"), dashed("warning", ORANGE), dashed("limit")),
            look={"fill": 15},
        ),
    )


def _calls() -> tuple[Panel, ...]:
    return (
        stacked(
            "Attempts by outcome",
            "Attempts an hour that left, by how they ended. A retry is an attempt of its own.",
            "suffix: /h",
            Query(per_hour("outcome", "openrouter_requests_total"), "{{outcome}}"),
            width=12,
            decimals=0,
            fields=OUTCOMES,
            link=ERRORS,
        ),
        stacked(
            "Attempts by app",
            "Attempts an hour that left, by who asked.",
            "suffix: /h",
            Query(per_hour("app", "openrouter_requests_total"), "{{app}}"),
            width=12,
            decimals=0,
        ),
    )


def _details() -> tuple[Panel, ...]:
    duration = "openrouter_request_duration_seconds"
    return (
        ranked(
            "Refused by the guard",
            "Attempts in the range looked at that never left, by the reason.",
            "short",
            now(f"sort_desc({in_range('openrouter_refusals_total', by='reason')} > 0.5)", "{{reason}}"),
            height=9,
            decimals=0,
            nothing="Nothing was refused",
            link=ERRORS,
        ),
        Panel(
            Kind.TIMELINE,
            "Models in use",
            "Whether a model that apps use, or that the settings name, is listed, and whether every price of it is"
            " zero.",
            "short",
            (
                Query(
                    f"{highest('openrouter_model_available', by='model')}"
                    f" + {highest('openrouter_model_free', by='model')}",
                    "{{model}}",
                ),
            ),
            height=9,
            thresholds=PLAIN,
            texts=tuple(Text(float(value), *told) for value, told in STATES.items()),
            link=MODELS,
        ),
        lines(
            "Duration of answers",
            "From sending an attempt to its last byte, of successful ones: 50 and 95 of 100 took no longer.",
            "s",
            Query(quantile(0.5, duration, 'outcome="success"'), "p50"),
            Query(quantile(0.95, duration, 'outcome="success"'), "p95"),
            height=9,
            every=SELDOM,
            look={"span": GAP_MS, "fill": 0},
            link=LATENCY,
        ),
    )
