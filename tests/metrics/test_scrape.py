"""How a scrape reads: one moment, never the log of calls, never a write, never an error."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.clock import FakeClock
from monitor.metrics.collector import StoreCollector, registry
from monitor.store.sqlite.reader import open_read_only
from monitor.store.sqlite.reports import Reports
from tests.fakes.builders import NOON, ask, key_facts, settings, success, take
from tests.metrics.metrics_kit import Scene


@pytest.fixture
def busy(scene: Scene) -> Scene:
    """Something of everything."""
    scene.call()
    scene.call(ending=success(ttft=0.2))
    scene.book.reserve(ask("lab/heron"))
    scene.book.note_key(key_facts(used=7, usage_daily_usd=0.5), asked_at=scene.clock.now())
    take(scene.book)
    return scene


@pytest.fixture
def reading(busy: Scene) -> Iterator[sqlite3.Connection]:
    connection = open_read_only(busy.path)
    yield connection
    connection.close()


def test_no_statement_of_a_scrape_reads_the_log_of_calls(busy: Scene, reading: sqlite3.Connection) -> None:
    """But for those in flight, from the oldest open one on: five million calls on record cost a scrape nothing."""
    statements: list[str] = []
    reading.set_trace_callback(statements.append)
    Reports(reading).scrape("default", NOON)
    reading.set_trace_callback(None)
    assert len(statements) > 10
    looks = []
    for statement in statements:
        for row in reading.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall():
            if " calls" in row[3]:
                looks.append((row[3], "holds" in statement))
    assert looks == [("SEARCH calls USING INTEGER PRIMARY KEY (rowid>?)", True)]


def test_a_scrape_changes_no_byte_of_the_store(busy: Scene) -> None:
    """It is opened to read only, so that a damaged store is not damaged further."""
    busy.book.store.close()
    before = busy.path.read_bytes()
    assert busy.value("openrouter_monitor_scrape_ok") == 1
    assert busy.path.read_bytes() == before


def test_registering_a_collector_does_not_touch_the_store(tmp_path: Path, clock: FakeClock) -> None:
    """The daemon starts although its store is not there yet, and a scrape does not make one."""
    config = settings(store=str(tmp_path / "none" / "monitor.db"))
    made = registry(StoreCollector(config, clock))
    assert made.get_sample_value("openrouter_monitor_scrape_ok") == 0
    assert made.get_sample_value("openrouter_monitor_build_info", {}) is None
    assert [m.name for m in made.collect() if m.name == "openrouter_monitor_build_info"]
    assert not (tmp_path / "none").exists()


def test_a_store_that_cannot_be_read_leaves_the_last_figures(busy: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """And says so, until it can be read again; what happened meanwhile is told then."""
    busy.value("openrouter_monitor_scrape_ok")
    last = busy.counters()
    busy.book.store.close()
    aside = busy.path.with_suffix(".aside")
    os.rename(busy.path, aside)
    assert busy.counters() == last
    assert busy.value("openrouter_monitor_scrape_ok") == 0
    assert busy.value("openrouter_monitor_call_log_size_bytes") is None
    assert "could not be read" in caplog.text
    os.rename(aside, busy.path)
    busy.call()
    assert busy.value("openrouter_monitor_scrape_ok") == 1
    assert busy.value("openrouter_tier_requests_total", app="app", tier="free") == 3


@pytest.mark.parametrize("content", [b"", b"not a database, for sure" * 200])
def test_a_damaged_store_leaves_the_last_figures(busy: Scene, content: bytes) -> None:
    """It is left as it is."""
    busy.value("openrouter_monitor_scrape_ok")
    busy.book.store.close()
    busy.path.write_bytes(content)
    assert busy.value("openrouter_monitor_scrape_ok") == 0
    assert busy.value("openrouter_tier_requests_total", app="app", tier="free") == 2
    assert busy.path.read_bytes() == content


def test_a_row_that_cannot_be_understood_is_no_error_of_the_scrape(
    busy: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """A later version may have written it."""
    busy.value("openrouter_monitor_scrape_ok")
    with busy.book.store.connection.transaction() as tx:  # type: ignore[attr-defined]
        tx._db.execute("UPDATE models SET price = 'by the moon'")
    assert busy.value("openrouter_monitor_scrape_ok") == 0
    assert busy.value("openrouter_models", tier="free") == 4
    assert "a scrape failed" in caplog.text


def test_a_store_that_was_replaced_is_read_anew(busy: Scene, tmp_path: Path, clock: FakeClock) -> None:
    """A restored backup counts from the next scrape on."""
    busy.value("openrouter_monitor_scrape_ok")
    (tmp_path / "other").mkdir()
    other = Scene(tmp_path / "other", clock)
    for _ in range(9):
        other.call()
    other.book.store.close()
    busy.book.store.close()
    shutil.copy(other.path, busy.path.with_suffix(".new"))
    os.replace(busy.path.with_suffix(".new"), busy.path)
    assert busy.value("openrouter_tier_requests_total", app="app", tier="free") == 9


def test_a_scrape_goes_on_beside_a_writer(busy: Scene) -> None:
    """An open write transaction is not waited for, and not seen before it is committed."""
    with busy.book.store.transaction() as tx:
        tx.pause("app", NOON, None, "")
        assert busy.value("openrouter_monitor_scrape_ok") == 1


def test_the_stores_size_includes_its_log(busy: Scene) -> None:
    """What grows first is the write-ahead log."""
    size = busy.path.stat().st_size + Path(f"{busy.path}-wal").stat().st_size
    assert busy.value("openrouter_monitor_call_log_size_bytes") == size


def test_the_last_polls_are_told_whoever_made_them(busy: Scene) -> None:
    """Times are those at which was asked; a daemon that has just started knows of them from the store."""
    name = "openrouter_monitor_poll_last_success_timestamp_seconds"
    assert busy.all(name) == {("models",): NOON, ("key",): NOON}


@pytest.mark.parametrize("module", ["monitor", "monitor.status", "monitor.transport.clients", "monitor.runtime"])
def test_a_guarded_process_does_not_pay_for_the_metrics(module: str) -> None:
    """Only the daemon needs the client library."""
    script = f"import {module}, sys; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
