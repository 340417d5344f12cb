"""When the requests of a batch can go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.clock import DAY
from monitor.policy.pacing import Plan, Spread, Supply, pause_between, plan
from monitor.policy.windows import SLOT
from tests.fakes.builders import HOUR, MIDNIGHT, NOON

FIFTY = Supply(left_today=50, per_day=50, per_minute=20)


def test_the_example_of_the_docstring():
    """500 requests, ten of fifty used, at noon: 40 today in a minute, then fifty a day, the last ten on the tenth."""
    found = plan(500, Supply(40, 50, 20), NOON)
    assert (found.days[0].items, found.days[0].ends_at - NOON) == (40, SLOT)
    assert [part.items for part in found.days[1:]] == [50] * 9 + [10]
    assert found.days[1].starts_at == MIDNIGHT + DAY
    assert found.ends_at == MIDNIGHT + 10 * DAY
    assert (found.items, found.requests, found.unplanned) == (500, 500, 0)


@pytest.mark.parametrize(("items", "seconds"), [(1, 0), (20, 0), (21, SLOT), (40, SLOT), (41, 2 * SLOT)])
def test_the_minute_decides_how_fast(items, seconds):
    """Twenty at once, the next twenty when their slots are free again."""
    found = plan(items, FIFTY, NOON)
    assert found.ends_at == NOON + seconds


@pytest.mark.parametrize("spread", [Spread.DAY, Spread.DAYS])
def test_spread_out_they_end_with_the_day(spread):
    """Four items at noon, one every three hours; what does not fit goes evenly over the days after."""
    assert plan(4, FIFTY, NOON, spread=spread).ends_at == NOON + 9 * HOUR
    assert pause_between(4, FIFTY, NOON) == 3 * HOUR
    assert pause_between(400, FIFTY, NOON) == 12 * HOUR / 50
    assert plan(100, FIFTY, NOON, spread=spread).ends_at == MIDNIGHT + DAY + DAY * 49 / 50


def test_retries_are_part_of_the_need():
    """At 1.5 requests an item, fifty requests are 33 items, and a hundred items are 150 requests."""
    found = plan(100, FIFTY, NOON, requests_per_item=1.5)
    assert [part.items for part in found.days] == [33, 33, 33, 1]
    assert found.requests == 150


@pytest.mark.parametrize(("supply", "fit"), [(Supply(0, 0, 20), 0), (Supply(3, 0, 20), 3)])
def test_an_account_without_requests_has_no_end(supply, fit):
    """What fits into no day is told, and there is no time of the end."""
    found = plan(10, supply, NOON)
    assert (found.items, found.unplanned, found.ends_at) == (fit, 10 - fit, None)
    assert pause_between(10, Supply(0, 0, 20), NOON) == 0


def test_nothing_to_do_needs_nothing():
    """An empty batch has an empty plan."""
    assert plan(0, FIFTY, NOON) == Plan((), 0, 0)


@given(
    items=st.integers(0, 3000),
    left=st.integers(0, 1000),
    per_day=st.integers(1, 1000),
    per_minute=st.integers(1, 60),
    factor=st.floats(1, 3),
    spread=st.sampled_from(Spread),
    hour=st.floats(0, 23.9),
)
def test_a_plan_keeps_within_what_there_is(items, left, per_day, per_minute, factor, spread, hour):
    """No day has more items than its requests allow, all stay within their UTC day, and none is lost."""
    now = MIDNIGHT + hour * HOUR
    found = plan(items, Supply(left, per_day, per_minute), now, spread=spread, requests_per_item=factor)
    assert found.items + found.unplanned == items
    for number, part in enumerate(found.days):
        room = left if part.starts_at == now else per_day
        assert part.items * factor <= room + 1e-6
        assert part.starts_at <= part.ends_at
        assert number == 0 or part.starts_at % DAY == 0
