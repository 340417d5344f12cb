"""Rules as Prometheus reads them: plain data, and YAML of it that is the same each time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from monitor.alerting.rule import Alert, Group, Options, Rule

HEAD = """\
# Alerts and recording rules of openrouter-monitor.
# Made by `openrouter-monitor alerts render`; a test compares. Prometheus 2.42 or newer.
"""


_PLAIN = re.compile(r"[A-Za-z_][\w:-]*|[0-9]+[smhdw]", re.ASCII)
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"})
"""What YAML, or somebody who reads it, may take for something else than text."""


def data(groups: Iterable[Group], options: Options) -> dict[str, Any]:
    """The whole file as plain data: what YAML or JSON is made of, and the `spec` of a PrometheusRule."""
    return {
        "groups": [
            {
                "name": group.name,
                "interval": options.interval,
                "rules": [rule_data(rule, options) for rule in group.rules],
            }
            for group in groups
        ]
    }


def rule_data(rule: Rule, options: Options) -> dict[str, Any]:
    """One rule, its keys in the order that people read."""
    if not isinstance(rule, Alert):
        told = {"record": rule.name, "expr": rule.expr, "labels": dict(rule.labels)}
        return {name: value for name, value in told.items() if value}
    told = {
        "alert": rule.name,
        "expr": rule.expr,
        "for": rule.lasts,
        "keep_firing_for": rule.stays,
        "labels": {"severity": rule.severity.value, "component": rule.component.value, **rule.labels},
        "annotations": texts(rule, options),
    }
    return {name: value for name, value in told.items() if value}


def texts(alert: Alert, options: Options) -> dict[str, str]:
    """What a message shows, and where it leads."""
    place = f"#{alert.page}" if alert.page else ""
    return {
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": f"{options.runbooks.rstrip('/')}/{alert.name}.md{place}",
        "dashboard_url": dashboard_url(alert, options),
    }


def dashboard_url(alert: Alert, options: Options) -> str:
    """The dashboard, set to what the alert is about. Static labels are written out, for templates do not see them."""
    taken = []
    for variable, label in alert.dashboard.variables.items():
        static = alert.labels.get(label)
        value = f"{{{{ $labels.{label} | urlquery }}}}" if static is None else quote(static, safe="")
        taken.append(f"var-{variable}={value}")
    return f"{options.grafana.rstrip('/')}/d/{alert.dashboard.uid}" + (f"?{'&'.join(taken)}" if taken else "")


def yaml(told: Mapping[str, Any]) -> str:
    """The file's text."""
    return HEAD + "\n".join(_lines(told, "")) + "\n"


def _lines(value: Mapping[str, Any] | list[Any], indent: str) -> list[str]:
    lines: list[str] = []
    if isinstance(value, list):
        for item in value:
            first, *rest = _lines(item, indent + "  ")
            lines += [f"{indent}- {first.lstrip()}", *rest]
        return lines
    for key, item in value.items():
        if isinstance(item, Mapping | list):
            lines += [f"{indent}{key}:", *_lines(item, indent + "  ")]
        elif "\n" in item or '"' in item:
            lines += [f"{indent}{key}: |-", *(f"{indent}  {line}" for line in item.split("\n"))]
        else:
            lines.append(f"{indent}{key}: {_scalar(item)}")
    return lines


def _scalar(text: str) -> str:
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)
