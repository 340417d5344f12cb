"""A `requests.Session` behind the guard."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from guard_kit import FREE, PAID, REASON_HEADER, World, bearer, chat, collect, error_of
from requests.adapters import HTTPAdapter
from upstream_kit import ANSWER, JSON, Reply, Upstream
from urllib3.util import Retry

from monitor import Settings, guard_client

pytestmark = pytest.mark.sdk

HANG = {"do": {"kind": "hang", "after_chunks": 1}}


@pytest.fixture
def connect():
    """A function that gives a guarded session for a world."""
    with contextlib.ExitStack() as stack:

        def start(world: World, **changes: Any) -> requests.Session:
            session = guard_client(requests.Session(), "script", world.settings(**changes))
            session.headers.update(bearer())
            return stack.enter_context(session)

        yield start


def test_call(connect, world):
    """A call gets its answer, and one row says what it took."""
    answer = connect(world).post(world.url, json=chat(), timeout=5)
    assert answer.json()["model"] == FREE
    row = world.row()
    assert (row["outcome"], row["app"], row["completion_tokens"]) == (
        "success",
        "script",
        answer.json()["usage"]["completion_tokens"],
    )


@pytest.mark.parametrize("how", ["lines", "content", "raw"])
def test_stream(connect, world, how):
    """Read by lines, by chunks or raw: all bytes come, and the stream is a success with its usage."""
    with connect(world).post(world.url, json=chat(stream=True), stream=True, timeout=5) as answer:
        read = {
            "lines": lambda: b"\n".join(answer.iter_lines()),
            "content": lambda: b"".join(answer.iter_content(7)),
            "raw": lambda: b"".join(iter(lambda: answer.raw.read(64), b"")),
        }
        assert b"data: [DONE]" in read[how]()
    row = world.row()
    assert (row["outcome"], row["stream"]) == ("success", 1)
    assert row["completion_tokens"] is not None


@pytest.mark.parametrize("raw", [False, True], ids=["decoded", "raw"])
def test_a_compressed_answer_is_understood_however_it_is_read(connect, world, raw):
    """Gzip arrives as the app asked for it, decoded or raw, and the record is the same."""
    body = gzip.compress(json.dumps(ANSWER).encode())
    zipped = Reply(headers=(*JSON, ("Content-Encoding", "gzip")), parts=[body])
    with Upstream(lambda seen: zipped if seen.method == "POST" else None) as upstream:
        session = connect(world, base_url=upstream.base_url)
        url = f"{upstream.base_url}/chat/completions"
        with session.post(url, json=chat(), stream=True, timeout=5) as answer:
            got = answer.raw.read() if raw else answer.content
    assert got == (body if raw else json.dumps(ANSWER).encode())
    row = world.row()
    assert (row["outcome"], row["completion_tokens"]) == ("success", 2)


def test_early_break(connect, worlds):
    """Closed after the first bytes: cancelled. Dropped unread: abandoned when it is collected."""
    world = worlds(HANG)
    session = connect(world)
    with session.post(world.url, json=chat(stream=True), stream=True, timeout=5) as answer:
        next(answer.iter_content(16))
    assert world.outcomes() == ["cancelled"]
    answer = session.post(world.url, json=chat(stream=True), stream=True, timeout=5)
    del answer
    collect()
    assert world.outcomes()[1] in ("cancelled", "abandoned")


@pytest.mark.parametrize("stream", [False, True], ids=["call", "stream"])
def test_refusal(connect, world, stream):
    """A model that bills is a 403 in OpenRouter's shape, after one attempt; `raise_for_status` raises HTTPError."""
    answer = connect(world).post(world.url, json=chat(PAID, stream=stream), stream=stream, timeout=5)
    with pytest.raises(requests.HTTPError):
        answer.raise_for_status()
    assert (answer.status_code, answer.reason, answer.url) == (403, "Forbidden", world.url)
    assert error_of(answer)["metadata"]["reason"] == answer.headers[REASON_HEADER] == "model_not_free"
    assert world.refused_once()["reason"] == "model_not_free"


def test_the_belt_is_added_and_the_apps_request_is_left_alone(connect, world):
    """The server gets the body with `max_price`; the app's own prepared request keeps its bytes."""
    session = connect(world)
    prepared = session.prepare_request(requests.Request("POST", world.url, json=chat()))
    before = prepared.body
    assert session.send(prepared, timeout=5).status_code == 200
    sent = json.loads(world.sim.books.posts[0].body)
    assert set(sent.pop("provider")["max_price"].values()) == {"0"}
    assert sent == json.loads(before)
    assert prepared.body == before


def test_a_body_that_can_be_read_once_is_judged_and_sent(connect, world, tmp_path):
    """Generators and files are read by the guard, and still reach the server."""
    session = connect(world)
    body = json.dumps(chat()).encode()
    file = tmp_path / "body.json"
    file.write_bytes(body)
    assert session.post(world.url, data=iter([body[:9], body[9:]]), timeout=5).status_code == 200
    with file.open("rb") as handle:
        assert session.post(world.url, data=handle, timeout=5).status_code == 200
    assert session.post(world.url, data=io.StringIO(body.decode()), timeout=5).status_code == 200
    assert session.post(world.url, data=iter([body.decode()]), timeout=5).status_code == 200
    assert world.outcomes() == ["success"] * 4


def _retrying(world: World, retry: Retry, **changes: Any) -> requests.Session:
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=retry))
    session.headers.update(bearer())
    return guard_client(session, "script", world.settings(**changes))


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 503}, "close"])
def test_each_of_a_sessions_retries_is_an_attempt_on_record(worlds, fault):
    """An adapter that sends again after a 503 or a cut connection does so through the guard."""
    world = worlds({"match": {"times": 2}, "do": fault})
    with _retrying(world, Retry(total=3, status_forcelist=[503], allowed_methods=None)) as session:
        assert session.post(world.url, json=chat(), timeout=5).status_code == 200
    failed = "network_error" if fault == "close" else "server_error"
    assert (world.outcomes(), world.taken(), world.sim.books.requests) == ([failed, failed, "success"], 3, 3)


def test_retries_stop_at_the_guard(worlds):
    """A retry that the minute has no room for is refused, and the refusal is not retried."""
    world = worlds({"do": {"kind": "status", "status": 503}})
    retry = Retry(total=9, status_forcelist=[403, 429, 503], allowed_methods=None)
    with _retrying(world, retry, quota={"per_minute": 2}) as session:
        answer = session.post(world.url, json=chat(), timeout=5)
    assert answer.headers[REASON_HEADER] == "minute_limit"
    assert (world.outcomes(), world.sim.books.requests) == (["server_error"] * 2 + ["refused"], 2)


@pytest.mark.parametrize("raises", [True, False])
def test_retries_run_out_as_they_always_did(worlds, raises):
    """RetryError, or the last answer with `raise_on_status=False`."""
    world = worlds({"do": {"kind": "status", "status": 503}})
    retry = Retry(total=2, status_forcelist=[503], allowed_methods=None, raise_on_status=raises)
    with _retrying(world, retry) as session:
        if raises:
            with pytest.raises(requests.exceptions.RetryError):
                session.post(world.url, json=chat(), timeout=5)
        else:
            assert session.post(world.url, json=chat(), timeout=5).status_code == 503
    assert (world.outcomes(), world.sim.books.requests) == (["server_error"] * 3, 3)


def test_a_method_that_is_not_retried_is_not_retried(worlds):
    """`max_retries=3`, which by urllib3's rules sends no POST again, still does not."""
    world = worlds({"do": "close"})
    with _retrying(world, Retry(3)) as session, pytest.raises(requests.ConnectionError):
        session.post(world.url, json=chat(), timeout=5)
    assert (world.outcomes(), world.taken(), world.sim.books.requests) == (["network_error"], 1, 1)


def test_connection_refused_is_released(connect, world):
    """Nobody listens: requests' own ConnectionError, and nothing is counted."""
    session = connect(world)
    session.post(world.url, json=chat(), timeout=5)
    world.sim.stop()
    session.adapters["http://"].next_adapter.close()
    with pytest.raises(requests.ConnectionError):
        session.post(world.url, json=chat(), timeout=5)
    assert world.outcomes() == ["success", "network_error"]
    assert world.taken() == 1


def test_a_read_timeout_counts(connect, worlds):
    """No answer in time: requests' own ReadTimeout, and the attempt counts, for it may have been served."""
    world = worlds({"do": "hang"})
    with pytest.raises(requests.ReadTimeout):
        connect(world).post(world.url, json=chat(), timeout=(5, 0.2))
    assert (world.row()["outcome"], world.taken()) == ("network_error", 1)


def test_a_cut_stream_raises_what_it_always_did(connect, worlds):
    """A peer that dies mid-stream is a ChunkedEncodingError and a network error on record."""
    world = worlds({"do": {"kind": "cut", "after_chunks": 2}})
    with (
        connect(world).post(world.url, json=chat(stream=True), stream=True, timeout=5) as answer,
        pytest.raises(requests.exceptions.ChunkedEncodingError),
    ):
        list(answer.iter_content(64))
    assert world.row()["outcome"] == "network_error"


def test_a_session_of_many_threads(connect, world):
    """Forty calls from eight threads are forty rows, each settled once."""
    session = connect(world)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: session.post(world.url, json=chat(), timeout=20).status_code, range(40)))
    assert answers == [200] * 40
    assert (world.outcomes(), world.taken()) == (["success"] * 40, 40)


def test_other_hosts_pass_untouched(connect, world):
    """A GET and a POST to somebody else are not judged and not on record."""
    with Upstream() as upstream:
        session = connect(world)
        assert session.post(f"http://127.0.0.1:{upstream.port}/elsewhere", data=b"\x00\xff", timeout=5).ok
        assert upstream.posts[0].body == b"\x00\xff"
    assert world.rows() == []


def test_guarding_twice_is_guarding_once(world):
    """A guarded session is left as it is, and adapters mounted later by the app can be guarded too."""
    settings: Settings = world.settings()
    with guard_client(requests.Session(), "a", settings) as session:
        before = dict(session.adapters)
        assert guard_client(session, "a", settings).adapters == before
        session.mount("http://mine", requests.adapters.HTTPAdapter())
        guard_client(session, "a", settings)
        assert all(type(adapter).__name__ == "GuardAdapter" for adapter in session.adapters.values())
