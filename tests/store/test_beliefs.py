"""The catalogue's news and the store: what a poll writes, and an old file that had no beliefs yet."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from monitor.clock import FakeClock
from monitor.ledger import Ledger
from monitor.model import ModelFacts, PriceClass, Reason
from monitor.policy.changes import from_text
from monitor.refresh import Fetched, Refresher, note_catalogue
from monitor.store import SQLiteStore
from monitor.store.sqlite.schema import VERSION
from tests.fakes.builders import NOON, ask, facts, one, rows, settings
from tests.store.test_creation import make_old

MINUTE, DAY = 60.0, 86_400.0
SOURCE = "https://openrouter.ai/api/v1"
GULL, TERN, HERON = "lab/gull:free", "lab/tern:free", "lab/heron"
USUAL = [facts(GULL, PriceClass.FREE), facts(TERN, PriceClass.FREE), facts(HERON, PriceClass.PAID)]
PAID_GULL = [facts(GULL, PriceClass.PAID), *USUAL[1:]]


@pytest.fixture
def store(tmp_path) -> Iterator[SQLiteStore]:
    opened = SQLiteStore(tmp_path / "monitor.db")
    yield opened
    opened.close()


def poll(
    store: SQLiteStore, clock: FakeClock, models: list[ModelFacts], *, after: float = 10 * MINUTE, source: str = SOURCE
) -> None:
    clock.advance(after)
    with store.transaction() as tx:
        note_catalogue(tx, {model.id: model for model in models}, source=source, at=clock.now(), watched=(HERON,))


def kinds(store: SQLiteStore) -> list[str]:
    return [kind for (kind,) in rows(store, "SELECT kind FROM events ORDER BY id")]


def written_by(store: SQLiteStore, clock: FakeClock, models: list[ModelFacts]) -> int:
    """How many rows of beliefs a poll of `models` writes."""
    with store.transaction() as tx:
        tx._db.execute("CREATE TEMP TABLE written (model)")
        for on in ("INSERT", "UPDATE", "DELETE"):
            row = "old" if on == "DELETE" else "new"
            tx._db.execute(
                f"CREATE TEMP TRIGGER on_{on} AFTER {on} ON beliefs BEGIN INSERT INTO written VALUES ({row}.model); END"
            )
    poll(store, clock, models)
    with store.transaction() as tx:
        (count,) = tx._db.execute("SELECT count(*) FROM written").fetchone()
        for on in ("INSERT", "UPDATE", "DELETE"):
            tx._db.execute(f"DROP TRIGGER on_{on}")
        tx._db.execute("DROP TABLE written")
    return int(count)


def test_the_first_catalogue_is_no_news(store, clock):
    """Each of its models is believed to be as it is."""
    poll(store, clock, USUAL)
    assert kinds(store) == []
    assert one(store, "SELECT count(*) FROM beliefs") == len(USUAL)


def test_news_is_recorded_with_what_was_and_what_is(store, clock):
    """As texts, under the instant at which the catalogue was asked for."""
    poll(store, clock, USUAL)
    poll(store, clock, PAID_GULL)
    assert rows(store, "SELECT at, kind, subject, before, after, note FROM events") == [
        (clock.now(), "model_no_longer_free", GULL, "free", "$1 in, $4 out per million tokens", "")
    ]


def test_what_waits_is_kept_between_processes(store, clock):
    """Absence, its return, its removal and a watched model's absence: told after their time, whoever polls."""
    poll(store, clock, USUAL)
    for _ in range(3):
        poll(store, clock, USUAL[:1])
        store.close()
    assert kinds(store) == ["model_missing", "model_missing"]
    for _ in range(8):
        poll(store, clock, USUAL[:2])
        store.close()
    assert kinds(store)[2:] == ["model_returned"]
    poll(store, clock, USUAL[:2], after=DAY)
    assert kinds(store)[3:] == ["model_removed"]


def test_many_are_one_row(store, clock):
    """Sixty models that lose their price at once are one event."""
    many = [facts(f"lab/gull-{number}:free", PriceClass.FREE) for number in range(60)]
    poll(store, clock, many)
    poll(store, clock, [facts(model.id, PriceClass.PAID) for model in many])
    assert rows(store, "SELECT kind, subject FROM events") == [("models_no_longer_free", "60 models of lab")]


def test_only_beliefs_that_changed_are_written(store, clock):
    """None at a quiet poll, none while something waits."""
    poll(store, clock, USUAL)
    assert written_by(store, clock, USUAL) == 0
    assert written_by(store, clock, PAID_GULL) == 1
    assert written_by(store, clock, PAID_GULL[:2]) == 1
    assert written_by(store, clock, PAID_GULL[:2]) == 1
    assert written_by(store, clock, PAID_GULL[:2]) == 0


def test_a_model_that_was_seen_once_is_forgotten(store, clock):
    """Its belief goes; that it was seen stays in the models."""
    poll(store, clock, USUAL[:1])
    poll(store, clock, USUAL)
    poll(store, clock, USUAL[:1], after=DAY)
    assert kinds(store) == []
    assert rows(store, "SELECT model FROM beliefs") == [(GULL,)]
    assert one(store, "SELECT count(*) FROM models") == len(USUAL)


def test_another_source_is_another_world(store, clock):
    """Nothing in it is news, and what was believed of the first is forgotten; so it is on the way back."""
    poll(store, clock, USUAL)
    poll(
        store, clock, [facts(GULL, PriceClass.PAID), facts("sim/owl:free", PriceClass.FREE)], source="http://localhost"
    )
    assert kinds(store) == []
    assert {model for (model,) in rows(store, "SELECT model FROM beliefs")} == {GULL, "sim/owl:free"}
    poll(store, clock, USUAL, after=2 * DAY)
    poll(store, clock, USUAL, after=2 * DAY)
    assert kinds(store) == []


def test_the_guard_waits_for_nothing(tmp_path, clock):
    """A model is refused from the first catalogue on that does not list it, or lists a price, and admitted from the
    first that lists it as free, whatever was told by then."""
    config = settings()
    book = Ledger(SQLiteStore(tmp_path / "monitor.db"), config, clock)

    def refused() -> Reason | None:
        verdict = book.reserve(ask(GULL)).verdict
        return verdict.reason

    for models, reason in (
        (USUAL, None),
        (PAID_GULL, Reason.MODEL_NOT_FREE),
        (USUAL, None),
        (USUAL[1:], Reason.MODEL_UNKNOWN),
        (USUAL, None),
    ):
        poll(book.store, clock, models, after=MINUTE, source=config.base_url)
        assert refused() is reason
    assert kinds(book.store) == ["model_no_longer_free"]
    book.store.close()


def test_a_belief_that_cannot_be_read_is_made_anew(store, clock):
    """From what the last catalogue said of the model: nothing is told of it, and nothing after it is lost."""
    poll(store, clock, USUAL)
    with store.transaction() as tx:
        tx.save_beliefs({GULL: "?", TERN: '{"presence":"listed","price":["free"],"of a later version":1}'})
    poll(store, clock, PAID_GULL)
    assert kinds(store) == ["model_no_longer_free"]
    assert all(from_text(text) for (text,) in rows(store, "SELECT belief FROM beliefs"))
    poll(store, clock, PAID_GULL)
    assert kinds(store) == ["model_no_longer_free"]


def test_the_models_of_the_settings_are_watched(tmp_path, clock):
    """A listed paid model that vanishes is told as soon as a free one is."""
    book = Ledger(
        SQLiteStore(tmp_path / "monitor.db"), settings(guard={"allow": "listed", "models": ["lab/h*"]}), clock
    )
    listed = {name: {"id": name, "pricing": {"prompt": "1", "completion": "1"}} for name in (HERON, "lab/ibis", "a/b")}

    def fetch(_url: str, _headers: Mapping[str, str]) -> Fetched:
        return Fetched(200, json.dumps({"data": [*listed.values()]}).encode())

    for _ in range(3):
        clock.advance(10 * MINUTE)
        Refresher(book).models(fetch, newer_than=clock.now() - MINUTE)
        listed.pop(HERON, None)
        listed.pop("lab/ibis", None)
    assert rows(book, "SELECT kind, subject FROM events") == [("model_missing", HERON)]
    book.store.close()


# A store from before there were beliefs


def old_store(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """A store as version 1 left it, with rows in every table; what is in it."""
    make_old(path, 1)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE catalogue SET source = ?, fetched_at = ?, models = 2", (SOURCE, NOON))
    for model, present, price in ((GULL, 1, "free"), (HERON, 1, "paid"), (TERN, 0, "free")):
        connection.execute(
            "INSERT INTO models (id, present, price, prompt_usd, completion_usd, bounded, first_seen, changed_at)"
            " VALUES (?, ?, ?, 0, 0, 1, ?, ?)",
            (model, present, price, NOON, NOON),
        )
    connection.execute("INSERT INTO events (at, kind, subject) VALUES (?, 'model_removed', ?)", (NOON, TERN))
    for table in _tables(connection) - {"models", "events", "catalogue", "marks"}:
        _fill(connection, table)
    connection.commit()
    found = _contents(connection)
    connection.close()
    assert all(found.values()), found
    return found


def _tables(connection: sqlite3.Connection) -> set[str]:
    found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '%sqlite_%'")
    return {name for (name,) in found}


def _fill(connection: sqlite3.Connection, table: str) -> None:
    """One row of values that fit their columns."""
    values = {
        name: f"{table} {name}" if kind == "TEXT" else 7
        for _, name, kind, *_ in connection.execute(f"PRAGMA table_info({table})")
    }
    columns, marks = ", ".join(values), ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", [*values.values()])


def _contents(connection: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    return {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in _tables(connection)}


def test_a_store_of_version_1_keeps_every_row(tmp_path):
    """The first use brings it up to date; all its tables hold what they held, in columns that may be more by now."""
    path = tmp_path / "monitor.db"
    before = old_store(path)
    store = SQLiteStore(path)
    with store.transaction() as tx:
        assert tx.beliefs() == {}
    store.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    after = _contents(connection)
    connection.close()
    for table, held in before.items():
        width = len(held[0])
        assert set(held) <= {row[:width] for row in after[table]}, table


def test_nothing_is_missed_between_two_versions(tmp_path, clock):
    """The last catalogue of version 1 is what the first of the next is judged against."""
    path = tmp_path / "monitor.db"
    old_store(path)
    store = SQLiteStore(path)
    poll(store, clock, [facts(GULL, PriceClass.PAID), facts(TERN, PriceClass.FREE)])
    assert kinds(store)[1:] == ["model_no_longer_free"]
    poll(store, clock, [facts(GULL, PriceClass.PAID), facts(TERN, PriceClass.FREE)])
    assert kinds(store)[2:] == ["model_missing", "model_added"]
    store.close()
