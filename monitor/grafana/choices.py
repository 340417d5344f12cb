"""What a user may choose of the dashboards."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.alerting.rule import JOB
from monitor.alerting.thresholds import DEFAULT, Thresholds
from monitor.config.parsing import app_name
from monitor.errors import ConfigError

DATASOURCE = "default"
"""Grafana's word for the data source that is marked as the default one."""


@dataclass(frozen=True)
class Choices:
    """`job` is Prometheus' name of the scrape, `datasource` Grafana's name or uid of the Prometheus, both only chosen
    beforehand: a viewer can choose others. `apps` limits the dashboards to these. Raises ConfigError.
    """

    job: str = JOB
    datasource: str = DATASOURCE
    apps: tuple[str, ...] = ()
    thresholds: Thresholds = DEFAULT

    def __post_init__(self) -> None:
        for what, value in (("job", self.job), ("datasource", self.datasource)):
            if not value or not value.isprintable():
                raise ConfigError(f"the {what} {value!r} is wrong: expected a name.")
        for app in self.apps:
            try:
                app_name(app)
            except ValueError as exc:
                raise ConfigError(f"the app {app!r} is wrong: {exc}.") from None
