"""The five dashboards, in the order in which one looks at them."""

from __future__ import annotations

from monitor.grafana.boards import errors, health, latency, models, overview
from monitor.grafana.choices import Choices
from monitor.grafana.panels import Board


def boards(choices: Choices) -> tuple[Board, ...]:
    """All of them, with their thresholds."""
    return tuple(each.board(choices.thresholds) for each in (overview, models, errors, latency, health))
