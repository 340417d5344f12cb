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

from monitor.bookings import DEFAULT_PER_DAY, day_window, minute_limit
from monitor.clock import DAY, age_of, day_of, month_start_day, next_midnight
from monitor.config import Settings
from monitor.errors import ConfigError
from monitor.model import Event, KeyFacts, Outcome, PriceClass
from monitor.policy.alert_states import AlertState, Phase
from monitor.policy.balances import MinuteWindow
from monitor.policy.circuit import Circuit, State, state_of
from monitor.policy.forecast import exhaustion_at, pace_per_hour
from monitor.policy.notices import Health, rank
from monitor.policy.retry_budget import SPANS, span_of
from monitor.policy.shares import promised
from monitor.policy.windows import SLOT, day_remaining, minute_opens_at
from monitor.store.protocol import ALL_APPS, AccountState
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
        day = _day(account, settings, windows, now, reports.pace_mark(settings.account, now))
        open_now, expired = reports.in_flight(now)
        status |= {
            "alerts": alerts(reports),
            "paused": [{**pause._asdict(), "app": pause.app or None} for pause in reports.pauses(now)],
            "day": day,
            "minute": _minute(reports, account, settings, now),
            "apps": _apps(settings, windows, day["limit"]),
            "key": _key(reports, settings),
            "spend": _spend(reports, settings, now),
            "in_flight": {"attempts": open_now, "expired": expired},
            "cooling": [
                {"subject": _COOLING.get(subject, subject), "until": until}
                for subject, until in reports.cooling(settings.account, now).items()
            ],
            "circuits": _circuits(reports, settings, now),
            "amplification": _amplification(reports, settings, now),
            "catalogue": _catalogue(reports, settings, now),
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
        "day": _day(AccountState(), settings, {}, now),
        "minute": {
            "limit": settings.quota.per_minute,
            "used": 0,
            "left": settings.quota.per_minute,
            "opens_at": None,
            "resets_at": None,
        },
        "apps": _apps(settings, {}, settings.quota.per_day or DEFAULT_PER_DAY),
        "key": {"present": key_present(settings), "read_at": None, "error": None, **_no_facts()},
        "spend": _money(settings, 0.0, 0.0, 0.0),
        "in_flight": {"attempts": 0, "expired": 0},
        "cooling": [],
        "circuits": [],
        "amplification": _amplified(0, 0, 0, 0, 0),
        "catalogue": None,
        "refused_today": {"total": 0, "by_reason": {}, "shadow": {}, "complete": True},
        "failures": [],
        "events": [],
    }


def _day(
    account: AccountState,
    settings: Settings,
    windows: dict[str, tuple[int, int]],
    now: float,
    mark: tuple[float, int] | None = None,
) -> dict[str, Any]:
    window = day_window(account, settings, *windows.get(ALL_APPS, (0, 0)), now)
    of_today = account.server_at is not None and day_of(account.server_at) == day_of(now)
    source = "assumed"
    if account.server_limit is not None:
        source = "openrouter"
    if settings.quota.per_day is not None and settings.quota.per_day == window.limit:
        source = "settings"
    left = day_remaining(window, now)
    return {
        "limit": window.limit,
        "limit_source": source,
        "used": window.used,
        "used_source": "counted" if window.elsewhere is None else "openrouter",
        "left": left,
        "resets_at": next_midnight(now),
        "elsewhere": account.elsewhere if of_today else 0,
        "read_at": account.server_at if of_today else None,
        "closed_until": account.day_closed_until if account.day_closed_until > now else None,
        "pace_per_hour": pace_per_hour(window.used, now, mark),
        # What is left says more than used and limit: OpenRouter may have said that the day is spent.
        "exhausted_at": exhaustion_at(window.used, window.used + left, now, mark),
    }


def _minute(reports: Reports, account: AccountState, settings: Settings, now: float) -> dict[str, Any]:
    limit = minute_limit(account.minute_limit, account.minute_limit_at, settings, now)
    newest = reports.newest_send(settings.account)
    full = newest is not None and newest[0] >= limit > 0
    blocking = reports.sent_at(settings.account, newest[0] - limit + 1) if full and newest else None
    opens_at = minute_opens_at(MinuteWindow(limit, blocking, account.minute_closed_until), now)
    used = min(limit, reports.sends_since(settings.account, now - SLOT))
    ends_at = newest[1] + SLOT if newest else 0.0
    return {
        "limit": limit,
        "used": used,
        "left": 0 if opens_at is not None else max(0, limit - used),
        "opens_at": opens_at,
        "resets_at": ends_at if ends_at > now else None,
    }


def _apps(settings: Settings, windows: dict[str, tuple[int, int]], limit: int) -> list[dict[str, Any]]:
    names = sorted({*settings.apps, *(app for app in windows if app != ALL_APPS)})
    rows = []
    for name in names:
        attempts, uncounted = windows.get(name, (0, 0))
        own = settings.apps.get(name)
        share = own.share if own else 0.0
        rows.append(
            {
                "app": name,
                "used": attempts - uncounted,
                "share": share,
                "promised": promised(share, limit),
                "per_day": own.per_day if own else None,
            }
        )
    return rows


def _key(reports: Reports, settings: Settings) -> dict[str, Any]:
    reading = reports.key_reading(settings.account)
    facts = dataclasses.asdict(reading.facts) if reading.facts else _no_facts()
    return {"present": key_present(settings), "read_at": reading.at, "error": reading.error, **facts}


def _no_facts() -> dict[str, Any]:
    return dataclasses.asdict(KeyFacts())


def key_present(settings: Settings) -> bool:
    """Whether an API key is set, and can be read."""
    try:
        return bool(settings.key())
    except ConfigError:
        return False


def _spend(reports: Reports, settings: Settings, now: float) -> dict[str, Any]:
    day = reports.spent_in(settings.account, "day", day_of(now))
    month = reports.spent_in(settings.account, "month", month_start_day(now))
    return _money(settings, day.usd, month.usd, month.reserved_usd)


def _money(settings: Settings, day: float, month: float, reserved: float) -> dict[str, Any]:
    return {
        "day_usd": day,
        "month_usd": month,
        "reserved_usd": reserved,
        "budget_day_usd": settings.budget.per_day_usd,
        "budget_month_usd": settings.budget.per_month_usd,
    }


def _circuits(reports: Reports, settings: Settings, now: float) -> list[dict[str, Any]]:
    """Those that a call may not go to, or only to see how the model does."""
    told = []
    for model, row in sorted(reports.circuits(settings.account).items()):
        circuit = Circuit(*row)
        state = state_of(circuit, now)
        if state is not State.CLOSED:
            told.append(
                {"model": model, "state": str(state), "until": circuit.open_until if state is State.OPEN else None}
            )
    return told


def _amplification(reports: Reports, settings: Settings, now: float) -> dict[str, Any]:
    span = span_of(now)
    hour = reports.counted_in_spans(settings.account, span - SPANS + 1, span)
    return _amplified(*reports.attempts_and_calls(), sum(reports.saved().values()), *hour)


def _amplified(attempts: int, calls: int, saved: int, hour_calls: int, hour_retries: int) -> dict[str, Any]:
    return {
        "attempts": attempts,
        "calls": calls,
        "ratio": attempts / calls if calls else None,
        "saved": saved,
        "last_hour": {"calls": hour_calls, "retries": hour_retries},
    }


def _catalogue(reports: Reports, settings: Settings, now: float) -> dict[str, Any] | None:
    state = reports.catalogue()
    if state is None:
        return None
    age = age_of(state.fetched_at, now)
    fresh = age is not None and age <= settings.guard.catalogue_max_age
    return {
        "source": state.source,
        "fetched_at": state.fetched_at,
        "models": state.models,
        "free": reports.priced(PriceClass.FREE),
        "usable": fresh and state.source == settings.base_url,
    }
