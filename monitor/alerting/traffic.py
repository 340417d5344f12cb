"""Alerts about the calls themselves: 429s, failures, how long answers take."""

from __future__ import annotations

from monitor.alerting.rule import Alert, Component, Dashboard, Group, Options, Recording, Severity, number

LIMITED = "instance_kind:openrouter_rate_limited:increase15m"
FAILED = "instance:openrouter_request_failures_per_requests:ratio_rate"
P95 = "instance_model_outcome_quantile:openrouter_request_duration_seconds:histogram_quantile"
FAILURES = 'outcome=~"server_error|network_error"'
"""Of OpenRouter or of the network; 429s have their own alert, and 4xx are the app's own doing."""


def group(o: Options) -> Group:
    return Group("openrouter-traffic", (*_recordings(o), _limited(o), _failing(o), _slow(o)))


def _recordings(o: Options) -> tuple[Recording, ...]:
    requests = "openrouter_requests_total"
    buckets = o.of("openrouter_request_duration_seconds_bucket", 'outcome="success"')
    answers = o.of("openrouter_request_duration_seconds_count", 'outcome="success"')
    return (
        Recording(
            LIMITED,
            f"sum by (job, instance, kind) (increase({o.of('openrouter_rate_limited_total', *o.of_apps)}[15m]))",
            "429s of the last 15 minutes, by kind.",
        ),
        *(
            Recording(
                f"{FAILED}{window}",
                f"""\
sum by (job, instance) (rate({o.of(requests, FAILURES, *o.of_apps)}[{window}]))
/
(sum by (job, instance) (rate({o.of(requests, *o.of_apps)}[{window}])) > 0)""",
                f"Part of the attempts that failed by OpenRouter's or the network's fault, of the last {window}.",
            )
            for window in ("5m", "1h")
        ),
        Recording(
            P95,
            # Without traffic a quantile is NaN, and with it every later average; of few answers it is the slowest one.
            f"""\
histogram_quantile(0.95, rate({buckets}[1h]))
and increase({answers}[1h]) >= {number(o.thresholds.latency_floor)}""",
            "p95 of the duration of successful attempts, of hours in which there were some.",
            {"quantile": "0.95"},
        ),
    )


def _limited(o: Options) -> Alert:
    return Alert(
        name="OpenRouterRateLimitSpike",
        expr=f"{o.of(LIMITED)} > {number(o.thresholds.rate_limited)}",
        lasts="5m",
        severity=Severity.WARNING,
        component=Component.TRAFFIC,
        summary="Many calls run into a limit.",
        description='About {{ $value | printf "%.0f" }} calls met a limit of the kind {{ $labels.kind }} in the last'
        " 15 minutes.",
        dashboard=Dashboard.of("openrouter-errors"),
        page="{{ $labels.kind }}",
    )


def _failing(o: Options) -> Alert:
    most = number(o.thresholds.error_ratio)
    arrived = f"sum by (job, instance) (increase({o.of('openrouter_requests_total', *o.of_apps)}[1h]))"
    return Alert(
        name="OpenRouterErrorRateHigh",
        expr=f"""\
{o.of(FAILED + "1h")} > {most}
and {o.of(FAILED + "5m")} > {most}
and {arrived} >= {number(o.thresholds.error_floor)}""",
        # Not 5m: the short window sees a failure for just that long, so with a few calls an hour it would never fire.
        lasts="2m",
        severity=Severity.WARNING,
        component=Component.TRAFFIC,
        labels={"long": "1h", "short": "5m"},
        summary="Many calls fail by OpenRouter's or the network's fault.",
        description="{{ $value | humanizePercentage }} of the attempts of the last hour failed with a server or network"
        " error, and they still do.",
        dashboard=Dashboard.of("openrouter-errors"),
    )


def _slow(o: Options) -> Alert:
    t, p95 = o.thresholds, o.of(P95)
    return Alert(
        name="OpenRouterLatencyRegression",
        expr=f"""\
{p95} > {number(t.latency_seconds)}
and {p95} > {number(t.latency_factor)} * avg_over_time({p95}[1d] offset 1h)""",
        lasts="15m",
        severity=Severity.INFO,
        component=Component.TRAFFIC,
        summary="Answers take much longer than usual.",
        description="95 % of the answers of {{ $labels.model }} came within {{ $value | humanizeDuration }} in the last"
        " hour, which is much longer than on average in the day before.",
        dashboard=Dashboard.of("openrouter-latency", "model"),
        prometheus_only="compares with a day's average",
    )
