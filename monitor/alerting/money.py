"""Alerts about money: what was billed, what our log does not explain, what the account has left."""

from __future__ import annotations

from monitor.alerting.rule import Alert, Component, Dashboard, Group, Options, Severity, number

OVERVIEW, LATENCY = "openrouter-overview", "openrouter-latency"


def group(o: Options) -> Group:
    return Group("openrouter-money", (*_spent(o), *_unexplained(o), *_left(o)))


def _spent(o: Options) -> tuple[Alert, ...]:
    calls = o.of("openrouter_tier_requests_total", 'tier!="free"', *o.of_apps)
    alive = o.of("openrouter_monitor_build_info")
    usage = o.of("openrouter_key_usage_usd_total")
    least = number(o.thresholds.spend_usd)
    return (
        Alert(
            name="OpenRouterNonFreeModelUsed",
            # Exact, unlike increase(). The second part sees what happened while the daemon was not scraped, and an app
            # whose first call was a paid one: its series is born at 1. It holds for a minute, and `stays` does the
            # rest. A Prometheus that is new here takes no old sums for news: a minute ago it did not know the daemon.
            expr=f"""\
sum by (job, instance, app) (
  {calls}
  - min_over_time({calls}[10m])
) > 0
or
  sum by (job, instance, app) (
    {calls}
    - (
      last_over_time({calls}[1d] offset 1m)
      or {calls} * 0
    )
  ) > 0
  and on (job, instance) last_over_time({alive}[1d] offset 1m)""",
            severity=Severity.CRITICAL if o.free_only else Severity.WARNING,
            component=Component.SPEND,
            summary="A model that is not free was used.",
            description="Calls of the app {{ $labels.app }} to models that are not free, or of unknown price, in the"
            " last 10 minutes (or while the monitor was away): {{ $value }}.",
            dashboard=Dashboard.of(OVERVIEW, "app"),
        ),
        Alert(
            name="OpenRouterSpendDetected",
            # Exact, unlike increase(). The lower line compares with what was known before the daemon was away.
            expr=f"""\
{usage} - min_over_time({usage}[1h]) > {least}
or
{usage} - last_over_time({usage}[1d] offset 1h) > {least}""",
            severity=Severity.WARNING,
            component=Component.SPEND,
            summary="OpenRouter billed the key.",
            description="By OpenRouter's books the key {{ $labels.key }} spent"
            ' {{ $value | printf "%.4f" }} USD in the last hour (or while the monitor was away), through the guard or'
            " past it.",
            dashboard=Dashboard.of(LATENCY, "key"),
        ),
    )


def _unexplained(o: Options) -> tuple[Alert, ...]:
    least = number(o.thresholds.unaccounted_usd)
    return (
        Alert(
            name="OpenRouterUnaccountedUsage",
            expr=f"{o.of('openrouter_unaccounted_usage_usd')} > {least}",
            lasts="30m",
            severity=Severity.CRITICAL,
            component=Component.SPEND,
            summary="The key spends money that is not on record here.",
            description='{{ $value | printf "%.2f" }} USD that the key {{ $labels.key }} spent today by OpenRouter\'s'
            " books did not pass the guard: somebody uses the key without it.",
            dashboard=Dashboard.of(LATENCY, "key"),
        ),
        Alert(
            name="OpenRouterUnaccountedActivity",
            expr=f"{o.of('openrouter_account_activity_unaccounted_usage_usd')} > {least}",
            lasts="30m",
            severity=Severity.WARNING,
            component=Component.SPEND,
            summary="The account spent money that is not on record here.",
            description='On the last whole UTC day {{ $value | printf "%.2f" }} USD were spent on the account'
            " {{ $labels.account }} that are not on record here, by whichever key.",
            dashboard=Dashboard.of(LATENCY),
        ),
    )


def _left(o: Options) -> tuple[Alert, ...]:
    return (
        Alert(
            name="OpenRouterAccountCreditsNegative",
            expr=f"{o.of('openrouter_account_credits_usd')} < {number(o.thresholds.account_credits_usd)}",
            lasts="5m",
            severity=Severity.CRITICAL,
            component=Component.SPEND,
            summary="The account's credits are used up.",
            description='The credits of the account {{ $labels.account }} stand at {{ $value | printf "%.2f" }} USD.'
            " Below 0 OpenRouter answers 402, even to free models.",
            dashboard=Dashboard.of(OVERVIEW),
        ),
    )
