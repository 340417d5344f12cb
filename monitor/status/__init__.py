"""How things stand: the figures of the `status` command and of the status page, as one object of plain values.

`gather` returns this object (times are epoch seconds, UTC; money is USD; counts are requests):

| name | holds |
|---|---|
| `at` | when it was read |
| `store` | `path`, and `recorded`: whether there is a store at all |
| `guard` | `mode`, `allow`, `base_url`, `account` |
| `paused` | list of `app` (null: every app), `at`, `until`, `note` |
| `day` | free requests of the UTC day: `limit`, `limit_source` (settings, openrouter, assumed), `used`, `used_source`
  (openrouter, counted), `left`, `resets_at`, `elsewhere`, `read_at`, `closed_until`, `pace_per_hour` (the larger of
  the day's pace and its last hour's), `exhausted_at` (at that pace; null: it lasts) |
| `minute` | free requests of the last minute: `limit`, `used`, `left`, `opens_at` (null: open), `resets_at` |
| `apps` | list of `app`, `used`, `share`, `promised`, `per_day` |
| `key` | `present`, `read_at`, `error`, and the fields of `KeyFacts` (null: never told) |
| `spend` | `day_usd`, `month_usd`, `reserved_usd`, `budget_day_usd`, `budget_month_usd` |
| `refused_today` | `total`, `by_reason`, `shadow` (left, but would have been refused), `complete` |
| `failures` | what went wrong last, newest first: `id`, `at`, `app`, `model`, `outcome`, `status`, `limit_kind`,
  `reason`, `error` of the newest, and `times`: how often the same happened among the newest attempts |
| `in_flight` | `attempts`, `expired` (their process died, or lost them) |
| `cooling` | list of `subject` (a model; "account"; "paid calls"), `until` |
| `circuits` | models that failed, and how the client treats them: list of `model`, `state` (open, half_open), `until` |
| `amplification` | since the store began: `attempts`, `calls`, `ratio` (attempts ÷ calls; null: no call yet), `saved`
  (calls that a kept answer answered, so that nothing was sent); `last_hour`: `calls` and `retries` of the client's |
| `catalogue` | null, or `source`, `fetched_at`, `models`, `free`, `usable` |
| `events` | the newest, as in `events --json` |
| `alerts` | `evaluated_at` (null: never), `firing`, `pending` and `over` (in the last day): lists of `alert`,
  `severity`, `component`, `labels`, `value`, `summary`, `description`, `runbook_url`, `dashboard_url`, `since`,
  `until`; `ways`: how people are told: list of `way`, `place`, `sent_at`, `failing_since`, `error` |
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from monitor.bookings import DEFAULT_PER_DAY
from monitor.clock import DAY, day_of
from monitor.config import Settings
from monitor.model import Event, Outcome
from monitor.policy.alert_states import AlertState, Phase
from monitor.policy.notices import Health, rank
from monitor.status import models, money, quota
from monitor.store.protocol import AccountState
from monitor.store.sqlite import browse
from monitor.store.sqlite.reader import Reader
from monitor.store.sqlite.reports import Reports

EVENTS_SHOWN = 5
FAILURES_SHOWN = 5
FAILURES_LOOKED_AT = 200

NO_ALERTS: dict[str, Any] = {"evaluated_at": None, "firing": [], "pending": [], "over": [], "ways": []}
"""Before the daemon has judged any."""

_COOLING = {"": "account", "$": "paid calls"}


def gather(reader: Reader, settings: Settings, now: float, *, events: int = EVENTS_SHOWN) -> dict[str, Any]:
    """Everything at once. A store that does not exist is told of, and not made. Raises StoreError."""
    status: dict[str, Any] = {
        "at": now,
        "store": {"path": str(reader.path), "recorded": reader.exists},
        "guard": {
            "mode": str(settings.guard.mode),
            "allow": str(settings.guard.allow),
            "base_url": settings.base_url,
            "account": settings.account,
        },
    }
    if not reader.exists:
        return status | _nothing_yet(settings, now)
    with reader.moment() as reports:
        account = reports.account(settings.account)
        windows = reports.day_windows(settings.account, day_of(now))
        day = quota.day(account, settings, windows, now, reports.pace_mark(settings.account, now))
        open_now, expired = reports.in_flight(now)
        status |= {
            "alerts": alerts(reports),
            "paused": [{**pause._asdict(), "app": pause.app or None} for pause in reports.pauses(now)],
            "day": day,
            "minute": quota.minute(reports, account, settings, now),
            "apps": quota.apps(settings, windows, day["limit"]),
            "key": money.key(reports, settings),
            "spend": money.spend(reports, settings, now),
            "in_flight": {"attempts": open_now, "expired": expired},
            "cooling": [
                {"subject": _COOLING.get(subject, subject), "until": until}
                for subject, until in reports.cooling(settings.account, now).items()
            ],
            "circuits": models.circuits(reports, settings, now),
            "amplification": models.amplification(reports, settings, now),
            "catalogue": models.catalogue(reports, settings, now),
        }
    status["refused_today"] = _refused(reader, now)
    status["failures"] = _failures(reader)
    status["events"] = [event_row(event) for event in browse.events(reader, limit=events)]
    return status


def alerts(reports: Reports) -> dict[str, Any]:
    """How the daemon's alerts stand, the gravest first, and how people are told of them."""
    read = [AlertState.read(text) for text in reports.alert_states().values()]
    states = sorted((state for state in read if state is not None), key=lambda state: (-rank(state), -state.active_at))
    newest = reports.newest_alert_tick()
    told: dict[str, Any] = {"evaluated_at": None if newest is None else newest[1]}
    for name, phase in (("firing", Phase.FIRING), ("pending", Phase.PENDING), ("over", Phase.RESOLVED)):
        told[name] = [_alert(state) for state in states if state.phase is phase]
    ways = reports.alert_ways().items()
    return told | {"ways": [{"way": way, **Health.read(text)._asdict()} for way, text in ways]}


def _alert(state: AlertState) -> dict[str, Any]:
    texts = {name: state.annotations.get(name) for name in ("summary", "description", "runbook_url", "dashboard_url")}
    hidden = ("alertname", "severity", "component")
    pending = state.phase is Phase.PENDING
    return {
        "alert": state.name,
        "severity": state.severity,
        "component": state.labels.get("component"),
        "labels": {name: value for name, value in state.labels.items() if name not in hidden},
        "value": state.value if math.isfinite(state.value) else None,
        **texts,
        "since": state.active_at if pending else state.fired_at,
        "until": None if pending else state.resolved_at,
    }


def event_row(event: Event) -> dict[str, Any]:
    """An event as `events --json` tells it."""
    return dataclasses.asdict(event)


def _refused(reader: Reader, now: float) -> dict[str, Any]:
    """Refusals of the UTC day: from the hourly sums, or from the log while those do not hold them all."""
    refused, shadow = Counter[str](), Counter[str]()
    with reader.moment() as reports:
        traffic = reports.traffic(day_of(now) * 24)
    if not traffic.complete:
        found = browse.refused_since(reader, day_of(now) * DAY)
        return _refusals(found.by_reason, found.shadow, complete=found.complete)
    for each in traffic.sums:
        if each.reason:
            (refused if each.outcome == Outcome.REFUSED else shadow)[each.reason] += each.n
    return _refusals(refused, shadow, complete=True)


def _refusals(by_reason: Mapping[str, int], shadow: Mapping[str, int], *, complete: bool) -> dict[str, Any]:
    total = sum(by_reason.values())
    return {"total": total, "by_reason": dict(by_reason), "shadow": dict(shadow), "complete": complete}


def _failures(reader: Reader) -> list[dict[str, Any]]:
    """The same thing that went wrong many times is told once: it must not hide what else did."""
    with reader.moment() as reports:
        rows = reports.newest_failures(FAILURES_LOOKED_AT)
    told: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        what = {name: row[name] for name in ("app", "outcome", "status", "limit_kind", "reason")}
        what["model"] = row["model_requested"]
        newest = {"id": row["id"], "at": row["started_at"], **what, "error": row["error"], "times": 0}
        told.setdefault(tuple(what.values()), newest)["times"] += 1
    return list(told.values())[:FAILURES_SHOWN]


def _nothing_yet(settings: Settings, now: float) -> dict[str, Any]:
    return {
        "alerts": NO_ALERTS,
        "paused": [],
        "day": quota.day(AccountState(), settings, {}, now),
        "minute": {
            "limit": settings.quota.per_minute,
            "used": 0,
            "left": settings.quota.per_minute,
            "opens_at": None,
            "resets_at": None,
        },
        "apps": quota.apps(settings, {}, settings.quota.per_day or DEFAULT_PER_DAY),
        "key": {"present": money.key_present(settings), "read_at": None, "error": None, **money.no_facts()},
        "spend": money.money(settings, 0.0, 0.0, 0.0),
        "in_flight": {"attempts": 0, "expired": 0},
        "cooling": [],
        "circuits": [],
        "amplification": models.amplified(0, 0, 0, 0, 0),
        "catalogue": None,
        "refused_today": {"total": 0, "by_reason": {}, "shadow": {}, "complete": True},
        "failures": [],
        "events": [],
    }
