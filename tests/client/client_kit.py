"""What tests of the friendly client share: a simulated OpenRouter, a store, and clients whose waits cost no time."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monitor import AsyncClient, Client, Settings
from monitor.clock import Clock, FakeClock
from monitor.simulator.server import Simulator

KEY = "sk-or-v1-simulated-key-for-tests"
NOON = 1_795_521_600.0
"""2026-11-24 12:00:00 UTC."""

QWEN, LLAMA, NEMOTRON = (
    "qwen/qwen3-235b-a22b:free",
    "meta-llama/llama-3.3-70b-instruct:free",
    "nvidia/nemotron-3-nano-30b-a3b:free",
)
"""The simulator's three best free models for a general task, best first."""

CODER, R1, PAID = "qwen/qwen3-coder:free", "deepseek/deepseek-r1:free", "openai/gpt-5-mini"


def fault(kind: Any, **match: Any) -> dict[str, Any]:
    """A fault rule: `model=`, `times=`, …"""
    return {"match": match, "do": kind}


BUSY, BROKEN = "upstream_429", {"kind": "status", "status": 503}


@dataclass
class World:
    """A simulated OpenRouter, the store of those who call it, and the time of both."""

    sim: Simulator
    path: Path
    clock: FakeClock
    closing: contextlib.ExitStack = field(repr=False)

    def settings(self, **changes: Any) -> Settings:
        values = {"quota": {"per_minute": 1000}, "base_url": self.sim.base_url, "api_key": KEY, **changes}
        return Settings.build({"store": str(self.path), **values})

    def client(
        self, app: str = "notebook", *, clock: Clock | None = None, options: Any = None, **changes: Any
    ) -> Client:
        """A client; all are closed when the test ends."""
        made = Client(app, self.settings(**changes), clock=clock or self.clock, verify=False, **(options or {}))
        return self.closing.enter_context(made)

    def async_client(self, *, clock: Clock | None = None, **changes: Any) -> AsyncClient:
        """One for event loops; the test closes it."""
        return AsyncClient("notebook", self.settings(**changes), clock=clock or self.clock, verify=False)

    def query(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """Look into the store as any other program would."""
        with contextlib.closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, parameters).fetchall()]

    def rows(self) -> list[dict[str, Any]]:
        """Every attempt on record, oldest first."""
        return self.query("SELECT * FROM calls ORDER BY id") if self.path.exists() else []

    def tries(self) -> list[tuple[str, str]]:
        """Model and outcome of every attempt on record."""
        return [(row["model_requested"], row["outcome"]) for row in self.rows()]

    def asked(self) -> list[str | None]:
        """Models of the requests that arrived."""
        return [post.model_asked for post in self.sim.books.posts]
