"""`alerts`: what you can be told of, and the files that make Prometheus tell it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.context import JSON, Group, Invocation, passes_invocation
from monitor.cli.output import Cell, Column, Styled
from monitor.words import ago, count

if TYPE_CHECKING:
    from monitor.alerting.rule import Alert, Options
    from monitor.alerting.rule import Group as RuleGroup
    from monitor.alerting.thresholds import Thresholds
    from monitor.alerting.way import Way

_INTERVAL = re.compile(r"[1-9][0-9]*[smh]", re.ASCII)
PHASES = {"firing": "bold red", "pending": "yellow"}
TWICE = ("OpenRouterDailyQuotaNearlyExhausted",)
"""Alerts that there are two of, a warning and a critical one."""

STYLES = {"critical": "bold red", "warning": "yellow", "info": "cyan", "none": "dim"}


@click.group(cls=Group)
def alerts() -> None:
    """List the alerts, write them for Prometheus, try them out.

    The same options make the same rules in all three.
    """


_OPTIONS = (
    click.option("--job", default="openrouter-monitor", show_default=True, help="The daemon's job in Prometheus."),
    click.option("--set", "changes", multiple=True, metavar="NAME=VALUE",
                 help="Another threshold (may be repeated): quota_warning=0.7. `alerts list --thresholds` names them."),
    click.option("--app", "apps", multiple=True, help="Watch only this app's calls (may be repeated)."),
    click.option("--without", multiple=True, metavar="ALERT", help="Leave this alert out (may be repeated)."),
    click.option("--free-only", is_flag=True, help="A paid call is critical, not only a warning."),
    click.option("--interval", default="30s", show_default=True, help="Time between two evaluations."),
    click.option("--runbooks", metavar="URL", help="Where the runbooks are, if you keep your own."),
    click.option("--grafana", metavar="URL", help="Where Grafana is.  [default: http://localhost:3000]"),
    click.option("--prometheus-job", default="prometheus", show_default=True, help="Prometheus' own job."),
    click.option("--alertmanager-job", default="alertmanager", show_default=True, help="Alertmanager's own job."),
)  # fmt: skip


def rule_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what rules are written for."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@alerts.command(name="list")
@rule_options
@click.option("--thresholds", is_flag=True, help="The figures that alerts compare with, instead of the alerts.")
@JSON
@passes_invocation
def list_alerts(run: Invocation, thresholds: bool, as_json: bool, **given: Any) -> None:
    """What you can be told of, and what the daemon has found.

    With --json each alert has name, severity, component, for, keep_firing_for, expr, labels, summary, description,
    runbook_url, dashboard_url and prometheus_only: why only Prometheus can judge it, or null; and of the daemon's own
    judgement state (firing, pending, inactive; null: it has not judged) and active, what fires or is pending.
    """
    options, groups = _rules(**given)
    if thresholds:
        _tell_thresholds(run, options.thresholds, as_json)
        return
    found = [alert for group in groups for alert in group.alerts]
    standing = _standing(run)
    if as_json:
        run.out.json([{**_row(alert, options), **_state(alert, standing)} for alert in found])
        return
    table: list[list[Cell]] = [
        [
            alert.name,
            Styled(alert.severity, STYLES[alert.severity]),
            _shown(alert, standing),
            alert.lasts or None,
            alert.summary,
        ]
        for alert in found
    ]
    columns = [Column("alert"), Column("severity"), Column("state"), Column("for", right=True)]
    run.out.table([*columns, Column("summary", fold=True)], table)
    if standing["evaluated_at"] is not None:
        run.out.note(f"The daemon judged them {ago(standing['evaluated_at'], run.clock.now())}.")


@alerts.command()
@rule_options
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file, instead of stdout.")
@JSON
@passes_invocation
def render(run: Invocation, output: Path | None, as_json: bool, **given: Any) -> None:
    """Write the rules file for Prometheus.

    Name it in `rule_files:` of prometheus.yml. With --json the same as JSON, which Prometheus reads as well, and which
    is the `spec` of a PrometheusRule.
    """
    import json

    from monitor.alerting.render import data, yaml

    options, groups = _rules(**given)
    told = data(groups, options)
    text = json.dumps(told, indent=2, ensure_ascii=False) + "\n" if as_json else yaml(told)
    if output is None:
        click.echo(text, nl=False)
        return
    output.write_text(text, encoding="utf-8")
    run.out.note(f"Wrote {count(sum(len(group.rules) for group in groups), 'rule')} to {output}.")


@alerts.command()
@rule_options
@click.option("--alertmanager", metavar="URL", help="Send it a test alert, which must reach you as a message.")
@click.option("--severity", type=click.Choice(("critical", "warning", "info")), default="warning", show_default=True,
              help="Of the test alert.")  # fmt: skip
@JSON
@passes_invocation
def test(run: Invocation, alertmanager: str | None, severity: str, as_json: bool, **given: Any) -> None:
    """Try the rules out with promtool, and each way to you with a test message.

    The ways are those of the settings (alerts.webhook_url, alerts.smtp_url, alerts.apprise_urls), and Alertmanager's if
    it is named. Exit code 1 when promtool complains, or a message is not taken.
    """
    from monitor.alerting import trial
    from monitor.alerting.render import data, yaml
    from monitor.alerting.rule import Severity
    from monitor.alerting.ways import ways

    options, groups = _rules(**given)
    told = trial.complaints(yaml(data(groups, options)))
    tried = _try(run, ways(run.settings), severity)
    failed = bool(told) or any(one["error"] for one in tried)
    if alertmanager is not None:
        trial.send(alertmanager, trial.alert_of(options, Severity(severity), run.clock.now()))
    if as_json:
        run.out.json({"ok": not failed, "promtool": told, "alertmanager": alertmanager, "ways": tried})
    else:
        _tell_trial(run, told, sum(len(group.rules) for group in groups))
        _tell_ways(run, tried, severity)
        if alertmanager is not None:
            run.out.line(Styled("sent", "green"), f"  A {severity} named {trial.TEST}, to {alertmanager}.")
    if failed:
        click.get_current_context().exit(1)


def _try(run: Invocation, ways: list[Way], severity: str) -> list[dict[str, Any]]:
    """Send a test message by each way; what went wrong is null where it was taken."""
    from monitor.alerting.messages import Message, trial
    from monitor.alerting.way import Undelivered

    tried = []
    for way in ways:
        error = None
        try:
            way.send(Message(trial(severity, run.clock.now()), f"http://{run.settings.listen}"))
        except Undelivered as exc:
            error = str(exc)
        tried.append({"way": way.name, "place": way.place, "error": error})
    return tried


def _tell_ways(run: Invocation, tried: list[dict[str, Any]], severity: str) -> None:
    for one in tried:
        if one["error"]:
            run.out.line(Styled("problem", "bold red"), f"  {one['way']}: {one['error']}")
        else:
            run.out.line(Styled("sent", "green"), f"  A {severity} test message, by {one['way']} ({one['place']}).")
    if not tried:
        run.out.note(
            "No way to you is set: alerts.webhook_url, alerts.smtp_url with alerts.mail_to, or alerts.apprise_urls."
        )


def _standing(run: Invocation) -> dict[str, Any]:
    """How alerts stand in the store, if there is one."""
    from monitor.status import NO_ALERTS, alerts

    with run.reader() as reader:
        if not reader.exists:
            return NO_ALERTS
        with reader.moment() as reports:
            return alerts(reports)


def _state(alert: Alert, standing: dict[str, Any]) -> dict[str, Any]:
    named = ("severity", "labels", "value", "description", "since")
    active = [
        {"state": state, **{name: each[name] for name in named}}
        for state in ("firing", "pending")
        for each in standing[state]
        # The daemon's may be graver, by its settings: the severity tells only those of one name apart.
        if each["alert"] == alert.name and (alert.name not in TWICE or each["severity"] == alert.severity)
    ]
    if alert.prometheus_only or standing["evaluated_at"] is None:
        return {"state": None, "active": []}
    return {"state": active[0]["state"] if active else "inactive", "active": active}


def _shown(alert: Alert, standing: dict[str, Any]) -> Cell:
    if alert.prometheus_only:
        return Styled("only in Prometheus", "dim")
    state: str | None = _state(alert, standing)["state"]
    return Styled(state, PHASES[state]) if state in PHASES else state


def _tell_trial(run: Invocation, told: str | None, rules: int) -> None:
    if told is None:
        run.out.line(Styled("skipped", "yellow"), "  promtool is not installed; it comes with Prometheus.")
    elif told:
        for line in told.splitlines():
            run.out.line(Styled("problem", "bold red"), f"  {line}")
    else:
        run.out.line(Styled("ok", "green"), f"  promtool finds nothing to complain of in {count(rules, 'rule')}.")


def _rules(
    changes: tuple[str, ...], without: tuple[str, ...], apps: tuple[str, ...], **named: Any
) -> tuple[Options, tuple[RuleGroup, ...]]:
    """Raises ConfigError."""
    from monitor.alerting.rule import Options
    from monitor.alerting.rules import groups, known
    from monitor.alerting.thresholds import changed

    for name in without:
        known(name)
    if not _INTERVAL.fullmatch(named["interval"]):
        raise click.UsageError(f"--interval {named['interval']!r} is no time: say 30s or 1m.")
    given = {name: value for name, value in named.items() if value is not None}
    options = Options(thresholds=changed(changes), apps=apps, **given)
    return options, groups(options, without)


def _row(alert: Alert, options: Options) -> dict[str, Any]:
    from monitor.alerting.render import rule_data

    told = rule_data(alert, options)
    return {
        "name": alert.name,
        "severity": alert.severity.value,
        "component": alert.component.value,
        "for": alert.lasts or None,
        "keep_firing_for": alert.stays or None,
        "expr": alert.expr,
        "labels": told["labels"],
        **told["annotations"],
        "prometheus_only": alert.prometheus_only or None,
    }


def _tell_thresholds(run: Invocation, thresholds: Thresholds, as_json: bool) -> None:
    from monitor.alerting.thresholds import explained

    rows = [item._asdict() for item in explained(thresholds)]
    if as_json:
        run.out.json(rows)
        return
    columns = [Column("name"), Column("value", right=True), Column("unit"), Column("meaning", fold=True)]
    run.out.table(columns, [[row["name"], row["value"], row["unit"], row["about"]] for row in rows])
