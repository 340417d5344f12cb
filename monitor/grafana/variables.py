"""Where a viewer chooses: the variables of the dashboards, and their annotations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from monitor.grafana.choices import Choices
from monitor.grafana.queries import chosen

EVERYTHING = ".+"

FIRING = 'ALERTS{job=~"$job", alertname=~"OpenRouter.+", alertstate="firing"}'


@dataclass(frozen=True, slots=True)
class Variable:
    """One of them. Without `query` its values are `values`."""

    name: str
    label: str
    query: str = ""
    values: tuple[str, ...] = ()
    current: str | None = None

    @property
    def everything(self) -> str:
        """What "All" matches."""
        return "|".join(re.escape(value) for value in self.values) or EVERYTHING


@dataclass(frozen=True, slots=True)
class Annotation:
    """Marks on every panel where `expr` has a value."""

    name: str
    expr: str
    title: str
    text: str
    color: str
    shown: bool = True
    """Whether they are shown before the viewer asks for them."""


def variables(names: tuple[str, ...], choices: Choices) -> tuple[Variable, ...]:
    """Job, instance and those named, in this order: each offers what the ones before it leave."""
    known = {
        "app": Variable("app", "App", _values("openrouter_calls_total", "app"), choices.apps),
        "key": Variable("key", "Key", _values("openrouter_key_valid", "key")),
        "model": Variable("model", "Model", _values("openrouter_requests_total", "model")),
    }
    return (
        Variable("job", "Job", "label_values(openrouter_monitor_build_info, job)", current=choices.job),
        Variable("instance", "Instance", 'label_values(openrouter_monitor_build_info{job=~"$job"}, instance)'),
        *(known[name] for name in names),
    )


def _values(family: str, label: str) -> str:
    return f'label_values({family}{{job=~"$job", instance=~"$instance"}}, {label})'


def _begin(name: str, severity: str, color: str, *, shown: bool) -> Annotation:
    """Where each begins: a mark over all of its time would cover the panels on just the days that one looks at."""
    firing = f"{FIRING[:-1]}, {severity}}}"
    return Annotation(
        name, f"{firing} unless {firing} offset $__rate_interval", "{{alertname}}", "{{severity}}", color, shown
    )


_MARKS = {
    "critical": _begin("Critical alerts that begin", 'severity="critical"', "red", shown=True),
    # On a bad day there are so many that they hide what one wants to see.
    "others": _begin("Other alerts that begin", 'severity!="critical"', "orange", shown=False),
    "restarts": Annotation(
        "Restarts of the daemon",
        f"changes({chosen('process_start_time_seconds')}[$__rate_interval]) > 0",
        "Restarted",
        "{{instance}}",
        "blue",
    ),
    "catalogue": Annotation(
        "Changes of the catalogue",
        f"sum by (change) (increase({chosen('openrouter_model_changes_total')}[$__rate_interval])) > 0",
        "Catalogue",
        "{{change}}",
        "purple",
    ),
}


def marks(names: tuple[str, ...]) -> tuple[Annotation, ...]:
    """Alerts and restarts, and those named."""
    return tuple(_MARKS[name] for name in ("critical", "others", "restarts", *names))


def as_current(value: str | None) -> dict[str, Any]:
    """The choice that a dashboard opens with: one value, or all of them."""
    if value is None:
        return {"selected": True, "text": ["All"], "value": ["$__all"]}
    return {"selected": True, "text": [value], "value": [value]}
