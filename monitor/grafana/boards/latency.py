"""How long answers take, how many tokens they are, and what they cost: by our record and by OpenRouter's books."""

from __future__ import annotations

from monitor.alerting.thresholds import Thresholds
from monitor.grafana.boards import cost
from monitor.grafana.boards.cost import ANY
from monitor.grafana.boards.names import LATENCY
from monitor.grafana.panels import BLUE, GREEN, ORANGE, PURPLE, Board, Kind, Panel, Query, Row, now, steps
from monitor.grafana.queries import RANGE, RATE, chosen, in_range, mean, per_hour, quantile
from monitor.grafana.shapes import GAP_MS, SELDOM, Column, colored, dashed, lines, ranked, stacked, stat, table

DURATION = "openrouter_request_duration_seconds"
TTFT = "openrouter_time_to_first_token_seconds"
GOOD = 'outcome="success"'


def board(t: Thresholds) -> Board:
    return Board(
        LATENCY,
        "OpenRouter / Latency, tokens and cost",
        "How long answers take, how many tokens they are, and what they cost by our record and by OpenRouter's books.",
        (
            Row("How things stand", _figures(t)),
            Row("Latency", _latency(t)),
            Row("Tokens", _tokens()),
            Row("Money", cost.money(t)),
            Row("The whole account, where the daemon has a management key", cost.account(t)),
        ),
        ("app", "model", "key"),
    )


def _figures(t: Thresholds) -> tuple[Panel, ...]:
    cost, tokens = in_range("openrouter_cost_usd_total"), in_range("openrouter_tokens_total")
    good = in_range("openrouter_requests_total", GOOD)
    return (
        stat(
            "Duration, p50",
            "Half of the answers in the range looked at took no longer, to the last byte.",
            "s",
            now(quantile(0.5, DURATION, GOOD, window=RANGE), "p50"),
            decimals=1,
            nothing="no answers",
        ),
        stat(
            "Duration, p95",
            "95 of 100 answers in the range looked at took no longer, to the last byte.",
            "s",
            now(quantile(0.95, DURATION, GOOD, window=RANGE), "p95"),
            decimals=1,
            thresholds=steps((t.latency_seconds, ORANGE), base="text"),
            nothing="no answers",
        ),
        stat(
            "First token, p50",
            "Half of the streamed answers in the range looked at began no later.",
            "s",
            now(quantile(0.5, TTFT, window=RANGE), "p50"),
            decimals=1,
            nothing="no streams",
        ),
        stat(
            "Under way",
            "Attempts that have left and not ended.",
            "short",
            now(f"sum({chosen('openrouter_requests_in_flight')})", "attempts"),
            decimals=0,
        ),
        stat(
            "Tokens",
            "Tokens billed in the range looked at, input and output, at whatever price.",
            "short",
            now(tokens, "tokens"),
            decimals=1,
        ),
        stat(
            "Tokens each",
            "Input and output tokens of an answer, on average of the range looked at.",
            "short",
            now(f"{tokens} / ({good} > 0)", "tokens"),
            decimals=1,
            nothing="no answers",
        ),
        stat(
            "Cost",
            "Cost of the range looked at as OpenRouter reported it with each answer. Reckoned from samples: about.",
            "currencyUSD",
            now(cost, "cost"),
            decimals=2,
            thresholds=steps((ANY, ORANGE)),
            look={"fill": "background_solid"},
        ),
        stat(
            "Cost of 1000 calls",
            "Cost per 1000 answers in the range looked at, free ones included.",
            "currencyUSD",
            now(f"1000 * {cost} / ({good} > 0)", "cost"),
            decimals=2,
            nothing="no answers",
        ),
    )


def _latency(t: Thresholds) -> tuple[Panel, ...]:
    def of(name: str, *matchers: str) -> tuple[Query, ...]:
        return (
            *(Query(quantile(q, name, *matchers), f"p{q * 100:g}") for q in (0.5, 0.9, 0.95, 0.99)),
            Query(mean(name, *matchers), "mean"),
        )

    shades = (
        colored("p50", "#c0d8ff"),
        colored("p90", "#8ab8ff"),
        colored("p95", BLUE),
        colored("p99", "dark-blue"),
        dashed("mean", GREEN),
    )
    look = {"span": GAP_MS, "fill": 0, "calcs": ["mean", "max"]}
    buckets = chosen(f"{DURATION}_bucket", GOOD)
    return (
        lines(
            "Duration",
            "From sending an attempt to its last byte, of successful ones, by all apps. An alert begins when p95 is"
            f" {t.latency_factor:g} times its average of a day, and above the line.",
            "s",
            *of(DURATION, GOOD),
            width=12,
            every=SELDOM,
            fields=shades,
            thresholds=steps((t.latency_seconds, ORANGE), base="transparent"),
            look={**look, "line": "dashed"},
        ),
        lines(
            "Time to the first token",
            "From sending a streamed attempt to its first token, by all apps.",
            "s",
            *of(TTFT),
            width=12,
            every=SELDOM,
            fields=shades,
            look=look,
        ),
        Panel(
            Kind.HEATMAP,
            "Durations",
            "How many successful attempts took how long, by the half hour.",
            "short",
            (Query(f"sum by (le) (increase({buckets}{RATE}))", "{{le}}", format="heatmap"),),
            width=12,
            decimals=0,
            every=SELDOM,
            look={"axis": "s", "scheme": "Blues"},
        ),
        ranked(
            "Duration by model, p95",
            "95 of 100 answers of the model took no longer in the range looked at, by all apps.",
            "s",
            now(f"sort_desc({quantile(0.95, DURATION, GOOD, by='model', window=RANGE)})", "{{model}}"),
            width=12,
            decimals=1,
            thresholds=steps((t.latency_seconds, ORANGE), base=BLUE),
        ),
    )


def _tokens() -> tuple[Panel, ...]:
    by_type = "openrouter_tokens_total"

    def part(name: str, kind: str) -> str:
        share, whole = (
            f"sum(rate({chosen(each, *more)}{RATE}))" for each, more in ((name, ()), (by_type, (f'type="{kind}"',)))
        )
        return f"{share} / ({whole} > 0)"

    return (
        stacked(
            "Tokens an hour",
            "Tokens billed an hour. Cached and reasoning tokens are parts of these.",
            "short",
            Query(per_hour("type", by_type), "{{type}}"),
            width=5,
            fields=(colored("input", BLUE), colored("output", PURPLE)),
            look={"calcs": ["mean"]},
        ),
        lines(
            "Cached and reasoning",
            "Part of the input tokens that came from a cache, and of the output tokens that were reasoning.",
            "percentunit",
            Query(part("openrouter_cached_input_tokens_total", "input"), "cached, of input"),
            Query(part("openrouter_reasoning_output_tokens_total", "output"), "reasoning, of output"),
            width=5,
            maximum=1,
            every=SELDOM,
            fields=(colored("cached, of input", BLUE), colored("reasoning, of output", PURPLE)),
            look={"span": GAP_MS, "calcs": ["mean"]},
        ),
        table(
            "Tokens by app and model",
            "Over the range looked at.",
            {"app": "App", "model": "Model"},
            Column("Input", in_range(by_type, 'type="input"', by="app, model"), decimals=1, width=90),
            Column("Output", in_range(by_type, 'type="output"', by="app, model"), decimals=1, width=90),
            width=14,
        ),
    )
