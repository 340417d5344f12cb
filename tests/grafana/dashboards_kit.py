"""The dashboards as Grafana reads them, and their queries as Prometheus gets them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from monitor.grafana.choices import Choices
from monitor.grafana.render import dashboards
from tests.fakes.processes import ROOT

MADE = dashboards(Choices())
COMMITTED = ROOT / "dashboards"

CHOSEN = {
    "$__rate_interval": "2m",
    "$__range": "1h",
    "$job": "openrouter-monitor",
    "$instance": ".+",
    "$app": ".+",
    "$model": ".+",
    "$key": ".+",
}
"""What the viewer chose, and what Grafana makes of the zoom."""


class Asked(NamedTuple):
    """A query, and where it stands."""

    uid: str
    panel: str
    ref: str
    expr: str

    def __str__(self) -> str:
        return f"{self.uid}: {self.panel}, {self.ref}"


def filled(expr: str, **chosen: str) -> str:
    """The query as Prometheus gets it."""
    for name, value in (CHOSEN | {f"${name}": value for name, value in chosen.items()}).items():
        expr = expr.replace(name, value)
    return expr


def asked(made: dict[str, dict[str, Any]] = MADE) -> Iterator[Asked]:
    """Every query of every panel, and those of the annotations."""
    for uid, dashboard in made.items():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                yield Asked(uid, panel["title"], target["refId"], target["expr"])
        for annotation in dashboard["annotations"]["list"]:
            if "expr" in annotation:
                yield Asked(uid, "annotation", annotation["name"], annotation["expr"])


def committed(uid: str) -> Any:
    return json.loads((COMMITTED / f"{uid}.json").read_text(encoding="utf-8"))
