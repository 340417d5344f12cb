"""The fixtures of the proxy's tests: worlds as the guarded call's tests know them, with the proxy before them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "transport"))

from guard_kit import World, world, worlds
from upstream_kit import Upstream

from tests.fakes.proxy import ServedProxy

__all__ = ["world", "worlds"]


@pytest.fixture
def serve() -> Iterator[Callable[..., ServedProxy]]:
    """Puts a proxy before a world. `changes` are of the settings, `more` of the proxy."""
    with ExitStack() as stack:

        def start(world: World, *, max_connections: int = 256, drain: float = 5.0, **changes: Any) -> ServedProxy:
            proxy = {"max_connections": max_connections, **changes.pop("proxy", {})}
            return stack.enter_context(ServedProxy(world.settings(proxy=proxy, **changes), drain=drain))

        yield start


@pytest.fixture
def before(tmp_path: Path) -> Iterator[Callable[..., tuple[ServedProxy, Upstream, World]]]:
    """Puts a proxy before an upstream that answers byte for byte what it is told."""
    with ExitStack() as stack:

        def start(answer: Any = None, **changes: Any) -> tuple[ServedProxy, Upstream, World]:
            upstream = stack.enter_context(Upstream(answer))
            world = World(upstream, tmp_path / "monitor.db")  # type: ignore[arg-type]
            return stack.enter_context(ServedProxy(world.settings(**changes))), upstream, world

        yield start
