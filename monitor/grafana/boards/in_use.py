"""The tables of the overview: the models in use, and the key."""

from __future__ import annotations

from monitor.alerting.thresholds import Thresholds
from monitor.grafana.boards.cost import ANY
from monitor.grafana.panels import GREEN, ORANGE, RED, Panel, steps
from monitor.grafana.queries import RANGE, chosen, highest, in_range, quantile
from monitor.grafana.shapes import GOOD_WHEN_MANY, STATES, Column, table


def models() -> Panel:
    all_of, good = (in_range("openrouter_requests_total", *extra, by="model") for extra in ((), ('outcome="success"',)))
    limited = in_range("openrouter_rate_limited_total", by="model")
    state = f"{highest('openrouter_model_available', by='model')} + {highest('openrouter_model_free', by='model')}"
    return table(
        "Models in use",
        "The models that apps have called, over the range looked at.",
        {"model": "Model"},
        Column("Attempts", f"{all_of} > 0", decimals=0),
        Column("Now", state, texts=STATES),
        Column("Succeeded", f"{good} / ({all_of} > 0)", "percentunit", 1, GOOD_WHEN_MANY),
        Column("429s", f"{limited} and on (model) ({all_of} > 0)", decimals=0),
        Column("p95", quantile(0.95, "openrouter_request_duration_seconds", by="model", window=RANGE), "s", 1),
        Column("Tokens", in_range("openrouter_tokens_total", by="model"), decimals=1),
        Column(
            "Cost",
            in_range("openrouter_cost_usd_total", by="model"),
            "currencyUSD",
            2,
            steps((ANY, ORANGE), base="text"),
        ),
        width=24,
        height=9,
        widths={"model": 420},
    )


def key(t: Thresholds) -> Panel:
    def of(name: str) -> str:
        return highest(f"openrouter_key_{name}", by="key")

    info = f"max by (key, is_free_tier, limit_reset) ({chosen('openrouter_key_info')})"
    return table(
        "The key",
        "What OpenRouter last said of the key. Without a cap, its columns are empty.",
        {"key": "Key", "is_free_tier": "Free tier", "limit_reset": "Cap resets"},
        Column("Valid", of("valid"), texts={"0": ("no", RED), "1": ("yes", GREEN)}),
        Column("Day's figures", f"{info} * 0 + on (key) group_left () {_authoritative()}", texts=_TOLD_BY),
        Column("Cap", of("credit_limit_usd"), "currencyUSD"),
        Column("Left of it", of("credit_remaining_usd"), "currencyUSD"),
        Column(
            "Left, part",
            f"{of('credit_remaining_usd')} / ({of('credit_limit_usd')} > 0)",
            "percentunit",
            0,
            steps((t.key_credit_left, GREEN), base=RED),
        ),
        Column(
            "Cap begins anew",
            f"1000 * {of('limit_reset_timestamp_seconds')} or 0 * {of('valid')}",
            "dateTimeFromNow",
            texts={"0": ("never", "text")},
        ),
        Column(
            "Expires",
            f"1000 * {of('expires_timestamp_seconds')} or 0 * {of('valid')}",
            "dateTimeFromNow",
            texts={"0": ("never", "text")},
        ),
        width=24,
        height=4,
    )


_TOLD_BY = {"0": ("counted here", "yellow"), "1": ("told by OpenRouter", GREEN)}


def _authoritative() -> str:
    """Whether the account's figures are OpenRouter's; a key's alias is its account's."""
    told = highest("openrouter_free_daily_quota_authoritative")
    return f'label_replace({told}, "key", "$1", "account", "(.+)")'
