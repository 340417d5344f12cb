"""What failed, whose limit it was, and how near the minute's limit the account runs."""

from __future__ import annotations

from monitor.alerting.thresholds import Thresholds
from monitor.grafana.boards.names import ERRORS, OVERVIEW
from monitor.grafana.panels import GREY, ORANGE, RED, YELLOW, Board, Field, Kind, Panel, Query, Row, now, steps
from monitor.grafana.queries import RATE, chosen, highest, in_range, per_hour
from monitor.grafana.shapes import (
    GAP_MS,
    GOOD_WHEN_MANY,
    KINDS,
    OUTCOMES,
    Column,
    colored,
    lines,
    ranked,
    stacked,
    stat,
    table,
)

THEIRS = 'outcome=~"server_error|network_error"'
"""What counts as an error of OpenRouter or of the network: 429s and the app's own mistakes do not."""

BACKGROUND = Field(
    "5 minutes",
    {
        "color": {"mode": "fixed", "fixedColor": "#8ab8ff"},
        "custom.lineWidth": 1,
        "custom.fillOpacity": 0,
    },
)

ALERTS_WINDOW = "the window of the alert, so that the line means the same"


def board(t: Thresholds) -> Board:
    return Board(
        ERRORS,
        "OpenRouter / Errors and 429",
        "What failed, whose limit it was, and what the guard held back.",
        (
            Row("How things stand", _figures(t)),
            Row("Errors", _errors(t)),
            Row("Limits: 429", _limits(t)),
            Row("Held back by the guard, and the worst", _refused()),
            Row("Spared by the client", _spared()),
        ),
        ("app", "model"),
    )


def _ratio(window: str) -> str:
    failed, attempts = (chosen("openrouter_requests_total", *extra) for extra in ((THEIRS,), ()))
    return f"sum(increase({failed}{window})) / (sum(increase({attempts}{window})) > 0)"


def _figures(t: Thresholds) -> tuple[Panel, ...]:
    calls = in_range("openrouter_calls_total")
    good = in_range("openrouter_requests_total", 'outcome="success"')
    attempts = in_range("openrouter_requests_total")
    limited = chosen("openrouter_rate_limited_total")
    return (
        stat(
            "Failed, last hour",
            "Part of the last hour's attempts that failed by OpenRouter's or the network's fault. An alert begins at"
            f" {t.error_ratio:.0%}, from {t.error_floor:g} attempts an hour on.",
            "percentunit",
            now(_ratio("[1h]"), "failed", why=ALERTS_WINDOW),
            width=4,
            decimals=1,
            thresholds=steps((t.error_ratio, RED)),
            look={"fill": "background_solid"},
            nothing="no attempts",
        ),
        stat(
            "429s, last 15 min",
            f"The most of one kind of 429 in the last 15 minutes. An alert begins above {t.rate_limited:g}.",
            "short",
            now(f"max(sum by (kind) (increase({limited}[15m])))", "429s", why=ALERTS_WINDOW),
            width=4,
            decimals=0,
            thresholds=steps((t.rate_limited, ORANGE)),
            look={"fill": "background_solid"},
        ),
        stat(
            "Succeeded",
            "Part of the attempts in the range looked at that brought an answer.",
            "percentunit",
            now(f"{good} / ({attempts} > 0)", "succeeded"),
            width=4,
            decimals=1,
            thresholds=GOOD_WHEN_MANY,
            nothing="no attempts",
        ),
        stat(
            "429s",
            "Attempts in the range looked at that ran into a limit, whoever's.",
            "short",
            now(in_range("openrouter_rate_limited_total"), "429s"),
            width=4,
            decimals=0,
        ),
        stat(
            "Attempts per call",
            "How many attempts a call took: above 1 are retries, each of which uses quota. Attempts know their model,"
            " calls only their app: the choice of a model does not matter here.",
            "none",
            now(f"{_attempts_of_all_models()} / ({calls} > 0)", "attempts"),
            width=4,
            decimals=2,
            thresholds=steps((1.2, YELLOW), (1.5, ORANGE), base="text"),
            nothing="no calls",
        ),
        stat(
            "Refused",
            "Attempts in the range looked at that the guard refused: they never left and used no quota.",
            "short",
            now(in_range("openrouter_refusals_total"), "refused"),
            width=4,
            decimals=0,
            link=OVERVIEW,
        ),
    )


def _attempts_of_all_models() -> str:
    return in_range("openrouter_tier_requests_total")


def _errors(t: Thresholds) -> tuple[Panel, ...]:
    return (
        lines(
            "Part that failed",
            "By OpenRouter's or the network's fault, over an hour and over 5 minutes. The alert wants both above the"
            " line.",
            "percentunit",
            Query(_ratio("[1h]"), "1 hour", why=ALERTS_WINDOW),
            Query(_ratio("[5m]"), "5 minutes", why=ALERTS_WINDOW),
            width=8,
            maximum=1,
            thresholds=steps((t.error_ratio, RED), base="transparent"),
            fields=(colored("1 hour", "blue"), BACKGROUND),
            look={"line": "dashed", "span": GAP_MS, "calcs": ["max", "lastNotNull"]},
        ),
        stacked(
            "Attempts that did not succeed",
            "Attempts an hour, by how they ended. Abandoned: its process died, or lost it.",
            "suffix: /h",
            Query(per_hour("outcome", "openrouter_requests_total", 'outcome!="success"'), "{{outcome}}"),
            fields=OUTCOMES,
            look={"calcs": []},
            nothing="All succeeded",
        ),
        stacked(
            "Status codes",
            "Attempts an hour by HTTP status; `none` got no answer. OpenRouter can answer 200 and fail within the"
            " stream: the outcome tells.",
            "suffix: /h",
            Query(per_hour("code", "openrouter_requests_total"), "{{code}}"),
            fields=(colored("200", "green"), colored("429", "orange"), colored("502", "red"), colored("none", GREY)),
            look={"calcs": []},
        ),
    )


def _limits(t: Thresholds) -> tuple[Panel, ...]:
    limited = "openrouter_rate_limited_total"
    minute = "openrouter_free_minute_requests"
    full = highest(f"{minute}_limit")
    sent = f"max by (account) (max_over_time({chosen(f'{minute}_used')}{RATE}))"
    return (
        stacked(
            "429s by kind",
            "Whose limit it was: the account's day or minute, a provider's (upstream), or money. An upstream limit is"
            " not the account's: another model or provider may answer.",
            "suffix: /h",
            Query(f"{per_hour('kind', limited)} > 0", "{{kind}}"),
            width=12,
            decimals=1,
            fields=KINDS,
            nothing="No 429",
        ),
        lines(
            "How near the minute's limit",
            "The most that was sent within 60 seconds from here, as a part of the account's limit.",
            "percentunit",
            Query(f"{sent} / on (account) ({full} > 0)", "{{account}}"),
            width=12,
            maximum=1,
            thresholds=steps((t.minute_saturation, ORANGE), base="transparent"),
            look={"line": "dashed", "calcs": ["mean", "max"], "fill": 15},
        ),
        Panel(
            Kind.HEATMAP,
            "When models are busy",
            "429s of each model by the hour: look at a week to see the hours at which one is always full.",
            "short",
            (Query(f"sum by (model) (increase({chosen(limited)}{RATE})) > 0", "{{model}}"),),
            width=12,
            decimals=0,
            every="1h",
            nothing="No 429",
        ),
        ranked(
            "429s by app and kind",
            "Of the range looked at.",
            "short",
            now(f"sort_desc({in_range(limited, by='app, kind')} > 0.5)", "{{app}}: {{kind}}"),
            width=6,
            decimals=0,
            nothing="No 429",
        ),
        ranked(
            "429s by model",
            "Of the range looked at.",
            "short",
            now(f"sort_desc({in_range(limited, by='model')} > 0.5)", "{{model}}"),
            width=6,
            decimals=0,
            nothing="No 429",
        ),
        lines(
            "How fast the day's quota burns",
            "Days' quotas a day: at 1 the quota lasts from midnight to midnight, at 24 for an hour. The alert wants an"
            " hour and 5 minutes above the line.",
            "none",
            Query(_burn("1h"), "1 hour", why=ALERTS_WINDOW),
            Query(_burn("5m"), "5 minutes", why=ALERTS_WINDOW),
            width=24,
            thresholds=steps((t.burn_rate, ORANGE), base="transparent"),
            fields=(colored("1 hour", "blue"), BACKGROUND),
            look={"line": "dashed", "calcs": ["max", "lastNotNull"]},
        ),
    )


def _burn(window: str) -> str:
    """As the alert reckons: from the window's lowest figure, for `used` begins anew at midnight."""
    used, limit = chosen("openrouter_free_daily_requests_used"), highest("openrouter_free_daily_requests_limit")
    windows_a_day = {"1h": 24, "5m": 288}[window]
    grown = f"max by (account) ({used} - min_over_time({used}[{window}]))"
    return f"{windows_a_day} * {grown} / ({limit} > 0)"


def _spared() -> tuple[Panel, ...]:
    return (
        stacked(
            "Requests saved",
            "Calls an hour that a kept answer of the client's cache answered, by who asked: nothing was sent.",
            "suffix: /h",
            Query(per_hour("app", "openrouter_saved_requests_total"), "{{app}}"),
            width=12,
            decimals=0,
        ),
        lines(
            "Models left alone",
            "Models that the client does not ask for a while, because they failed or had no room. When the while is"
            " over, the next call shows how the model does.",
            "short",
            Query(highest("openrouter_circuits_open"), "{{account}}"),
            width=12,
            decimals=0,
        ),
    )


def _refused() -> tuple[Panel, ...]:
    shadow = in_range("openrouter_shadow_refusals_total", by="reason")
    attempts = in_range("openrouter_requests_total", by="model")
    named = in_range("openrouter_requests_total", 'outcome!="success"', by="model, outcome")
    return (
        stacked(
            "Refused by the guard",
            "Attempts an hour that never left, by the reason.",
            "suffix: /h",
            Query(f"{per_hour('reason', 'openrouter_refusals_total')} > 0", "{{reason}}"),
            width=7,
            look={"calcs": []},
            nothing="Nothing was refused",
        ),
        ranked(
            "Refused, by app",
            "Attempts in the range looked at that the guard refused, and in shadow mode those that it would have.",
            "short",
            now(f"sort_desc({in_range('openrouter_refusals_total', by='app')})", "{{app}}"),
            now(f"{shadow} > 0.5 or 0 * {in_range('openrouter_refusals_total')}", "shadow {{reason}}"),
            width=5,
            decimals=0,
        ),
        table(
            "Most failures",
            "Models with attempts that did not succeed, over the range looked at, by how they ended.",
            {"model": "Model", "outcome": "Outcome"},
            Column("Failed", f"{named} > 0.5", decimals=0, width=70),
            Column("Part", f"{named} / on (model) group_left () ({attempts} > 0)", "percentunit", 1, width=70),
            width=12,
            nothing="None failed",
        ),
    )
