"""Backup, verification, pruning and export, beside processes that write."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from monitor.clock import DAY, SystemClock
from monitor.errors import MonitorError, StoreDamaged, StoreUnreachable
from monitor.model import Event
from monitor.store import SQLiteStore
from monitor.store.sqlite.export import PAGE, rows_of, write_file
from monitor.store.sqlite.maintenance import backup, can_write, problems_of
from monitor.store.sqlite.pruning import BATCH, KEEP_HISTORY_DAYS, prune
from monitor.store.sqlite.reader import Reader
from tests.fakes.builders import NOON, ledger, one, success, take
from tests.fakes.processes import Worker

NO_LIMITS = json.dumps({"quota": {"per_minute": 1_000_000, "per_day": 1_000_000}})
OLD = NOON - 40 * DAY


@pytest.fixture
def path(tmp_path, clock) -> Path:
    """A store with a catalogue, closed."""
    ledger(tmp_path / "monitor.db", clock).store.close()
    return tmp_path / "monitor.db"


def write_calls(path: Path, count: int, at: float) -> None:
    """Settled calls, with their bodies."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        first = connection.execute("SELECT ifnull(max(id), 0) FROM calls").fetchone()[0] + 1
        connection.executemany(
            "INSERT INTO calls (id, started_at, app, account, endpoint, tier, stream, attempt, call_id, outcome)"
            " VALUES (?, ?, 'app', 'default', 'chat', 'free', 0, 1, 'c', 'success')",
            [(first + i, at + i / count) for i in range(count)],
        )
        connection.executemany(
            "INSERT INTO bodies (call, request) VALUES (?, ?)", [(first + i, "words " * 20) for i in range(count)]
        )
    connection.close()


@contextmanager
def writing(path: Path) -> Iterator[list[int]]:
    """A process that reserves and settles without end; yields the rows that it says it has settled."""
    acknowledged: list[int] = []

    with Worker("write", path, NO_LIMITS) as worker:
        assert worker.hear() == "ready"

        def listen() -> None:
            while line := worker.hear():
                acknowledged.append(int(line))

        listener = threading.Thread(target=listen)
        listener.start()
        worker.tell("go")
        try:
            yield acknowledged
        finally:
            worker.kill()
            listener.join()


def wait_for(acknowledged: list[int], more: int) -> None:
    wanted = len(acknowledged) + more
    clock = SystemClock()
    for _ in range(5000):
        if len(acknowledged) >= wanted:
            return
        clock.sleep(0.002)
    raise AssertionError("the writer does not get on")


# backup


def test_a_backup_finishes_beside_a_busy_writer(path, tmp_path):
    """The copy is whole and of one moment: it holds all that was settled before it began."""
    write_calls(path, 5000, OLD)
    with writing(path) as acknowledged:
        wait_for(acknowledged, 50)
        before = set(acknowledged)
        size = backup(path, tmp_path / "copy.db")
        wait_for(acknowledged, 20)
    assert size == (tmp_path / "copy.db").stat().st_size
    assert problems_of(tmp_path / "copy.db", full=True) == []
    copy = SQLiteStore(tmp_path / "copy.db")
    assert before <= {row for (row,) in _rows(copy, "SELECT id FROM calls WHERE outcome = 'success'")}
    attempts = one(copy, "SELECT sum(n) FROM totals WHERE outcome = 'success'")
    assert attempts == one(copy, "SELECT count(*) FROM calls WHERE outcome = 'success' AND started_at = ?", NOON)
    copy.close()
    assert problems_of(path, full=True) == []


def _rows(store: SQLiteStore, query: str) -> list[tuple[int]]:
    with store.connection.reading() as connection:
        return connection.execute(query).fetchall()


def test_a_backup_overwrites_nothing_and_leaves_nothing(path, tmp_path):
    """A target that exists, or cannot be written, is an error, and no part of a copy stays behind."""
    (tmp_path / "copy.db").write_text("mine")
    with pytest.raises(MonitorError, match="exists already"):
        backup(path, tmp_path / "copy.db")
    with pytest.raises(MonitorError, match="cannot be written"):
        backup(path, tmp_path / "no" / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "mine"
    assert not [name for name in os.listdir(tmp_path) if "part" in name]


def test_a_damaged_store_is_not_passed_off_as_a_backup(path, tmp_path):
    """No copy is made of a store whose pages do not hold together."""
    write_calls(path, 500, OLD)
    flip(path, 5)
    with pytest.raises((StoreDamaged, StoreUnreachable)):
        backup(path, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_a_backup_can_be_given_up(path, tmp_path):
    """Ctrl-C during the copy ends it, and nothing is left behind."""
    write_calls(path, 20_000, OLD)

    def give_up(done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backup(path, tmp_path / "copy.db", give_up)
    assert [name for name in os.listdir(tmp_path) if "copy" in name] == []


# verification


def flip(path: Path, page: int) -> None:
    """Turn over every bit of the head of a page, in a file that nobody has open."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    content = bytearray(path.read_bytes())
    start = (page - 1) * size
    content[start : start + 64] = bytes(255 - byte for byte in content[start : start + 64])
    path.write_bytes(content)


def test_a_sound_store_has_no_problems(path):
    """Neither the quick look nor the full one finds anything."""
    write_calls(path, 100, OLD)
    assert problems_of(path) == problems_of(path, full=True) == []


def test_every_flipped_page_is_found(path):
    """Whichever page of a table was hit, the quick check tells; the file is not changed by looking."""
    write_calls(path, 300, OLD)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        whole, pages = path.read_bytes(), connection.execute("PRAGMA page_count").fetchone()[0]
    connection.close()
    for page in range(2, pages + 1, max(1, pages // 10)):
        path.write_bytes(whole)
        flip(path, page)
        damaged = path.read_bytes()
        assert problems_of(path), page
        assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "empty file"), (b"not a database " * 400, "not a database"), (None, "another program")],
)
def test_what_is_no_store_is_a_problem(tmp_path, content, says):
    """An empty file, text, and another program's database are each told of, and left alone."""
    path = tmp_path / "monitor.db"
    if content is None:
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE theirs (a)")
        other.close()
        content = path.read_bytes()
    else:
        path.write_bytes(content)
    (problem,) = problems_of(path)
    assert says in problem
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["monitor.db"]


def test_a_truncated_store_is_a_problem(path):
    """A file that was cut short is told of."""
    write_calls(path, 300, OLD)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    path.write_bytes(path.read_bytes()[:40_000])
    assert problems_of(path)


def test_a_lost_table_is_a_problem(path):
    """A file that bears our mark and lacks our tables is no sound store."""
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE totals")
    connection.close()
    assert problems_of(path) == ["the tables totals are missing"]


# pruning


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
    assert set(acknowledged) <= {row for (row,) in _rows(store, "SELECT id FROM calls")}
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
    assert _rows(book.store, "SELECT id FROM calls ORDER BY id") == [(held.row,), (newest.row,)]
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
    assert _rows(book.store, "SELECT DISTINCT subject FROM events WHERE kind = 'kind' ORDER BY id") == [
        (str(KEEP_HISTORY_DAYS - 1),),
        ("0",),
    ]
    book.store.close()


def test_pruning_makes_no_store(tmp_path, clock):
    """Where there is none, there is nothing to prune."""
    with pytest.raises(StoreUnreachable):
        prune(tmp_path / "monitor.db", clock, before=NOON)
    assert os.listdir(tmp_path) == []


# export


def test_an_export_is_in_order_beside_a_writer(path, tmp_path):
    """Page by page, each row once and oldest first, though rows are added meanwhile."""
    write_calls(path, 2 * PAGE + 10, OLD)
    with Reader(path) as reader, writing(path) as acknowledged:
        wait_for(acknowledged, 5)
        done = write_file(rows_of(reader, "calls"), tmp_path / "calls.jsonl", "jsonl")
    ids = [json.loads(line)["id"] for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    assert len(ids) == done > 2 * PAGE + 10
    assert ids == sorted(set(ids))


def test_an_export_pins_nothing(path):
    """Between two pages the write-ahead log can be emptied."""
    write_calls(path, PAGE + 1, OLD)
    store = SQLiteStore(path)
    with Reader(path) as reader:
        export = rows_of(reader, "calls")
        next(export)
        with store.transaction() as tx:
            tx.add_event(Event(NOON, "kind", "subject"))
        assert store.connection.checkpoint()
        assert len(list(export)) == PAGE
    store.close()


def test_a_lock_is_tried_for_real(path):
    """`can_write` fails where a writer would, and leaves no lock behind."""
    can_write(path)
    can_write(path)
    with pytest.raises(StoreUnreachable):
        can_write(path.with_name("missing.db"))
