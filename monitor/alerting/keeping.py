"""What a watch knows, in the store: how alerts stand, and the history behind it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from monitor.alerting.history import Change, Dropped, History, Labels
from monitor.policy.alert_states import AlertState, States
from monitor.store.sqlite import SQLiteTransaction
from monitor.store.sqlite.alerts import SeriesChange
from monitor.store.sqlite.reader import Reader


@dataclass(slots=True)
class Memory:
    """What a watch knows. `saved` is the newest tick that the store has; `written` its states, as texts.

    `behind`: the store lacks more than the next look would bring.
    """

    history: History
    states: States
    saved: int | None = None
    written: dict[str, str] = field(default_factory=dict)
    behind: bool = False
    looks: int = 0


@dataclass(frozen=True, slots=True)
class Looked:
    """What one look changed: when it was, by how much the clock had been set back before, and what was dropped."""

    now: float
    changes: list[Change]
    shifted: float = 0.0
    dropped: Dropped | None = None


def load(path: Path, horizons: Mapping[str, float]) -> Memory:
    """What the store holds. Raises StoreUnreachable or StoreDamaged."""
    with Reader(path) as reader, reader.moment() as moment:
        ticks, changes = moment.alert_history()
        written = moment.alert_states()
    history = History(horizons)
    if ticks:
        told = ((row.tick, Change(row.metric, _labels(row.labels), row.value)) for row in changes)
        history.restore(ticks[0][0], [at for _, at in ticks], told)
    read = {key: AlertState.read(text) for key, text in written.items()}
    states = {key: state for key, state in read.items() if state is not None}
    # Rules of another version asked for other metrics: what they left is dropped with the next look.
    behind = any(row.metric not in horizons for row in changes)
    return Memory(history, states, ticks[-1][0] if ticks else None, written, behind)


def save(tx: SQLiteTransaction, memory: Memory, looked: Looked) -> dict[str, str]:
    """Write what a look changed, or everything when the store is behind; the states as they are written now."""
    history = memory.history
    if memory.behind:
        tx.forget_all_alert_history()
        by_tick: dict[int, list[Change]] = {}
        for tick, change in history.told():
            by_tick.setdefault(max(tick, history.first_tick), []).append(change)
        for tick, at in enumerate(history.ticks, history.first_tick):
            tx.save_alert_tick(tick, at, _rows(history, tick, by_tick.get(tick, ())))
    else:
        if looked.shifted:
            tx.shift_alert_ticks(looked.shifted)
        tick = history.next_tick - 1
        tx.save_alert_tick(tick, looked.now, _rows(history, tick, looked.changes))
        if looked.dropped is not None:
            series = [(metric, _text(labels), below) for metric, labels, below in looked.dropped.series]
            tx.forget_alert_history(looked.dropped.below, series)
    texts = {key: state.written() for key, state in memory.states.items()}
    changed = {key: text for key, text in texts.items() if memory.written.get(key) != text}
    tx.save_alert_states(changed, memory.written.keys() - texts.keys())
    return texts


def _rows(history: History, tick: int, changes: Iterable[Change]) -> list[SeriesChange]:
    """Of metrics that are only asked for their newest value nothing need survive."""
    return [
        SeriesChange(change.metric, _text(change.labels), tick, change.value)
        for change in changes
        if history.horizons[change.metric] > 0
    ]


def _text(labels: Labels) -> str:
    return json.dumps(labels, ensure_ascii=False, separators=(",", ":"))


def _labels(text: str) -> Labels:
    return tuple((str(name), str(value)) for name, value in json.loads(text))
