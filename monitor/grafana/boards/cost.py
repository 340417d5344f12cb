"""What was spent, by our record and by OpenRouter's books: a part of the dashboard of latency, tokens and cost."""

from __future__ import annotations

from monitor.alerting.thresholds import Thresholds
from monitor.grafana.panels import BLUE, GREEN, ORANGE, RED, Field, Panel, Query, now, steps
from monitor.grafana.queries import HOUR, RATE, chosen, highest, in_range
from monitor.grafana.shapes import Column, colored, lines, stacked, stat, table

ANY = 1e-9
"""The first step above nothing: any money at all."""


def money(t: Thresholds) -> tuple[Panel, ...]:
    cost = "openrouter_cost_usd_total"
    today = highest("openrouter_key_usage_daily_usd", by="key")
    past = highest("openrouter_unaccounted_usage_usd", by="key")

    def usage(period: str) -> str:
        return highest(f"openrouter_key_usage_{period}_usd", by="key")

    return (
        lines(
            "Today's spend: OpenRouter's books and ours",
            "What the key has spent since midnight UTC by OpenRouter's books, how much of it is on record here, and the"
            f" rest: spent past the guard. An alert begins at {t.unaccounted_usd:g} USD of the rest.",
            "currencyUSD",
            Query(today, "OpenRouter's books"),
            Query(f"{today} - {past}", "on record here"),
            Query(f"clamp_min({past}, 0)", "past the guard"),
            minimum=0,
            thresholds=steps((t.unaccounted_usd, RED), base="transparent"),
            fields=(
                colored("OpenRouter's books", ORANGE),
                colored("on record here", BLUE),
                colored("past the guard", RED),
                Field("OpenRouter's books", {"custom.lineWidth": 4, "custom.fillOpacity": 0}),
            ),
            look={"fill": 15},
        ),
        stacked(
            "Cost an hour by app",
            "As OpenRouter reported it with each answer.",
            "currencyUSD",
            Query(f"sum by (app) (rate({chosen(cost)}{RATE})) * {HOUR}", "{{app}}"),
            look={"calcs": []},
        ),
        table(
            "Cost by app and model",
            "Of the range looked at, of those that cost anything. Reckoned from samples: about.",
            {"app": "App", "model": "Model"},
            Column("Cost", f"{in_range(cost, by='app, model')} > 0", "currencyUSD", 4, steps(base=ORANGE), width=90),
            nothing="Nothing was billed",
        ),
        stat(
            "Spent this week",
            "What the key has spent since Monday, UTC, by OpenRouter's books.",
            "currencyUSD",
            now(usage("weekly"), "{{key}}"),
            width=6,
            nothing="unknown",
        ),
        stat(
            "Spent this month",
            "What the key has spent this UTC month by OpenRouter's books.",
            "currencyUSD",
            now(usage("monthly"), "{{key}}"),
            width=6,
            nothing="unknown",
        ),
        stat(
            "Spent in the range",
            "What OpenRouter's books grew by in the range looked at, whoever used the key. From samples: about.",
            "currencyUSD",
            now(in_range("openrouter_key_usage_usd_total"), "spent"),
            width=6,
            decimals=2,
            thresholds=steps((ANY, ORANGE)),
            nothing="unknown",
        ),
        stat(
            "Left of the key's cap",
            "What the key may still spend.",
            "currencyUSD",
            now(highest("openrouter_key_credit_remaining_usd", by="key"), "{{key}}"),
            width=6,
            nothing="no cap",
        ),
    )


def account(t: Thresholds) -> tuple[Panel, ...]:
    def of(name: str) -> str:
        return highest(f"openrouter_account_{name}")

    activity = "activity"
    tokens = chosen("openrouter_account_activity_tokens")
    return (
        stat(
            "Credits left",
            "Credits of the account. Below zero, even free models answer 402.",
            "currencyUSD",
            now(of("credits_usd"), "{{account}}"),
            width=4,
            decimals=2,
            thresholds=steps((t.account_credits_usd, GREEN), base=RED),
            nothing="not read",
        ),
        stat(
            "Credits ever used",
            "What the account has used of its credits, over all its keys.",
            "currencyUSD",
            now(of("usage_usd"), "{{account}}"),
            width=4,
            decimals=2,
            nothing="not read",
        ),
        stat(
            "Last whole day",
            "When the newest whole UTC day began that OpenRouter's activity lists. The figures beside are of that day.",
            "dateTimeFromNow",
            now(f"1000 * {of(f'{activity}_day_timestamp_seconds')}", "{{account}}"),
            width=4,
            nothing="not read",
        ),
        stat(
            "Its requests",
            "Requests of the account on its last whole day, over all its keys.",
            "short",
            now(of(f"{activity}_requests"), "{{account}}"),
            width=3,
            decimals=0,
            nothing="not read",
        ),
        stat(
            "Its tokens",
            "Tokens of the account on its last whole day, over all its keys.",
            "short",
            now(f"sum by (account) (max by (account, type) ({tokens}))", "{{account}}"),
            width=3,
            decimals=1,
            nothing="not read",
        ),
        stat(
            "Billed for it",
            "What OpenRouter billed the account for its last whole day.",
            "currencyUSD",
            now(of(f"{activity}_usage_usd"), "{{account}}"),
            width=3,
            thresholds=steps((ANY, ORANGE)),
            nothing="not read",
        ),
        stat(
            "Past the guard",
            "Of that, what is not on record here: spent by whichever key, past the guard.",
            "currencyUSD",
            now(f"clamp_min({of(f'{activity}_unaccounted_usage_usd')}, 0)", "{{account}}"),
            width=3,
            thresholds=steps((t.unaccounted_usd, RED)),
            nothing="not read",
        ),
    )
