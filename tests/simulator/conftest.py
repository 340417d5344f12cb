"""A simulator per test, stopped at its end, and a plain HTTP client that speaks to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from simulator_kit import KEY, Api

from monitor.clock import FakeClock
from monitor.simulator.options import SimulatorOptions
from monitor.simulator.server import Simulator


@pytest.fixture
def clock() -> FakeClock:
    """2026-11-24 12:00:00 UTC: a whole minute, far from midnight, a Tuesday."""
    return FakeClock(1_795_521_600.0)


@pytest.fixture
def simulate(clock: FakeClock) -> Iterator[Callable[..., Api]]:
    """Start a simulator with these options and get a client for it; all are stopped when the test ends."""
    with ExitStack() as stack:

        def start(key: str | None = KEY, **options: Any) -> Api:
            sim = stack.enter_context(Simulator(SimulatorOptions(**options), clock=clock))
            api = Api(sim, key)
            stack.callback(api.http.close)
            return api

        yield start
