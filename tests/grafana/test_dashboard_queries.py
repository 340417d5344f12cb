"""Queries name what exists, as what it is; and Prometheus, old and new, understands them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import promql_parser as promql
import pytest
import yaml

from monitor.metrics.families import BY_NAME, FAMILIES
from monitor.metrics.family import Family, Type
from tests.fakes.processes import ROOT
from tests.fakes.programs import need
from tests.grafana.dashboards_kit import MADE, Asked, asked, filled

OTHERS = {
    "up": set(),
    "ALERTS": {"alertname", "alertstate", "severity"},
    "scrape_samples_scraped": set(),
    "scrape_duration_seconds": set(),
    "process_start_time_seconds": set(),
    "process_resident_memory_bytes": set(),
    "process_cpu_seconds_total": set(),
    "process_open_fds": set(),
}
"""What Prometheus and its client library tell, with the labels that are used of it."""

ALWAYS = {"job", "instance"}

NOT_SHOWN = {
    "gen_ai_client_operation_duration_seconds": "opt-in, for dashboards that know OpenTelemetry's names",
    "gen_ai_client_token_usage": "opt-in, for dashboards that know OpenTelemetry's names",
}
"""Families that no dashboard shows, and why."""

OF_COUNTERS = {"rate", "increase"}
OF_GAUGES = {"max_over_time", "min_over_time", "changes"}

QUERIES = list(asked())


def family_of(series: str) -> Family | None:
    """The family that a series is of."""
    base = re.sub(r"_(bucket|sum|count)$", "", series)
    if base in BY_NAME and BY_NAME[base].type is Type.HISTOGRAM and base != series:
        return BY_NAME[base]
    return BY_NAME.get(series) if series in BY_NAME and BY_NAME[series].type is not Type.HISTOGRAM else None


def labels_of(series: str) -> set[str]:
    """The labels that Prometheus stores of a series."""
    if series in OTHERS:
        return OTHERS[series] | ALWAYS
    family = family_of(series)
    assert family is not None, f"there is no metric {series}"
    return set(family.labels) | ALWAYS | ({"le"} if series.endswith("_bucket") else set())


def nodes(expr: Any) -> Iterator[Any]:
    """A query and all of its parts."""
    found: list[Any] = []
    promql.walk(expr, lambda node: found.append(node))
    return iter(found)


def selectors(expr: Any) -> Iterator[Any]:
    return (node for node in nodes(expr) if isinstance(node, promql.VectorSelector))


def parsed(each: Asked) -> Any:
    return promql.parse(filled(each.expr))


@pytest.mark.parametrize("uid", MADE)
def test_a_query_names_only_what_exists(uid: str) -> None:
    """Metrics, the labels that are selected by, and those that are grouped by."""
    for each in asked({uid: MADE[uid]}):
        names_only_what_exists(parsed(each))


def names_only_what_exists(expr: Any) -> None:
    for selector in selectors(expr):
        used = {matcher.name for matcher in selector.matchers.matchers}
        assert used <= labels_of(selector.name), (selector.name, used)
    for node in nodes(expr):
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            there = set().union(*(labels_of(selector.name) for selector in selectors(node.expr)))
            assert set(node.modifier.labels) <= there, node.prettify()


@pytest.mark.parametrize("uid", MADE)
def test_counters_are_rated_and_gauges_are_not(uid: str) -> None:
    """`rate` and `increase` mean nothing of a gauge; minimum and maximum mean nothing of a counter."""
    for each in asked({uid: MADE[uid]}):
        is_rated_as_it_should(parsed(each))


def is_rated_as_it_should(expr: Any) -> None:
    for node in nodes(expr):
        if not isinstance(node, promql.Call):
            continue
        for argument in node.args:
            if isinstance(argument, promql.MatrixSelector):
                series = argument.vector_selector.name
                counts = series == "process_cpu_seconds_total" or series.endswith(
                    ("_total", "_bucket", "_sum", "_count")
                )
                assert node.func.name in (OF_COUNTERS if counts else OF_GAUGES), f"{node.func.name} of {series}"


@pytest.mark.parametrize(
    "wrong",
    ["sum by (app) (up)", 'openrouter_key_valid{app="a"}', "openrouter_surprise_total", "openrouter_models_sum"],
)
def test_what_does_not_exist_is_found(wrong: str) -> None:
    """So that the test above means something."""
    with pytest.raises(AssertionError):
        names_only_what_exists(promql.parse(wrong))


@pytest.mark.parametrize("wrong", ["rate(openrouter_models[5m])", "max_over_time(openrouter_calls_total[5m])"])
def test_a_wrong_function_is_found(wrong: str) -> None:
    """So that the test above means something."""
    with pytest.raises(AssertionError):
        is_rated_as_it_should(promql.parse(wrong))


def test_every_family_is_shown_or_said_why_not() -> None:
    """A metric that nobody looks at need not be told."""
    shown = {selector.name for each in QUERIES for selector in selectors(parsed(each))}
    families = {family.name for name in shown if (family := family_of(name))}
    assert {family.name for family in FAMILIES} - families == NOT_SHOWN.keys()


def test_the_oldest_prometheus_understands_every_query(tmp_path) -> None:
    """Debian's 2.42; the parser above is of 3.x."""
    rules = [{"record": f"asked:{n}", "expr": filled(each.expr)} for n, each in enumerate(QUERIES)]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "asked", "rules": rules}]}), encoding="utf-8")
    told = subprocess.run(
        [need("promtool"), "check", "rules", str(file)], capture_output=True, text=True, check=False, timeout=60
    )
    assert told.returncode == 0, told.stdout + told.stderr


def test_alerts_lead_to_dashboards_that_are_there() -> None:
    """The uid of each `dashboard_url` exists, and so does each variable that it sets."""
    rules = yaml.safe_load((ROOT / "alerts" / "rules.yml").read_text(encoding="utf-8"))
    alerts = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    assert alerts
    for alert in alerts:
        uid, _, query = alert["annotations"]["dashboard_url"].partition("/d/")[2].partition("?")
        names = {variable["name"] for variable in MADE[uid]["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", query)) <= names, alert["alert"]
