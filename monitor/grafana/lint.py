"""What every dashboard must be like: the seventeen rules of Grafana's dashboard-linter, under its names, and some more.

A rule looks at one dashboard as Grafana reads it and tells what is wrong. What is meant all the same is excused here,
each time with the reason. Whether a query is PromQL is for Prometheus to say: the tests ask it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

Dashboard = dict[str, Any]

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
OWN = ("datasource", "job", "instance")
SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\{([^{}]*)\}(\[[^\]]*\])?")
FOLLOWS_ZOOM = ("$__rate_interval", "$__range", "$__rate_interval:30s")


class Problem(NamedTuple):
    """A rule that is not met, and where: a panel's title, or "" for the dashboard."""

    rule: str
    panel: str
    text: str


ALERTS = "ALERTS are told of by Prometheus, by the labels that an alert's expression keeps: not always an instance"
STATE = "it tells how many there are, not how many came"
WINDOW = "the window of the alert, so that the line means the same"

EXCUSED = {
    ("target-instance", "Firing alerts"): ALERTS,
    ("target-instance", "Alerts"): ALERTS,
    ("target-counter-agg", "Names without a place"): STATE,
    ("target-rate-interval", "Failed, last hour"): WINDOW,
    ("target-rate-interval", "429s, last 15 min"): WINDOW,
    ("target-rate-interval", "Part that failed"): WINDOW,
    ("target-rate-interval", "How fast the day's quota burns"): WINDOW,
}
"""Rule and panel's title: why it is meant."""


def problems(dashboard: Dashboard, uids: Collection[str]) -> list[Problem]:
    """What is wrong with a dashboard and not excused. `uids` are those that links may lead to."""
    found = [Problem(name, panel, text) for name, rule in RULES.items() for panel, text in rule(dashboard)]
    found += [Problem("link-resolves", panel, text) for panel, text in _links(dashboard, uids)]
    return [each for each in found if (each.rule, each.panel) not in EXCUSED]


def panels(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    """All panels but the headings of rows."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def expressions(dashboard: Dashboard) -> Iterator[tuple[str, str]]:
    """Every query with the title of its panel."""
    return ((panel["title"], target["expr"]) for panel in panels(dashboard) for target in panel["targets"])


Told = Iterator[tuple[str, str]]


def _variables(dashboard: Dashboard) -> dict[str, dict[str, Any]]:
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


def _template_datasource(dashboard: Dashboard) -> Told:
    found = _variables(dashboard).get("datasource", {})
    if (found.get("type"), found.get("query"), found.get("label")) != ("datasource", "prometheus", "Data Source"):
        yield "", "wants a variable `datasource` of Prometheus, labelled Data Source"


def _template_of(name: str) -> Callable[[Dashboard], Told]:
    def rule(dashboard: Dashboard) -> Told:
        found = _variables(dashboard).get(name, {})
        wanted = {"type": "query", "datasource": SOURCE, "multi": True, "includeAll": True, "allValue": ".+"}
        if any(found.get(key) != value for key, value in wanted.items()):
            yield "", f"wants a variable `{name}`, of which several and all can be chosen"

    return rule


def _template_label_promql(dashboard: Dashboard) -> Told:
    for name, variable in _variables(dashboard).items():
        asked = variable.get("definition", "")
        if variable["type"] == "query" and not re.fullmatch(r"label_values\(\w+(\{[^{}]+\})?, \w+\)", asked):
            yield "", f"the variable {name} asks {asked!r}"


def _template_reload(dashboard: Dashboard) -> Told:
    for name, variable in _variables(dashboard).items():
        if variable["type"] == "query" and variable.get("refresh") != 2:
            yield "", f"the variable {name} does not follow the range of time"


def _panel_datasource(dashboard: Dashboard) -> Told:
    for panel in panels(dashboard):
        if any(each.get("datasource") != SOURCE for each in (panel, *panel["targets"])):
            yield panel["title"], "does not use the variable of the data source"


def _panel_words(dashboard: Dashboard) -> Told:
    for panel in panels(dashboard):
        if not panel.get("title") or not panel.get("description", "").endswith("."):
            yield panel.get("title", ""), "wants a title, and a description that is a sentence"


def _panel_units(dashboard: Dashboard) -> Told:
    for panel in panels(dashboard):
        if not panel["fieldConfig"]["defaults"].get("unit"):
            yield panel["title"], "wants a unit"


def _panel_no_targets(dashboard: Dashboard) -> Told:
    for panel in panels(dashboard):
        if not panel["targets"]:
            yield panel["title"], "asks nothing"


def _target_promql(dashboard: Dashboard) -> Told:
    for title, expr in expressions(dashboard):
        if not SELECTOR.search(expr) or expr.count("(") != expr.count(")"):
            yield title, f"is no query: {expr}"


def _target_logql(dashboard: Dashboard) -> Told:
    for panel in panels(dashboard):
        if any(target["datasource"]["type"] != "prometheus" for target in panel["targets"]):
            yield panel["title"], "asks something else than Prometheus"


def _target_rate_interval(dashboard: Dashboard) -> Told:
    for title, expr in expressions(dashboard):
        for window in re.findall(r"\[([^\]]+)\]", expr):
            if window not in FOLLOWS_ZOOM:
                yield title, f"[{window}] does not follow the zoom"


def _target_selects(name: str) -> Callable[[Dashboard], Told]:
    def rule(dashboard: Dashboard) -> Told:
        for title, expr in expressions(dashboard):
            if any(f'{name}=~"${name}"' not in labels for _, labels, _ in SELECTOR.findall(expr)):
                yield title, f"does not keep to the {name} that is chosen: {expr}"

    return rule


def _target_counter_agg(dashboard: Dashboard) -> Told:
    for title, expr in expressions(dashboard):
        for name, _, window in SELECTOR.findall(expr):
            if name.endswith(("_total", "_bucket", "_sum", "_count")) and not window:
                yield title, f"{name} is a counter and wants rate or increase"


def _uneditable(dashboard: Dashboard) -> Told:
    if dashboard.get("editable") is not False:
        yield "", "can be edited, and the next version would undo it"


def _opens_well(dashboard: Dashboard) -> Told:
    wanted = {"timezone": "utc", "refresh": "1m", "time": {"from": "now-24h", "to": "now"}, "schemaVersion": 41}
    for key, value in wanted.items():
        if dashboard.get(key) != value:
            yield "", f"{key} is {dashboard.get(key)!r}, not {value!r}"


def _ids_unique(dashboard: Dashboard) -> Told:
    ids = [panel["id"] for panel in dashboard["panels"]]
    if len(set(ids)) != len(ids) or 0 in ids:
        yield "", "panels share an id, or have none"


def _grid(dashboard: Dashboard) -> Told:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        if at["x"] < 0 or at["x"] + at["w"] > 24:
            yield panel["title"], "reaches over the edge"
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                other = taken.setdefault((x, y), panel["title"])
                if other is not panel["title"]:
                    yield panel["title"], f"lies on {other}"
                    return


def _variables_used(dashboard: Dashboard) -> Told:
    asked = json.dumps([*dashboard["panels"], *dashboard["annotations"]["list"]])
    for name in _variables(dashboard):
        if f"${name}" not in asked and f"${{{name}}}" not in asked:
            yield "", f"the variable {name} changes nothing"
    for name in set(re.findall(r"\$\{?([a-z]+)\b", asked)) - set(_variables(dashboard)):
        yield "", f"there is no variable {name}"


def _links(dashboard: Dashboard, uids: Collection[str]) -> Told:
    for panel in panels(dashboard):
        for link in panel["links"]:
            found = re.match(r"/d/([\w-]+)\?", link["url"])
            if found is None or found.group(1) not in uids:
                yield panel["title"], f"leads to {link['url']}"


RULES: dict[str, Callable[[Dashboard], Told]] = {
    "template-datasource": _template_datasource,
    "template-job": _template_of("job"),
    "template-instance": _template_of("instance"),
    "template-label-promql": _template_label_promql,
    "template-on-time-change-reload": _template_reload,
    "panel-datasource": _panel_datasource,
    "panel-title-description": _panel_words,
    "panel-units": _panel_units,
    "panel-no-targets": _panel_no_targets,
    "target-promql": _target_promql,
    "target-logql": _target_logql,
    "target-logql-auto": _target_logql,
    "target-rate-interval": _target_rate_interval,
    "target-job": _target_selects("job"),
    "target-instance": _target_selects("instance"),
    "target-counter-agg": _target_counter_agg,
    "uneditable-dashboard": _uneditable,
    "opens-well": _opens_well,
    "ids-unique": _ids_unique,
    "grid": _grid,
    "variables-used": _variables_used,
}
