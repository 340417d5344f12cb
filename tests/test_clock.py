"""Days, minutes and months by UTC, and clocks that are set back."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import clock as clocks
from monitor.clock import FakeClock, SystemClock
from tests.fakes.builders import MIDNIGHT, NOON

INSTANTS = st.floats(0, 4e9)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@given(INSTANTS)
def test_a_day_is_what_the_calendar_says(now):
    """Day number, its name, the next midnight, minute and month agree with the calendar of UTC."""
    date = datetime.fromtimestamp(now, UTC)
    assert clocks.day_name(clocks.day_of(now)) == f"{date:%Y-%m-%d}"
    assert 0 < clocks.next_midnight(now) - now <= 86_400
    assert clocks.next_midnight(now) % 86_400 == 0
    assert 0 < clocks.next_minute(now) - now <= 60
    first = clocks.month_start_day(now) * 86_400
    assert first <= now < clocks.next_month(now)
    assert datetime.fromtimestamp(first, UTC).day == datetime.fromtimestamp(clocks.next_month(now), UTC).day == 1


@pytest.mark.parametrize(
    ("now", "following"),
    [
        ("2026-12-31T23:59:59.999", "2027-01-01"),
        ("2028-02-29T12:00", "2028-03-01"),
        ("2026-02-28T23:59", "2026-03-01"),
        ("2026-03-01T00:00", "2026-04-01"),
    ],
)
def test_the_next_month(now, following):
    """At the year's end, in leap years, and on the first itself."""
    assert clocks.next_month(at(now)) == at(following)


@pytest.mark.parametrize(
    ("stamp", "age"),
    [(NOON - 5, 5), (NOON, 0), (NOON + 1, 0), (NOON + 60, 0), (NOON + 60.001, None), (NOON + 1e9, None)],
)
def test_a_stamp_from_the_future_has_no_age(stamp, age):
    """A moment ahead is now; further ahead is a clock that has been set back."""
    assert clocks.age_of(stamp, NOON) == age


def test_a_fake_clock_moves_when_told():
    """Sleeping advances both times; setting moves only the wall's."""
    clock = FakeClock(MIDNIGHT)
    clock.sleep(5)
    clock.advance(2)
    assert (clock.now(), clock.monotonic()) == (MIDNIGHT + 7, 7)
    clock.set(MIDNIGHT - 100)
    assert (clock.now(), clock.monotonic()) == (MIDNIGHT - 100, 7)


def test_the_system_clock_is_the_machines():
    """Wall time between two looks at it, and a monotonic time that does not fall."""
    clock = SystemClock()
    before = time.time()
    assert before <= clock.now() <= time.time()
    first = clock.monotonic()
    clock.sleep(0.001)
    assert clock.monotonic() > first


def test_instants_are_written_in_utc():
    """Whatever the machine's zone."""
    assert clocks.iso(MIDNIGHT) == "2026-09-21T00:00:00Z"
