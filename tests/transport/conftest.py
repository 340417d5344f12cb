"""The fixtures of the kit, and guarded clients on a clock of the test's."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from guard_kit import KEY, World, bearer, world, worlds

from monitor.clock import FakeClock
from monitor.transport.course import Guard
from monitor.transport.with_httpx import GuardTransport

__all__ = ["world", "worlds"]


@pytest.fixture
def connect() -> Iterator[Callable[..., httpx.Client]]:
    """A function that gives a guarded client whose waits cost no time."""
    made: list[httpx.Client] = []

    def start(world: World, clock: FakeClock, **changes: object) -> httpx.Client:
        guard = Guard("app", world.settings(**changes), clock=clock)
        made.append(httpx.Client(transport=GuardTransport(guard=guard), headers=bearer(KEY)))
        return made[-1]

    yield start
    for client in made:
        client.close()
