"""Alerts about the monitor itself, and about the Prometheus and Alertmanager that watch it."""

from __future__ import annotations

from monitor.alerting.rule import Alert, Component, Dashboard, Group, Options, Rule, Severity, number, quoted

MONITOR = Dashboard.of("openrouter-monitor")
UNSEEN = "the daemon cannot see that it is gone"
OTHERS = "tells of Prometheus or Alertmanager"
CHORES = "sweep|pace|checkpoint|prune"


def group(o: Options) -> Group:
    return Group("openrouter-monitor", (*_alive(o), _polls(o), *_store(o), *_host(o)))


def stack(o: Options) -> Group:
    """What watches over the watching, and is not the daemon's."""
    return Group("openrouter-stack", _stack(o))


def _alive(o: Options) -> tuple[Rule, ...]:
    return (
        Alert(
            name="OpenRouterMonitorDown",
            # absent() yields no labels of this: the job is a static label, and stands in the texts as it is.
            expr=f"absent({o.of('up')} == 1)",
            lasts="5m",
            stays="",
            severity=Severity.CRITICAL,
            component=Component.MONITOR,
            labels={"job": o.job},
            summary="The monitor is down: nobody watches OpenRouter.",
            description=f"Prometheus has not reached any monitor of the job {o.job} for 5 minutes. The guard in the"
            " apps goes on, but nothing is polled, and no other alert can fire.",
            dashboard=Dashboard("openrouter-monitor"),
            prometheus_only=UNSEEN,
        ),
        Alert(
            name="OpenRouterMonitorInstanceDown",
            expr=f"{o.of('up')} == 0",
            lasts="5m",
            stays="",
            severity=Severity.WARNING,
            component=Component.MONITOR,
            summary="One of the monitors is down.",
            description="Prometheus has not reached the monitor {{ $labels.instance }} for 5 minutes.",
            dashboard=MONITOR,
            prometheus_only=UNSEEN,
        ),
        Alert(
            name="OpenRouterMonitorRestarting",
            expr=f"changes({o.of('process_start_time_seconds')}[1h]) > {number(o.thresholds.restarts)}",
            stays="",
            severity=Severity.WARNING,
            component=Component.MONITOR,
            summary="The monitor restarts again and again.",
            description="The monitor {{ $labels.instance }} started {{ $value }} times in the last hour.",
            dashboard=MONITOR,
            prometheus_only="a daemon knows its own start only",
        ),
    )


def _polls(o: Options) -> Alert:
    last = o.of("openrouter_monitor_poll_last_success_timestamp_seconds", 'poller!="endpoints"')
    interval = o.of("openrouter_monitor_poll_interval_seconds", 'poller!="endpoints"')
    return Alert(
        name="OpenRouterPollerStale",
        # What never succeeded counts from the daemon's start. Providers (endpoints) are asked only while apps make
        # calls, so that their age says nothing.
        expr=f"""\
time() - (
  {last}
  or {interval} * 0 + on (job, instance) group_left () {o.of("process_start_time_seconds")}
)
> on (job, instance, poller) {number(o.thresholds.poll_intervals)} * {interval}""",
        lasts="1m",
        severity=Severity.WARNING,
        component=Component.MONITOR,
        summary="What the monitor knows of OpenRouter is old.",
        description="The poll of {{ $labels.poller }} has had no answer for {{ $value | humanizeDuration }}.",
        dashboard=MONITOR,
        page="{{ $labels.poller }}",
    )


def _store(o: Options) -> tuple[Rule, ...]:
    failed = o.of("openrouter_monitor_job_runs_total", f'task=~"{CHORES}"', 'result="failure"')
    overflow = o.of("openrouter_monitor_label_overflow_total")
    return (
        Alert(
            name="OpenRouterCallLogWriteFailures",
            expr=f"sum by (job, instance) (increase({failed}[15m])) > {number(o.thresholds.store_failures)}",
            lasts="5m",
            severity=Severity.CRITICAL,
            component=Component.MONITOR,
            summary="The monitor cannot write to its store.",
            description='About {{ $value | printf "%.0f" }} chores of the monitor {{ $labels.instance }} failed in its'
            " store in the last 15 minutes. Calls that cannot be put on record are refused.",
            dashboard=MONITOR,
        ),
        Alert(
            name="OpenRouterStoreUnreadable",
            expr=f"max_over_time({o.of('openrouter_monitor_scrape_ok')}[5m]) == 0",
            lasts="5m",
            severity=Severity.CRITICAL,
            component=Component.MONITOR,
            summary="The monitor cannot read its store: its figures stand still.",
            description="The monitor {{ $labels.instance }} has not been able to read its store for 10 minutes, and"
            " tells the figures of before. No other alert about calls or quota can fire.",
            dashboard=MONITOR,
        ),
        Alert(
            name="OpenRouterMonitorCardinalityLimited",
            expr=f"increase({overflow}[1h]) > 0",
            severity=Severity.INFO,
            component=Component.MONITOR,
            summary="A label has more values than places.",
            description="New values of the label {{ $labels.label }} are counted under `other`.",
            dashboard=MONITOR,
        ),
    )


def _host(o: Options) -> tuple[Rule, ...]:
    offset = o.of("openrouter_monitor_clock_offset_seconds")
    return (
        Alert(
            name="OpenRouterClockSkew",
            expr=f"abs({offset}) > {number(o.thresholds.clock_offset_seconds)}",
            lasts="10m",
            severity=Severity.WARNING,
            component=Component.MONITOR,
            summary="This machine's clock is wrong.",
            description="The clock of {{ $labels.instance }} and OpenRouter's differ by"
            " {{ $value | humanizeDuration }}: the minute's window and the end of the quota's day are wrong.",
            dashboard=MONITOR,
        ),
    )


def _stack(o: Options) -> tuple[Rule, ...]:
    prometheus, alertmanager = f"{{job={quoted(o.prometheus_job)}}}", f"{{job={quoted(o.alertmanager_job)}}}"
    # The daemon tries again: only where none of the tries went well, all that there were failed.
    tried = o.of("openrouter_monitor_notifications_total")
    taken = o.of("openrouter_monitor_notifications_total", 'result="success"')
    return (
        Alert(
            name="OpenRouterConfigReloadFailed",
            expr=f"""\
max_over_time(prometheus_config_last_reload_successful{prometheus}[5m]) == 0
or
max_over_time(alertmanager_config_last_reload_successful{alertmanager}[5m]) == 0""",
            lasts="5m",
            stays="",
            severity=Severity.WARNING,
            component=Component.MONITOR,
            summary="A changed configuration was not taken.",
            description="{{ $labels.job }} at {{ $labels.instance }} could not read its configuration or rules, and"
            " goes on with those of before.",
            dashboard=MONITOR,
            prometheus_only=OTHERS,
        ),
        Alert(
            name="OpenRouterNotificationsFailing",
            expr=f"""\
sum by (job, instance, integration) (increase(alertmanager_notifications_failed_total{alertmanager}[15m])) > 0
or
increase(prometheus_notifications_dropped_total{prometheus}[15m]) > 0
or
  increase({tried}[15m]) > 0
  unless on (job, instance, channel) increase({taken}[15m]) > 0""",
            lasts="5m",
            stays="",
            severity=Severity.CRITICAL,
            component=Component.MONITOR,
            summary="Messages about alerts do not arrive.",
            description="Messages that {{ $labels.job }} at {{ $labels.instance }} could not deliver"
            "{{ with $labels.integration }} by {{ . }}{{ end }}{{ with $labels.channel }} by {{ . }}{{ end }}"
            " in the last 15 minutes: about"
            ' {{ $value | printf "%.0f" }}.',
            dashboard=MONITOR,
            prometheus_only=OTHERS,
        ),
        Alert(
            name="Watchdog",
            expr="vector(1)",
            stays="",
            severity=Severity.NONE,
            component=Component.MONITOR,
            summary="Always fires, to show that alerts arrive.",
            description="This message comes again and again. If it stops, Prometheus or Alertmanager is down, or"
            " messages do not arrive.",
            dashboard=Dashboard("openrouter-monitor"),
            prometheus_only="shows that Prometheus and Alertmanager are alive",
        ),
    )
