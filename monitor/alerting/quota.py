"""Alerts about the free requests: those of the UTC day, and those of a minute."""

from __future__ import annotations

from monitor.alerting.rule import Alert, Component, Dashboard, Group, Options, Recording, Rule, Severity, number

OVERVIEW = Dashboard.of("openrouter-overview")
DAILY = {"quota": "daily"}
"""A label of all that tells of one window, by which the gravest silences the others."""

USED = "instance_account:openrouter_free_daily_requests_used_per_limit:ratio"
BURN_LONG = "instance_account:openrouter_free_daily_quota:burnrate1h"
BURN_SHORT = "instance_account:openrouter_free_daily_quota:burnrate5m"


def group(o: Options) -> Group:
    return Group("openrouter-quota", (*_figures(o), *_used(o), *_pace(o), _minute(o)))


def _figures(o: Options) -> tuple[Rule, ...]:
    used, limit = o.of("openrouter_free_daily_requests_used"), o.of("openrouter_free_daily_requests_limit")
    # Since the window's lowest figure, not by increase(): at midnight `used` begins anew, and OpenRouter's own count
    # may correct ours downwards a little, which increase() would take for a reset, and count everything once more.
    return (
        Recording(USED, f"{used} / ({limit} > 0)", "Part of the day's free requests that is used, 0 to 1."),
        Recording(
            BURN_LONG,
            f"24 * ({used} - min_over_time({used}[1h])) / ({limit} > 0)",
            "Pace of the last hour, in days' quotas a day: at 1 the quota lasts exactly a day.",
        ),
        Recording(
            BURN_SHORT,
            f"288 * ({used} - min_over_time({used}[5m])) / ({limit} > 0)",
            "The same pace, of the last 5 minutes.",
        ),
    )


def _used(o: Options) -> tuple[Rule, ...]:
    return tuple(
        Alert(
            name="OpenRouterDailyQuotaNearlyExhausted",
            expr=f"{o.of(USED)} >= {number(least)}",
            lasts="1m",
            severity=severity,
            component=Component.QUOTA,
            labels=DAILY,
            summary="The day's free requests are nearly used up.",
            description="{{ $value | humanizePercentage }} of today's free requests of the account"
            " {{ $labels.account }} are used. What is left must do until midnight UTC.",
            dashboard=OVERVIEW,
        )
        for severity, least in (
            (Severity.WARNING, o.thresholds.quota_warning),
            (Severity.CRITICAL, o.thresholds.quota_critical),
        )
    )


def _pace(o: Options) -> tuple[Rule, ...]:
    most = number(o.thresholds.burn_rate)
    learned = f"changes({o.of('openrouter_free_daily_quota_authoritative')}[5m]) > 0"
    return (
        Alert(
            name="OpenRouterDailyQuotaProjectedExhaustion",
            # The daemon's own forecast, which `status` tells too: unlike predict_linear() it knows of midnight.
            expr=f"""\
{o.of("openrouter_free_daily_exhaustion_timestamp_seconds")}
and on (job, instance, account) {o.of(USED)} > {number(o.thresholds.projection_used)}
unless on (job, instance, account) {o.of(USED)} >= 1""",
            lasts="15m",
            severity=Severity.WARNING,
            component=Component.QUOTA,
            labels=DAILY,
            summary="At this pace the day's free requests end before midnight UTC.",
            description="At the pace of today, or of the last hour if that is faster, the free requests of the account"
            " {{ $labels.account }} end at {{ $value | humanizeTimestamp }}.",
            dashboard=OVERVIEW,
        ),
        Alert(
            name="OpenRouterDailyQuotaFastBurn",
            # What others used is learned at one stroke when OpenRouter's count is first read: that is no burning.
            expr=f"""\
{o.of(BURN_LONG)} > {most}
and {o.of(BURN_SHORT)} > {most}
unless on (job, instance, account) {learned}""",
            lasts="2m",
            severity=Severity.WARNING,
            component=Component.QUOTA,
            labels={**DAILY, "long": "1h", "short": "5m"},
            summary="The day's free requests burn fast.",
            description="In the last hour the account {{ $labels.account }} used its free requests"
            ' {{ $value | printf "%.1f" }} times as fast as would last a day, and still does: a loop, or a storm of'
            " retries?",
            dashboard=OVERVIEW,
        ),
    )


def _minute(o: Options) -> Alert:
    used, limit = o.of("openrouter_free_minute_requests_used"), o.of("openrouter_free_minute_requests_limit")
    return Alert(
        name="OpenRouterMinuteLimitSaturated",
        # Two minutes, so that the trough between two bursts does not hide a queue that never ends; not five, with
        # which one burst alone would last as long as `for`.
        expr=f"max_over_time({used}[2m]) >= {number(o.thresholds.minute_saturation)} * {limit}",
        lasts="5m",
        severity=Severity.WARNING,
        component=Component.QUOTA,
        labels={"quota": "minute"},
        summary="The minute's free requests are used up, minute after minute.",
        description="For 5 minutes the account {{ $labels.account }} has been at its limit of free requests a minute"
        " ({{ $value }} in 60 seconds). More calls are refused, or wait.",
        dashboard=OVERVIEW,
    )
