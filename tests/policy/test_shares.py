"""Shares of the day's quota: what is promised to one app, no other can eat, until the evening."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.policy.shares import held_back, left_for, promised, share_admits
from tests.fakes.builders import HOUR, MIDNIGHT, NOON

SIX, NINE, LAST = MIDNIGHT + 18 * HOUR, MIDNIGHT + 21 * HOUR, MIDNIGHT + 24 * HOUR - 1


@pytest.mark.parametrize(
    ("share", "limit", "requests"),
    [(0.4, 50, 20), (0.29, 100, 29), (0.58, 50, 29), (1 / 3, 50, 16), (1.0, 1000, 1000), (0.001, 50, 0), (0.0, 50, 0)],
)
def test_a_promise_is_whole_requests(share, limit, requests):
    """Rounded down, but never by floating point: 0.29 of 100 is 29."""
    assert promised(share, limit) == requests


@given(parts=st.lists(st.integers(1, 100), min_size=1, max_size=8), limit=st.integers(0, 2000))
def test_promises_never_exceed_the_limit(parts, limit):
    """Shares that add up to the whole promise the whole at most."""
    assert sum(promised(part / sum(parts), limit) for part in parts) <= limit


@pytest.mark.parametrize(
    ("now", "used", "held"),
    [
        (MIDNIGHT, 0, 20),
        (NOON, 0, 20),
        (NOON, 5, 15),
        (NOON, 20, 0),
        (NOON, 31, 0),
        (SIX - 1, 0, 20),
        (SIX, 0, 20),
        (SIX + 1, 0, 20),
        (MIDNIGHT + 19.5 * HOUR, 0, 15),
        (NINE, 0, 10),
        (NINE, 5, 8),
        (NINE, 19, 1),
        (MIDNIGHT + 23 * HOUR, 0, 4),
        (LAST, 0, 1),
        (LAST, 20, 0),
        (MIDNIGHT + 24 * HOUR, 0, 20),
    ],
)
def test_what_is_held_back_from_others(now, used, held):
    """All of an unused promise until 18:00, half of it at 21:00, next to nothing a second before midnight; then the
    new day's in full. Rounded up, in favour of the promise."""
    assert held_back({"mine": 0.4}, {"mine": used}, 50, now, but_for="other") == held


def test_nothing_is_held_back_from_its_owner():
    """An app's own promise does not stand in its way; the others' add up."""
    shares = {"a": 0.4, "b": 0.2, "c": 0.1}
    assert held_back(shares, {}, 50, NOON, but_for="a") == 15
    assert held_back(shares, {}, 50, NOON, but_for="none") == 35


@pytest.mark.parametrize(
    ("app", "mine", "total", "now", "admitted"),
    [
        ("a", 19, 49, NOON, True),
        ("a", 20, 39, NOON, True),
        ("a", 20, 40, NOON, False),
        ("none", 0, 19, NOON, True),
        ("none", 20, 20, NOON, False),
        ("none", 20, 34, NINE, True),
        ("none", 35, 35, NINE, False),
        ("none", 47, 47, LAST, True),
        ("none", 48, 48, LAST, False),
    ],
)
def test_the_common_part_and_the_promised_one(app, mine, total, now, admitted):
    """Of fifty, `a` has 20 and `b` 10: an app spends its own part first, then the common twenty, then what frees up."""
    used = {app: mine}
    assert share_admits(app, {"a": 0.4, "b": 0.2}, used, total_used=total, limit=50, now=now) is admitted


@given(
    parts=st.lists(st.integers(0, 50), min_size=2, max_size=5),
    limit=st.integers(0, 120),
    order=st.lists(st.integers(0, 5), max_size=200),
    seconds=st.floats(0, 18 * 3600),
)
def test_before_the_evening_no_interleaving_breaks_a_promise(parts, limit, order, seconds):
    """However apps (one of them without a share) take turns before 18:00, each can then still spend its full promise,
    and all together never exceed the limit."""
    whole = max(50, sum(parts))
    shares = {f"app{i}": part / whole for i, part in enumerate(parts)}
    used: dict[str, int] = {}

    def asks(app: str) -> bool:
        total = sum(used.values())
        if total >= limit:
            return False
        admitted = share_admits(app, shares, used, total_used=total, limit=limit, now=MIDNIGHT + seconds)
        used[app] = used.get(app, 0) + admitted
        return admitted

    for turn in order:
        asks(f"app{turn}")
        assert sum(used.values()) <= limit
    for app, share in shares.items():
        while used.get(app, 0) < promised(share, limit):
            assert asks(app), (app, used)
    assert sum(used.values()) <= limit


@given(elsewhere=st.integers(0, 50), order=st.lists(st.integers(0, 2), max_size=120), seconds=st.floats(0, 86_399))
def test_the_total_never_exceeds_the_limit_at_any_hour(elsewhere, order, seconds):
    """With quota used elsewhere, and promises freeing up, admissions still stop at the limit."""
    shares, used, limit = {"app0": 0.5, "app1": 0.3}, {"app0": 0, "app1": 0, "app2": 0}, 50
    for turn in order:
        total = elsewhere + sum(used.values())
        if total < limit:
            app = f"app{turn}"
            used[app] += share_admits(app, shares, used, total_used=total, limit=limit, now=MIDNIGHT + seconds)
        assert elsewhere + sum(used.values()) <= limit


@given(
    shares=st.dictionaries(st.sampled_from("abc"), st.floats(0, 0.33), max_size=3),
    used=st.dictionaries(st.sampled_from("abcd"), st.integers(0, 30), max_size=4),
    limit=st.integers(0, 60),
    hour=st.floats(0, 23.99),
)
def test_what_is_left_for_an_app_is_what_it_may_take(shares, used, limit, hour):
    """Taking one request after the other, an app gets as many as `left_for` says, and not one more."""
    now, total = MIDNIGHT + hour * 3600, sum(used.values())
    told = left_for("a", shares, used, total_used=total, limit=limit, now=now)
    taken, counts = 0, dict(used)
    while total + taken < limit and share_admits("a", shares, counts, total_used=total + taken, limit=limit, now=now):
        taken, counts["a"] = taken + 1, counts.get("a", 0) + 1
    assert told == taken
