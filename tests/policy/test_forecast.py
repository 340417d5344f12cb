"""When the day's quota ends."""

from __future__ import annotations

import pytest

from monitor.policy.forecast import exhaustion_at
from tests.fakes.builders import HOUR, MIDNIGHT, NOON


def test_the_pace_of_the_day_counts_without_a_mark() -> None:
    """Thirty in twelve hours leave twenty of fifty for eight more."""
    assert exhaustion_at(30, 50, NOON) == NOON + 8 * HOUR


@pytest.mark.parametrize(("used", "lasts"), [(24, True), (25, True), (26, False)])
def test_a_quota_that_lasts_until_midnight_has_no_end(used: int, lasts: bool) -> None:
    """At half the day half the quota is just enough."""
    assert (exhaustion_at(used, 50, NOON) is None) is lasts


def test_the_last_hour_counts_when_it_is_faster() -> None:
    """A loop that began an hour ago is seen long before it has used what the morning did."""
    assert exhaustion_at(30, 50, NOON, (NOON - HOUR, 10)) == NOON + HOUR


def test_the_day_counts_when_it_is_faster() -> None:
    """A quiet hour does not make a busy day last."""
    assert exhaustion_at(30, 50, NOON, (NOON - HOUR, 30)) == NOON + 8 * HOUR


def test_no_pace_is_taken_over_less_than_an_hour() -> None:
    """Five requests at five past midnight are five an hour, not sixty."""
    at = MIDNIGHT + 300
    assert exhaustion_at(5, 50, at) == at + 9 * HOUR
    assert exhaustion_at(30, 50, NOON, (NOON - 60, 25)) == NOON + 4 * HOUR


@pytest.mark.parametrize("mark", [(MIDNIGHT - 1, 0), (NOON + 1, 0)])
def test_a_mark_of_another_day_or_of_the_future_is_ignored(mark: tuple[float, int]) -> None:
    """Yesterday's count is of another quota, and a clock set back makes no pace."""
    assert exhaustion_at(30, 50, NOON, mark) == NOON + 8 * HOUR


def test_a_mark_above_the_present_use_is_no_negative_pace() -> None:
    """Requests that were given back leave the day's own pace."""
    assert exhaustion_at(30, 50, NOON, (NOON - HOUR, 31)) == NOON + 8 * HOUR


@pytest.mark.parametrize("used", [50, 51])
def test_a_spent_quota_is_exhausted_now(used: int) -> None:
    """Not tomorrow, and not never."""
    assert exhaustion_at(used, 50, NOON) == NOON


def test_nothing_used_lasts() -> None:
    """No pace, no end; and a quota of nothing has ended."""
    assert exhaustion_at(0, 50, MIDNIGHT) is None
    assert exhaustion_at(0, 0, NOON) == NOON
