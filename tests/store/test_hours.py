"""Sums by the hour: counted from the log after the calls, and right at any moment in between."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from monitor.clock import FakeClock
from monitor.ledger import Ledger
from monitor.model import Ending, LimitKind, Outcome
from monitor.store.sqlite import hours, onward
from monitor.store.sqlite.hours import HOUR, count_hours
from monitor.store.sqlite.pruning import prune
from monitor.store.sqlite.reader import Reader
from tests.fakes.builders import FREE, FREE2, NOON, PAID, ask, fill, ledger, one, refused_by, rows, success, take

PLENTY = {"quota": {"per_minute": 10_000, "per_day": 100_000}}
TODAY = int(NOON // HOUR) - 12


@pytest.fixture
def book(tmp_path: Path, clock: FakeClock) -> Ledger:
    return ledger(tmp_path / "monitor.db", clock, **PLENTY)


def live(book: Ledger, clock: FakeClock, calls: int = 12) -> None:
    """Calls of every kind, some minutes apart."""
    endings = (success(), refused_by(LimitKind.UPSTREAM, retry_after=0.1), Ending(Outcome.SERVER_ERROR, status=502))
    fill(book.store, book.settings, clock.now())
    for number in range(calls):
        app, model = ("billing-bot", FREE) if number % 3 else ("notebook", FREE2)
        hold = take(book, model, app=app, call_id=f"call-{number}")
        clock.advance(10)
        book.settle(hold, endings[number % 3])
        clock.advance(390)
        if number % 4 == 0:
            book.reserve(ask(PAID, app=app))


def read(book: Ledger, since: int = TODAY, width: int = 1, **which: str) -> Counter[tuple[object, ...]]:
    """Attempts by app, model, outcome, kind and reason; and by slot and outcome."""
    with Reader(book.store.path) as reader, reader.moment() as moment:
        found = moment.traffic(since, width, **which)
    by_slot = {(each.slot, each.outcome): each.n for each in found.slots}
    return Counter({row[:5]: row.n for row in found.sums} | by_slot)


def logged(book: Ledger) -> Counter[tuple[object, ...]]:
    """The same, counted in the log."""
    found = Counter[tuple[object, ...]]()
    for at, *kind in rows(
        book,
        "SELECT started_at, app, ifnull(model_requested, ''), outcome, ifnull(limit_kind, ''), ifnull(reason, '')"
        " FROM calls",
    ):
        found[tuple(kind)] += 1
        found[int(at // HOUR), kind[2]] += 1
    return found


def complete(book: Ledger, since: int = TODAY) -> bool:
    with Reader(book.store.path) as reader, reader.moment() as moment:
        return moment.traffic(since).complete


def test_what_was_counted_is_what_the_log_says(book, clock):
    """Before anything is counted, half-way and at the end, with attempts in flight throughout."""
    live(book, clock)
    held = take(book, FREE, call_id="long")
    assert read(book) == logged(book)
    count_hours(book.store.path, clock)
    assert read(book) == logged(book)
    assert sum(read(book).values()) // 2 - 1 == one(book, "SELECT sum(n) FROM hours WHERE width = 1")
    live(book, clock, 2)
    assert read(book) == logged(book)
    book.settle(held, success())
    assert read(book) == logged(book)
    count_hours(book.store.path, clock)
    assert read(book) == logged(book)
    assert one(book, "SELECT sum(n) FROM hours WHERE width = 1") == one(book, "SELECT count(*) FROM calls")
    assert one(book, "SELECT count(*) FROM hours_open") == 0
    assert complete(book)


def test_nothing_is_counted_twice_or_without_need(book, clock):
    """However often the daemon looks; and where nothing has ended, it does not even write."""
    live(book, clock)
    for _ in range(3):
        count_hours(book.store.path, clock)
    assert read(book) == logged(book)
    before = one(book, "PRAGMA data_version")
    count_hours(book.store.path, clock)
    assert one(book, "PRAGMA data_version") == before


def test_tokens_and_money_are_summed(tmp_path, clock):
    """Of what was billed, how many attempts it was, and how much."""
    book = ledger(tmp_path / "monitor.db", clock, guard={"allow": "any"}, **PLENTY)
    for cost in (0.0, 0.25, 0.5):
        book.settle(take(book, PAID), success(cost))
    for _ in range(2):
        with Reader(book.store.path) as reader, reader.moment() as moment:
            (row,) = moment.traffic(TODAY).sums
        assert row[5:] == (3, 2, 21, 15, 0.75)
        count_hours(book.store.path, clock)


def test_slots_can_be_wider_than_an_hour(book, clock):
    """Six hours or a day to a slot: what a chart of a week or a month shows."""
    live(book, clock)
    for _ in range(2):
        by_day = read(book, width=24)
        assert {key[0] for key in by_day if len(key) == 2} == {TODAY // 24}
        assert sum(by_day.values()) == 2 * one(book, "SELECT count(*) FROM calls")
        count_hours(book.store.path, clock)


def test_one_app_or_model_is_looked_up(book, clock):
    """Of the rest nothing is told."""
    live(book, clock)
    for _ in range(2):
        whole, of_app, of_model = read(book), read(book, app="notebook"), read(book, model=FREE)
        for found, place, name in ((of_app, 0, "notebook"), (of_model, 1, FREE)):
            kinds = {key: n for key, n in found.items() if len(key) == 5}
            assert kinds == {key: n for key, n in whole.items() if len(key) == 5 and key[place] == name}
            assert sum(found.values()) == 2 * sum(kinds.values())
        assert not read(book, app="nobody")
        count_hours(book.store.path, clock)


def test_what_is_pruned_stays_counted(book, clock):
    """The sums outlive the rows of the log, as counters do."""
    live(book, clock)
    count_hours(book.store.path, clock)
    whole = read(book)
    assert prune(book.store.path, clock, before=clock.now() + 1).calls > 0
    assert read(book) == whole


def test_old_hours_are_forgotten(book, clock):
    """A week and a day by hours, a month and a day by days."""
    live(book, clock, 2)
    for width, days in ((1, 8), (24, 32)):
        assert hours.KEPT[width] == days * 24
        clock.set(NOON + (days + 1) * 24 * HOUR)
        live(book, clock, 1)
        count_hours(book.store.path, clock)
        oldest = one(book, "SELECT min(slot * width) FROM hours WHERE width = ?", width)
        assert oldest >= clock.now() // HOUR - hours.KEPT[width] - width


def test_an_hour_has_no_end_of_names(book, clock, monkeypatch):
    """Beyond a number of rows an hour, models and then apps are told as `other`: no attempt is lost."""
    monkeypatch.setattr(hours, "SETS", 3)
    for number in range(12):
        book.reserve(ask(f"lab/{number}", app=f"app-{number}"))
    count_hours(book.store.path, clock)
    found = rows(book, "SELECT app, model, sum(n) FROM hours WHERE width = 1 GROUP BY 1, 2")
    assert len(found) == 7
    assert ("app-4", "other", 1) in found
    assert ("other", "other", 6) in found
    assert one(book, "SELECT sum(n) FROM hours WHERE width = 1") == 12


def test_the_first_look_at_an_old_log_reads_what_charts_show(book, clock):
    """Not the years before it; from the first whole hour on the sums are complete."""
    live(book, clock, 4)
    clock.advance(hours.KEPT_HOURS * HOUR)
    since = int(clock.now() // HOUR)
    live(book, clock, 4)
    count_hours(book.store.path, clock)
    assert one(book, "SELECT min(slot) FROM hours WHERE width = 1") >= since
    assert complete(book, since + 1)
    assert not complete(book, since - 1)


def test_the_first_look_at_a_huge_log_reads_its_newest_part(book, clock, monkeypatch):
    """And says that there is more."""
    live(book, clock)
    monkeypatch.setattr(hours, "FIRST_LOOK", 5)
    count_hours(book.store.path, clock)
    assert one(book, "SELECT sum(n) FROM hours WHERE width = 1") == 5
    assert not complete(book)


def test_a_look_that_has_fallen_behind_tells_the_newest(book, clock, monkeypatch):
    """Reading a page costs the same however long the daemon was away, and the page knows that it is not everything."""
    monkeypatch.setattr(hours, "TAIL", 5)
    live(book, clock)
    assert sum(read(book).values()) == 2 * 5
    assert not complete(book)
    count_hours(book.store.path, clock)
    assert read(book) == logged(book)
    assert complete(book)


def test_a_long_log_is_counted_in_small_transactions(book, clock, monkeypatch):
    """Batch after batch, until nothing is left."""
    monkeypatch.setattr(onward, "BATCH", 4)
    live(book, clock)
    count_hours(book.store.path, clock)
    assert one(book, "SELECT sum(n) FROM hours WHERE width = 1") == one(book, "SELECT count(*) FROM calls")
