"""What is to be told of alerts now, and what is not told again. Pure.

Whom a way of telling reaches has been told is kept as one `Notice` an alert; from the alerts' states and these follows
what is due. Nothing waits in a queue: what could not be sent is due again at the next look, if it still holds.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Self

from monitor.clock import age_of, day_of
from monitor.policy.alert_states import AlertState, Phase, States

SEVERITIES = ("none", "info", "warning", "critical")
"""The least first."""

ONCE_A_DAY = ("quota", "daily")
"""The label of alerts about the day's quota: each is told once in a UTC day, whatever it does after that."""

BUNDLES_AT_MOST = 4
"""Messages at one time: more alerts than that come in one message."""


class Why(StrEnum):
    NEW = "new"
    REPEAT = "repeat"
    OVER = "over"
    MISSED = "missed"
    """It fired and was over before it could be told: in quiet hours, or while the way failed. Told as over."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What was last told of an alert: of which incident, whether that it fires, when (epoch seconds).

    `day` is the UTC day in which the newest incident that was told of began.
    """

    incident: int
    firing: bool
    at: float
    day: int

    def written(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def read(cls, text: str) -> Self | None:
        """None for a text that another version wrote, and this one cannot use."""
        try:
            content: dict[str, Any] = json.loads(text)
            return cls(**{name: content[name] for name in ("incident", "firing", "at", "day")})
        except (ValueError, TypeError, KeyError):
            return None


@dataclass(frozen=True, slots=True)
class Manners:
    """How people want to be told: from which severity on, and after how many seconds again."""

    severity: str = "info"
    repeat_seconds: float = 4 * 3600.0


class Due(NamedTuple):
    """An alert that is to be told of, by its fingerprint, and why."""

    key: str
    state: AlertState
    why: Why

    def notice(self, now: float) -> Notice:
        """What to remember once it has been told."""
        return Notice(self.state.incident, self.state.firing, now, _day(self.state))


class Health(NamedTuple):
    """How a way of telling fares (epoch seconds): `failing_since` and `error` are None while it works."""

    place: str = ""
    sent_at: float | None = None
    failing_since: float | None = None
    error: str | None = None

    def written(self) -> str:
        return json.dumps(self._asdict(), ensure_ascii=False)

    @classmethod
    def read(cls, text: str) -> Self:
        """What another version wrote is left out."""
        try:
            told = json.loads(text)
            return cls(**{name: told[name] for name in cls._fields if name in told})
        except (ValueError, TypeError):
            return cls()


class Bundle(NamedTuple):
    """Alerts that are told in one message; `alertname` is theirs, or "" when they have several."""

    alertname: str
    due: tuple[Due, ...]

    @property
    def firing(self) -> bool:
        return any(each.state.firing for each in self.due)


def due(
    states: States, notices: Mapping[str, Notice], manners: Manners, now: float, *, quiet: bool = False
) -> list[Due]:
    """All that is to be told now, the gravest first; in quiet hours only what is critical: the rest waits."""
    graver = {_window(state) for state in states.values() if state.firing and state.severity == "critical"} - {None}
    found = []
    for key, state in states.items():
        if rank(state) < SEVERITIES.index(manners.severity) or (quiet and state.severity != "critical"):
            continue
        why = _why(state, notices.get(key), manners, now)
        if why in (Why.NEW, Why.REPEAT) and state.severity != "critical" and _window(state) in graver:
            continue  # who hears that the quota is as good as gone need not hear that it is nearly gone
        if why is not None:
            found.append(Due(key, state, why))
    return sorted(found, key=lambda each: (-rank(each.state), each.state.name, each.key))


def bundled(found: Sequence[Due]) -> list[Bundle]:
    """In messages: one for each alert's name, or one for all when there would be many."""
    by_name: dict[str, list[Due]] = {}
    for each in found:
        by_name.setdefault(each.state.name, []).append(each)
    if len(by_name) > BUNDLES_AT_MOST:
        return [Bundle("", tuple(found))]
    return [Bundle(name, tuple(each)) for name, each in by_name.items()]


def begun(states: States, now: float) -> dict[str, Notice]:
    """Notices for a way that begins now: what was over before it was there is not told by it."""
    over = {key: state for key, state in states.items() if state.phase is not Phase.FIRING}
    return {key: Notice(state.incident, False, now, _day(state)) for key, state in over.items()}


def outlived(states: States, notices: Iterable[str]) -> list[str]:
    """Notices of alerts that are no more: what was told once a day is known by its alert, which is kept for a day."""
    return [key for key in notices if key not in states]


def _why(state: AlertState, notice: Notice | None, manners: Manners, now: float) -> Why | None:
    if state.phase is Phase.PENDING:
        return None
    if state.phase is Phase.RESOLVED and notice is not None and notice.firing:
        return Why.OVER  # of whichever incident: who last heard that it fires must hear that it does not
    if notice is None or notice.incident != state.incident:
        if notice is not None and _once_a_day(state) and notice.day == _day(state):
            return None
        return Why.NEW if state.firing else Why.MISSED
    if not state.firing or _once_a_day(state):
        return None
    age = age_of(notice.at, now)
    return Why.REPEAT if age is None or age >= manners.repeat_seconds else None


def _once_a_day(state: AlertState) -> bool:
    name, value = ONCE_A_DAY
    return state.labels.get(name) == value


def _window(state: AlertState) -> tuple[str, str] | None:
    quota = state.labels.get("quota")
    return None if quota is None else (quota, state.labels.get("account", ""))


def _day(state: AlertState) -> int:
    return day_of(state.fired_at or state.active_at)


def rank(state: AlertState) -> int:
    """How grave it is: a larger number is graver; an unknown severity is gravest."""
    return SEVERITIES.index(state.severity) if state.severity in SEVERITIES else len(SEVERITIES)
