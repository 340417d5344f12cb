"""The nouns: an alert, a recording rule, a group of both, and what they are written for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from monitor.alerting.thresholds import DEFAULT, Thresholds

RUNBOOKS = "https://github.com/openrouter-monitor/openrouter-monitor/blob/main/alerts/runbooks"
GRAFANA = "http://localhost:3000"
JOB = "openrouter-monitor"

STAYS = "15m"
"""`keep_firing_for` of what the daemon's figures tell. When the daemon dies its series end at once, and without this
"resolved" would be sent minutes before MonitorDown fires. The price: what is really over is told 15 minutes late."""


class Severity(StrEnum):
    """`critical`: act now, it is money, a dead key, lost data, or we are blind. `warning`: today. `info`: to know."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"
    NONE = "none"
    """Of Watchdog alone, which always fires."""


class Component(StrEnum):
    """What an alert is about; Alertmanager groups messages by it."""

    SPEND = "spend"
    KEY = "key"
    QUOTA = "quota"
    TRAFFIC = "traffic"
    MODELS = "models"
    MONITOR = "monitor"


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Where an alert leads: the dashboard's uid, and which of its variables take which of the alert's labels."""

    uid: str
    variables: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, uid: str, *names: str) -> Dashboard:
        """A dashboard whose variables `names` take the labels of the same names, besides `job` and `instance`."""
        return cls(uid, MappingProxyType({name: name for name in ("job", "instance", *names)}))


@dataclass(frozen=True, slots=True)
class Recording:
    """A figure that Prometheus keeps for alerts and dashboards; named level:metric:operation."""

    name: str
    expr: str
    about: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `expr` is PromQL; `lasts` and `stays` are Prometheus' `for` and `keep_firing_for` ("" is none).

    `summary` is a sentence without figures; `description` says who and how much, with Prometheus' templates over the
    labels that `expr` yields. `labels` are static ones, which templates do not see. `page` is a place in the runbook.
    `prometheus_only` says why nobody but Prometheus can judge it; empty where the daemon's own figures are enough.
    """

    name: str
    expr: str
    severity: Severity
    component: Component
    summary: str
    description: str
    dashboard: Dashboard
    lasts: str = ""
    stays: str = STAYS
    labels: Mapping[str, str] = field(default_factory=dict)
    page: str = ""
    prometheus_only: str = ""


Rule = Alert | Recording


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that Prometheus evaluates one after the other: what an alert reads is recorded above it."""

    name: str
    rules: tuple[Rule, ...]

    @property
    def alerts(self) -> tuple[Alert, ...]:
        return tuple(rule for rule in self.rules if isinstance(rule, Alert))


@dataclass(frozen=True, slots=True)
class Options:
    """What rules are written for. `job` is the daemon's name in Prometheus; the other jobs are Prometheus' and
    Alertmanager's own. `apps` narrows alerts about apps to some; `free_only` makes a paid call critical.
    """

    job: str = JOB
    thresholds: Thresholds = DEFAULT
    apps: tuple[str, ...] = ()
    free_only: bool = False
    runbooks: str = RUNBOOKS
    grafana: str = GRAFANA
    interval: str = "30s"
    prometheus_job: str = "prometheus"
    alertmanager_job: str = "alertmanager"

    def of(self, metric: str, *matchers: str) -> str:
        """A selector of the daemon's own series of a metric."""
        return f"{metric}{{{', '.join((f'job={quoted(self.job)}', *matchers))}}}"

    @property
    def of_apps(self) -> tuple[str, ...]:
        """The matcher that keeps the chosen apps; none when all are watched."""
        return (f"app=~{quoted('|'.join(map(re.escape, self.apps)))}",) if self.apps else ()


def quoted(text: str) -> str:
    """A string of PromQL."""
    return json.dumps(text, ensure_ascii=False)


def number(value: float) -> str:
    """A number of PromQL, in full: 604800, not 6e+05."""
    return f"{value:.10f}".rstrip("0").rstrip(".")
