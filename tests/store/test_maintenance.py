"""Backup, verification and export, beside processes that write."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest

from monitor.errors import MonitorError, StoreDamaged, StoreUnreachable
from monitor.model import Event
from monitor.store import SQLiteStore
from monitor.store.sqlite.export import PAGE, rows_of, write_file
from monitor.store.sqlite.maintenance import backup, can_write, problems_of
from monitor.store.sqlite.reader import Reader
from tests.fakes.builders import NOON, ledger, one
from tests.store.store_kit import OLD, all_rows, wait_for, write_calls, writing


@pytest.fixture
def path(tmp_path, clock) -> Path:
    """A store with a catalogue, closed."""
    ledger(tmp_path / "monitor.db", clock).store.close()
    return tmp_path / "monitor.db"


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
    assert before <= {row for (row,) in all_rows(copy, "SELECT id FROM calls WHERE outcome = 'success'")}
    attempts = one(copy, "SELECT sum(n) FROM totals WHERE outcome = 'success'")
    assert attempts == one(copy, "SELECT count(*) FROM calls WHERE outcome = 'success' AND started_at = ?", NOON)
    copy.close()
    assert problems_of(path, full=True) == []


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
