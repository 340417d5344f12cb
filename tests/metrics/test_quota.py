"""The account's windows and its key's money, as a scrape tells them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monitor import bookings
from monitor.clock import DAY, FakeClock
from monitor.errors import PollError
from monitor.model import KeyFacts, LimitKind
from monitor.refresh import Fetched, Refresher
from monitor.store.protocol import CircuitRow
from tests.fakes.builders import FREE, HOUR, MIDNIGHT, NOON, PAID, key_facts, refused_by, success, take
from tests.metrics.metrics_kit import Scene

DAY_, MINUTE_ = "openrouter_free_daily_", "openrouter_free_minute_requests_"


def day(scene: Scene, what: str) -> float | None:
    return scene.value(f"{DAY_}{what}", account="default")


def key(scene: Scene, what: str) -> float | None:
    return scene.value(f"openrouter_key_{what}", key="default")


def told(scene: Scene, facts: KeyFacts) -> None:
    scene.book.note_key(facts, asked_at=scene.clock.now())


def note(scene: Scene) -> None:
    with scene.book.store.transaction() as tx:
        bookings.note_pace(tx, scene.book.settings, scene.clock.now())


def test_models_that_are_left_alone_are_counted_while_they_are(scene: Scene) -> None:
    """A circuit counts while it is open: not after its time, nor a model that failed once and is still asked."""
    assert scene.value("openrouter_circuits_open", account="default") == 0
    with scene.book.store.transaction() as tx:
        tx.save_circuit("default", FREE, CircuitRow(2, 1, scene.clock.now() + 30, 0.0))
        tx.save_circuit("default", PAID, CircuitRow(1, 0, 0.0, 0.0))
    assert scene.value("openrouter_circuits_open", account="default") == 1
    scene.clock.advance(31)
    assert scene.value("openrouter_circuits_open", account="default") == 0


def test_an_empty_store_tells_the_assumed_limit_and_that_it_is_assumed(scene: Scene) -> None:
    """The figures exist before the first call, so that a dashboard is not empty."""
    assert (day(scene, "requests_limit"), day(scene, "requests_used")) == (50, 0)
    assert day(scene, "quota_authoritative") == 0
    assert day(scene, "reset_timestamp_seconds") == MIDNIGHT + DAY
    assert day(scene, "exhaustion_timestamp_seconds") is None
    assert scene.value(f"{MINUTE_}limit", account="default") == 20


def test_openrouters_figures_are_told_with_what_was_sent_since(scene: Scene) -> None:
    """Use elsewhere is the server's count less ours; a call after the look is added to it."""
    scene.call()
    scene.clock.advance(120)
    told(scene, key_facts(used=10, limit=1000))
    assert (day(scene, "requests_limit"), day(scene, "requests_used")) == (1000, 10)
    assert day(scene, "requests_elsewhere") == 9
    assert day(scene, "quota_authoritative") == 1
    scene.call()
    assert day(scene, "requests_used") == 11


def test_at_midnight_the_day_begins_anew(scene: Scene) -> None:
    """One second before it the old figures stand; at it nothing is used, nothing elsewhere, nothing authoritative."""
    told(scene, key_facts(used=30))
    scene.clock.set(MIDNIGHT + DAY - 1)
    assert (day(scene, "requests_used"), day(scene, "requests_elsewhere")) == (30, 30)
    scene.clock.set(MIDNIGHT + DAY)
    assert (day(scene, "requests_used"), day(scene, "requests_elsewhere")) == (0, 0)
    assert day(scene, "quota_authoritative") == 0
    assert day(scene, "reset_timestamp_seconds") == MIDNIGHT + 2 * DAY


@pytest.mark.parametrize("limit", [None, 50])
def test_a_day_that_openrouter_calls_spent_is_spent(scene: Scene, limit: int | None) -> None:
    """Whatever was counted here: the 429 is the truth."""
    scene.call(ending=refused_by(LimitKind.FREE_DAILY, limit=limit, resets_at=MIDNIGHT + DAY))
    assert day(scene, "requests_used") == 50
    assert day(scene, "exhaustion_timestamp_seconds") == NOON
    assert scene.value("openrouter_rate_limited_total", app="app", model=FREE, kind="free_daily") == 1


def test_the_minute_slides(scene: Scene) -> None:
    """A request counts for sixty seconds, and no second longer."""
    scene.call()
    assert scene.value(f"{MINUTE_}used", account="default") == 1
    scene.clock.advance(59)
    assert scene.value(f"{MINUTE_}used", account="default") == 1
    scene.clock.advance(1)
    assert scene.value(f"{MINUTE_}used", account="default") == 0


def test_a_minute_limit_that_openrouter_named_is_told(scene: Scene) -> None:
    """It is the one that counts."""
    scene.call(ending=refused_by(LimitKind.FREE_MINUTE, limit=10))
    assert scene.value(f"{MINUTE_}limit", account="default") == 10


def test_the_forecast_knows_the_last_hour_from_the_notes_of_the_day(scene: Scene) -> None:
    """Twelve used in the last hour: the 38 that are left last for three hours and ten minutes."""
    note(scene)
    scene.clock.advance(HOUR)
    for minute in range(60):
        note(scene)
        if minute % 5 == 0:
            scene.call()
        scene.clock.advance(60)
    assert day(scene, "exhaustion_timestamp_seconds") == NOON + 2 * HOUR + 38 / 12 * HOUR


def test_without_a_note_an_hour_old_the_oldest_of_the_day_serves(scene: Scene) -> None:
    """A daemon that has just started forecasts all the same, and takes its pace over an hour at least."""
    note(scene)
    scene.clock.advance(600)
    for _ in range(12):
        scene.call()
    assert day(scene, "exhaustion_timestamp_seconds") == scene.clock.now() + 38 / 12 * HOUR


def test_the_settings_quota_is_that_of_the_configured_account_only(tmp_path: Path, clock: FakeClock) -> None:
    """Another account in the same store has OpenRouter's limits."""
    scene = Scene(tmp_path, clock, quota={"per_day": 7, "per_minute": 3})
    with scene.book.store.transaction() as tx:
        bookings.note_key(tx, "second", key_facts(used=5, limit=1000), asked_at=clock.now())
    assert scene.all(f"{DAY_}requests_limit") == {("default",): 7, ("second",): 1000}
    assert scene.all(f"{MINUTE_}limit") == {("default",): 3, ("second",): 20}


FULL = KeyFacts(
    limit_usd=10.0, limit_remaining_usd=4.0, limit_reset="monthly", usage_usd=60.0, usage_daily_usd=1.5,
    usage_weekly_usd=2.5, usage_monthly_usd=6.0, is_free_tier=False, expires_at=NOON + 30 * DAY,
)  # fmt: skip


def test_the_keys_figures_are_told_as_read(scene: Scene) -> None:
    """Money in USD, dates as epoch seconds, and no part of the key itself."""
    told(scene, FULL)
    assert scene.all("openrouter_key_info") == {("false", "default", "monthly"): 1}
    assert (key(scene, "valid"), key(scene, "credit_limit_usd"), key(scene, "credit_remaining_usd")) == (1, 10, 4)
    assert key(scene, "usage_usd_total") == 60
    assert [key(scene, f"usage_{period}_usd") for period in ("daily", "weekly", "monthly")] == [1.5, 2.5, 6]
    assert key(scene, "expires_timestamp_seconds") == NOON + 30 * DAY


def test_what_the_key_did_not_say_is_left_out(scene: Scene) -> None:
    """An unlimited key has no limit: 0 would say that nothing may be spent."""
    told(scene, KeyFacts())
    assert scene.all("openrouter_key_info") == {("unknown", "default", "none"): 1}
    for what in ("credit_limit_usd", "usage_usd_total", "usage_daily_usd", "expires_timestamp_seconds"):
        assert key(scene, what) is None
    assert scene.value("openrouter_unaccounted_usage_usd", key="default") is None


def test_an_account_whose_key_was_never_read_has_no_key_figures(scene: Scene) -> None:
    """Not known is not invalid."""
    assert scene.all("openrouter_key_valid") == {}


@pytest.mark.parametrize(
    ("limit", "period", "at"),
    [
        (10.0, "daily", MIDNIGHT + DAY),
        (10.0, "weekly", (20_717 + 7) * DAY),  # the day 20 717 is a Monday
        (10.0, "monthly", (20_717 + 10) * DAY),  # the 21st of September
        (10.0, None, None),
        (10.0, "yearly", None),
        (None, "daily", None),
    ],
)
def test_a_cap_begins_anew_with_its_period(scene: Scene, limit: float | None, period: str, at: float | None) -> None:
    """Midnight, Monday, the first of the month, all UTC; a period we do not know has no date."""
    told(scene, KeyFacts(limit_usd=limit, limit_reset=period))
    assert key(scene, "limit_reset_timestamp_seconds") == at


@pytest.mark.parametrize(
    ("days", "left"),
    [
        (0, "daily weekly monthly"),
        (1, "weekly monthly"),
        (6, "weekly monthly"),
        (7, "monthly"),
        (9, "monthly"),
        (10, ""),
    ],
)
def test_a_figure_of_a_period_that_is_over_is_left_out(scene: Scene, days: int, left: str) -> None:
    """Yesterday's spending is not today's."""
    told(scene, FULL)
    scene.clock.advance(days * DAY)
    periods = ("daily", "weekly", "monthly")
    assert [p for p in periods if key(scene, f"usage_{p}_usd") is not None] == left.split()


def answering(status: int, body: bytes = b"{}") -> Any:
    return lambda url, headers: Fetched(status, body)


def test_a_key_that_openrouter_does_not_know_is_invalid_until_it_is_known_again(scene: Scene) -> None:
    """A 401 says so; a server that fails says nothing of the key."""
    refresher = Refresher(scene.book)
    refresher.key(answering(200, b'{"data": {"usage": 1}}'), "k", newer_than=scene.clock.now())
    assert key(scene, "valid") == 1
    for status, valid in ((500, 1), (401, 0)):
        scene.clock.advance(60)
        with pytest.raises(PollError):
            refresher.key(answering(status), "k", newer_than=scene.clock.now())
        assert key(scene, "valid") == valid
        assert key(scene, "usage_usd_total") == 1
    scene.clock.advance(60)
    refresher.key(answering(200, b'{"data": {"usage": 1}}'), "k", newer_than=scene.clock.now())
    assert key(scene, "valid") == 1


def test_a_first_401_tells_of_an_invalid_key(scene: Scene) -> None:
    """The key may never have been valid."""
    with pytest.raises(PollError):
        Refresher(scene.book).key(answering(401), "k", newer_than=scene.clock.now())
    assert key(scene, "valid") == 0


def test_what_was_spent_past_the_guard_is_the_keys_use_less_ours(tmp_path: Path, clock: FakeClock) -> None:
    """Our own calls are accounted for; the rest is a leak. What is only reserved is not spent."""
    scene = Scene(tmp_path, clock, guard={"allow": "any"})
    scene.call(PAID, success(0.25))
    take(scene.book, PAID)
    told(scene, KeyFacts(usage_daily_usd=1.0))
    assert scene.value("openrouter_unaccounted_usage_usd", key="default") == 0.75
    scene.clock.set(MIDNIGHT + DAY)
    assert scene.value("openrouter_unaccounted_usage_usd", key="default") is None


def test_credits_are_told_when_a_management_key_read_them(scene: Scene) -> None:
    """The newest look counts; without one there is no figure."""
    assert scene.all("openrouter_account_credits_usd") == {}
    for total in (10.0, 25.0):
        with scene.book.store.transaction() as tx:
            tx.add_snapshot(scene.clock.now(), "credits", "default", {"total_credits": total, "total_usage": 7.5})
    assert scene.value("openrouter_account_credits_usd", account="default") == 17.5
    assert scene.value("openrouter_account_usage_usd", account="default") == 7.5
