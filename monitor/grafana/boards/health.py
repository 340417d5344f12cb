"""Does the monitor itself see: scrapes, polls, the store, its process."""

from __future__ import annotations

from monitor.alerting.thresholds import Thresholds
from monitor.grafana.boards.names import HEALTH
from monitor.grafana.panels import GREEN, ORANGE, RED, Board, Panel, Query, Row, Text, now, steps
from monitor.grafana.queries import RANGE, RATE, chosen, highest, in_range, per_hour, quantile
from monitor.grafana.shapes import GAP_MS, SELDOM, Column, lines, ranked, stacked, stat, table

STARTED = chosen("process_start_time_seconds")
ALERTS = 'ALERTS{job=~"$job", alertname=~"OpenRouter.+"}'


def board(t: Thresholds) -> Board:
    return Board(
        HEALTH,
        "OpenRouter / Monitor health",
        "Does the monitor itself see? Scrapes, polls, the store and the process.",
        (
            Row("How things stand", _figures(t)),
            Row("What it is told by OpenRouter", _polls(t)),
            Row("Alerts and jobs", _alerts()),
            Row("Store and scrapes", _store()),
            Row("The proxy", _proxy()),
            Row("Process", _process()),
        ),
    )


def _figures(t: Thresholds) -> tuple[Panel, ...]:
    ok = chosen("openrouter_monitor_scrape_ok")
    offset = chosen("openrouter_monitor_clock_offset_seconds")
    return (
        stat(
            "Up",
            "Whether Prometheus can scrape the daemon; the lowest of several.",
            "short",
            now(f"min({chosen('up')})", "up"),
            thresholds=steps((1, GREEN), base=RED),
            texts=(Text(0, "down", RED), Text(1, "up", GREEN)),
            look={"fill": "background_solid"},
        ),
        stat(
            "Reads the store",
            "Whether each scrape of the range looked at could read the store. If not, it repeated what it last knew.",
            "short",
            now(f"min(min_over_time({ok}{RANGE}))", "reads"),
            thresholds=steps((1, GREEN), base=RED),
            texts=(Text(0, "not always", RED), Text(1, "always", GREEN)),
            look={"fill": "background_solid"},
        ),
        stat(
            "Stalest poll",
            "Age of the figures that were polled longest ago, in intervals of their poll. An alert begins above"
            f" {t.poll_intervals:g}.",
            "suffix: x",
            now(f"max({_age()})", "intervals"),
            decimals=1,
            thresholds=steps((t.poll_intervals, RED)),
            look={"fill": "background_solid"},
            nothing="no poll yet",
        ),
        stat(
            "Clock offset",
            "This machine's clock less OpenRouter's: the day's quota turns over at OpenRouter's midnight.",
            "s",
            now(f"max(abs({offset}))", "offset"),
            decimals=1,
            thresholds=steps((t.clock_offset_seconds, RED)),
            nothing="no poll yet",
        ),
        stat(
            "Restarts",
            "How often the daemon began anew in the range looked at.",
            "short",
            now(f"sum(changes({STARTED}{RANGE}))", "restarts"),
            decimals=0,
            thresholds=steps((t.restarts, ORANGE), base="text"),
        ),
        stat(
            "Running for",
            "Time since the daemon began; the youngest of several.",
            "s",
            now(f"min(time() - {STARTED})", "running"),
            decimals=0,
        ),
        stat(
            "Version",
            "Version of the monitor, and of its Python.",
            "none",
            now(f"max by (version, pythonversion) ({chosen('openrouter_monitor_build_info')})", "{{version}}"),
            look={"text": "name"},
        ),
        stat(
            "Series",
            "Samples that the last scrape brought.",
            "short",
            now(f"sum({chosen('scrape_samples_scraped')})", "samples"),
            decimals=0,
        ),
    )


def _age() -> str:
    asked = highest("openrouter_monitor_poll_last_success_timestamp_seconds", by="poller")
    interval = highest("openrouter_monitor_poll_interval_seconds", by="poller")
    return f"(time() - {asked}) / on (poller) {interval}"


def _polls(t: Thresholds) -> tuple[Panel, ...]:
    polls, duration = "openrouter_monitor_polls_total", "openrouter_monitor_poll_duration_seconds"
    return (
        lines(
            "Age of what was polled",
            f"The most, in intervals of the poll. An alert begins above {t.poll_intervals:g}: then what"
            " is shown elsewhere may no longer be so.",
            "suffix: x",
            Query(f"max_over_time(({_age()})[$__rate_interval:30s])", "{{poller}}"),
            every=SELDOM,
            decimals=1,
            thresholds=steps((t.poll_intervals, RED), base="transparent"),
            look={"line": "dashed", "fill": 0, "calcs": ["max", "lastNotNull"]},
        ),
        stacked(
            "Polls that failed",
            "Polls an hour that brought no answer, by what was asked for.",
            "suffix: /h",
            Query(per_hour("poller", polls, 'result="failure"'), "{{poller}}"),
            look={"calcs": ["max"], "highest": 1},
        ),
        lines(
            "Duration of polls, p95",
            "95 of 100 polls took no longer.",
            "s",
            Query(quantile(0.95, duration, by="poller"), "{{poller}}"),
            every=SELDOM,
            look={"span": GAP_MS * 2, "fill": 0, "calcs": ["max"]},
        ),
    )


def _alerts() -> tuple[Panel, ...]:
    runs = "openrouter_monitor_job_runs_total"
    bad = per_hour("task", runs, 'result!="success"')
    return (
        table(
            "Alerts",
            "Alerts of openrouter-monitor that fire or wait for their time to pass.",
            {"alertname": "Alert", "severity": "Severity", "alertstate": "State"},
            Column("Series", f"sum by (alertname, severity, alertstate) ({ALERTS})", decimals=0, width=70),
            width=9,
            widths={"severity": 80, "alertstate": 65},
            nothing="No alert fires",
        ),
        stacked(
            "Messages sent",
            "Messages about alerts an hour that the daemon itself sent, or could not send, by how; each try counts."
            " Those of Alertmanager are not among them.",
            "suffix: /h",
            Query(per_hour("channel, result", "openrouter_monitor_notifications_total"), "{{channel}} {{result}}"),
            width=3,
            look={"calcs": [], "highest": 1},
            nothing="No way of telling is set",
        ),
        stacked(
            "Runs of jobs",
            "Runs an hour of what the daemon does at intervals. A poll that finds fresh figures need not ask.",
            "suffix: /h",
            Query(per_hour("task", runs), "{{task}}"),
            width=6,
            look={"calcs": []},
        ),
        stacked(
            "Jobs failed or missed",
            "Runs an hour; missed: the run before still went on. Nothing here is good.",
            "suffix: /h",
            Query(bad, "{{task}}"),
            width=6,
            look={"calcs": [], "highest": 1},
        ),
    )


def _store() -> tuple[Panel, ...]:
    return (
        lines(
            "Size of the store",
            "Its file and its write-ahead log.",
            "bytes",
            Query(f"max by (instance) ({chosen('openrouter_monitor_call_log_size_bytes')})", "{{instance}}"),
            width=6,
        ),
        stacked(
            "Records written",
            "Attempts an hour put on record, those refused included.",
            "suffix: /h",
            Query(f"sum(rate({chosen('openrouter_monitor_call_log_records_total')}{RATE})) * 3600", "records"),
            width=6,
        ),
        lines(
            "Scrape",
            "Time that a scrape took. It reads one moment of the store, never the log of calls.",
            "s",
            Query(f"max by (instance) ({chosen('scrape_duration_seconds')})", "{{instance}}"),
            width=6,
        ),
        lines(
            "Names without a place",
            "Apps, models and pairs of both that came after the last place and are counted under `other`.",
            "short",
            Query(highest("openrouter_monitor_label_overflow_total", by="label"), "{{label}}"),
            width=6,
            decimals=0,
            thresholds=steps((1, ORANGE), base="transparent"),
            look={"highest": 1},
        ),
    )


def _proxy() -> tuple[Panel, ...]:
    admission, added = "openrouter_monitor_admission_seconds", "openrouter_monitor_added_seconds"
    proxy = "openrouter_monitor_proxy"
    return (
        lines(
            "What the proxy costs",
            "Time that it added to a call, and the part of it that was the wait for a verdict: 50 and 95 of 100 calls"
            " waited no longer.",
            "s",
            *(
                Query(quantile(q, name), f"{what}, p{q * 100:g}")
                for name, what in ((added, "added"), (admission, "verdict"))
                for q in (0.5, 0.95)
            ),
            every=SELDOM,
            look={"span": GAP_MS, "fill": 0, "calcs": ["max"]},
        ),
        lines(
            "In the proxy",
            "Requests that it is answering, calls that wait for a slot of a window, and open connections.",
            "short",
            *(
                Query(f"sum({chosen(f'{proxy}_{what}')})", name)
                for what, name in (("in_flight", "under way"), ("waiting", "waiting"), ("connections", "connections"))
            ),
            decimals=0,
            look={"highest": 1, "calcs": ["max", "lastNotNull"]},
        ),
        ranked(
            "Turned away",
            "Requests in the range looked at that it answered by itself, without a verdict of the guard, by the reason;"
            " upstream_: that OpenRouter left unanswered.",
            "short",
            now(f"sort_desc({in_range(f'{proxy}_turned_away_total', by='reason')} > 0.5)", "{{reason}}"),
            decimals=0,
            nothing="None",
        ),
    )


def _process() -> tuple[Panel, ...]:
    return (
        lines(
            "Memory",
            "Memory that the daemon keeps (RSS).",
            "bytes",
            Query(f"max by (instance) ({chosen('process_resident_memory_bytes')})", "{{instance}}"),
        ),
        lines(
            "CPU",
            "Part of one core that the daemon uses.",
            "percentunit",
            Query(f"sum by (instance) (rate({chosen('process_cpu_seconds_total')}{RATE}))", "{{instance}}"),
            decimals=1,
        ),
        lines(
            "Open files",
            "File descriptors in use.",
            "short",
            Query(f"max by (instance) ({chosen('process_open_fds')})", "{{instance}}"),
            decimals=0,
        ),
    )
