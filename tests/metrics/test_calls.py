"""What apps asked and got, as a scrape tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.clock import FakeClock
from monitor.ledger import LEASE_SECONDS
from monitor.model import Ending, Endpoint, LimitKind, Outcome, Reason, Tier
from monitor.store.protocol import OpenCall
from tests.fakes.builders import FREE, FREE2, PAID, ask, refused_by, success, take
from tests.metrics.metrics_kit import PLENTY, Scene

ANY = {"allow": "any"}


def test_an_attempt_is_counted_by_app_model_tier_code_and_outcome(scene: Scene) -> None:
    """Each way of ending is a series of its own."""
    scene.call(app="bot")
    scene.call(FREE2, Ending(Outcome.SERVER_ERROR, status=502), app="bot")
    scene.call(FREE2, Ending(Outcome.NETWORK_ERROR), app="bot")
    assert scene.all("openrouter_requests_total") == {
        ("bot", "200", FREE, "success", "free"): 1,
        ("bot", "502", FREE2, "server_error", "free"): 1,
        ("bot", "none", FREE2, "network_error", "free"): 1,
    }
    assert scene.value("openrouter_tier_requests_total", app="bot", tier="free") == 3


def test_a_status_nobody_knows_is_other(scene: Scene) -> None:
    """A server that invents statuses adds no series."""
    for status in (418, 599):
        scene.call(ending=Ending(Outcome.CLIENT_ERROR, status=status))
    assert scene.all("openrouter_requests_total") == {("app", "other", FREE, "client_error", "free"): 2}


def test_a_request_without_a_model_has_the_model_none(tmp_path: Path, clock: FakeClock) -> None:
    """An empty label value would be no label at all."""
    scene = Scene(tmp_path, clock, guard={"mode": "off"})
    scene.call(None)
    assert scene.all("openrouter_requests_total") == {("app", "200", "none", "success", "unknown"): 1}


def test_the_first_paid_attempt_is_a_step_from_zero(tmp_path: Path, clock: FakeClock) -> None:
    """A series born at 1 is invisible to `increase()`: every app has each tier from its first attempt on."""
    scene = Scene(tmp_path, clock, guard=ANY, apps={"quiet": {}})
    scene.call()
    assert {tier: scene.value("openrouter_tier_requests_total", app="app", tier=tier) for tier in Tier} == {
        Tier.FREE: 1,
        Tier.PAID: 0,
        Tier.UNKNOWN: 0,
    }
    assert scene.value("openrouter_tier_requests_total", app="quiet", tier="paid") == 0
    scene.call(PAID, success(0.25))
    assert scene.value("openrouter_tier_requests_total", app="app", tier="paid") == 1
    assert scene.value("openrouter_cost_usd_total", app="app", model=PAID) == 0.25


def test_limits_exist_at_zero_before_they_are_hit(scene: Scene) -> None:
    """Every kind for every app; the usual ones for each of its models."""
    scene.call()
    for kind in LimitKind:
        assert scene.value("openrouter_rate_limited_total", app="app", model="other", kind=kind) == 0
    for kind in (LimitKind.FREE_DAILY, LimitKind.FREE_MINUTE, LimitKind.UPSTREAM):
        assert scene.value("openrouter_rate_limited_total", app="app", model=FREE, kind=kind) == 0
    scene.call(ending=refused_by(LimitKind.UPSTREAM))
    assert scene.value("openrouter_rate_limited_total", app="app", model=FREE, kind="upstream") == 1


def test_tokens_are_told_by_kind_and_their_parts_apart(scene: Scene) -> None:
    """Cached and reasoning tokens are parts of input and output: in one family they would be counted twice."""
    scene.call()
    scene.call()
    assert scene.all("openrouter_tokens_total") == {("app", FREE, "input"): 14, ("app", FREE, "output"): 10}
    assert scene.all("openrouter_cached_input_tokens_total") == {("app", FREE): 4}
    assert scene.all("openrouter_reasoning_output_tokens_total") == {("app", FREE): 2}


def test_a_retry_is_an_attempt_but_no_call(scene: Scene) -> None:
    """Attempts by calls tell what retries cost."""
    scene.call(ending=Ending(Outcome.SERVER_ERROR, status=502), call_id="one")
    scene.call(call_id="one", attempt=2)
    assert scene.value("openrouter_calls_total", app="app") == 1
    assert scene.value("openrouter_tier_requests_total", app="app", tier="free") == 2


def test_calls_that_kept_answers_answered_are_told_apart(tmp_path: Path, clock: FakeClock) -> None:
    """Nothing was sent: they are no attempts and no calls; every app has the series from the start."""
    scene = Scene(tmp_path, clock, apps={"quiet": {}})
    scene.call(app="bot")
    assert scene.all("openrouter_saved_requests_total") == {("bot",): 0, ("quiet",): 0}
    row = OpenCall(clock.now(), "reader", "default", Endpoint.CHAT, FREE, Tier.FREE, False, 1, "kept")
    with scene.book.store.transaction() as tx:
        for _ in range(3):
            tx.record_cached(row, clock.now(), FREE)
    assert scene.all("openrouter_saved_requests_total") == {("bot",): 0, ("quiet",): 0, ("reader",): 3}
    assert scene.value("openrouter_calls_total", app="reader") == 0
    assert scene.all("openrouter_requests_total") == {("bot", "200", FREE, "success", "free"): 1}


def test_refusals_are_told_by_reason_all_of_them_from_zero(scene: Scene) -> None:
    """A refusal is no attempt; every reason exists as soon as its app does."""
    scene.book.reserve(ask(PAID))
    told = scene.all("openrouter_refusals_total")
    assert told == {("app", reason): float(reason is Reason.MODEL_NOT_FREE) for reason in Reason}
    assert scene.all("openrouter_requests_total") == {}
    assert scene.all("openrouter_shadow_refusals_total") == {}
    assert scene.value("openrouter_monitor_call_log_records_total") == 1


def test_in_shadow_mode_what_would_be_refused_is_told_apart(tmp_path: Path, clock: FakeClock) -> None:
    """It left, so it is an attempt as well."""
    scene = Scene(tmp_path, clock, guard={"mode": "shadow"})
    scene.call(PAID, success(0.01))
    assert scene.value("openrouter_shadow_refusals_total", app="app", reason="model_not_free") == 1
    assert scene.value("openrouter_shadow_refusals_total", app="app", reason="paused") == 0
    assert scene.value("openrouter_refusals_total", app="app", reason="model_not_free") == 0
    assert scene.value("openrouter_tier_requests_total", app="app", tier="paid") == 1
    assert scene.value("openrouter_monitor_call_log_records_total") == 1


def test_in_flight_are_those_whose_end_is_still_to_come(scene: Scene) -> None:
    """An attempt whose process died is no longer under way when its lease has run out."""
    scene.call()
    hold = take(scene.book)
    assert scene.value("openrouter_requests_in_flight", app="app") == 1
    scene.clock.advance(LEASE_SECONDS + 1)
    assert scene.value("openrouter_requests_in_flight", app="app") == 0
    scene.book.settle(hold, success())
    assert scene.value("openrouter_requests_in_flight", app="app") == 0


def test_durations_fall_in_cumulative_buckets(scene: Scene) -> None:
    """All apps of a model are told together, and what failed apart from what did not."""
    scene.call(app="a", seconds=0.5)
    scene.call(app="b", seconds=0.65)
    scene.call(app="b", seconds=400)
    scene.call(ending=Ending(Outcome.SERVER_ERROR, status=502), seconds=1)
    bucket = "openrouter_request_duration_seconds_bucket"
    assert scene.value(bucket, model=FREE, outcome="success", le="0.32") == 0
    assert scene.value(bucket, model=FREE, outcome="success", le="0.64") == 1
    assert scene.value(bucket, model=FREE, outcome="success", le="1.28") == 2
    assert scene.value(bucket, model=FREE, outcome="success", le="327.68") == 2
    assert scene.value(bucket, model=FREE, outcome="success", le="+Inf") == 3
    total = scene.value("openrouter_request_duration_seconds_sum", model=FREE, outcome="success")
    assert total == pytest.approx(401.15)
    assert scene.value("openrouter_request_duration_seconds_count", model=FREE, outcome="failure") == 1


def test_the_time_to_the_first_token_is_of_streams_only(scene: Scene) -> None:
    """What was not streamed has none, and is no observation of zero."""
    scene.call()
    assert scene.all("openrouter_time_to_first_token_seconds_count") == {}
    scene.call(ending=success(ttft=0.5))
    assert scene.value("openrouter_time_to_first_token_seconds_count", model=FREE) == 1
    assert scene.value("openrouter_time_to_first_token_seconds_sum", model=FREE) == 0.5


def test_a_connection_never_made_is_an_attempt_that_took_nothing(tmp_path: Path, clock: FakeClock) -> None:
    """It is counted as a network error, and the day has it back."""
    scene = Scene(tmp_path, clock, quota=PLENTY)
    hold = take(scene.book)
    scene.book.release(hold, Ending(Outcome.NETWORK_ERROR))
    assert scene.value("openrouter_tier_requests_total", app="app", tier="free") == 1
    assert scene.value("openrouter_free_daily_requests_used", account="default") == 0
