"""Every fault on demand: what goes wrong, for whom, and how often."""

from __future__ import annotations

import json

import pytest
from simulator_kit import DEAR, FREE
from test_sim_shapes import events_of

from monitor.errors import ConfigError
from monitor.simulator.faults import Faults, load_rules

STATUSES = {
    "free_daily": 429,
    "free_minute": 429,
    "upstream_429": 429,
    "capacity_429": 429,
    "admission": 429,
    "edge_html": 429,
    "credits_402": 402,
    "never_purchased_402": 402,
    "key_limit_402": 402,
    "key_limit_403": 403,
    "in_flight_402": 402,
    "budget_403": 403,
    "moderation_403": 403,
    "400": 400,
    "404_model": 404,
    "408": 408,
    "500": 500,
    "502": 502,
    "503": 503,
    "524": 524,
    "529": 529,
}


@pytest.mark.parametrize(("kind", "status"), STATUSES.items())
def test_every_named_error_has_its_status_and_shape(simulate, kind, status):
    """An injected error has the status of its kind and OpenRouter's envelope (but for Cloudflare's page)."""
    answer = simulate(faults=[{"do": kind}]).chat(stream=True)
    assert answer.status_code == status
    if kind == "edge_html":
        assert answer.headers["Content-Type"].startswith("text/html")
    else:
        assert answer.json()["error"]["code"] == status
        assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("free_daily", "openrouter_free_tier_daily"),
        ("free_minute", "openrouter_free_tier_per_minute"),
        ("upstream_429", "upstream_provider_shared_pool"),
        ("admission", "openrouter_admission_control"),
        ("credits_402", "openrouter_credits"),
        ("key_limit_402", "openrouter_key_limit"),
        ("key_limit_403", "openrouter_key_limit"),
        ("in_flight_402", "openrouter_in_flight_budget"),
        ("budget_403", "openrouter_workspace_budget"),
    ],
)
def test_limits_say_whose_they_are(simulate, kind, source):
    """`metadata.limit_source` tells the kinds of limit apart."""
    body = simulate(faults=[{"do": kind}]).chat().json()
    assert body["error"]["metadata"]["limit_source"] == source


def test_an_injected_429_is_no_overshoot(simulate):
    """The books' overshoots are requests that broke a window, not faults that were asked for."""
    api = simulate(faults=[{"do": "free_daily"}])
    api.chat()
    assert api.sim.books.overshoots == 0
    assert api.sim.books.posts[-1].fault == "free_daily"


def test_machinery_before_the_quota_counts_nothing(simulate):
    """Cloudflare and admission control refuse before a free request is counted."""
    api = simulate(faults=[{"match": {"times": 1}, "do": "edge_html"}, {"match": {"nth": 2}, "do": "admission"}])
    assert [api.chat().status_code, api.chat().status_code] == [429, 429]
    assert api.sim.used() == 0


def test_a_rule_chooses_by_model_path_number_and_times(simulate):
    """Globs on model and path, the n-th, each n-th, later than the first n, at most so often."""
    faults = Faults()
    faults.add({"match": {"model": "*:free", "path": "/chat/*", "every": 2, "after": 2, "times": 1}, "do": "500"})
    path = "/chat/completions"
    struck = [faults.take("POST", path, FREE).answer is not None for _ in range(8)]
    assert struck == [False, False, False, True, False, False, False, False]
    assert faults.take("POST", path, DEAR).answer is None
    assert faults.take("POST", "/responses", FREE).answer is None


def test_a_rule_without_a_path_leaves_polls_alone(simulate):
    """Faults of calls do not strike the poller; a rule with a path may."""
    api = simulate(faults=[{"do": "500"}, {"match": {"path": "/models"}, "do": "503"}])
    assert api.get("/key").status_code == 200
    assert api.get("/models").status_code == 503


def test_rules_change_while_it_runs(simulate):
    """Faults are added and cleared at run time."""
    api = simulate()
    api.sim.faults.add({"do": "500"})
    assert api.chat().status_code == 500
    api.sim.faults.clear()
    assert api.chat().status_code == 200


def test_an_answer_of_ones_own(simulate):
    """A rule may give status, headers and body, and change those of a named kind."""
    own = {"kind": "status", "status": 418, "headers": {"X-Tea": "yes"}, "body": {"short": "stout"}}
    api = simulate(faults=[{"match": {"nth": 1}, "do": own}, {"do": {"kind": "upstream_429", "retry_after": 7}}])
    teapot, limited = api.chat(), api.chat()
    assert (teapot.status_code, teapot.headers["X-Tea"], teapot.json()) == (418, "yes", {"short": "stout"})
    assert limited.headers["Retry-After"] == "7"


def test_errors_inside_a_200(simulate):
    """An error object instead of an answer; an error in the choice; no choices at all."""
    rules = [
        {"match": {"nth": 1}, "do": {"kind": "error_in_200", "code": 429, "message": "busy"}},
        {"match": {"nth": 2}, "do": "partial_error"},
        {"match": {"nth": 3}, "do": "empty_choices"},
    ]
    api = simulate(faults=rules)
    bare, partial, empty = api.chat(), api.chat(), api.chat()
    assert {bare.status_code, partial.status_code, empty.status_code} == {200}
    assert bare.json()["error"] == {"code": 429, "message": "busy"}
    assert partial.json()["choices"][0]["error"]["code"] == 502
    assert partial.json()["choices"][0]["finish_reason"] == "error"
    assert empty.json()["choices"] == []


@pytest.mark.parametrize("shape", ["documented", "empty_choices", "bare", "with_usage", "benign_finish"])
def test_a_stream_breaks_in_every_known_shape(simulate, shape):
    """After some content an error comes in the shape that was asked for, then `[DONE]`."""
    answer = simulate(faults=[{"do": {"kind": "stream_error", "shape": shape, "after_chunks": 2}}]).chat(stream=True)
    events = events_of(answer.text)
    last = events[-1]
    assert len([event for event in events[:-1] if event["choices"][0]["delta"]["content"]]) == 2
    assert answer.text.endswith("data: [DONE]\n\n")
    assert ("error" in last) == (shape != "benign_finish")
    assert ("choices" in last) == (shape != "bare")
    match shape:
        case "documented":
            assert last["choices"][0]["finish_reason"] == "error"
        case "empty_choices":
            assert last["choices"] == []
        case "with_usage":
            assert last["usage"]["cost"] == 0
        case "benign_finish":
            assert last["choices"][0]["native_finish_reason"] == "network_error"


def test_streams_of_the_other_apis_break_in_their_way(simulate):
    """`/responses` fails with `response.failed` or `error`, `/messages` with an `error` event."""
    rules = [
        {"match": {"path": "/responses", "nth": 2}, "do": {"kind": "stream_error", "shape": "bare"}},
        {"do": "stream_error"},
    ]
    api = simulate(faults=rules)
    failed = events_of(api.post("/responses", model=FREE, input="x", stream=True).text)
    bare = events_of(api.post("/responses", model=FREE, input="x", stream=True).text)
    ask = {"model": FREE, "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "x"}]}
    message = events_of(api.post("/messages", **ask).text)
    assert [failed[-1]["type"], bare[-1]["type"], message[-1]["type"]] == ["response.failed", "error", "error"]


@pytest.mark.parametrize("suffix", ["json", "toml"])
def test_a_scenario_file(simulate, tmp_path, suffix):
    """The same rules from JSON and from TOML."""
    path = tmp_path / f"scenario.{suffix}"
    path.write_text(
        '[[rules]]\nmatch = {nth = 1}\ndo = "503"\n'
        if suffix == "toml"
        else json.dumps({"rules": [{"match": {"nth": 1}, "do": "503"}]})
    )
    api = simulate(scenario=path)
    assert [api.chat().status_code, api.chat().status_code] == [503, 200]


@pytest.mark.parametrize(
    "rule",
    [
        {"do": "explode"},
        {"match": {"colour": "red"}, "do": "500"},
        {"match": {"nth": 0}, "do": "500"},
        {"do": {"kind": "cut", "after_minutes": 3}},
        {"do": {"kind": "stream_error", "shape": "round"}},
        {"match": {}},
    ],
)
def test_a_wrong_rule_is_named(rule):
    """A rule with a mistake is refused with what would be right, and no rule is added."""
    with pytest.raises(ConfigError) as caught:
        Faults([rule])
    assert caught.value.hint


def test_a_scenario_that_cannot_be_read_is_named(tmp_path):
    """A missing or broken file is an error that names it."""
    with pytest.raises(ConfigError, match=r"none\.json"):
        load_rules(tmp_path / "none.json")
