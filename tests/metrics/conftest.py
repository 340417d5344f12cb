"""A scene with the usual catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.clock import FakeClock
from tests.metrics.metrics_kit import Scene


@pytest.fixture
def scene(tmp_path: Path, clock: FakeClock) -> Scene:
    return Scene(tmp_path, clock)
