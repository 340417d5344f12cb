"""A store with calls in it, and a process that writes beside the test."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monitor.clock import DAY, SystemClock
from monitor.store import SQLiteStore
from tests.fakes.builders import NOON
from tests.fakes.processes import Worker

NO_LIMITS = json.dumps({"quota": {"per_minute": 1_000_000, "per_day": 1_000_000}})
OLD = NOON - 40 * DAY


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

        assert worker.hear().endswith("born")

        def listen() -> None:
            while line := worker.hear():
                acknowledged.append(int(line.split()[1]))

        listener = threading.Thread(target=listen)
        listener.start()
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


def all_rows(store: SQLiteStore, query: str) -> list[tuple[int]]:
    with store.connection.reading() as connection:
        return connection.execute(query).fetchall()
