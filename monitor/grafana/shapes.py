"""Panels that dashboards share the making of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.grafana.panels import GREY, RED, Field, Kind, Panel, Query, Step, rows, steps

RARE = "10m"
"""Least distance of points where calls are few: a day of 50 requests has two an hour."""

SELDOM = "30m"
"""The same for quantiles, which a few calls say little about."""

USUAL = "2m"
"""At less, a scrape each minute would leave `rate` with one sample."""

GAP_MS = 3_600_000
"""Lines are drawn across an hour without calls."""

PLAIN = (Step(None, "text"),)
"""No colour, for no value of it is good or bad."""


def stat(title: str, description: str, unit: str, *queries: Query, **more: Any) -> Panel:
    """One figure."""
    given: dict[str, Any] = {"width": 3, "height": 4, "thresholds": PLAIN, **more}
    return Panel(Kind.STAT, title, description, unit, queries, **given)


def lines(title: str, description: str, unit: str, *queries: Query, **more: Any) -> Panel:
    """Lines over time, from 0 up unless told otherwise."""
    given: dict[str, Any] = {"every": USUAL, "minimum": 0, **more}
    return Panel(Kind.TIMESERIES, title, description, unit, queries, **given)


def stacked(title: str, description: str, unit: str, *queries: Query, **more: Any) -> Panel:
    """Bars over time, one upon the other."""
    look = {"bars": True, "stack": True, "calcs": ["mean", "max"], **more.pop("look", {})}
    given: dict[str, Any] = {"every": RARE, "minimum": 0, "look": look, **more}
    return Panel(Kind.TIMESERIES, title, description, unit, queries, **given)


def ranked(title: str, description: str, unit: str, *queries: Query, **more: Any) -> Panel:
    """Bars side by side, of the whole range."""
    given: dict[str, Any] = {"minimum": 0, **more}
    return Panel(Kind.BARS, title, description, unit, queries, **given)


def dashed(name: str, color: str = RED) -> Field:
    """A limit, drawn as a dashed line."""
    return Field(
        name,
        {
            "color": {"mode": "fixed", "fixedColor": color},
            "custom.lineStyle": {"fill": "dash", "dash": [8, 6]},
            "custom.fillOpacity": 0,
            "custom.stacking": {"group": "limit", "mode": "none"},
        },
    )


def colored(name: str, color: str) -> Field:
    """A series that has the same colour wherever it is drawn."""
    return Field(name, {"color": {"mode": "fixed", "fixedColor": color}})


OUTCOMES = (
    colored("success", "green"),
    colored("rate_limited", "orange"),
    colored("client_error", "yellow"),
    colored("server_error", "red"),
    colored("network_error", "dark-red"),
    colored("cancelled", "blue"),
    colored("abandoned", GREY),
)

KINDS = (
    colored("free_daily", "red"),
    colored("free_minute", "orange"),
    colored("upstream", "blue"),
    colored("credits", "purple"),
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: what is asked for each row, and how it is told."""

    title: str
    expr: str
    unit: str = "short"
    decimals: int | None = None
    colors: tuple[Step, ...] = ()
    texts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    width: int | None = None

    def look(self) -> Field:
        told: dict[str, Any] = {"unit": self.unit}
        if self.decimals is not None:
            told["decimals"] = self.decimals
        if self.colors:
            told["thresholds"] = {
                "mode": "absolute",
                "steps": [{"color": step.color, "value": step.value} for step in self.colors],
            }
        if self.texts:
            told["mappings"] = [
                {
                    "type": "value",
                    "options": {
                        value: {"text": text, "color": color, "index": index}
                        for index, (value, (text, color)) in enumerate(self.texts.items())
                    },
                }
            ]
        if self.colors or self.texts:
            told["custom.cellOptions"] = {"type": "color-text"}
        if self.width is not None:
            told["custom.width"] = self.width
        return Field(self.title, told)


def table(title: str, description: str, by: Mapping[str, str], *columns: Column, **more: Any) -> Panel:
    """A row for each set of the labels `by` (label: title), first the labels, then the columns."""
    names = {f"Value #{chr(ord('A') + i)}": column.title for i, column in enumerate(columns)}
    if len(columns) == 1:
        names = {"Value": columns[0].title}
    order = ["Time", *by, *names]
    look = {"sort": [{"displayName": columns[0].title, "desc": True}], **more.pop("look", {})}
    widths = more.pop("widths", {})
    return Panel(
        Kind.TABLE,
        title,
        description,
        "short",
        tuple(rows(column.expr) for column in columns),
        changes=(
            {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True},
                    "includeByName": {},
                    "indexByName": {name: index for index, name in enumerate(order)},
                    "renameByName": {**by, **names},
                },
            },
        ),
        fields=(
            *(Field(by[label], {"custom.width": width}) for label, width in widths.items()),
            *(column.look() for column in columns),
        ),
        thresholds=PLAIN,
        look=look,
        **more,
    )


STATES = {"0": ("gone", "red"), "1": ("costs", "orange"), "2": ("free", "green")}
"""A model's state: listed plus free."""

GOOD_WHEN_MANY = steps((0.9, "yellow"), (0.98, "green"), base="red")
"""Of parts that succeed."""
