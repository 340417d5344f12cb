"""An upstream, and daemons that poll it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.clock import FakeClock
from tests.poller.poller_kit import Upstream, Watch


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def daemon(tmp_path: Path, clock: FakeClock, upstream: Upstream) -> Callable[..., Watch]:
    """Makes a daemon's jobs; all of them share one store."""
    return lambda **sections: Watch(tmp_path / "monitor.db", clock, upstream, **sections)
