"""Attempts over a stretch of time: whole slots in UTC, nothing lost, everything added up once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monitor.clock import FakeClock
from monitor.ledger import Ledger
from monitor.model import Ending, LimitKind, Outcome
from monitor.store.sqlite.reader import Reader
from monitor.views.traffic import Asked, traffic
from tests.fakes.builders import (
    FREE,
    FREE2,
    HOUR,
    MIDNIGHT,
    NOON,
    PAID,
    PAID_FREE,
    ask,
    ledger,
    one,
    refused_by,
    success,
    take,
)

PLENTY = {"quota": {"per_minute": 10_000, "per_day": 100_000}}


@pytest.fixture
def book(tmp_path: Path, clock: FakeClock) -> Ledger:
    """Calls of two apps, at noon."""
    book = ledger(tmp_path / "monitor.db", clock, guard={"allow": "any", "deny": ["lab/crow*"]}, **PLENTY)
    for _ in range(3):
        book.settle(take(book, app="billing-bot"), success())
    book.settle(take(book, FREE2, app="notebook"), refused_by(LimitKind.UPSTREAM))
    book.settle(take(book, PAID, app="notebook"), success(0.25))
    book.settle(take(book, app="notebook"), Ending(Outcome.SERVER_ERROR, status=502))
    book.reserve(ask(PAID_FREE, app="notebook"))
    take(book, app="notebook")
    return book


def look(book: Ledger, clock: FakeClock, window: str = "24h", **which: str) -> dict[str, Any]:
    with Reader(book.store.path) as reader:
        return traffic(reader, Asked(window, **which), clock.now())


def test_everything_is_counted_once(book, clock):
    """The sums by slot, app, model and outcome are those of the log."""
    found = look(book, clock)
    rows = one(book, "SELECT count(*) FROM calls")
    assert found["attempts"] == sum(found["outcomes"].values()) == rows == 8
    for name in ("apps", "models"):
        assert sum(row["attempts"] for row in found[name]) == rows
        assert all(sum(row["outcomes"].values()) == row["attempts"] for row in found[name])
    assert sum(sum(slot["outcomes"].values()) for slot in found["slots"]) == rows
    assert found["outcomes"] == {"success": 4, "rate_limited": 1, "server_error": 1, "refused": 1, "in_flight": 1}


def test_what_cost_money_is_told_apart(book, clock):
    """How many attempts were billed, and how much, in all and by name."""
    found = look(book, clock)
    assert (found["billed"], found["cost_usd"]) == (1, 0.25)
    assert {row["name"]: row["cost_usd"] for row in found["models"] if row["billed"]} == {PAID: 0.25}


def test_limits_and_reasons_are_named(book, clock):
    """Whose limit a 429 was, and why the guard refused."""
    found = look(book, clock)
    assert found["limits"] == {"upstream": 1}
    assert found["reasons"] == {"model_denied": 1}
    assert found["shadow"] == {}


def test_the_busiest_come_first(book, clock):
    """By attempts, then by name."""
    found = look(book, clock)
    assert [row["name"] for row in found["apps"]] == ["notebook", "billing-bot"]
    assert found["models"][0]["name"] == FREE


def test_one_app_or_model_alone(book, clock):
    """Everything is of it, and it is named."""
    found = look(book, clock, app="billing-bot")
    assert (found["app"], found["attempts"], found["limits"]) == ("billing-bot", 3, {})
    found = look(book, clock, model=FREE2)
    assert (found["model"], found["attempts"], found["limits"]) == (FREE2, 1, {"upstream": 1})


@pytest.mark.parametrize(
    ("window", "now", "since", "seconds", "slots"),
    [
        ("today", NOON, MIDNIGHT, 3600, 13),
        ("today", MIDNIGHT, MIDNIGHT, 3600, 1),
        ("24h", NOON + 1, NOON - 23 * HOUR, 3600, 24),
        ("7d", NOON + 1, NOON - 27 * 6 * HOUR, 6 * 3600, 28),
        ("30d", NOON + 1, MIDNIGHT - 29 * 24 * HOUR, 86_400, 30),
    ],
)
def test_slots_are_whole_and_none_is_left_out(tmp_path, window, now, since, seconds, slots):
    """They begin at whole hours, quarters or days of UTC, and the last holds now; a quiet one is there all the same."""
    with Reader(tmp_path / "none.db") as reader:
        found = traffic(reader, Asked(window), now)
    assert (found["since"], found["slot_seconds"], len(found["slots"])) == (since, seconds, slots)
    assert [slot["at"] for slot in found["slots"]] == [since + i * seconds for i in range(slots)]
    assert found["slots"][-1]["at"] <= now < found["slots"][-1]["at"] + seconds
    assert found["attempts"] == 0
    assert found["complete"]


def test_what_a_fast_clock_stamped_is_in_the_last_slot(book, clock):
    """A clock that was set back does not hide what was called meanwhile."""
    clock.advance(-2 * HOUR)
    found = look(book, clock)
    assert sum(found["slots"][-1]["outcomes"].values()) == found["attempts"] == 8


def test_yesterday_is_not_today(book, clock):
    """The window of the UTC day begins at its midnight."""
    clock.set(MIDNIGHT + 24 * HOUR)
    assert look(book, clock, "today")["attempts"] == 0
    assert look(book, clock, "24h")["attempts"] == 8
