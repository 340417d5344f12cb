"""What the tests of the guarded call share: a simulator, a store of their own, and a look into it from outside."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from monitor import Settings
from monitor.clock import Clock
from monitor.simulator.options import SimulatorOptions
from monitor.simulator.server import Simulator

FREE = "meta-llama/llama-3.3-70b-instruct:free"
PAID = "meta-llama/llama-3.3-70b-instruct"
KEY = "sk-or-v1-simulated-key-for-tests"
HELLO = [{"role": "user", "content": "hello"}]
REASON_HEADER = "x-openrouter-monitor-reason"
DEADLINE = 20.0
"""Seconds after which a condition that nothing signals is given up; never the time that a test takes."""


def chat(model: str = FREE, **more: Any) -> dict[str, Any]:
    """The body of a plain chat request."""
    return {"model": model, "messages": HELLO, **more}


def bearer(key: str = KEY) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@dataclass
class World:
    """A simulated OpenRouter and the store of those who call it."""

    sim: Simulator
    path: Path

    @property
    def url(self) -> str:
        return f"{self.sim.base_url}/chat/completions"

    def settings(self, **changes: Any) -> Settings:
        """Settings for this world; limits so high that only a test that is about them meets them."""
        values = {"quota": {"per_minute": 1000}, "base_url": self.sim.base_url, "api_key": KEY, **changes}
        return Settings.build({"store": str(self.path), **values})

    def query(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """Look into the store as any other program would."""
        with contextlib.closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, parameters).fetchall()]

    def rows(self) -> list[dict[str, Any]]:
        """Every attempt on record, oldest first; none where nothing was ever written."""
        return self.query("SELECT * FROM calls ORDER BY id") if self.path.exists() else []

    def row(self) -> dict[str, Any]:
        """The only attempt on record."""
        rows = self.rows()
        assert len(rows) == 1, rows
        return rows[0]

    def outcomes(self) -> list[str]:
        return [row["outcome"] for row in self.rows()]

    def taken(self) -> int:
        """Free requests of the day that the ledger counts for the account."""
        rows = self.query("SELECT attempts - uncounted AS n FROM windows WHERE app = ''")
        return sum(row["n"] for row in rows)

    def open_holds(self) -> int:
        return len(self.query("SELECT id FROM holds"))

    def settled(self, count: int = 1) -> list[dict[str, Any]]:
        """Wait until so many attempts are on record and none is in flight; they are returned."""
        eventually(lambda: len(self.rows()) == count and not self.open_holds(), f"{count} settled: {self.outcomes()}")
        return self.rows()

    def refused_once(self) -> dict[str, Any]:
        """The one refusal on record: asked once, and nothing was sent."""
        row = self.row()
        assert (row["outcome"], self.sim.books.requests) == ("refused", 0)
        assert [each["n"] for each in self.query("SELECT n FROM refusals WHERE shadow = 0")] == [1]
        return row


class Worlds:
    """Makes worlds and takes them down."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._made = 0

    def __call__(self, *faults: dict[str, Any], clock: Clock | None = None, **options: Any) -> World:
        options = {"per_minute": 10_000, "per_day": 10_000, "chunks": 4, "faults": faults, **options}
        sim = self._stack.enter_context(Simulator(SimulatorOptions(**options), clock=clock))
        self._made += 1
        return World(sim, self._folder / f"store-{self._made}.db")


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[Worlds]:
    """A function that starts a simulator with these faults and options, and gives the world around it."""
    # What exists by now is left out of collections: those that a test waits for would look at every SDK.
    gc.freeze()
    try:
        with contextlib.ExitStack() as stack:
            yield Worlds(tmp_path, stack)
    finally:
        gc.unfreeze()


@pytest.fixture
def world(worlds: Worlds) -> World:
    """A world without faults."""
    return worlds()


def eventually(check: Callable[[], object], what: object = "") -> None:
    """Wait for what nothing signals."""
    end = time.monotonic() + DEADLINE
    while not check():
        assert time.monotonic() < end, f"waited in vain for {what or check}"
        time.sleep(0.005)


async def settled_in_time(world: World, rows: int) -> None:
    """Wait, on this event loop, until so many attempts are on record and none is in flight; collecting what is dropped,
    for the loop finalizes asynchronous generators one by one, in tasks of its own."""
    async with asyncio.timeout(DEADLINE):
        while len(world.rows()) < rows or world.open_holds():
            collect()
            await asyncio.sleep(0.005)


def collect() -> None:
    """Have everything collected that nobody holds, cycles included."""
    gc.collect()


def error_of(response: Any) -> dict[str, Any]:
    """The error object of an answer."""
    error: dict[str, Any] = response.json()["error"]
    return error
