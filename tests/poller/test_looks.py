"""Looks that only the daemon takes: with a management key, and at the providers of the models in use."""

from __future__ import annotations

import json

import pytest
from prometheus_client import CollectorRegistry

from monitor.clock import DAY
from monitor.metrics.collector import StoreCollector, registry
from monitor.model import LimitKind, PriceClass
from monitor.poller.polls import CACHED_SECONDS, ENDPOINTS_FLOOR_SECONDS, MODELS_ASKED
from tests.fakes.builders import FREE, FREE2, MIDNIGHT, NOON, ask, facts, fill, one, refused_by, success, take
from tests.poller.poller_kit import KEY, Watch

LOOPBACK = "http://127.0.0.1:9/api/v1"
MANAGEMENT = "sk-or-v1-of-a-manager"
UPTIME = "openrouter_model_endpoint_uptime_ratio"


def told(watch: Watch) -> CollectorRegistry:
    return registry(StoreCollector(watch.settings, watch.clock, watch.polls))


def used(watch: Watch, *models: str) -> None:
    """A catalogue, and a call to each of these models."""
    fill(watch.store, watch.settings, watch.clock.now())
    for model in models:
        watch.ledger.settle(take(watch.ledger, model, call_id=model), success())


def used_many(watch: Watch, n: int) -> None:
    """A catalogue of so many free models, and a call to each."""
    names = [f"lab/m{i}:free" for i in range(n)]
    fill(watch.store, watch.settings, NOON, {name: facts(name, PriceClass.FREE) for name in names})
    for name in names:
        watch.ledger.settle(take(watch.ledger, name, call_id=name), success())


# With a management key


@pytest.mark.parametrize("name", ["credits", "activity"])
def test_a_management_key_is_shown_where_it_is_needed_and_nowhere_else(daemon, upstream, name):
    """Credits and activity are asked for with it; the models without any key, the key's figures with their own."""
    watch = daemon(management_key=MANAGEMENT)
    assert all([watch.run("models"), watch.run("key"), watch.run(name)])
    assert upstream.keys == [None, f"Bearer {KEY}", f"Bearer {MANAGEMENT}"]
    assert upstream.urls[-1] == f"/{name}"


@pytest.mark.parametrize("name", ["credits", "activity"])
def test_without_a_management_key_openrouter_is_not_bothered(daemon, upstream, name):
    """An ordinary key would be refused; that is no failure, and the poller has no series."""
    watch = daemon()
    watch.run("key")
    upstream.asked.clear()
    assert watch.run(name) is True
    assert upstream.asked == []
    assert watch.figure("openrouter_monitor_polls_total", name, "success") is None


def test_an_api_key_that_is_a_management_key_too_serves_for_both(daemon, upstream):
    """`/key` says so."""
    watch = daemon()
    upstream.answers["key"] = (200, {"data": {"is_management_key": True}})
    watch.run("key")
    watch.run("activity")
    assert upstream.keys[-1] == f"Bearer {KEY}"


def test_a_management_key_is_told_of_from_the_start(daemon):
    """The first failure of its polls is a step from zero."""
    watch = daemon(management_key=MANAGEMENT)
    for name in ("credits", "activity"):
        assert watch.figure("openrouter_monitor_polls_total", name, "failure") == 0


def test_activity_is_asked_for_once_an_hour_by_however_many(daemon, upstream):
    """It tells of whole days."""
    first, second = (daemon(management_key=MANAGEMENT) for _ in range(2))
    for _ in range(24):
        first.run("activity")
        second.run("activity")
        first.clock.advance(600)
    assert upstream.count("activity") == 4


@pytest.mark.parametrize("name", ["credits", "activity"])
def test_a_refused_management_key_is_a_failure_that_backs_off(daemon, upstream, name):
    """A 403 is counted, asked for less and less often, and no other poll hears of it."""
    watch = daemon(management_key=MANAGEMENT)
    upstream.answers[name] = (403, {})
    delays = []
    for _ in range(4):
        assert watch.run(name) is False
        delays.append(watch.delay(name))
        watch.clock.advance(watch.delay(name))
    assert delays == [120, 240, 480, 900]
    assert watch.figure("openrouter_monitor_polls_total", name, "failure") == 4
    assert all([watch.run("models"), watch.run("key"), watch.run("endpoints")])


def test_an_unreadable_management_key_file_is_told_of_once(daemon, upstream, caplog, tmp_path):
    """A wrong setting is one line in the log, and nothing is asked."""
    watch = daemon(management_key_file=str(tmp_path / "missing"))
    assert [watch.run("credits") for _ in range(3)] == [False] * 3
    assert upstream.asked == []
    assert len([record for record in caplog.records if "management_key_file" in record.message]) <= 1
    assert len(caplog.records) == 1


def test_activity_is_compared_with_what_is_on_record_for_its_day(daemon, upstream):
    """What the account was billed on a day beyond our own record of that day went past the guard."""
    watch = daemon(management_key=MANAGEMENT, guard={"catalogue_max_age": DAY})
    watch.clock.set(MIDNIGHT - 3600)  # on the day that is told of
    fill(watch.store, watch.settings, watch.clock.now())
    watch.ledger.settle(take(watch.ledger), success(cost_usd=0.125))
    watch.clock.set(NOON)
    watch.ledger.settle(take(watch.ledger, call_id="today"), success(cost_usd=4.0))
    watch.run("activity")
    figures = told(watch)
    prefix, account = "openrouter_account_activity", {"account": "default"}
    assert figures.get_sample_value(f"{prefix}_day_timestamp_seconds", account) == MIDNIGHT - DAY
    assert figures.get_sample_value(f"{prefix}_requests", account) == 7
    assert figures.get_sample_value(f"{prefix}_usage_usd", account) == 0.5
    assert figures.get_sample_value(f"{prefix}_unaccounted_usage_usd", account) == 0.375
    assert figures.get_sample_value(f"{prefix}_tokens", account | {"type": "input"}) == 90
    assert figures.get_sample_value(f"{prefix}_tokens", account | {"type": "output"}) == 10
    last = "openrouter_monitor_poll_last_success_timestamp_seconds"
    assert figures.get_sample_value(last, {"poller": "activity"}) == NOON


# The providers of the models in use


def test_only_models_that_apps_used_of_late_are_asked_for(daemon, upstream):
    """The most used first; not what was refused, nor what was used two days ago, nor the rest of the catalogue."""
    watch = daemon(quota={"per_day": 10**6}, guard={"catalogue_max_age": 5 * DAY})
    used(watch, "openrouter/free")
    watch.clock.advance(2 * DAY)
    used(watch, FREE2, FREE, FREE)
    watch.ledger.reserve(ask("lab/heron", call_id="refused"))
    assert watch.run("endpoints") is True
    assert upstream.urls == [f"/models/{FREE}/endpoints", f"/models/{FREE2}/endpoints"]
    assert upstream.keys == [None, None]


def test_who_asked_a_router_used_the_model_that_it_chose(daemon, upstream):
    """A router has no providers of its own."""
    watch = daemon()
    fill(watch.store, watch.settings, NOON)
    watch.ledger.settle(take(watch.ledger, "openrouter/free"), success(model_served=FREE2))
    watch.run("endpoints")
    assert upstream.urls == [f"/models/{FREE2}/endpoints"]


def test_few_models_are_asked_for_however_many_are_used(daemon, upstream):
    """One round is bounded."""
    watch = daemon(quota={"per_day": 10**6, "per_minute": 10**6})
    used_many(watch, MODELS_ASKED + 5)
    watch.run("endpoints")
    assert upstream.count("endpoints") == MODELS_ASKED


def test_nothing_used_is_nothing_asked(daemon, upstream):
    """A daemon beside idle apps leaves OpenRouter alone."""
    watch = daemon()
    fill(watch.store, watch.settings, NOON)
    assert watch.run("endpoints") is True
    assert upstream.asked == []


def test_a_look_at_providers_spends_no_quota(daemon):
    """It is no call: neither the log nor a window knows of it."""
    watch = daemon()
    used(watch, FREE)
    before = one(watch.store, "SELECT count(*) FROM calls"), one(watch.store, "SELECT sum(attempts) FROM windows")
    watch.run("endpoints")
    after = one(watch.store, "SELECT count(*) FROM calls"), one(watch.store, "SELECT sum(attempts) FROM windows")
    assert after == before


def test_providers_are_asked_about_slowly(daemon, upstream):
    """Whatever is set, at OpenRouter a round is at most every five minutes, and no second daemon makes it two."""
    first, second = (daemon(poll={"endpoints_seconds": 1}) for _ in range(2))
    used(first, FREE)
    for _ in range(60):
        first.run("endpoints")
        second.run("endpoints")
        first.clock.advance(60)
    assert upstream.count("endpoints") <= 3600 / ENDPOINTS_FLOOR_SECONDS + 1
    assert first.delay("endpoints") == ENDPOINTS_FLOOR_SECONDS > CACHED_SECONDS


def test_uptimes_are_told_by_model_and_provider(daemon, upstream):
    """As a ratio, with the time of the look."""
    watch = daemon()
    used(watch, FREE, FREE2)
    upstream.answers[f"/models/{FREE2}/endpoints"] = (
        200,
        {"data": {"endpoints": [{"provider_name": "Novita", "uptime_last_30m": 50}, {"odd": []}]}},
    )
    watch.run("endpoints")
    figures = told(watch)
    assert figures.get_sample_value(UPTIME, {"model": FREE, "provider": "Chutes"}) == 0.985
    assert figures.get_sample_value(UPTIME, {"model": FREE2, "provider": "Novita"}) == 0.5
    last = "openrouter_monitor_poll_last_success_timestamp_seconds"
    assert figures.get_sample_value(last, {"poller": "endpoints"}) == NOON


def test_uptimes_that_have_grown_old_are_told_no_longer(daemon):
    """After four intervals without a look; a look of another upstream's is told never."""
    watch = daemon()
    used(watch, FREE)
    watch.run("endpoints")
    labels = {"model": FREE, "provider": "Chutes"}
    watch.clock.advance(4 * 900)
    assert told(watch).get_sample_value(UPTIME, labels) == 0.985
    other = daemon(base_url=LOOPBACK)
    assert told(other).get_sample_value(UPTIME, labels) is None
    watch.clock.advance(1)
    assert told(watch).get_sample_value(UPTIME, labels) is None


def test_a_model_without_endpoints_does_not_hide_the_others(daemon, upstream):
    """A 404 is no failure: the model may have gone since the last catalogue, or be closed to the public."""
    watch = daemon()
    used(watch, FREE, FREE2)
    upstream.answers[f"/models/{FREE}/endpoints"] = (404, {"error": {"message": "Model not found"}})
    assert watch.run("endpoints") is True
    assert told(watch).get_sample_value(UPTIME, {"model": FREE2, "provider": "Chutes"}) == 0.985
    assert told(watch).get_sample_value(UPTIME, {"model": FREE, "provider": "Chutes"}) is None


@pytest.mark.parametrize("answer", [(500, {}), (200, []), ConnectionError("no route")])
def test_one_models_failure_does_not_hide_the_others(daemon, upstream, answer):
    """What was told is kept; the poll counts as failed and backs off."""
    watch = daemon(base_url=LOOPBACK)
    used(watch, FREE, FREE2)
    upstream.answers[f"/models/{FREE}/endpoints"] = answer
    assert watch.run("endpoints") is False
    assert watch.delay("endpoints") == 60
    assert upstream.count("endpoints") == 2
    assert told(watch).get_sample_value(UPTIME, {"model": FREE2, "provider": "Chutes"}) == 0.985


def test_an_outage_is_not_asked_about_model_by_model(daemon, upstream):
    """After the second failure the round ends; it is tried again, ever later, and the other polls go on."""
    watch = daemon(base_url=LOOPBACK, quota={"per_minute": 10**6})
    used_many(watch, 5)
    upstream.answers["endpoints"] = ConnectionError("no route")
    delays = []
    for _ in range(6):
        upstream.asked.clear()
        assert watch.run("endpoints") is False
        assert upstream.count("endpoints") == 2
        delays.append(watch.delay("endpoints"))
        watch.clock.advance(watch.delay("endpoints"))
    assert delays == [60, 120, 240, 480, 900, 900]
    assert all([watch.run("models"), watch.run("key")])


def test_a_busy_provider_is_no_reason_to_leave_a_model_out(daemon, upstream):
    """Attempts that failed are use as well: then the providers' health is what one wants to know."""
    watch = daemon()
    fill(watch.store, watch.settings, NOON)
    watch.ledger.settle(take(watch.ledger, FREE), refused_by(LimitKind.UPSTREAM))
    watch.run("endpoints")
    assert upstream.count("endpoints") == 1


def test_what_is_kept_of_a_look_is_small(daemon):
    """A figure a provider: looks are kept for a day and more."""
    watch = daemon()
    used(watch, FREE)
    watch.run("endpoints")
    summary = one(watch.store, "SELECT summary FROM snapshots WHERE poller = 'endpoints'")
    assert json.loads(summary) == {"source": "https://openrouter.ai/api/v1", "uptime": {FREE: {"Chutes": 0.985}}}


# The clocks


@pytest.mark.parametrize("ahead", [90.0, -3600.0, 0.25])
def test_the_clocks_are_compared_at_each_poll(daemon, upstream, ahead):
    """Ours less theirs, at the middle of the request: positive when ours is ahead."""
    watch = daemon()
    upstream.clock, upstream.takes = watch.clock, 4.0
    upstream.sent_at = watch.clock.now() + 2.0 - ahead
    watch.run("key")
    assert watch.figure("openrouter_monitor_clock_offset_seconds") == pytest.approx(ahead)


def test_an_answer_that_tells_no_time_leaves_the_last_comparison(daemon, upstream):
    """And before the first there is none; an answer that is an error tells the time as well."""
    watch = daemon()
    watch.run("models")
    assert watch.figure("openrouter_monitor_clock_offset_seconds") is None
    upstream.sent_at, upstream.answers["key"] = NOON - 5, (500, {})
    watch.run("key")
    assert watch.figure("openrouter_monitor_clock_offset_seconds") == 5
    upstream.sent_at = None
    watch.clock.advance(601)
    watch.run("models")
    assert watch.figure("openrouter_monitor_clock_offset_seconds") == 5
