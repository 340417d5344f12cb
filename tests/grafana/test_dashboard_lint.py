"""Every dashboard meets every rule, and every rule finds what it is for."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from monitor.grafana import lint
from tests.grafana.dashboards_kit import MADE

SOUND = MADE["openrouter-errors"]


def first(dashboard: dict[str, Any]) -> dict[str, Any]:
    return next(lint.panels(dashboard))


def variable(dashboard: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in dashboard["templating"]["list"] if each["name"] == name)


def ask(dashboard: dict[str, Any], expr: str) -> None:
    first(dashboard)["title"] = "Some panel"
    first(dashboard)["targets"][0]["expr"] = expr


CHOSEN = 'job=~"$job", instance=~"$instance"'
BROKEN: dict[str, Callable[[dict[str, Any]], object]] = {
    "template-datasource": lambda d: variable(d, "datasource").update(query="loki"),
    "template-job": lambda d: variable(d, "job").update(multi=False),
    "template-instance": lambda d: variable(d, "instance").update(allValue=""),
    "template-label-promql": lambda d: variable(d, "job").update(definition="label_values("),
    "template-on-time-change-reload": lambda d: variable(d, "job").update(refresh=1),
    "panel-datasource": lambda d: first(d).update(datasource={"type": "prometheus", "uid": "mine"}),
    "panel-title-description": lambda d: first(d).update(description=""),
    "panel-units": lambda d: first(d)["fieldConfig"]["defaults"].update(unit=""),
    "panel-no-targets": lambda d: first(d).update(targets=[]),
    "target-promql": lambda d: ask(d, "sum((up)"),
    "target-logql": lambda d: first(d)["targets"][0].update(datasource={"type": "loki", "uid": "${datasource}"}),
    "target-rate-interval": lambda d: ask(d, f"rate(x_total{{{CHOSEN}}}[5m])"),
    "target-job": lambda d: ask(d, 'up{instance=~"$instance"}'),
    "target-instance": lambda d: ask(d, 'up{job=~"$job"}'),
    "target-counter-agg": lambda d: ask(d, f"sum(x_total{{{CHOSEN}}})"),
    "uneditable-dashboard": lambda d: d.update(editable=True),
    "opens-well": lambda d: d.update(timezone="browser"),
    "ids-unique": lambda d: first(d).update(id=d["panels"][0]["id"]),
    "grid": lambda d: first(d)["gridPos"].update(w=8),
    "variables-used": lambda d: d["templating"]["list"].append({**variable(d, "app"), "name": "unused"}),
    "link-resolves": lambda d: first(d).update(links=[{"url": "/d/openrouter-gone?x"}]),
}


@pytest.mark.parametrize("uid", MADE)
def test_a_dashboard_meets_every_rule(uid: str) -> None:
    """Or the exception has its reason."""
    assert lint.problems(MADE[uid], MADE) == []


@pytest.mark.parametrize("rule", BROKEN)
def test_a_rule_finds_what_it_is_for(rule: str) -> None:
    """A dashboard that breaks it is told of, by the rule's name."""
    broken = copy.deepcopy(SOUND)
    BROKEN[rule](broken)
    assert rule in {problem.rule for problem in lint.problems(broken, MADE)}


def test_every_rule_is_tried() -> None:
    """`target-logql-auto` is `target-logql`: there is no Loki here."""
    assert {*lint.RULES, "link-resolves"} - {"target-logql-auto"} == BROKEN.keys()


def test_every_excuse_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An excuse for what is no longer so would hide the next mistake."""
    excused = dict(lint.EXCUSED)
    monkeypatch.setattr(lint, "EXCUSED", {})
    found = {(each.rule, each.panel) for made in MADE.values() for each in lint.problems(made, MADE)}
    assert found == excused.keys()
