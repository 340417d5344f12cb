"""What every test may ask for. Builders of nouns are in `tests/fakes/builders.py`."""

from __future__ import annotations

import pytest

from monitor.clock import FakeClock
from tests.fakes.builders import NOON


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands at noon, UTC."""
    return FakeClock(NOON)
