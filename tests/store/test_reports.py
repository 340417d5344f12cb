"""Reading the store for people: of one moment, without a lasting lock, and never to the end of the log."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from pathlib import Path

import pytest

from monitor.errors import StoreDamaged, StoreUnreachable
from monitor.model import Event
from monitor.status import gather
from monitor.store import SQLiteStore
from monitor.store.sqlite import browse
from monitor.store.sqlite.browse import SLACK_SECONDS, SLICE, Follower, Walk, refused_since
from monitor.store.sqlite.reader import Reader
from tests.fakes.builders import FREE, NOON, ask, ledger, settings, success, take

COUNT = 5 * SLICE


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "monitor.db"


@pytest.fixture
def reader(path):
    with Reader(path) as opened:
        yield opened


class Counting(Reader):
    """Counts its moments."""

    moments = 0

    def moment(self) -> contextlib.AbstractContextManager:
        self.moments += 1
        return super().moment()


@pytest.fixture
def long_log(path) -> Path:
    """A log of one call a second up to noon; every tenth was refused, and one early one was of a rare app."""
    store = SQLiteStore(path)
    with store.transaction():
        pass
    store.close()
    with sqlite3.connect(path) as connection:
        connection.executemany(
            "INSERT INTO calls (started_at, app, account, endpoint, tier, stream, attempt, call_id, outcome, reason)"
            " VALUES (?, ?, 'default', 'chat', 'free', 0, 1, 'c', ?, ?)",
            [
                (
                    NOON - COUNT + i,
                    "rare" if i == 3 else "app",
                    "refused" if i % 10 == 0 else "success",
                    "paused" if i % 10 == 0 else None,
                )
                for i in range(COUNT)
            ],
        )
    connection.close()
    return path


def test_the_newest_calls_cost_the_same_with_any_log(long_log):
    """A look at the newest calls takes the end of the log's number and one slice, whatever lies below."""
    reader = Counting(long_log)
    assert [row["id"] for row in Walk(reader, limit=3)] == [COUNT, COUNT - 1, COUNT - 2]
    assert reader.moments == 2
    reader.close()


def test_a_walk_back_in_time_stops_where_it_is_sure(long_log):
    """Calls since an instant are all found, and the walk goes no further than a clock's step back could matter."""
    reader = Counting(long_log)
    walk = Walk(reader, since=NOON - 100)
    assert len(list(walk)) == 100
    assert walk.complete
    assert reader.moments <= 2 + (SLACK_SECONDS + 100) / SLICE + 1
    reader.close()


def test_a_walk_for_what_is_rare_gives_up(long_log, reader):
    """A filter that hardly matches does not read the whole log, and says so; with more patience it finds all."""
    walk = Walk(reader, {"app": "rare"}, look_limit=SLICE)
    assert list(walk) == []
    assert not walk.complete
    patient = Walk(reader, {"app": "rare"})
    assert [row["id"] for row in patient] == [4]
    assert patient.complete


def test_a_clock_that_was_set_back_hides_nothing(long_log, reader):
    """A call that was written after a step back, among younger ones, is found and does not end the walk."""
    with sqlite3.connect(long_log) as connection:
        connection.execute("UPDATE calls SET started_at = started_at - 3000 WHERE id > ?", (COUNT - 50,))
    connection.close()
    assert len(list(Walk(reader, since=NOON - 100))) == 50


def test_gaps_in_the_ids_are_stepped_over(long_log, reader):
    """Where many rows are gone, the walk goes on at the next that is there."""
    with sqlite3.connect(long_log) as connection:
        connection.execute("DELETE FROM calls WHERE id BETWEEN 10 AND ?", (COUNT - 10,))
    connection.close()
    assert len(list(Walk(reader))) == 19


def test_refusals_of_today_are_counted_from_the_end(long_log, reader):
    """Refusals since an instant by reason; a count that gave up says that there may be more."""
    found = refused_since(reader, NOON - 1000)
    assert (dict(found.by_reason), found.complete) == ({"paused": 100}, True)
    assert not refused_since(reader, NOON - COUNT, look_limit=SLICE).complete


def test_a_reader_leaves_writers_and_the_log_alone(long_log, reader):
    """Between two rows of a walk nothing is held: the write-ahead log can be emptied."""
    store = SQLiteStore(long_log)
    walk = iter(Walk(reader))
    next(walk)
    with store.transaction() as tx:
        tx.add_event(Event(NOON, "kind", "subject"))
    assert store.connection.checkpoint()
    assert next(walk)["id"] == COUNT - 1
    store.close()


def test_one_moment_sees_one_state(path, clock, reader):
    """What is written during a moment is not seen in it, and is in the next."""
    book = ledger(path, clock)
    with reader.moment() as reports:
        assert reports.newest_call() == 0
        take(book)
        assert reports.newest_call() == 0
    with reader.moment() as reports:
        assert reports.newest_call() == 1
    book.store.close()


def test_following_shows_each_attempt_once_when_it_has_ended(path, clock, reader):
    """An attempt in flight is waited for; one that ended is not shown again."""
    book = ledger(path, clock)
    first = take(book, call_id="first")
    follower = Follower(reader, 10)
    assert follower.ended() == []
    book.reserve(ask(None, call_id="refused"))
    assert [row["call_id"] for row in follower.ended()] == ["refused"]
    book.settle(first, success())
    assert [row["call_id"] for row in follower.ended()] == ["first"]
    assert follower.ended() == []
    book.store.close()


def test_events_are_paged_by_kind_and_time(path, clock, reader):
    """The newest so many of a kind, since an instant."""
    book = ledger(path, clock)
    with book.store.transaction() as tx:
        for i in range(100):
            tx.add_event(Event(NOON - 100 + i, "odd" if i % 2 else "even", str(i)))
    assert [event.subject for event in browse.events(reader, limit=2)] == ["99", "98"]
    assert [event.subject for event in browse.events(reader, limit=2, kinds=["even"])] == ["98", "96"]
    assert len(browse.events(reader, limit=99, since=NOON - 10)) == 10
    book.store.close()


def test_key_figures_of_a_later_version_are_no_harm(path, clock, reader):
    """A field that this version does not know is passed over, and what is no JSON is no reading."""
    book = ledger(path, clock)
    book.store.close()
    for stored, told in ((json.dumps({"free_used": 3, "not_yet": 1}), 3), ("{", None)):
        with sqlite3.connect(path) as connection:
            connection.execute("INSERT OR REPLACE INTO accounts (account, key_facts) VALUES ('default', ?)", (stored,))
        connection.close()
        with reader.moment() as reports:
            facts = reports.key_reading("default").facts
        assert (facts.free_used if facts else None) == told


def test_status_agrees_with_what_the_guard_decides(path, clock, reader):
    """What `status` says is left is what can be taken, in the minute and in the day."""
    config = settings(quota={"per_minute": 5, "per_day": 7})
    book = ledger(path, clock, quota={"per_minute": 5, "per_day": 7})
    for taken in range(5):
        found = gather(reader, config, clock.now())
        assert (found["minute"]["left"], found["day"]["left"]) == (5 - taken, 7 - taken)
        book.settle(take(book), success())
    found = gather(reader, config, clock.now())
    assert found["minute"]["left"] == 0
    assert found["minute"]["opens_at"] == clock.now() + 61
    assert book.reserve(ask(FREE)).verdict.reason == "minute_limit"
    clock.set(found["minute"]["opens_at"])
    assert gather(reader, config, clock.now())["minute"]["left"] == 5
    for _ in range(2):
        take(book)
    found = gather(reader, config, clock.now())
    assert found["day"]["left"] == 0
    assert book.reserve(ask(FREE)).verdict.reason == "day_limit"
    clock.set(found["day"]["resets_at"])
    assert gather(reader, config, clock.now())["day"]["left"] == 7
    book.store.close()


def test_a_store_that_is_not_there(reader, path):
    """It is told of, and not made."""
    assert not reader.exists
    with pytest.raises(StoreUnreachable), reader.moment():
        pass
    assert not path.exists()


def test_a_foreign_file_is_not_read(reader, path):
    """A file that is not ours is an error, and stays as it was."""
    path.write_text("x" * 5000)
    with pytest.raises(StoreDamaged), reader.moment():
        pass
    assert path.read_text() == "x" * 5000
    assert os.listdir(path.parent) == ["monitor.db"]
