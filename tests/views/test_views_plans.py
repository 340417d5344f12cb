"""No page reads the whole log: what it costs does not grow with it."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from monitor.clock import FakeClock
from monitor.store.sqlite import reader as opening
from monitor.store.sqlite.hours import count_hours
from monitor.store.sqlite.reader import Reader
from monitor.views.overview import overview
from monitor.views.stories import call_story, model_story
from monitor.views.traffic import Asked
from tests.fakes.builders import FREE, PAID, ask, ledger, success, take

WHOLE_LOG = re.compile(r"SCAN (calls|holds|snapshots|sends)\b")


@pytest.fixture
def statements(tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement of every page's figures, with the values that were bound."""
    book = ledger(tmp_path / "monitor.db", clock, apps={"app": {"share": 0.2}})
    for _ in range(3):
        book.settle(take(book), success())
        book.reserve(ask(PAID))
    count_hours(book.store.path, clock)
    take(book)
    seen: list[str] = []
    real = opening.open_read_only

    def traced(path: Path) -> sqlite3.Connection:
        connection = real(path)
        connection.set_trace_callback(seen.append)
        return connection

    monkeypatch.setattr(opening, "open_read_only", traced)
    with Reader(book.store.path) as reader:
        for asked in (Asked(), Asked("30d", "app"), Asked("7d", None, FREE)):
            overview(reader, book.settings, clock.now(), asked)
        model_story(reader, FREE)
        call_story(reader, book.settings, 3)
    return [text for text in dict.fromkeys(seen) if text.lstrip().startswith("SELECT")]


def test_no_statement_of_a_page_scans_the_log(tmp_path, statements):
    """Not one reads it from end to end, whatever SQLite makes of it."""
    assert len(statements) > 30
    with sqlite3.connect(tmp_path / "monitor.db") as connection:
        for text in statements:
            for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {text}").fetchall():
                assert not WHOLE_LOG.search(step), (step, text)


def test_the_statements_are_those_of_the_pages(statements):
    """The list above is not empty of what matters."""
    text = "\n".join(statements)
    for table in ("calls", "hours", "hours_open", "holds", "snapshots", "events", "windows", "spend", "models"):
        assert re.search(rf"\b{table}\b", text), table
