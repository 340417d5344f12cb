"""Serves a handler for one test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from serving_kit import Served

from monitor.clock import Clock, SystemClock
from monitor.serving.messages import Handler


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    with ExitStack() as stack:

        def start(handle: Handler, clock: Clock | None = None, most: int = 64) -> Served:
            return stack.enter_context(Served(handle, clock or SystemClock(), most))

        yield start
