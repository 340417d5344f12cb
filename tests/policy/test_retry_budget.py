"""How many retries an hour may have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.policy.retry_budget import ALWAYS, SPAN_SECONDS, SPANS, Hour, may_retry, span_of
from tests.fakes.builders import NOON


@pytest.mark.parametrize(
    ("calls", "retries", "share", "may"),
    [
        (0, 0, 0.5, True),
        (0, ALWAYS - 1, 0.5, True),
        (0, ALWAYS, 0.5, False),
        (2, ALWAYS, 0.5, True),
        (2, ALWAYS + 1, 0.5, False),
        (100, ALWAYS + 49, 0.5, True),
        (100, ALWAYS + 50, 0.5, False),
        (100, ALWAYS, 0.0, False),
    ],
)
def test_a_share_of_the_calls_and_a_few_in_any_case(calls, retries, share, may):
    """Half as many retries as calls, and fifteen an hour besides."""
    assert may_retry(Hour(calls, retries), share=share) is may


@given(calls=st.lists(st.integers(0, 5), max_size=200), share=st.floats(0, 2))
def test_amplification_is_bounded(calls, share):
    """However often every call fails, attempts stay below calls × (1 + share) plus the few that are always allowed."""
    retries = 0
    for number, wanted in enumerate(calls, 1):
        for _ in range(wanted):
            retries += may_retry(Hour(number, retries), share=share)
    assert len(calls) + retries <= len(calls) * (1 + share) + ALWAYS + 1


def test_spans_are_ten_minutes_and_six_are_an_hour():
    """What is looked back on is an hour."""
    assert SPANS * SPAN_SECONDS == 3600
    assert span_of(NOON + SPAN_SECONDS - 0.001) == span_of(NOON)
    assert span_of(NOON + SPAN_SECONDS) == span_of(NOON) + 1
