"""All that the status page shows, as `/api/status` tells it: the figures of `monitor.status`, and besides

| name | holds |
|---|---|
| `alerts` | besides what is there: `prometheus_only`, the names of those that the daemon cannot judge by itself |
| `traffic` | attempts of the window, app and model asked for: `monitor.views.traffic` |
| `calls` | the newest attempts of the app and model: `rows`, as in `calls --json`, and `looked_at`: null, or how many
  rows of the log were looked at before giving up |
| `use_of_day` | how the day's use rose: list of `at`, `used`, `limit` |
"""

from __future__ import annotations

from typing import Any

from monitor.alerting.rule import Severity
from monitor.alerting.rules import alerts
from monitor.config import Settings
from monitor.status import gather
from monitor.store.sqlite.reader import Reader
from monitor.views.stories import last_calls, use_of_day
from monitor.views.traffic import Asked, traffic

EVENTS_SHOWN = 8


def overview(reader: Reader, settings: Settings, now: float, asked: Asked) -> dict[str, Any]:
    """Everything at once. Raises StoreError."""
    found = gather(reader, settings, now, events=EVENTS_SHOWN)
    return {
        **found,
        "alerts": {**found["alerts"], "prometheus_only": only_in_prometheus()},
        "traffic": traffic(reader, asked, now),
        "calls": last_calls(reader, asked.app, asked.model),
        "use_of_day": use_of_day(reader, settings, now),
    }


def only_in_prometheus() -> list[str]:
    """Names of the alerts that need it; without the one that always fires, which is no news to anybody."""
    return [alert.name for alert in alerts() if alert.prometheus_only and alert.severity is not Severity.NONE]
