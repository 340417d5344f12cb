"""The recorded series of catalogues, replayed, against a comparison of its snapshots that was made without this code.

A snapshot stands for its time until the next that differs. What the comparison lists (ids that came, went, changed
their pricing) is told in that time and only then, but for these differences, which are the rules' own:

* An id that was told as removed before and came again has returned; the comparison calls it added.
* The comparison calls any difference of the pricing object a change, the coming and going of keys too: told are prices
  of a prompt, an answer or a request that differ by one percent or more from what was told last.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple

import pytest

from monitor.clock import FakeClock
from monitor.model import Event, ModelFacts
from monitor.openrouter.catalogue import parse_catalogue
from monitor.policy.changes import GROUP, Kind
from monitor.policy.changes.prices import is_free, price_of, same_price
from tests.openrouter.openrouter_data import DATA, catalogue
from tests.policy.changes_kit import DAY, HOUR, MINUTE, Watch

CHURN = DATA / "derived" / "churn_rubyllm.csv"

pytestmark = pytest.mark.skipif(not CHURN.is_file(), reason=f"no recorded series at {CHURN}")

AFTER = [0.0, 10 * MINUTE, HOUR, 70 * MINUTE, 2 * HOUR, 3 * HOUR, 12 * HOUR, 25 * HOUR]
"""When a snapshot's time is polled, from its beginning; then every few days."""


class Step(NamedTuple):
    """One row of the comparison, and what our rules told from its snapshot on until the next."""

    row: dict[str, str]
    before: dict[str, ModelFacts]
    after: dict[str, ModelFacts]
    changes: tuple[Event, ...]
    events: tuple[Event, ...]

    def told(self, *kinds: Kind) -> set[str]:
        return {change.subject for change in self.changes if change.kind in kinds}

    def listed(self, column: str) -> set[str]:
        return set(self.row[column].split())


@cache
def models(name: str) -> dict[str, ModelFacts]:
    return dict(parse_catalogue(catalogue(f"{name}.json.gz")).models)


def taken_at(name: str) -> float:
    return datetime.strptime(name[:18], "%Y-%m-%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


@cache
def replay(flaps: int) -> list[Step]:
    """The series. With `flaps`, so many times edges serve the old snapshot again before the new one stays."""
    rows = list(csv.DictReader(io.StringIO(CHURN.read_text("utf-8"))))
    clock = FakeClock(taken_at(rows[0]["from"]))
    watch = Watch(clock, *models(rows[0]["from"]).values())
    steps = []
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        before, after = models(row["from"]), models(row["to"])
        start = taken_at(row["to"])
        end = taken_at(following["to"]) if following else start + 30 * DAY
        told = len(watch.changes), len(watch.events)
        for flap in range(flaps):
            for number, copy in enumerate((after, before)):
                clock.set(start + (2 * flap + number) * 10 * MINUTE)
                watch.look(copy.values())
        settled = start + flaps * 20 * MINUTE
        for at in moments(settled, end):
            clock.set(at)
            watch.look(after.values())
        steps.append(Step(row, before, after, tuple(watch.changes[told[0] :]), tuple(watch.events[told[1] :])))
    return steps


def moments(start: float, end: float) -> Iterable[float]:
    yield from (start + after for after in AFTER if start + after < end)
    at = start + 3 * DAY
    while at < end:
        yield at
        at += 3 * DAY


flapping = pytest.mark.parametrize("flaps", [0, 6], ids=["as recorded", "with two hours of stale copies"])


@flapping
def test_what_came_is_added_or_returned(flaps):
    """Every id of the comparison, and no other; returned when it had been removed, else added."""
    gone: set[str] = set()
    for step in replay(flaps):
        assert step.told(Kind.ADDED, Kind.RETURNED) == step.listed("added")
        assert step.told(Kind.RETURNED) == step.listed("added") & gone
        gone = (gone | step.listed("removed")) - step.listed("added")


@flapping
def test_what_went_is_removed(flaps):
    """Every id of the comparison, and no other; of these the free ones were told as missing before."""
    for step in replay(flaps):
        assert step.told(Kind.REMOVED) == step.listed("removed")
        free = {name for name in step.listed("removed") if is_free(price_of(step.before[name]))}
        assert free <= step.told(Kind.MISSING) <= step.listed("removed")


@flapping
def test_free_variants_come_and_go_as_compared(flaps):
    """The `:free` ids among them are those of the comparison's own columns."""
    for step in replay(flaps):
        came, went = step.told(Kind.ADDED, Kind.RETURNED), step.told(Kind.REMOVED)
        assert {name for name in came if name.endswith(":free")} == step.listed("free_added")
        assert {name for name in went if name.endswith(":free")} == step.listed("free_removed")


@flapping
def test_who_was_free_and_is_listed_at_a_price_is_told(flaps):
    """One preview in this series, between two snapshots in September 2025; no `:free` id ever had a price."""
    lost = {}
    at_zero: set[str] = set()
    for step in replay(flaps):
        now_at_zero = step.listed("zero_price_without_free_suffix_now")
        expected = (at_zero & set(step.after)) - now_at_zero | step.listed("free_suffix_with_nonzero_price_now")
        assert step.told(Kind.NO_LONGER_FREE) == expected
        if expected:
            lost[step.row["to"][:10]] = expected
        at_zero = now_at_zero
    assert lost == {"2025-09-14": {"nvidia/nemotron-nano-9b-v2"}}


@flapping
def test_new_prices_are_told_unless_nobody_would_call_them_new(flaps):
    """Of the pricing objects that changed those whose prices did, by one percent or more."""
    for step in replay(flaps):
        told = step.told(Kind.REPRICED)
        assert told <= step.listed("price_changed_ids")
        both = step.before.keys() & step.after.keys()
        differ = {name for name in both if not same_price(price_of(step.before[name]), price_of(step.after[name]))}
        assert told == differ - step.told(Kind.NO_LONGER_FREE)


@flapping
def test_nothing_is_told_twice(flaps):
    """In the time of one snapshot no model has two events of one kind, but for an expiry that draws nearer."""
    for step in replay(flaps):
        told = [(change.kind, change.subject) for change in step.changes if change.kind != Kind.EXPIRING]
        assert len(told) == len(set(told))


@flapping
def test_the_series_is_few_events(flaps):
    """Some 2,000 changes of a year are told in under 200 events, never twenty for one snapshot."""
    steps = replay(flaps)
    assert sum(len(step.changes) for step in steps) > 1000
    assert sum(len(step.events) for step in steps) < 200
    for step in steps:
        kinds = [event.kind for event in step.events if event.kind != Kind.EXPIRING]
        assert max(map(kinds.count, kinds), default=0) < GROUP


def test_expiries_are_those_listed():
    """From January 2026 on dates are listed: each is told at most three times, and none that is not listed."""
    told = [
        (change.subject, change.after)
        for step in replay(0)
        for change in step.changes
        if change.kind == "model_expiring"
    ]
    listed = {(name, facts.expires) for step in replay(0) for name, facts in step.after.items() if facts.expires}
    assert ("google/gemini-2.0-flash-exp:free", "2026-02-06") in told
    assert set(told) <= listed
    assert max(map(told.count, told)) <= 3
