"""All that the status page shows, as `/api/status` tells it: the figures of `monitor.status`, and besides

| name | holds |
|---|---|
| `traffic` | attempts of the window, app and model asked for: `monitor.views.traffic` |
| `calls` | the newest attempts of the app and model: `rows`, as in `calls --json`, and `looked_at`: null, or how many
  rows of the log were looked at before giving up |
| `use_of_day` | how the day's use rose: list of `at`, `used`, `limit` |
"""

from __future__ import annotations

from typing import Any

from monitor.config import Settings
from monitor.status import gather
from monitor.store.sqlite.reader import Reader
from monitor.views.stories import last_calls, use_of_day
from monitor.views.traffic import Asked, traffic

EVENTS_SHOWN = 8


def overview(reader: Reader, settings: Settings, now: float, asked: Asked) -> dict[str, Any]:
    """Everything at once. Raises StoreError."""
    return {
        **gather(reader, settings, now, events=EVENTS_SHOWN),
        "traffic": traffic(reader, asked, now),
        "calls": last_calls(reader, asked.app, asked.model),
        "use_of_day": use_of_day(reader, settings, now),
    }
