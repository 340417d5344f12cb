"""Every attempt that left is settled once, whatever becomes of its answer, and what it taught is believed."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import httpx2
import pytest
from guard_kit import DEADLINE, FREE, REASON_HEADER, World, bearer, chat, collect, error_of, eventually, settled_in_time

from monitor import guard_client
from monitor.store import open_store

QWEN = "qwen/qwen3-coder:free"


@pytest.fixture(params=[httpx, httpx2], ids=lambda library: library.__name__)
def library(request: pytest.FixtureRequest) -> Any:
    return request.param


def _client(library: Any, world: World, timeout: float = 20, **changes: Any) -> Any:
    return guard_client(library.Client(headers=bearer(), timeout=timeout), "app", world.settings(**changes))


def _async_client(library: Any, world: World, timeout: float = 20, **changes: Any) -> Any:
    return guard_client(library.AsyncClient(headers=bearer(), timeout=timeout), "app", world.settings(**changes))


# ---- streams ----


def test_the_end_is_booked_before_the_consumer_sees_it(library, worlds):
    """When the app holds the chunk with the usage, another process can already read the settled row."""
    world = worlds({"do": "split"}, processing_comments=3)
    seen: bytes = b""
    before = after = None
    with _client(library, world) as client, client.stream("POST", world.url, json=chat(stream=True)) as answer:
        for chunk in answer.iter_raw():
            seen += chunk
            if after is None and b"[DONE]" in seen:
                after = world.row()["outcome"]
            elif b'"usage"' not in seen:
                before = world.row()["outcome"]
    assert (before, after) == ("in_flight", "success")


async def test_the_end_is_booked_before_the_asynchronous_consumer_sees_it(library, worlds):
    """The same for the asynchronous client: with the usage in hand, the row is settled."""
    world = worlds({"do": "split"}, processing_comments=3)
    seen = b""
    before = after = None
    async with (
        _async_client(library, world) as client,
        client.stream("POST", world.url, json=chat(stream=True)) as answer,
    ):
        async for chunk in answer.aiter_raw():
            seen += chunk
            if after is None and b"[DONE]" in seen:
                after = world.row()["outcome"]
            elif b'"usage"' not in seen:
                before = world.row()["outcome"]
    assert (before, after) == ("in_flight", "success")


def test_an_answer_is_booked_when_its_last_byte_was_seen(library, world):
    """A plain answer is settled with its last byte, before the app closes it or asks for more."""
    with _client(library, world) as client:
        request = client.build_request("POST", world.url, json=chat())
        answer = client.send(request, stream=True)
        next(answer.iter_raw())
        assert world.row()["outcome"] == "success"
        answer.close()


def test_a_close_before_the_end_is_a_cancellation(library, worlds):
    """A consumer that leaves `with` early has cancelled; the attempt counts, for it may have been served."""
    world = worlds({"do": {"kind": "hang", "after_chunks": 1}})
    with _client(library, world) as client:
        with client.stream("POST", world.url, json=chat(stream=True)) as answer:
            chunks = answer.iter_raw()
            next(chunks)
            assert world.row()["outcome"] == "in_flight"
        assert (world.row()["outcome"], world.taken()) == ("cancelled", 1)


def test_an_answer_dropped_unread_is_abandoned(library, worlds):
    """Nobody reads it, nobody closes it: its row is settled when Python collects it."""
    world = worlds({"do": {"kind": "hang", "after_chunks": 1}})
    with _client(library, world) as client:
        client.send(client.build_request("POST", world.url, json=chat(stream=True)), stream=True)
        collect()
        assert (world.row()["outcome"], world.taken()) == ("abandoned", 1)


def test_a_cut_answer_is_a_network_error_in_the_app_and_on_record(library, worlds):
    """The peer dies mid-answer: the app sees its library's own exception, the row a network error that counts."""
    world = worlds({"do": {"kind": "cut", "after_bytes": 40}})
    with _client(library, world) as client, pytest.raises(library.RemoteProtocolError):
        client.post(world.url, json=chat())
    row = world.row()
    assert (row["outcome"], row["status"], world.taken()) == ("network_error", 200, 1)
    assert "RemoteProtocolError" in row["error"]


def test_a_stream_cut_after_its_usage_is_a_success(library, worlds):
    """What was delivered and billed is a success, although the connection then broke."""
    world = worlds({"do": {"kind": "cut", "after_chunks": 6}}, chunks=4)
    got: list[bytes] = []
    with (
        _client(library, world) as client,
        pytest.raises(library.RemoteProtocolError),
        client.stream("POST", world.url, json=chat(stream=True)) as answer,
    ):
        got.extend(answer.iter_raw())
    assert b'"usage"' in b"".join(got)
    assert b"[DONE]" not in b"".join(got)
    assert world.row()["outcome"] == "success"


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("error_in_200", "server_error"),
        ("partial_error", "server_error"),
        ({"kind": "error_in_200", "code": 429, "message": "slow down"}, "rate_limited"),
        ("garbage", "server_error"),
        ("503", "server_error"),
        ("400", "client_error"),
    ],
)
def test_an_error_in_an_answer_is_on_record(world, fault, outcome):
    """An error with its own status, or hidden in a 200, is that error on record; the app sees what was sent."""
    world.sim.faults.add({"do": fault})
    with _client(httpx, world) as client:
        client.post(world.url, json=chat())
    assert world.row()["outcome"] == outcome


@pytest.mark.parametrize("shape", ["documented", "empty_choices", "bare", "with_usage", "benign_finish"])
def test_an_error_in_a_stream_is_on_record(world, shape):
    """Each shape in which a stream tells of an error is a server error on record, in the midst of a 200."""
    world.sim.faults.add({"do": {"kind": "stream_error", "shape": shape}})
    with _client(httpx, world) as client:
        client.post(world.url, json=chat(stream=True))
    assert (world.row()["outcome"], world.row()["status"]) == ("server_error", 200)


# ---- the network ----


def test_a_connection_that_was_never_made_is_given_back(library, world):
    """Nobody listens: the library's own ConnectError, a row that says so, and not one request is counted."""
    with _client(library, world) as client:
        client.post(world.url, json=chat())
        world.sim.stop()
        client._transport.next_transport.close()
        with pytest.raises(library.ConnectError):
            client.post(world.url, json=chat())
    assert world.outcomes() == ["success", "network_error"]
    assert world.taken() == 1


def test_a_read_timeout_counts(library, worlds):
    """No answer in time: the library's own ReadTimeout; it was sent, so it counts."""
    world = worlds({"do": "hang"})
    with _client(library, world, timeout=0.2) as client, pytest.raises(library.ReadTimeout):
        client.post(world.url, json=chat())
    assert (world.row()["outcome"], world.taken()) == ("network_error", 1)


async def test_the_same_for_the_asynchronous_client(library, worlds):
    """Refused connections are given back, read timeouts count, cut streams are network errors."""
    world = worlds({"match": {"nth": 1}, "do": "hang"}, {"match": {"nth": 2}, "do": {"kind": "cut", "after_chunks": 1}})
    async with _async_client(library, world, timeout=0.2) as client:
        with pytest.raises(library.ReadTimeout):
            await client.post(world.url, json=chat())
        with pytest.raises(library.RemoteProtocolError):
            await client.post(world.url, json=chat(stream=True))
        await asyncio.to_thread(world.sim.stop)
        with pytest.raises(library.ConnectError):
            await client.post(world.url, json=chat())
    assert world.outcomes() == ["network_error"] * 3
    assert world.taken() == 2


# ---- what 429s teach ----


def test_a_spent_day_closes_the_day(world):
    """OpenRouter says that the day is spent: the next call is refused here until midnight UTC, for every free model."""
    world.sim.faults.add({"match": {"nth": 1}, "do": "free_daily"})
    with _client(httpx, world) as client:
        assert client.post(world.url, json=chat()).status_code == 429
        second = client.post(world.url, json=chat(QWEN))
    assert second.headers[REASON_HEADER] == "day_limit"
    assert error_of(second)["metadata"]["resets_at"].endswith("T00:00:00Z")
    assert (world.rows()[0]["limit_kind"], world.sim.books.requests) == ("free_daily", 1)


def test_a_full_minute_closes_the_minute(world):
    """OpenRouter says that the minute is full: the next call is refused here until the minute is over."""
    world.sim.faults.add({"match": {"nth": 1}, "do": "free_minute"})
    with _client(httpx, world) as client:
        assert client.post(world.url, json=chat()).status_code == 429
        second = client.post(world.url, json=chat(QWEN))
    assert second.headers[REASON_HEADER] == "minute_limit"
    assert 1 <= int(second.headers["retry-after"]) <= 60
    assert (world.rows()[0]["limit_kind"], world.sim.books.requests) == ("free_minute", 1)


def test_a_providers_429_cools_that_model_only(world):
    """A provider's shared pool is full: that model cools down, others go on, and the account lost nothing."""
    world.sim.faults.add({"match": {"nth": 1}, "do": "upstream_429"})
    with _client(httpx, world) as client:
        assert client.post(world.url, json=chat()).status_code == 429
        assert world.taken() == 0
        assert client.post(world.url, json=chat()).headers[REASON_HEADER] == "cooldown"
        assert client.post(world.url, json=chat(QWEN)).status_code == 200
    assert world.rows()[0]["limit_kind"] == "upstream"
    assert world.taken() == 1


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [("edge_html", 429, "edge"), ("credits_402", 402, "credits"), ("key_limit_403", 403, "key_limit")],
)
def test_other_limits_are_told_apart(world, fault, status, kind):
    """Cloudflare's page, an empty balance and a key's cap are each on record as what they are."""
    world.sim.faults.add({"do": fault})
    with _client(httpx, world) as client:
        assert client.post(world.url, json=chat()).status_code == status
    assert world.row()["limit_kind"] == kind


# ---- many at once ----


def test_two_threads_and_many_calls(library, world):
    """Two threads on one client: a hundred calls, streams and refusals among them, each on record once."""

    def work(number: int) -> int:
        body = chat(FREE if number % 5 else "openai/gpt-5-mini", stream=number % 2 == 0)
        return client.post(world.url, json=body).status_code

    with _client(library, world) as client, ThreadPoolExecutor(2) as pool:
        statuses = list(pool.map(work, range(100)))
    assert (statuses.count(200), statuses.count(403)) == (80, 20)
    assert (world.outcomes().count("success"), world.outcomes().count("refused")) == (80, 20)
    assert world.taken() == world.sim.books.counted == world.sim.books.requests == 80
    assert len({row["call_id"] for row in world.rows()}) == 100


def test_a_limit_holds_across_threads(worlds):
    """Sixteen threads, seven requests left in the minute: exactly seven leave."""
    world = worlds()
    with _client(httpx, world, quota={"per_minute": 7}) as client, ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: client.post(world.url, json=chat()).status_code, range(40)))
    assert (statuses.count(200), statuses.count(429), world.sim.books.requests) == (7, 33, 7)


async def test_thirty_asynchronous_calls(library, world):
    """Thirty parallel calls, half of them streams, are thirty successes."""
    async with _async_client(library, world) as client:
        calls = (client.post(world.url, json=chat(stream=n % 2 == 0)) for n in range(30))
        answers = await asyncio.gather(*calls)
    assert [answer.status_code for answer in answers] == [200] * 30
    assert (world.outcomes(), world.taken(), world.open_holds()) == (["success"] * 30, 30, 0)


_HOLD_THE_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
connection.close()
"""


class _Locked:
    """Another process that holds the store's write lock until it is told to let go."""

    def __init__(self, world: World) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _HOLD_THE_LOCK, str(world.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> _Locked:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "held\n"
        return self

    def let_go(self) -> None:
        if self._process.poll() is None:
            self._process.communicate("now\n")

    def __exit__(self, *exc: object) -> None:
        self.let_go()


@pytest.mark.processes
@pytest.mark.parametrize("when", ["reserve", "settle"])
async def test_a_locked_store_does_not_stop_the_event_loop(library, world, when):
    """While another process holds the store's lock, a call waits for it, and the event loop goes on all the same."""
    beats = 0
    if when == "settle":
        world.sim.faults.add({"match": {"nth": 2}, "do": {"kind": "hang", "after_chunks": 1}})
    async with _async_client(library, world) as client:
        await client.post(world.url, json=chat())
        if when == "reserve":
            with _Locked(world) as lock:
                call = asyncio.create_task(client.post(world.url, json=chat()))
                while beats < 50:
                    await asyncio.sleep(0)
                    beats += 1
                assert not call.done()
                assert world.sim.books.requests == 1
                await asyncio.to_thread(lock.let_go)
                assert (await call).status_code == 200
        else:
            request = client.build_request("POST", world.url, json=chat(stream=True))
            answer = await client.send(request, stream=True)
            await anext(answer.aiter_raw())
            with _Locked(world) as lock:
                closing = asyncio.create_task(answer.aclose())
                while beats < 50:
                    await asyncio.sleep(0.001)
                    beats += 1
                assert not closing.done()
                await asyncio.to_thread(lock.let_go)
                await closing
            assert world.outcomes() == ["success", "cancelled"]


@pytest.mark.processes
async def test_a_call_given_up_while_it_is_being_booked_is_given_back(library, world):
    """Cancelled while it waits for the store: nothing was sent, so what the late reservation takes is given back."""
    async with _async_client(library, world) as client:
        await client.post(world.url, json=chat())
        with _Locked(world) as lock:
            call = asyncio.create_task(client.post(world.url, json=chat()))
            reserving = client._transport.guard.ledger.store.connection._lock
            while not reserving.locked():
                await asyncio.sleep(0.001)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await asyncio.to_thread(lock.let_go)
        await settled_in_time(world, 2)
    assert (world.outcomes(), world.taken()) == (["success", "cancelled"], 1)
    assert world.sim.books.requests == 1


def test_a_stream_finalized_inside_a_transaction_does_not_lock_up(library, worlds):
    """The garbage collector may run in the midst of a transaction of ours, and finalize there a generator that closes
    its stream: that must not wait for the very same transaction. The next use of the ledger books the end."""
    world = worlds({"match": {"nth": 1}, "do": {"kind": "hang", "after_chunks": 1}})
    with _client(library, world) as client:
        store = client._transport.guard.ledger.store
        answer = client.send(client.build_request("POST", world.url, json=chat(stream=True)), stream=True)

        def finalize_within() -> None:
            with store.transaction():
                answer.close()

        thread = threading.Thread(target=finalize_within, daemon=True)
        thread.start()
        thread.join(DEADLINE)
        assert not thread.is_alive()
        assert world.outcomes() == ["in_flight"]
        assert client.post(world.url, json=chat()).status_code == 200
    assert world.outcomes() == ["cancelled", "success"]


# ---- a store that fails when the answer is there ----


@pytest.mark.processes
def test_an_answer_arrives_although_it_cannot_be_booked(world):
    """Settling fails: the app gets its answer all the same, and the next call writes what is left over."""
    with _client(httpx, world) as client:
        client.post(world.url, json=chat())
        client._transport.guard.ledger.store.close()
        open_store(str(world.path)).close()
        request = client.build_request("POST", world.url, json=chat())
        answer = client.send(request, stream=True)
        with sqlite3.connect(world.path, isolation_level=None) as other:
            client._transport.guard.ledger.store.connection._sqlite.execute("PRAGMA busy_timeout=1")
            other.execute("BEGIN IMMEDIATE")
            assert answer.read()
            other.execute("ROLLBACK")
        other.close()
        assert world.outcomes() == ["success", "in_flight"]
        client.post(world.url, json=chat())
        assert world.outcomes() == ["success"] * 3
    assert world.rows()[1]["completion_tokens"] is not None


def test_closing_the_client_writes_what_is_left_over(world):
    """What could not be booked is booked when the client is closed, without another call."""
    with _client(httpx, world) as client:
        request = client.build_request("POST", world.url, json=chat())
        answer = client.send(request, stream=True)
        with sqlite3.connect(world.path, isolation_level=None) as other:
            client._transport.guard.ledger.store.connection._sqlite.execute("PRAGMA busy_timeout=1")
            other.execute("BEGIN IMMEDIATE")
            answer.read()
            other.execute("ROLLBACK")
        other.close()
        assert world.outcomes() == ["in_flight"]
    eventually(lambda: world.outcomes() == ["success"], world.outcomes())
