"""One sentence says how things stand: the worst first, and never that all is well when it is not."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.clock import FakeClock
from monitor.config import Settings
from monitor.status import gather
from monitor.store.sqlite.reader import Reader
from monitor.views.glance import BAD, OK, WARN, glance, lasting, money
from tests.fakes.builders import HOUR, NOON, ledger, success, take


@pytest.fixture
def calm(tmp_path, clock: FakeClock) -> dict[str, Any]:
    """The status of a store in which all is well."""
    book = ledger(tmp_path / "monitor.db", clock, api_key="sk-or-v1-test")
    book.settle(take(book), success())
    with Reader(book.store.path) as reader:
        return gather(reader, book.settings, clock.now())


def changed(status: dict[str, Any], **parts: dict[str, Any] | list[Any] | None) -> dict[str, Any]:
    merged = dict(status)
    for name, part in parts.items():
        merged[name] = {**status[name], **part} if isinstance(part, dict) else part
    return merged


SPENT = {"spend": {"day_usd": 0.12}}
ELSEWHERE = {"key": {"usage_daily_usd": 0.5, "read_at": NOON}}
PAUSED = {"paused": [{"app": None, "at": NOON, "until": None, "note": "enough"}]}
APP_PAUSED = {"paused": [{"app": "notebook", "at": NOON, "until": NOON + 60, "note": ""}]}
USED_UP = {"day": {"left": 0, "exhausted_at": NOON}}
ENDS = {"day": {"exhausted_at": NOON + HOUR}}
FULL = {"minute": {"left": 0, "opens_at": NOON + 12}}


def test_all_is_well(calm):
    """Only then is it said."""
    assert glance(calm)[:2] == (OK, "Nothing costs money, and today's requests last.")


@pytest.mark.parametrize(
    ("parts", "level", "says"),
    [
        (SPENT, BAD, "$0.12 spent today."),
        ({**SPENT, "guard": {"allow": "any"}}, WARN, "$0.12 spent today."),
        ({"spend": {"day_usd": 2.0, "budget_day_usd": 2.0}, "guard": {"allow": "any"}}, BAD, "of a budget of $2.00"),
        (ELSEWHERE, BAD, "$0.50 spent today past the guard."),
        (PAUSED, BAD, "Calls are paused, until resumed."),
        (APP_PAUSED, WARN, "notebook is paused, for 1 min more."),
        (USED_UP, BAD, "used up; they reset in 12 h"),
        (ENDS, WARN, "end in 1 h, 13:00:00Z"),
        (FULL, WARN, "the next opens in 12 s"),
        ({"catalogue": None}, WARN, "no catalogue yet"),
        ({"catalogue": {"usable": False}}, WARN, "too old to judge by"),
        ({"guard": {"mode": "shadow"}}, WARN, "its mode is shadow"),
        ({"store": {"recorded": False}}, WARN, "Nothing recorded yet."),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_wrong_is_said(calm, parts, level, says):
    """Each trouble by itself, with when it ends where that is known."""
    told = glance(changed(calm, **parts))
    assert told.level == level
    assert says in told.text


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({**FULL, **SPENT}, "spent"),
        ({**PAUSED, **SPENT, **USED_UP}, "spent"),
        ({**USED_UP, **PAUSED}, "paused"),
        ({"guard": {"mode": "off"}, **USED_UP}, "used up"),
    ],
    ids=["before-the-minute", "before-pause-and-day", "pause-before-day", "day-before-mode"],
)
def test_the_worst_comes_first(calm, parts, says):
    """Money before all; then what stops calls, then what only might."""
    assert says in glance(changed(calm, **parts)).text


def test_yesterdays_spending_at_openrouter_is_not_todays(calm):
    """The key's figure is of the UTC day on which it was read."""
    told = changed(calm, key={"usage_daily_usd": 0.5, "read_at": NOON - 13 * HOUR})
    assert money(told).level == OK


@pytest.mark.parametrize(
    ("day", "says"),
    [
        ({"pace_per_hour": 0.0}, "Nothing uses it."),
        ({"left": 30, "pace_per_hour": 2.0}, "About 6 to spare, at 2 an hour."),
        ({"exhausted_at": NOON + 2 * HOUR, "pace_per_hour": 15.0}, "Ends in 2 h, 14:00:00Z, at 15 an hour."),
        ({"left": 0}, "Used up."),
        ({"left": 0, "closed_until": NOON + HOUR}, "OpenRouter says that the day is spent."),
    ],
    ids=["quiet", "spare", "ends", "used", "closed"],
)
def test_whether_it_lasts_is_said_in_words(calm, day, says):
    """With the pace that it is reckoned from."""
    assert lasting(changed(calm, day=day)) == says


def test_before_the_first_call_nothing_is_claimed(tmp_path):
    """A store that does not exist is not "nothing costs money"."""
    with Reader(tmp_path / "none.db") as reader:
        assert glance(gather(reader, Settings(), NOON)).level == WARN
