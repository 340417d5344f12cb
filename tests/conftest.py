"""What every test may ask for. Builders of nouns are in `tests/fakes/builders.py`."""

from __future__ import annotations

import signal

import pytest
from hypothesis import HealthCheck, settings

from monitor.clock import FakeClock
from tests.fakes.builders import NOON

# How fast examples are made depends on what else the machine does, and no test is about that.
settings.register_profile("any-machine", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("any-machine")


def pytest_configure() -> None:
    """A shell's background job ignores Ctrl-C, and so would every program that a test starts and then interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands at noon, UTC."""
    return FakeClock(NOON)
