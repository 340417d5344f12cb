"""The kinds of change, and many of one kind told as one event."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from fnmatch import fnmatchcase

from monitor.model import Event
from monitor.policy.changes.prices import FREE

GROUP = 5
"""So many changes of one kind at one poll are one event."""

IDS_LISTED = 10


class Kind(StrEnum):
    """What can happen to a model, the weightiest first: in this order the changes of one poll are told."""

    NO_LONGER_FREE = "model_no_longer_free"
    MISSING = "model_missing"
    REMOVED = "model_removed"
    EXPIRING = "model_expiring"
    REPRICED = "model_repriced"
    CONTEXT_CHANGED = "model_context_changed"
    FREE_AGAIN = "model_free_again"
    RETURNED = "model_returned"
    ADDED = "model_added"
    ALIAS_MOVED = "alias_moved"


def plural(kind: Kind) -> str:
    """The kind of an event that tells of many."""
    return "aliases_moved" if kind is Kind.ALIAS_MOVED else kind.replace("model_", "models_")


_PLURALS = frozenset(plural(kind) for kind in Kind)


def grouped(changes: Iterable[Event], watched: tuple[str, ...] = ()) -> list[Event]:
    """The events to record for the changes of one poll: at most `GROUP` - 1 of each kind, or one of its plural.

    Models that are free or that a glob of `watched` matches come first, so that they are among the ids listed.
    """
    by_kind: dict[Kind, list[Event]] = {kind: [] for kind in Kind}
    for change in changes:
        by_kind[Kind(change.kind)].append(change)
    events: list[Event] = []
    for kind, found in by_kind.items():
        found.sort(key=lambda change: (not _matters(change, watched), change.subject))
        events += found if len(found) < GROUP else [_as_one(kind, found)]
    return events


def _matters(change: Event, watched: tuple[str, ...]) -> bool:
    return FREE in (change.before, change.after) or matches(change.subject, watched)


def matches(model: str, globs: tuple[str, ...]) -> bool:
    """Whether one of the globs fits the id."""
    return any(fnmatchcase(model, glob) for glob in globs)


def models_told(event: Event) -> int:
    """Of how many models an event of the catalogue tells."""
    return int(event.subject.partition(" ")[0]) if event.kind in _PLURALS else 1


def _as_one(kind: Kind, changes: list[Event]) -> Event:
    names = [change.subject for change in changes]
    authors = {name.partition("/")[0] for name in names}
    family = f" of {authors.pop()}" if len(authors) == 1 else ""
    note = ", ".join(names[:IDS_LISTED])
    if len(names) > IDS_LISTED:
        note += f" and {len(names) - IDS_LISTED} more"
    return Event(
        at=changes[0].at,
        kind=plural(kind),
        subject=f"{len(names)} models{family}",
        before=_common({change.before for change in changes}),
        after=_common({change.after for change in changes}),
        note=note,
    )


def _common(values: set[str | None]) -> str | None:
    return values.pop() if len(values) == 1 else None
