"""Without a daemon: who needs the catalogue fetches it, once for everyone, and nobody waits who has a usable copy."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from guard_kit import DEADLINE, FREE, KEY, PAID, REASON_HEADER, World, bearer, chat, error_of, eventually
from upstream_kit import Reply, Seen, Upstream

from monitor import GuardTransport, guard_client, guarded_async_client, guarded_client
from monitor.clock import FakeClock
from monitor.transport.course import Guard
from monitor.transport.with_httpx import AsyncGuardTransport

NOON = 1_795_521_600.0


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A server that counts what it is asked."""
    with Upstream() as server:
        yield server


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON)


def _settings(world: World, upstream: Upstream, **changes: Any) -> Any:
    return world.settings(base_url=upstream.base_url, **changes)


def _url(upstream: Upstream) -> str:
    return f"{upstream.base_url}/chat/completions"


class _Gate:
    """Lets GETs of the catalogue wait at the server until it is opened."""

    def __init__(self) -> None:
        self.closed = False
        self.waiting = threading.Event()
        self.open = threading.Event()

    def __call__(self, seen: Seen) -> Reply | None:
        if self.closed and seen.path.startswith("/api/v1/models"):
            self.waiting.set()
            assert self.open.wait(10 * DEADLINE)
        return None


# ---- once for everyone ----


@pytest.mark.parametrize("clients", [1, 8])
def test_threads_fetch_once(world, upstream, clients):
    """Eight threads, on one client or on eight, with no copy at hand: one GET of the catalogue, one of the key."""
    settings = _settings(world, upstream)
    with ExitStack() as stack, ThreadPoolExecutor(8) as pool:
        made = [stack.enter_context(guarded_client("app", settings, headers=bearer())) for _ in range(clients)]
        answers = list(pool.map(lambda n: made[n % clients].post(_url(upstream), json=chat()), range(8)))
        assert [answer.status_code for answer in answers] == [200] * 8
    assert (upstream.gets("/models"), upstream.gets("/key")) == (1, 1)


_ONE_CALL = """
import sys
from monitor import Settings, guarded_client
store, base_url, model = sys.argv[1:]
settings = Settings.build({"store": store, "base_url": base_url})
with guarded_client("app", settings, headers={"Authorization": "Bearer sk-or-v1-of-a-process"}, timeout=60) as client:
    print("ready", flush=True)
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    print(client.post(f"{base_url}/chat/completions", json=body).status_code, flush=True)
"""


@pytest.mark.processes
def test_processes_fetch_once(world, upstream):
    """Four processes with no copy at hand: one GET of the catalogue, one of the key, and four answers."""
    gate = _Gate()
    gate.closed = True
    upstream.answer = gate
    command = [sys.executable, "-c", _ONE_CALL, str(world.path), upstream.base_url, FREE]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        assert gate.waiting.wait(DEADLINE)
        gate.open.set()
        assert [process.communicate(timeout=DEADLINE)[0] for process in started] == ["200\n"] * 4
    finally:
        for process in started:
            process.kill()
            process.communicate()
    assert (upstream.gets("/models"), upstream.gets("/key"), len(upstream.posts)) == (1, 1, 4)


async def test_tasks_fetch_once(world, upstream):
    """Eight tasks of one event loop: the same, and the fetch goes by the client's own connections."""
    async with guarded_async_client("app", _settings(world, upstream), headers=bearer()) as client:
        answers = await asyncio.gather(*(client.post(_url(upstream), json=chat()) for _ in range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert (upstream.gets("/models"), upstream.gets("/key")) == (1, 1)


# ---- a usable copy ----


def test_no_call_waits_while_a_usable_copy_is_due(world, upstream, clock):
    """The copy is due, the server hangs: calls go on with the copy, and one fetch is under way behind them."""
    gate = _Gate()
    upstream.answer = gate
    guard = Guard("app", _settings(world, upstream), clock=clock)
    with httpx.Client(transport=GuardTransport(guard=guard), headers=bearer(), timeout=20) as client:
        client.post(_url(upstream), json=chat())
        gate.closed = True
        clock.advance(700)
        assert [client.post(_url(upstream), json=chat()).status_code for _ in range(5)] == [200] * 5
        assert gate.waiting.wait(DEADLINE)
        assert not gate.open.is_set()
        assert upstream.gets("/models") == 2
        gate.open.set()
    assert world.query("SELECT fetched_at FROM catalogue") == [{"fetched_at": clock.now()}]


async def test_no_asynchronous_call_waits_while_a_usable_copy_is_due(world, upstream, clock):
    """The same on an event loop; closing the client waits for the fetch, which ends its lease."""
    gate = _Gate()
    upstream.answer = gate
    guard = Guard("app", _settings(world, upstream), clock=clock)
    async with httpx.AsyncClient(transport=AsyncGuardTransport(guard=guard), headers=bearer(), timeout=20) as client:
        await client.post(_url(upstream), json=chat())
        gate.closed = True
        clock.advance(700)
        answers = await asyncio.gather(*(client.post(_url(upstream), json=chat()) for _ in range(5)))
        assert [answer.status_code for answer in answers] == [200] * 5
        assert await asyncio.to_thread(gate.waiting.wait, DEADLINE)
        gate.open.set()
    assert upstream.gets("/models") == 2
    assert world.query("SELECT until <= ? AS ended FROM leases WHERE name = 'models'", clock.now()) == [{"ended": 1}]


def test_a_model_that_turns_paid_is_refused_by_the_newest_catalogue(worlds, clock):
    """What was free an hour ago and is not in the newest copy is refused at once, and the event is noted."""
    world = worlds(clock=clock)
    guard = Guard("app", world.settings(), clock=clock)
    with httpx.Client(transport=GuardTransport(guard=guard), headers=bearer(), timeout=20) as client:
        assert client.post(world.url, json=chat()).status_code == 200
        world.sim.update_model(FREE, pricing={"prompt": "0.000001"})
        clock.advance(700)
        client.post(world.url, json=chat())
        eventually(lambda: world.query("SELECT fetched_at AS t FROM catalogue")[0]["t"] > NOON + 600, "the fetch")
        assert client.post(world.url, json=chat()).headers[REASON_HEADER] == "model_not_free"
    events = world.query("SELECT kind, subject FROM events")
    assert {"kind": "model_no_longer_free", "subject": FREE} in events


def test_a_copy_that_is_too_old_is_fetched_before_the_call_leaves(worlds, clock):
    """Beyond `catalogue_max_age` a copy vouches for nothing: the call waits for a new one, and is judged by that."""
    world = worlds(clock=clock)
    guard = Guard("app", world.settings(), clock=clock)
    with httpx.Client(transport=GuardTransport(guard=guard), headers=bearer(), timeout=20) as client:
        assert client.post(world.url, json=chat()).status_code == 200
        world.sim.update_model(FREE, pricing={"prompt": "0.000001"})
        clock.advance(6 * 3600 + 1)
        assert client.post(world.url, json=chat()).headers[REASON_HEADER] == "model_not_free"
    assert world.sim.books.requests == 1


# ---- no usable copy ----


@pytest.mark.parametrize("answer", [Reply(status=503), Reply(parts=[b"<html>"]), Reply(parts=[b'{"data":[]}'])])
def test_without_any_catalogue_nothing_leaves(world, upstream, answer):
    """No copy and no catalogue to be had: `catalogue_stale` with the cause, nothing sent, no second fetch soon."""
    upstream.answer = lambda seen: answer if seen.method == "GET" else None
    with guarded_client("app", _settings(world, upstream), headers=bearer()) as client:
        first, second = (client.post(_url(upstream), json=chat()) for _ in range(2))
    assert [first.status_code, second.status_code] == [403, 403]
    assert error_of(first)["metadata"]["reason"] == "catalogue_stale"
    assert "/models" in error_of(first)["message"] or "models endpoint" in error_of(first)["message"]
    assert (upstream.posts, upstream.gets("/models")) == ([], 1)
    assert world.outcomes() == ["refused", "refused"]


def test_without_a_server_nothing_leaves(world):
    """The server cannot be reached at all: the refusal says so, and no exception escapes."""
    with Upstream() as gone:
        settings = _settings(world, gone)
    with guarded_client("app", settings, headers=bearer()) as client:
        answer = client.post(_url(gone), json=chat())
    assert answer.headers[REASON_HEADER] == "catalogue_stale"
    assert "ConnectError" in error_of(answer)["message"]


def test_by_suffix_a_free_model_may_leave_without_a_catalogue(world, upstream):
    """`guard.catalogue = "suffix"`: the name alone lets `:free` through, and nothing else."""
    upstream.answer = lambda seen: Reply(status=503) if seen.method == "GET" else None
    settings = _settings(world, upstream, guard={"catalogue": "suffix"})
    with guarded_client("app", settings, headers=bearer()) as client:
        assert client.post(_url(upstream), json=chat()).status_code == 200
        assert client.post(_url(upstream), json=chat(PAID)).headers[REASON_HEADER] == "catalogue_stale"
    assert len(upstream.posts) == 1


def test_a_model_that_is_not_listed_is_refused(world):
    """A name that no catalogue lists is refused, whatever its suffix."""
    with guarded_client("app", world.settings(), headers=bearer()) as client:
        answer = client.post(world.url, json=chat("nobody/knows:free"))
    assert answer.headers[REASON_HEADER] == world.refused_once()["reason"] == "model_unknown"


def test_the_first_paid_call_under_a_budget_has_its_prices_fetched(world):
    """Paid models are allowed and budgeted, the store is new: the prices are fetched before it is judged."""
    settings = world.settings(guard={"allow": "any"}, budget={"per_call_usd": 1})
    with guarded_client("app", settings, headers=bearer()) as client:
        assert client.post(world.url, json=chat(PAID, max_tokens=10)).status_code == 200
    row = world.row()
    assert 0 < row["cost_usd"] <= row["estimated_cost_usd"]


def test_a_spent_day_is_looked_up_again_before_it_is_refused(world, upstream, clock):
    """Our figures say that the day is spent; OpenRouter's newer ones say that credits were bought: the call leaves."""
    limit = 50

    def answer(seen: Seen) -> Reply | None:
        if seen.path != "/api/v1/key":
            return None
        figures = {"used": 50, "limit": limit, "remaining": limit - 50}
        return Reply(parts=[json.dumps({"data": {"free_model_daily_requests": figures}}).encode()])

    upstream.answer = answer
    guard = Guard("app", _settings(world, upstream), clock=clock)
    with httpx.Client(transport=GuardTransport(guard=guard), headers=bearer(), timeout=20) as client:
        assert client.post(_url(upstream), json=chat()).headers[REASON_HEADER] == "day_limit"
        limit = 1000
        assert client.post(_url(upstream), json=chat()).headers[REASON_HEADER] == "day_limit"
        assert upstream.gets("/key") == 1
        clock.advance(61)
        assert client.post(_url(upstream), json=chat()).status_code == 200
    assert upstream.gets("/key") == 2


# ---- whose key goes where ----


def test_the_key_is_shown_to_the_server_it_belongs_to_only(world, upstream):
    """A call through somebody else's gateway is judged too, but its key is not sent to OpenRouter with our polls."""
    settings = _settings(world, upstream, api_key=None, guard={"allow": "any"})
    with Upstream() as gateway, guarded_client("app", settings) as client:
        answer = client.post(
            f"http://127.0.0.1:{gateway.port}/v1/chat/completions", json=chat(), headers=bearer("key-of-the-gateway")
        )
        assert answer.status_code == 200
    assert "key-of-the-gateway" not in repr(upstream.seen)
    assert (upstream.gets("/models"), upstream.gets("/key")) == (1, 0)
    assert [seen.path for seen in gateway.seen] == ["/v1/chat/completions"]


def test_a_wrong_key_does_not_stop_the_catalogue(world, upstream):
    """`/key` answers 401: the guard counts by itself, and the server's own 401 reaches the app."""
    unauthorized = Reply(status=401, parts=[b'{"error":{"code":401,"message":"User not found."}}'])
    upstream.answer = lambda seen: None if seen.path.startswith("/api/v1/models") else unauthorized
    with guarded_client("app", _settings(world, upstream), headers=bearer()) as client:
        answer = client.post(_url(upstream), json=chat())
    assert answer.status_code == 401
    assert REASON_HEADER not in answer.headers
    assert world.row()["outcome"] == "client_error"


# ---- the end of a program ----

_LEAVES_A_FETCH_BEHIND = """
import asyncio, sys
from monitor import Settings
from monitor.clock import FakeClock
from monitor.transport.course import Guard
from monitor.transport.with_httpx import AsyncGuardTransport, GuardTransport
import httpx
store, base_url, model, kind = sys.argv[1:]
settings = Settings.build({"store": store, "base_url": base_url})
clock = FakeClock(1795521600.0)
guard = Guard("app", settings, clock=clock)
body = {"model": model, "messages": []}
headers = {"Authorization": "Bearer sk-or-v1-of-a-process"}
async def asynchronous():
    client = httpx.AsyncClient(transport=AsyncGuardTransport(guard=guard), headers=headers)
    print((await client.post(f"{base_url}/chat/completions", json=body)).status_code, flush=True)
    sys.stdin.readline()
    clock.advance(700)
    print((await client.post(f"{base_url}/chat/completions", json=body)).status_code, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
def synchronous():
    client = httpx.Client(transport=GuardTransport(guard=guard), headers=headers)
    print(client.post(f"{base_url}/chat/completions", json=body).status_code, flush=True)
    sys.stdin.readline()
    clock.advance(700)
    print(client.post(f"{base_url}/chat/completions", json=body).status_code, flush=True)
    sys.stdin.readline()
asyncio.run(asynchronous()) if kind == "async" else synchronous()
"""


@pytest.mark.processes
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_program_ends_although_a_fetch_hangs(world, upstream, kind):
    """A program that forgets to close its client ends while a fetch in the background still hangs."""
    gate = _Gate()
    upstream.answer = gate
    command = [sys.executable, "-c", _LEAVES_A_FETCH_BEHIND, str(world.path), upstream.base_url, FREE, kind]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "200\n"
        gate.closed = True
        print("on", file=process.stdin, flush=True)
        assert process.stdout.readline() == "200\n"
        assert gate.waiting.wait(DEADLINE)
        _, errors = process.communicate("end\n", timeout=DEADLINE)
        assert (process.returncode, gate.open.is_set()) == (0, False), errors
    finally:
        gate.open.set()
        process.kill()
        process.communicate()


def test_the_polls_are_plain_and_the_query_asks_for_all_models(world, upstream):
    """The catalogue is asked for without a key and for every output; the key's figures with the app's own key."""
    settings = _settings(world, upstream, api_key=None)
    with guard_client(httpx.Client(headers=bearer()), "app", settings) as client:
        client.post(_url(upstream), json=chat())
    models, key, _ = upstream.seen
    assert models.path == "/api/v1/models?output_modalities=all"
    assert models.header("authorization") == []
    assert key.header("authorization") == [f"Bearer {KEY}"]
    assert json.loads(upstream.posts[0].body)["model"] == FREE
