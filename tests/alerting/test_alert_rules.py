"""The table of alerts keeps the rules of its house, and names only what exists."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import promql_parser as promql
import pytest
import yaml

from monitor.alerting.reference import page
from monitor.alerting.render import data, rule_data
from monitor.alerting.render import yaml as text_of
from monitor.alerting.rule import STAYS, Alert, Options, Recording, Severity
from monitor.alerting.rules import alerts, groups
from monitor.alerting.thresholds import DEFAULT, Thresholds, explained
from monitor.metrics.families import BY_NAME
from monitor.metrics.family import Type
from tests.fakes.processes import ROOT

OF_OTHERS = {
    "up": ("openrouter-monitor", set()),
    "process_start_time_seconds": ("openrouter-monitor", set()),
    "prometheus_config_last_reload_successful": ("prometheus", set()),
    "prometheus_notifications_dropped_total": ("prometheus", set()),
    "alertmanager_config_last_reload_successful": ("alertmanager", set()),
    "alertmanager_notifications_failed_total": ("alertmanager", {"integration"}),
}
"""What is not the daemon's to tell, with its job and the labels that are used of it."""

RULES = [rule for group in groups() for rule in group.rules]
RECORDED = {rule.name for rule in RULES if isinstance(rule, Recording)}
ALERTS = alerts()
EVENTS = {
    "OpenRouterNonFreeModelUsed",
    "OpenRouterSpendDetected",
    "OpenRouterModelNoLongerFree",
    "OpenRouterModelPriceChanged",
    "OpenRouterMonitorRestarting",
    "OpenRouterMonitorCardinalityLimited",
    "Watchdog",
}
"""What happened has happened: these wait for nothing."""

NOT_THE_DAEMONS = {
    "OpenRouterMonitorDown",
    "OpenRouterMonitorInstanceDown",
    "OpenRouterMonitorRestarting",
    "OpenRouterConfigReloadFailed",
    "OpenRouterNotificationsFailing",
    "Watchdog",
}
"""What tells of these goes on when the daemon dies."""


def title(rule: Alert | Recording) -> str:
    return f"{rule.name}-{rule.severity}" if isinstance(rule, Alert) else rule.name


def selectors(expr: str) -> Iterator[Any]:
    found: list[Any] = []
    promql.walk(promql.parse(expr), found.append)
    return (node for node in found if isinstance(node, promql.VectorSelector))


def names_only_what_exists(expr: str) -> None:
    """Fails at a metric or label that nobody tells, and where the job is not chosen."""
    for selector in selectors(expr):
        matchers = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
        if selector.name in OF_OTHERS:
            job, labels = OF_OTHERS[selector.name]
        elif selector.name in RECORDED:
            job, labels = "openrouter-monitor", set()
        else:
            family = BY_NAME[re.sub(r"_(bucket|count)$", "", selector.name)]
            assert (family.type is Type.HISTOGRAM) is (family.name != selector.name), selector.name
            job, labels = "openrouter-monitor", set(family.labels)
        assert matchers.pop("job", None) == job, selector.name
        assert matchers.keys() <= labels, selector.name


@pytest.mark.parametrize("rule", RULES, ids=title)
def test_a_rule_names_only_what_exists(rule: Alert | Recording) -> None:
    """Prometheus 3 can read it; every metric and label is in the table of families; every selector chooses the job."""
    names_only_what_exists(rule.expr)


@pytest.mark.parametrize(
    "wrong",
    [
        'openrouter_surprise_total{job="openrouter-monitor"}',
        'openrouter_key_valid{job="openrouter-monitor", app="a"}',
        "openrouter_key_valid",
        'openrouter_request_duration_seconds{job="openrouter-monitor"}',
    ],
)
def test_what_does_not_exist_is_found(wrong: str) -> None:
    """So that the test above means something."""
    with pytest.raises((AssertionError, KeyError)):
        names_only_what_exists(wrong)


@pytest.mark.parametrize("alert", ALERTS, ids=title)
def test_an_alert_is_complete(alert: Alert) -> None:
    """Its name is ours, its texts are sentences, its summary tells no figure, and no label has a value in it."""
    assert re.fullmatch(r"(OpenRouter([A-Z][a-z]+)+|Watchdog)", alert.name)
    assert alert.summary.endswith(".")
    assert not re.search(r"[\d{]", alert.summary)
    assert alert.description.endswith((".", "?"))
    told = rule_data(alert, Options())
    assert {"severity", "component"} <= told["labels"].keys()
    assert not any("{{" in value for value in told["labels"].values())
    assert told["annotations"].keys() == {"summary", "description", "runbook_url", "dashboard_url"}
    # Prometheus' templates do not see static labels: `$labels.job` of MonitorDown would be empty.
    used = {name for text in told["annotations"].values() for name in re.findall(r"\$labels\.(\w+)", text)}
    assert not used & alert.labels.keys()


@pytest.mark.parametrize("alert", ALERTS, ids=title)
def test_an_alert_waits_and_stays(alert: Alert) -> None:
    """Two evaluations at least before it fires, unless it tells of an event; and what the daemon's figures tell does
    not seem over when the daemon dies."""
    assert bool(alert.lasts) is (alert.name not in EVENTS)
    if alert.lasts:
        assert promql.parse(f"up[{alert.lasts}]").range.total_seconds() >= 2 * 30
    assert alert.stays == ("" if alert.name in NOT_THE_DAEMONS else STAYS)


def test_the_alerts_that_were_promised_are_there() -> None:
    """By name: they are public, as are those of metrics."""
    promised = """
        NonFreeModelUsed SpendDetected UnaccountedUsage UnaccountedActivity AccountCreditsNegative KeyInvalid
        KeyExpiring KeyLimitNearlyReached DailyQuotaNearlyExhausted DailyQuotaProjectedExhaustion DailyQuotaFastBurn
        MinuteLimitSaturated RateLimitSpike ErrorRateHigh LatencyRegression ModelNoLongerFree ModelDisappeared
        FreeModelUptimeLow ModelPriceChanged MonitorDown MonitorInstanceDown MonitorRestarting PollerStale
        CallLogWriteFailures StoreUnreadable MonitorCardinalityLimited ClockSkew ConfigReloadFailed
        NotificationsFailing Watchdog"""
    assert {alert.name.removeprefix("OpenRouter") for alert in ALERTS} == set(promised.split())
    assert [alert.name for alert in ALERTS if alert.severity is Severity.NONE] == ["Watchdog"]


def test_what_is_recorded_is_read() -> None:
    """A recording that no alert reads is work for nothing; and it stands above its readers, in the same group."""
    for group in groups():
        seen: set[str] = set()
        for rule in group.rules:
            read = {selector.name for selector in selectors(rule.expr)} & RECORDED
            assert read <= seen, rule.name
            if isinstance(rule, Recording):
                seen.add(rule.name)
        used = {selector.name for alert in group.alerts for selector in selectors(alert.expr)}
        assert seen <= used, group.name


@pytest.mark.parametrize("name", [each.name for each in explained()])
def test_every_threshold_is_one_of_an_alert(name: str) -> None:
    """Another value makes other rules."""
    other = dataclasses.replace(DEFAULT, **{name: getattr(DEFAULT, name) + 0.0123})
    assert groups(Options(thresholds=other)) != groups()


@pytest.mark.parametrize(
    "wrong",
    [
        {"error_ratio": 1.5},
        {"error_ratio": 0.0},
        {"restarts": -1},
        {"burn_rate": float("nan")},
        {"quota_warning": 0.95},
    ],
    ids=str,
)
def test_a_threshold_that_makes_no_sense_is_an_error(wrong: dict[str, float]) -> None:
    """It would make an alert that always fires, or never."""
    with pytest.raises(ValueError, match=r"the threshold .* is wrong"):
        Thresholds(**wrong)


def test_the_rules_file_is_that_of_the_table() -> None:
    """Else: `openrouter-monitor alerts render --output alerts/rules.yml`."""
    assert (ROOT / "alerts" / "rules.yml").read_text(encoding="utf-8") == text_of(data(groups(), Options()))


STRANGE = Options(
    job='true "quoted" \\ yes', apps=("a.b", "c|d"), grafana="https://x.test/y/", runbooks="on", interval="1m"
)


@pytest.mark.parametrize("options", [Options(), STRANGE], ids=["usual", "strange"])
def test_yaml_reads_what_was_written(options: Options) -> None:
    """Whatever is in the texts."""
    told = data(groups(options), options)
    assert yaml.safe_load(text_of(told)) == told


def test_the_page_is_that_of_the_table() -> None:
    """Else: `python -m monitor.alerting > docs/alert-rules.md`."""
    assert (ROOT / "docs" / "alert-rules.md").read_text(encoding="utf-8") == page()
