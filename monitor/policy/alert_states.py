"""How an alert stands: pending, firing, resolved. Pure, and step by step as Prometheus does it.

What a rule yields at an instant and how its alerts stood before make how they stand now. All times are epoch seconds.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

RESOLVED_KEPT_SECONDS = 86_400.0
"""How long what is over is remembered: those who were told that it fires must be told that it is over."""


class Phase(StrEnum):
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Found:
    """One series of what a rule yields: an alert, by its labels, with its texts."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Timing:
    """A rule's `for` and `keep_firing_for`, in seconds."""

    lasts: float = 0.0
    stays: float = 0.0


@dataclass(frozen=True, slots=True)
class AlertState:
    """An alert since `active_at`, when its rule first yielded it; firing since `fired_at`.

    `incident` numbers the times that it fired: unlike the instants it never changes, whatever the clock does.
    `ended_at` is since when its rule yields it no longer, though it goes on firing for a while. What is pending again
    soon after its end remembers that: `resolved_at`.
    """

    rule: str
    phase: Phase
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    value: float
    active_at: float
    incident: int = 0
    fired_at: float | None = None
    ended_at: float | None = None
    resolved_at: float | None = None

    @property
    def firing(self) -> bool:
        return self.phase is Phase.FIRING

    @property
    def severity(self) -> str:
        return self.labels.get("severity", "")

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")

    def written(self) -> str:
        """As a text that `read` understands."""
        return json.dumps({name: getattr(self, name) for name in _NAMES}, ensure_ascii=False, sort_keys=True)

    @classmethod
    def read(cls, text: str) -> Self | None:
        """None for a text that another version wrote, and this one cannot use."""
        try:
            content: dict[str, Any] = json.loads(text)
            content["phase"] = Phase(content["phase"])
            return cls(**{name: content[name] for name in content if name in _NAMES})
        except (ValueError, TypeError, KeyError):
            return None

    def later(self, seconds: float) -> Self:
        """The same, with all its instants moved."""
        return self._moved(seconds, "active_at", "fired_at", "ended_at", "resolved_at")

    def unwatched(self, seconds: float) -> Self:
        """The same after so many seconds in which nobody looked: they count neither for `for` nor for the end."""
        return self._moved(seconds, "ended_at", *(("active_at",) if self.phase is Phase.PENDING else ()))

    def _moved(self, seconds: float, *names: str) -> Self:
        moved = {name: at + seconds for name in names if (at := getattr(self, name)) is not None}
        return dataclasses.replace(self, **moved)


_NAMES = frozenset(field.name for field in dataclasses.fields(AlertState))

States = dict[str, AlertState]
"""By the fingerprint of their labels."""


def fingerprint(labels: Mapping[str, str]) -> str:
    """The number of a set of labels, by which Alertmanager too knows an alert: FNV-1a of 64 bits, in hexadecimal."""
    number = 0xCBF29CE484222325
    for name, value in sorted(labels.items()):
        for byte in b"%b\xff%b\xff" % (name.encode(), value.encode("utf-8", "replace")):
            number = (number ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{number:016x}"


def step(rule: str, before: States, found: Iterable[Found], timing: Timing, now: float) -> States:
    """How a rule's alerts stand now. What was pending and is no more is again what it was before."""
    after: States = {}
    yielded = {fingerprint(alert.labels): alert for alert in found}
    for key, state in before.items():
        if key not in yielded and (gone := _without(state, timing, now)) is not None:
            after[key] = gone
    for key, alert in yielded.items():
        known = before.get(key)
        if known is None:
            known = AlertState(rule, Phase.PENDING, alert.labels, alert.annotations, alert.value, now)
        elif known.phase is Phase.RESOLVED:
            known = dataclasses.replace(known, phase=Phase.PENDING, active_at=now)
        state = dataclasses.replace(known, annotations=alert.annotations, value=alert.value, ended_at=None)
        if state.phase is Phase.PENDING and now - state.active_at >= timing.lasts:
            state = dataclasses.replace(
                state, phase=Phase.FIRING, fired_at=now, resolved_at=None, incident=int(now * 1000)
            )
        after[key] = state
    return after


def _without(state: AlertState, timing: Timing, now: float) -> AlertState | None:
    """The state of an alert that its rule does not yield."""
    if state.phase is Phase.PENDING:
        return None if state.resolved_at is None else dataclasses.replace(state, phase=Phase.RESOLVED)
    if state.phase is Phase.RESOLVED:
        over = now - (state.resolved_at or 0.0) > RESOLVED_KEPT_SECONDS
        return None if over else state
    since = now if state.ended_at is None else state.ended_at
    if now - since < timing.stays:
        return dataclasses.replace(state, ended_at=since)
    return dataclasses.replace(state, phase=Phase.RESOLVED, ended_at=since, resolved_at=now)
