"""The free windows at their bounds: the minute and its margin, the clock minute, and the UTC day."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.clock import day_of, next_midnight
from monitor.policy.balances import DayWindow, MinuteWindow
from monitor.policy.windows import MARGIN, day_opens_at, day_remaining, minute_opens_at
from tests.fakes.builders import MIDNIGHT, NOON


@pytest.mark.parametrize(
    ("age", "opens"),
    [(0.0, NOON + 61), (30.0, NOON + 31), (60.0, NOON + 1), (60.999, NOON + 0.001), (61.0, None), (61.001, None)],
)
def test_a_slot_frees_when_its_request_is_sixty_one_seconds_old(age, opens):
    """At 60.999 s the window is shut for another millisecond, at 61.0 s it is open."""
    found = minute_opens_at(MinuteWindow(20, blocking_at=NOON - age), NOON)
    assert found == (None if opens is None else pytest.approx(opens, abs=1e-5, rel=0))


def test_fewer_requests_than_the_limit_leave_the_minute_open():
    """Without an L-th newest request nothing blocks."""
    assert minute_opens_at(MinuteWindow(1), NOON) is None


def test_a_limit_of_nothing_never_opens():
    """A minute limit of zero delays for ever."""
    assert minute_opens_at(MinuteWindow(0), NOON) == NOON + 60


@pytest.mark.parametrize(("until", "opens"), [(NOON - 1, None), (NOON, None), (NOON + 0.001, NOON + 0.001)])
def test_openrouters_own_word_shuts_the_minute_until_then(until, opens):
    """A 429's reset holds up to the instant that it names."""
    assert minute_opens_at(MinuteWindow(20, closed_until=until), NOON) == opens


def test_the_later_of_both_counts():
    """Our own count and OpenRouter's word: the minute opens when both agree."""
    assert minute_opens_at(MinuteWindow(20, NOON - 50, closed_until=NOON + 5), NOON) == NOON + 11
    assert minute_opens_at(MinuteWindow(20, NOON - 50, closed_until=NOON + 15), NOON) == NOON + 15


def test_a_request_from_the_future_waits_a_minute_at_most():
    """After the clock stepped back, a request stamped later than now shuts the minute as if it left now, not longer."""
    assert minute_opens_at(MinuteWindow(20, blocking_at=NOON + 3600), NOON) == NOON + 61


def seconds(most: float) -> st.SearchStrategy[float]:
    """In steps of a 64th, which floats add up without loss; often nothing or the most."""
    whole = int(most * 64)
    return (st.integers(0, whole) | st.sampled_from([0, whole])).map(lambda steps: steps / 64)


@given(
    limit=st.integers(1, 20),
    asked=st.lists(st.tuples(seconds(90) | seconds(0.5), seconds(MARGIN)), max_size=120),
    patient=st.booleans(),
    way=seconds(5),
)
def test_no_minute_of_the_servers_holds_more_than_the_limit(limit, asked, patient, way):
    """Whatever the times of asking, refused or waiting for a slot, and however long each is on its way, up to a second
    more than another: what arrives fits every sliding and every aligned minute."""
    sent, arrived, now = [], [], NOON + 0.25
    for gap, longer in asked:
        now += gap
        opens = minute_opens_at(MinuteWindow(limit, sent[-limit] if len(sent) >= limit else None), now)
        if opens is not None and not patient:
            continue
        now = opens or now
        sent.append(now)
        arrived.append(now + way + longer)
    for at in arrived:
        assert sum(at <= other < at + 60 for other in arrived) <= limit
        assert sum(other // 60 == at // 60 for other in arrived) <= limit


@given(limit=st.integers(1, 20), gaps=st.lists(st.floats(0, 90, width=32), max_size=120))
def test_waiting_as_long_as_told_is_enough_and_not_too_long(limit, gaps):
    """At the instant that was named the request is admitted; just before it, it is not."""
    sent: list[float] = []
    for now in accumulate(gaps, initial=NOON):
        window = MinuteWindow(limit, sent[-limit] if len(sent) >= limit else None)
        opens = minute_opens_at(window, now)
        if opens is not None:
            assert minute_opens_at(window, opens) is None
            assert minute_opens_at(window, opens - 0.001) is not None
        else:
            sent.append(now)


# The day


@pytest.mark.parametrize(
    ("window", "used"),
    [
        (DayWindow(50, attempts=7), 7),
        (DayWindow(50, attempts=7, uncounted=3), 7),
        (DayWindow(50, attempts=7, elsewhere=0), 7),
        (DayWindow(50, attempts=7, uncounted=3, elsewhere=0), 4),
        (DayWindow(50, attempts=7, elsewhere=15), 22),
        (DayWindow(50, attempts=0, elsewhere=1060), 1060),
    ],
)
def test_the_days_use_is_the_most_that_is_known(window, used):
    """Without a figure of OpenRouter's every attempt counts; with one, what we sent and it counts, and what others
    used."""
    assert window.used == used


@pytest.mark.parametrize(("used", "open_"), [(49, True), (50, False), (1060, False)])
def test_the_day_shuts_at_its_limit(used, open_):
    """At the limit, and beyond it, where OpenRouter's own figure can go."""
    window = DayWindow(50, elsewhere=used)
    assert day_opens_at(window, NOON) == (None if open_ else next_midnight(NOON))
    assert day_remaining(window, NOON) == max(0, 50 - used)


@pytest.mark.parametrize(("until", "open_"), [(NOON, True), (NOON + 0.001, False)])
def test_a_day_that_openrouter_shut_stays_shut_until_then(until, open_):
    """Whatever we counted, a day that a 429 closed has nothing left until the instant it named."""
    window = DayWindow(50, attempts=1, closed_until=until)
    assert (day_opens_at(window, NOON) is None) is open_
    assert day_remaining(window, NOON) == (49 if open_ else 0)


@pytest.mark.parametrize(
    ("now", "midnight"),
    [(MIDNIGHT - 0.001, MIDNIGHT), (MIDNIGHT, MIDNIGHT + 86_400), (MIDNIGHT + 0.001, MIDNIGHT + 86_400)],
)
def test_the_day_turns_at_midnight_utc(now, midnight):
    """A millisecond before midnight belongs to the old day, midnight itself to the new one."""
    assert day_opens_at(DayWindow(0), now) == midnight
    assert day_of(now) == day_of(midnight - 1)
