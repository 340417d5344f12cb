"""Deleting old calls, beside processes that write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monitor.clock import DAY, SystemClock
from monitor.errors import StoreUnreachable
from monitor.model import Event
from monitor.store import SQLiteStore
from monitor.store.sqlite.maintenance import problems_of
from monitor.store.sqlite.pruning import BATCH, KEEP_HISTORY_DAYS, prune
from tests.fakes.builders import NOON, ledger, one, success, take
from tests.store.store_kit import OLD, all_rows, wait_for, write_calls, writing


@pytest.fixture
def path(tmp_path, clock) -> Path:
    """A store with a catalogue, closed."""
    ledger(tmp_path / "monitor.db", clock).store.close()
    return tmp_path / "monitor.db"


def test_pruning_goes_on_beside_a_writer(path):
    """Every old call goes with its body, no acknowledged new one does, and the writer gets on meanwhile."""
    write_calls(path, 6 * BATCH + 1, OLD)
    with writing(path) as acknowledged:
        wait_for(acknowledged, 20)
        seen = len(acknowledged)
        gone = prune(path, _Now(), before=NOON - 30 * DAY)
        assert len(acknowledged) > seen
        wait_for(acknowledged, 20)
    store = SQLiteStore(path)
    assert gone.calls == 6 * BATCH + 1
    assert one(store, "SELECT count(*) FROM calls WHERE started_at < ?", NOON - DAY) == 0
    assert one(store, "SELECT count(*) FROM bodies") == 0
    assert set(acknowledged) <= {row for (row,) in all_rows(store, "SELECT id FROM calls")}
    assert one(store, "SELECT sum(n) FROM totals") >= len(acknowledged)
    store.close()
    assert problems_of(path, full=True) == []


class _Now(SystemClock):
    """The tests' noon, and real pauses."""

    def now(self) -> float:
        return NOON


def test_calls_in_flight_and_totals_stay(path, clock):
    """However old it is, a call that is not settled stays, and no sum changes."""
    clock.set(OLD)
    book = ledger(path, clock)
    held, settled, newest = take(book), take(book), take(book)
    book.settle(settled, success())
    book.settle(newest, success())
    sums = one(book, "SELECT sum(n) FROM totals")
    assert prune(path, clock, before=NOON).calls == 1
    assert all_rows(book.store, "SELECT id FROM calls ORDER BY id") == [(held.row,), (newest.row,)]
    assert one(book, "SELECT sum(n) FROM totals") == sums
    book.settle(held, success())
    assert one(book, "SELECT outcome FROM calls WHERE id = ?", held.row) == "success"
    book.store.close()


def test_the_newest_row_stays_so_that_no_id_comes_back(path, clock):
    """After everything old is gone, the next call still has a number of its own."""
    write_calls(path, 10, OLD)
    assert prune(path, clock, before=NOON).calls == 9
    book = ledger(path, clock)
    assert take(book).row == 11
    book.store.close()


@pytest.mark.parametrize(("most", "left"), [(1, 1), (BATCH, BATCH), (2 * BATCH + 7, 2 * BATCH + 7), (10**6, 1600)])
def test_only_so_many_rows_stay(path, clock, most, left):
    """The newest so many stay, at, under and over the size of a batch."""
    write_calls(path, 1600, NOON)
    gone = prune(path, clock, before=float("-inf"), max_rows=most)
    store = SQLiteStore(path)
    assert (one(store, "SELECT count(*) FROM calls"), gone.calls) == (left, 1600 - left)
    assert one(store, "SELECT max(id) FROM calls") == 1600
    store.close()


@pytest.mark.parametrize("count", [0, 1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH])
def test_a_dry_run_tells_the_truth(path, clock, count):
    """It counts exactly what would go, and deletes nothing."""
    write_calls(path, count, OLD)
    write_calls(path, 5, NOON)
    would = prune(path, clock, before=NOON - DAY, dry_run=True)
    store = SQLiteStore(path)
    assert one(store, "SELECT count(*) FROM calls") == count + 5
    assert prune(path, clock, before=NOON - DAY) == would
    assert would.calls == count
    store.close()


def test_history_goes_after_a_year(path, clock):
    """Windows and events older than a year go, those of a year ago stay."""
    book = ledger(path, clock)
    with book.store.transaction() as tx:
        for days in (KEEP_HISTORY_DAYS + 1, KEEP_HISTORY_DAYS - 1, 0):
            at = NOON - days * DAY
            tx.add_event(Event(at, "kind", str(days)))
            tx.take_free("default", "app", int(at // DAY), at, 1000 - days, 20)
    gone = prune(path, clock, before=NOON - DAY)
    assert (gone.windows, gone.events) == (2, 1)  # the account's own row, and the app's
    assert all_rows(book.store, "SELECT DISTINCT subject FROM events WHERE kind = 'kind' ORDER BY id") == [
        (str(KEEP_HISTORY_DAYS - 1),),
        ("0",),
    ]
    book.store.close()


def test_pruning_makes_no_store(tmp_path, clock):
    """Where there is none, there is nothing to prune."""
    with pytest.raises(StoreUnreachable):
        prune(tmp_path / "monitor.db", clock, before=NOON)
    assert os.listdir(tmp_path) == []
