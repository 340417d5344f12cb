"""The free quota: 20 a minute, 50 a day, per account, and what `/key` says about it."""

from __future__ import annotations

import pytest
from simulator_kit import FREE, PAID, Api

from monitor.clock import next_midnight, next_minute


def statuses(api: Api, count: int, model: str = FREE) -> list[int]:
    return [api.chat(model).status_code for _ in range(count)]


def test_the_twentieth_in_a_minute_is_served_and_the_next_is_not(simulate):
    """Twenty free requests fit into a clock minute; number 21 gets the platform's 429."""
    api = simulate()
    assert statuses(api, 20) == [200] * 20
    assert statuses(api, 1) == [429]


def test_the_minute_window_opens_at_the_whole_minute_not_before(simulate, clock):
    """One second before the whole minute the window is shut, at the whole minute it is open."""
    api = simulate(rejections_count=False)
    statuses(api, 20)
    clock.advance(59)
    assert statuses(api, 1) == [429]
    clock.advance(1)
    assert statuses(api, 1) == [200]


def test_a_sliding_window_opens_sixty_seconds_after_the_first(simulate, clock):
    """With a sliding window a whole minute does not help: sixty seconds must pass."""
    api = simulate(minute_window="sliding", rejections_count=False)
    clock.advance(30)
    statuses(api, 20)
    clock.advance(59)
    assert statuses(api, 1) == [429]
    clock.advance(1)
    assert statuses(api, 1) == [200]


def test_the_minute_refusal_has_openrouters_words_and_headers(simulate, clock):
    """Message, limit source and the headers, in the body as strings and on the response, are as recorded."""
    api = simulate(per_minute=1)
    api.chat()
    answer = api.chat()
    error = answer.json()["error"]
    reset = str(int(next_minute(clock.now()) * 1000))
    assert error["message"] == "Rate limit exceeded: free-models-per-min. "
    assert error["code"] == 429
    assert error["metadata"]["limit_source"] == "openrouter_free_tier_per_minute"
    assert error["metadata"]["headers"] == {
        "X-RateLimit-Limit": "1",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": reset,
    }
    assert answer.headers["X-RateLimit-Reset"] == reset
    assert answer.headers["X-Generation-Id"].startswith("gen-")
    assert "Retry-After" not in answer.headers


def test_the_fiftieth_of_a_day_is_served_and_the_next_is_not(simulate, clock):
    """Fifty free requests fit into a UTC day, however spread; number 51 gets the daily 429 until midnight UTC."""
    api = simulate(per_minute=1000)
    api.sim.set_used(49)
    assert statuses(api, 2) == [200, 429]
    error = api.chat().json()["error"]
    expected = "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day"
    assert error["message"] == expected
    assert error["metadata"]["limit_source"] == "openrouter_free_tier_daily"
    assert error["metadata"]["headers"]["X-RateLimit-Reset"] == str(int(next_midnight(clock.now()) * 1000))


def test_the_day_begins_anew_at_midnight_utc(simulate, clock):
    """One second before midnight UTC the day is spent; at midnight it is new."""
    api = simulate(per_day=1, per_minute=1000)
    statuses(api, 1)
    clock.set(next_midnight(clock.now()) - 1)
    assert statuses(api, 1) == [429]
    clock.advance(1)
    assert statuses(api, 1) == [200]


def test_a_high_balance_has_another_message(simulate):
    """With 1000 a day the message says so and offers nothing to buy."""
    api = simulate(per_day=1000)
    api.sim.set_used(1000)
    error = api.chat().json()["error"]
    assert error["message"].startswith("Rate limit exceeded: free-models-per-day-high-balance.")
    assert "purchase" not in error["metadata"]["remedy_hint"]


def test_the_quota_belongs_to_the_account_not_the_key(simulate):
    """Two keys of one account share its quota; a key of another account has its own."""
    keys = {"key-a1": "a", "key-a2": "a", "key-b": "b"}
    first = simulate("key-a1", per_minute=2, accounts=keys)
    second, other = Api(first.sim, "key-a2"), Api(first.sim, "key-b")
    codes = [first.chat().status_code, second.chat().status_code, second.chat().status_code, other.chat().status_code]
    second.http.close()
    other.http.close()
    assert codes == [200, 200, 429, 200]


def test_all_free_models_share_one_window(simulate):
    """Another free model, or the free router, does not help when the minute is full."""
    api = simulate(per_minute=1)
    api.chat()
    assert api.chat("qwen/qwen3-coder:free").status_code == 429
    assert api.chat("openrouter/free").status_code == 429


def test_paid_models_use_no_free_quota(simulate):
    """A paid model is served when the free quota is spent, and leaves the counter alone."""
    api = simulate(per_day=1)
    api.chat()
    assert api.chat(PAID).status_code == 200
    assert api.free_counter()["used"] == 1


def test_the_platforms_own_refusals_can_pass_the_limit(simulate):
    """`used` may exceed `limit`; `remaining` never goes below zero."""
    api = simulate(per_day=1)
    statuses(api, 3)
    assert api.free_counter() == {"used": 3, "limit": 1, "remaining": 0}


@pytest.mark.parametrize(("counts", "used"), [(False, 1), (True, 3)])
def test_refusals_count_only_when_told_to(simulate, counts, used):
    """The option `rejections_count` decides whether a 429 of the platform adds to the day."""
    api = simulate(per_day=1, rejections_count=counts)
    statuses(api, 3)
    assert api.free_counter()["used"] == used


@pytest.mark.parametrize(("counts", "used"), [(False, 0), (True, 1)])
def test_a_429_of_the_provider_leaves_the_day_alone(simulate, counts, used):
    """As measured in 2026: an upstream 429 is no free request used, unless the option says so."""
    api = simulate(upstream_429_counts=counts, faults=[{"do": "upstream_429"}])
    answer = api.chat()
    assert answer.status_code == 429
    assert answer.json()["error"]["metadata"]["limit_source"] == "upstream_provider_shared_pool"
    assert "X-RateLimit-Limit" not in answer.headers
    assert api.free_counter()["used"] == used


def test_the_key_counter_lags(simulate, clock):
    """`/key` shows what was true so many seconds ago, while enforcement counts at once."""
    api = simulate(key_lag_seconds=60, per_day=2)
    api.chat()
    clock.advance(30)
    api.chat()
    assert api.free_counter()["used"] == 0
    clock.advance(30)
    assert api.free_counter()["used"] == 1
    clock.advance(30)
    assert api.free_counter()["used"] == 2
    assert api.sim.used() == 2


def test_quota_used_elsewhere_counts(simulate):
    """Quota that something else used is gone, here and in `/key`."""
    api = simulate(per_day=10)
    api.sim.set_used(9)
    assert statuses(api, 2) == [200, 429]
    assert api.free_counter()["remaining"] == 0


def test_zero_priced_models_use_quota_only_when_told_to(simulate):
    """A stealth model without `:free` is outside the free quota by default."""
    stealth = "stealth/space-heron-alpha"
    outside, inside = simulate(per_day=1), simulate(per_day=1, zero_priced_counts=True)
    assert statuses(outside, 2, stealth) == [200, 200]
    assert statuses(inside, 2, stealth) == [200, 429]


def test_embeddings_share_the_pool_unless_told_otherwise(simulate):
    """Observers disagree on `:free` embeddings, so it is an option; by default they use the quota."""
    model = "nvidia/llama-nemotron-embed-vl-1b-v2:free"
    pooled, apart = simulate(), simulate(embeddings_count=False)
    for api in (pooled, apart):
        assert api.post("/embeddings", model=model, input="x").status_code == 200
    assert (pooled.sim.used(), apart.sim.used()) == (1, 0)


def test_reading_costs_no_quota(simulate):
    """No GET uses a free request."""
    api = simulate()
    for path in ("/key", "/models", "/models/user", "/models/count"):
        assert api.get(path).status_code == 200
    assert api.sim.used() == 0
