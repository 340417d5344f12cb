"""The nouns of a dashboard: what a panel asks and how it looks. The templates turn them into Grafana's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

GREEN, YELLOW, ORANGE, RED, BLUE, PURPLE, GREY = "green", "yellow", "orange", "red", "blue", "purple", "#8e8e8e"
DARK_RED = "dark-red"


class Kind(StrEnum):
    """Types of Grafana's panels; each has a template of that name."""

    STAT = "stat"
    TIMESERIES = "timeseries"
    BARS = "bargauge"
    TABLE = "table"
    TIMELINE = "state-timeline"
    HEATMAP = "heatmap"


@dataclass(frozen=True, slots=True)
class Query:
    """One question to Prometheus. `why` is the reason for a range that does not follow the zoom."""

    expr: str
    legend: str = ""
    format: str = "time_series"
    instant: bool = False
    why: str = ""


def now(expr: str, legend: str = "", *, why: str = "") -> Query:
    """Asked at the end of the dashboard's range only."""
    return Query(expr, legend, instant=True, why=why)


def rows(expr: str, *, why: str = "") -> Query:
    """Asked at the end of the range, for a table: labels become columns."""
    return Query(expr, format="table", instant=True, why=why)


@dataclass(frozen=True, slots=True)
class Step:
    """From `value` on it is `color`; None is the lowest."""

    value: float | None
    color: str


def steps(*later: tuple[float, str], base: str = GREEN) -> tuple[Step, ...]:
    """`base`, and from each value on another colour."""
    return (Step(None, base), *(Step(value, color) for value, color in later))


@dataclass(frozen=True, slots=True)
class Text:
    """A value that is told as a word."""

    value: float
    text: str
    color: str


@dataclass(frozen=True, slots=True)
class Field:
    """How one series or column differs: by its name, or by a regular expression between slashes."""

    name: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `width` is of 24, `height` in Grafana's rows; `look` is what the template of its kind understands.

    `link` is the uid of the dashboard that tells more; `every` the least distance of two points (`10m`);
    `nothing` is told where there is no data; `changes` are Grafana's transformations.
    """

    kind: Kind
    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    width: int = 8
    height: int = 8
    decimals: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    thresholds: tuple[Step, ...] = (Step(None, BLUE),)
    texts: tuple[Text, ...] = ()
    fields: tuple[Field, ...] = ()
    look: Mapping[str, Any] = field(default_factory=dict)
    link: str | None = None
    every: str | None = None
    nothing: str | None = None
    changes: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading, laid from left to right and on into further lines."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard. `variables` are those that its queries use, besides data source, job and instance."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    variables: tuple[str, ...] = ()
    annotations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """A panel or a row's heading with its number and its place on the grid."""

    id: int
    x: int
    y: int
    w: int
    h: int
    panel: Panel | None = None
    heading: str = ""


COLUMNS = 24


def place(board: Board) -> tuple[Placed, ...]:
    """The grid: each row's heading, below it its panels. Raises ValueError for a line that is not filled evenly."""
    placed: list[Placed] = []
    y = 0
    for row in board.rows:
        placed.append(Placed(len(placed) + 1, 0, y, COLUMNS, 1, heading=row.title))
        y, x, tallest = y + 1, 0, 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                raise ValueError(f"{board.uid}: {panel.title} does not fit beside the panels before it")
            if tallest and panel.height != tallest:
                raise ValueError(f"{board.uid}: {panel.title} is not as high as the panels beside it")
            placed.append(Placed(len(placed) + 1, x, y, panel.width, panel.height, panel))
            x, tallest = x + panel.width, panel.height
            if x == COLUMNS:
                x, y, tallest = 0, y + panel.height, 0
        if x:
            raise ValueError(f"{board.uid}: the last line of {row.title} has a gap")
    return tuple(placed)
