"""What people may be told once a day, if they ask for it: how the day before went, and what will lapse unused."""

from __future__ import annotations

from pathlib import Path

from monitor.alerting.messages import single
from monitor.clock import DAY, day_name, day_of, next_midnight
from monitor.config import Settings
from monitor.config.hours import Daily, daily
from monitor.policy.notices import Bundle
from monitor.status import gather
from monitor.store.protocol import ALL_APPS
from monitor.store.sqlite.reader import Reader
from monitor.words import count

LATE_SECONDS = 3600.0
"""How long after its time something is still told: the daemon may have been away."""

UNUSED_PART = 0.5
"""From which part of the day's requests on, left unused, the hint is given."""


class _Timed:
    def __init__(self, when: Daily, settings: Settings) -> None:
        self._when, self._settings = when, settings
        self._path = Path(settings.store_path).expanduser()

    def at(self, now: float) -> float | None:
        last = self._when.last(now)
        return last if now - last <= LATE_SECONDS else None


class Summary(_Timed):
    """The newest whole UTC day."""

    key = "daily_summary"

    def bundle(self, now: float) -> Bundle | None:
        settings, day = self._settings, day_of(now) - 1
        with Reader(self._path) as reader:
            with reader.moment() as reports:
                windows = reports.day_windows(settings.account, day)
                spent = reports.spent_in(settings.account, "day", day).usd
                events = reports.events_below(None, 200, ())
            status = gather(reader, settings, now)
        attempts, uncounted = windows.get(ALL_APPS, (0, 0))
        apps = {app: sent - free for app, (sent, free) in windows.items() if app != ALL_APPS and sent > free}
        told = [f"{count(attempts - uncounted, 'free request')} from here on {day_name(day)} (UTC)"]
        if apps:
            told[0] += ": " + ", ".join(f"{app} {n}" for app, n in sorted(apps.items(), key=lambda item: -item[1]))
        told.append(f"{spent:.4f} USD spent by what is on record here")
        changed = sum(day * DAY <= event.at < (day + 1) * DAY for _, event in events)
        told.append(f"{count(changed, 'event')} (`openrouter-monitor events`)")
        today = status["day"]
        told.append(f"today {today['used']} of {today['limit']} free requests are used so far")
        return single("OpenRouterDailySummary", "info", "quota", "How the day went.", "; ".join(told) + ".", now)


class Hint(_Timed):
    """Use it or lose it: half of the day's free requests or more are left."""

    key = "unused_hint"

    def bundle(self, now: float) -> Bundle | None:
        with Reader(self._path) as reader:
            today = gather(reader, self._settings, now)["day"]
        left, limit = today["left"], today["limit"]
        if not limit or left < UNUSED_PART * limit:
            return None
        hours = (next_midnight(now) - now) / 3600
        return single(
            "OpenRouterUnusedRequests",
            "info",
            "quota",
            "Free requests will lapse unused.",
            f"{left} of today's {limit} free requests are left; they lapse at midnight UTC, in {hours:.1f} hours.",
            now,
        )


def occasions(settings: Settings) -> list[Summary | Hint]:
    """Those that the settings ask for."""
    alerts, found = settings.alerts, list[Summary | Hint]()
    if alerts.daily_summary is not None:
        found.append(Summary(daily(alerts.daily_summary), settings))
    if alerts.unused_hint is not None:
        found.append(Hint(daily(alerts.unused_hint), settings))
    return found
