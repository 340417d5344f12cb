"""A world per test: `world` without faults, `worlds` a function that makes one with faults and options."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from client_kit import NOON, World

from monitor.clock import FakeClock
from monitor.simulator.options import SimulatorOptions
from monitor.simulator.server import Simulator


@pytest.fixture
def worlds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    for name in ("OPENROUTER_API_KEY", "OPENROUTER_MONITOR_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    with contextlib.ExitStack() as stack:
        made: list[World] = []

        def start(*faults: dict[str, Any], now: float = NOON, **options: Any) -> World:
            clock = FakeClock(now)
            options = {"per_minute": 10_000, "per_day": 10_000, "chunks": 4, "faults": faults, **options}
            sim = stack.enter_context(Simulator(SimulatorOptions(**options), clock=clock))
            made.append(World(sim, tmp_path / f"store-{len(made)}.db", clock, stack))
            return made[-1]

        yield start


@pytest.fixture
def world(worlds: Callable[..., World]) -> World:
    return worlds()
