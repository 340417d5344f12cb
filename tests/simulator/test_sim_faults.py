"""Every fault on demand: what goes wrong, for whom, and how often."""

from __future__ import annotations

import gzip
import json
import threading

import httpx
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


def test_a_connection_cut_after_bytes(simulate):
    """Exactly so many bytes of the body arrive, then the connection ends without an ending."""
    api = simulate(faults=[{"do": {"kind": "cut", "after_bytes": 40}}])
    with api.http.stream("POST", "/chat/completions", json=_ask()) as answer:
        assert answer.status_code == 200
        assert len(_until_cut(answer)) == 40


def test_a_stream_cut_after_chunks(simulate):
    """So many content chunks arrive, no usage, no `[DONE]`; the books have the call all the same."""
    api = simulate(faults=[{"do": {"kind": "cut", "after_chunks": 3}}])
    with api.http.stream("POST", "/chat/completions", json=_ask(stream=True)) as answer:
        text = _until_cut(answer).decode()
    assert len([event for event in events_of(text) if event["choices"][0]["delta"]["content"]]) == 3
    assert "usage" not in text
    assert api.sim.books.posts[-1].status == 200


def test_a_connection_closed_before_headers(simulate):
    """Nothing is answered at all; the request is in the books with status 0, and counted."""
    api = simulate(faults=[{"do": "close"}])
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        api.chat()
    assert api.sim.books.posts[-1].status == 0
    assert api.sim.used() == 1


@pytest.mark.parametrize("where", [{}, {"after_chunks": 1}])
def test_a_hanging_answer_outlives_the_clients_patience(simulate, where):
    """The answer hangs, before its headers or in the middle, until the client gives up."""
    api = simulate(faults=[{"do": {"kind": "hang", **where}}])
    with pytest.raises(httpx.ReadTimeout):
        api.http.post("/chat/completions", json=_ask(stream=True), timeout=0.1)
    assert api.sim.books.requests == 1


def test_a_hang_ends_after_its_seconds(simulate):
    """With seconds the answer comes late, and whole."""
    assert simulate(faults=[{"do": {"kind": "hang", "seconds": 0.05}}]).chat().status_code == 200


def test_processing_comments_without_end(simulate):
    """Comments come for ever and no data ever does."""
    api = simulate(faults=[{"do": {"kind": "processing_forever", "seconds": 0.001}}])
    with api.http.stream("POST", "/chat/completions", json=_ask(stream=True)) as answer:
        text = ""
        for block in answer.iter_text():
            text += block
            if text.count("PROCESSING") >= 20:
                break
    assert "data:" not in text


def test_a_compressed_answer_is_whole(simulate):
    """gzip, for a plain answer and for a stream, gives the same text when unpacked."""
    api = simulate(faults=[{"do": "gzip"}])
    plain = api.chat()
    assert plain.headers["Content-Encoding"] == "gzip"
    assert plain.json()["model"] == FREE
    assert api.chat(stream=True).text.endswith("data: [DONE]\n\n")


def test_split_events_and_characters(simulate):
    """Pieces of one byte cut through events and UTF-8 characters; joined they are the same stream."""
    api = simulate()
    whole = api.chat(text="你好，数一数", stream=True).content
    api.sim.faults.add({"do": {"kind": "split", "bytes": 1}})
    with api.http.stream("POST", "/chat/completions", json=_ask("你好，数一数", stream=True)) as answer:
        blocks = list(answer.iter_raw())
    assert len(b"".join(blocks)) == len(whole)
    assert not all(_is_text(block) for block in blocks)


def test_a_huge_answer_is_valid(simulate):
    """An answer of megabytes is still JSON, with its usage at the end."""
    body = simulate(faults=[{"do": {"kind": "huge", "megabytes": 3}}]).chat()
    assert len(body.content) > 3 * 1024 * 1024
    assert body.json()["usage"]["cost"] == 0


def test_garbage_bytes(simulate):
    """Bytes that are neither JSON nor text, in an answer, a stream and the catalogue."""
    api = simulate(faults=[{"do": "garbage"}, {"match": {"path": "/models"}, "do": "garbage"}])
    for answer in (api.chat(), api.chat(stream=True), api.get("/models")):
        assert answer.status_code == 200
        with pytest.raises(ValueError, match=r"."):
            json.loads(answer.content)


def test_slow_chunks_arrive_one_by_one(simulate):
    """A slow stream arrives whole, over at least the sum of its pauses."""
    api = simulate(chunks=2, faults=[{"do": {"kind": "slow", "seconds": 0.01}}])
    answer = api.chat(stream=True)
    assert answer.text.endswith("[DONE]\n\n")
    assert answer.elapsed.total_seconds() >= 0.04


def test_two_rules_strike_together(simulate):
    """One rule's error and another's delivery add up."""
    api = simulate(faults=[{"do": "gzip"}, {"do": "502"}])
    answer = api.chat()
    assert (answer.status_code, answer.headers["Content-Encoding"]) == (502, "gzip")
    assert api.sim.books.posts[-1].fault == "502+gzip"


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


def test_stopping_frees_those_who_hang(simulate):
    """A simulator that stops ends answers that hang, instead of waiting for them."""
    api = simulate(faults=[{"do": "hang"}])
    failures: list[Exception] = []

    def call() -> None:
        try:
            api.chat()
        except httpx.HTTPError as error:
            failures.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    assert api.sim.books.wait_for(1)
    api.sim.stop()
    caller.join(5)
    assert len(failures) == 1


def _ask(text: str = "hello", **more: object) -> dict[str, object]:
    return {"model": FREE, "messages": [{"role": "user", "content": text}], **more}


def _until_cut(answer: httpx.Response) -> bytes:
    """What arrived before the connection was cut."""
    received: list[bytes] = []
    with pytest.raises(httpx.RemoteProtocolError):
        received.extend(_noted(answer, received))
    return b"".join(received)


def _noted(answer: httpx.Response, received: list[bytes]) -> list[bytes]:
    for block in answer.iter_raw():
        received.append(block)
    return []


def _is_text(block: bytes) -> bool:
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_a_compressed_request_is_read(simulate):
    """A request body in gzip is understood; one that only claims to be is a 400."""
    api = simulate()
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    packed = gzip.compress(json.dumps(_ask()).encode())
    assert api.http.post("/chat/completions", content=packed, headers=headers).status_code == 200
    assert api.http.post("/chat/completions", content=b"not gzip", headers=headers).status_code == 400
