"""A program that sends one failing request again and again, behind the guard: slowed, then refused."""

from __future__ import annotations

import asyncio

import httpx
import pytest
import requests
from guard_kit import DEADLINE, FREE, REASON_HEADER, World, bearer, chat, error_of

from monitor import guard_client
from monitor.clock import FakeClock
from monitor.policy.storm import QUIET_SECONDS, REFUSED_FROM, SLOWED_FROM
from monitor.transport.course import Guard
from monitor.transport.effects import TAG, CallTag
from monitor.transport.with_httpx import AsyncGuardTransport
from monitor.transport.with_requests import GuardAdapter
from tests.fakes.builders import NOON

FAILING = {"do": {"kind": "status", "status": 503}}
SLOWED = 1 + 2 + 4 + 8
"""Seconds that seven tries in a row are slowed by, all together."""


def post(client: httpx.Client, world: World, text: str = "same", **headers: str) -> httpx.Response:
    body = chat(messages=[{"role": "user", "content": text}])
    return client.post(world.url, json=body, headers=headers)


def hammer(client: httpx.Client, world: World, times: int = REFUSED_FROM) -> None:
    for _ in range(times):
        assert post(client, world).status_code == 503


def test_a_failing_request_is_slowed_and_then_refused(connect, worlds):
    """Three tries leave as they come, four are slowed, all others are told to stop: a 429 that cost nothing."""
    world, clock = worlds(FAILING), FakeClock(NOON)
    client = connect(world, clock)
    hammer(client, world, SLOWED_FROM)
    assert clock.now() == NOON
    hammer(client, world, REFUSED_FROM - SLOWED_FROM)
    assert clock.now() == NOON + SLOWED
    for _ in range(5):
        answer = post(client, world)
        assert (answer.status_code, answer.headers[REASON_HEADER]) == (429, "cooldown")
    assert answer.headers["x-should-retry"] == "false"
    assert int(answer.headers["retry-after"]) == QUIET_SECONDS
    assert "keeps failing" in error_of(answer)["message"]
    assert error_of(answer)["metadata"]["model"] == FREE
    assert world.sim.books.requests == REFUSED_FROM
    assert world.outcomes() == ["server_error"] * REFUSED_FROM + ["refused"] * 5
    assert world.taken() == REFUSED_FROM
    assert world.query("SELECT reason, n FROM refusals") == [{"reason": "cooldown", "n": 5}]


def test_others_go_on(connect, worlds):
    """Only the request that fails is held back, not its model, nor its app."""
    world, clock = worlds({"match": {"times": REFUSED_FROM}, **FAILING}), FakeClock(NOON)
    client = connect(world, clock)
    hammer(client, world)
    at = clock.now()
    assert post(client, world, "other").status_code == 200
    assert post(client, world).status_code == 429
    assert clock.now() == at


def test_one_success_ends_it(connect, worlds):
    """After the pause one try may leave; it is answered, and all is as if nothing had been."""
    world, clock = worlds({"match": {"times": REFUSED_FROM}, **FAILING}), FakeClock(NOON)
    client = connect(world, clock)
    hammer(client, world)
    assert post(client, world).status_code == 429
    clock.advance(QUIET_SECONDS)
    at = clock.now()
    assert [post(client, world).status_code for _ in range(3)] == [200, 200, 200]
    assert clock.now() == at


def test_an_sdk_that_counts_its_tries_is_believed(connect, worlds):
    """`x-stainless-retry-count` tells of tries that left by another process: refused once one failed here as well."""
    world, clock = worlds(FAILING), FakeClock(NOON)
    client = connect(world, clock)
    assert post(client, world, **{"x-stainless-retry-count": "6"}).status_code == 503
    assert clock.now() == NOON + 8
    assert post(client, world, **{"x-stainless-retry-count": "7"}).status_code == 429
    assert world.sim.books.requests == 1


def test_a_lost_connection_counts_if_it_may_have_been_billed(connect, worlds):
    """The upstream takes the request and hangs up: that is a request of the day each time."""
    world, clock = worlds({"do": "close"}), FakeClock(NOON)
    client = connect(world, clock)
    for _ in range(REFUSED_FROM):
        with pytest.raises(httpx.TransportError):
            post(client, world)
    assert post(client, world).status_code == 429


def test_what_never_left_does_not_count(connect, worlds):
    """Without a network nothing is spent, so whoever waits for one is not held back."""
    world, clock = worlds(), FakeClock(NOON)
    client = connect(world, clock)
    assert post(client, world).status_code == 200  # the catalogue is there
    world.sim.stop()
    for _ in range(2 * REFUSED_FROM):
        with pytest.raises(httpx.ConnectError):
            post(client, world)
    assert clock.now() == NOON


def test_our_own_client_is_not_slowed(connect, worlds):
    """Its retries carry a tag, and have a budget of their own."""
    world, clock = worlds(FAILING), FakeClock(NOON)
    client = connect(world, clock)
    for attempt in range(1, 2 * REFUSED_FROM):
        answer = client.post(world.url, json=chat(), extensions={TAG: CallTag("c", attempt, 0.0)})
        assert answer.status_code == 503
    assert clock.now() == NOON


def test_a_guard_that_only_watches_slows_nobody(connect, worlds):
    """In shadow mode all tries leave, and those that would have been refused are on record as such."""
    world, clock = worlds(FAILING), FakeClock(NOON)
    client = connect(world, clock, guard={"mode": "shadow"})
    hammer(client, world, REFUSED_FROM + 2)
    assert clock.now() == NOON
    assert [row["reason"] for row in world.rows()] == [None] * REFUSED_FROM + ["cooldown"] * 2
    assert world.query("SELECT shadow, n FROM refusals") == [{"shadow": 1, "n": 2}]


def test_requests_has_it_too(worlds):
    """The adapter for `requests` slows and refuses alike."""
    world, clock = worlds(FAILING), FakeClock(NOON)
    guard = Guard("app", world.settings(), clock=clock)
    with requests.Session() as session:
        session.mount("http://", GuardAdapter(requests.adapters.HTTPAdapter(), guard))
        statuses = [session.post(world.url, json=chat(), headers=bearer()).status_code for _ in range(9)]
    assert statuses == [503] * REFUSED_FROM + [429, 429]
    assert clock.now() == NOON + SLOWED


async def test_an_event_loop_is_not_held_up(worlds):
    """While one request is slowed, another of the same client leaves and is answered; then the slow one does."""
    world = worlds({"match": {"times": SLOWED_FROM}, **FAILING})
    transport = AsyncGuardTransport(app="app", settings=world.settings())
    async with httpx.AsyncClient(transport=transport, headers=bearer()) as client, asyncio.timeout(DEADLINE):
        for _ in range(SLOWED_FROM):
            assert (await client.post(world.url, json=chat())).status_code == 503
        slowed = asyncio.create_task(client.post(world.url, json=chat()))
        await asyncio.sleep(0)
        other = await client.post(world.url, json=chat(max_tokens=7))
        assert other.status_code == 200
        assert (await slowed).status_code == 200
    first, second = world.sim.books.posts[-2:]
    assert b"max_tokens" in first.body
    assert b"max_tokens" not in second.body


async def test_an_async_client_is_refused_as_well(worlds):
    """What it counts by itself stands in for the tries that would take too long here."""
    world = worlds(FAILING)
    async with guard_client(httpx.AsyncClient(headers=bearer()), "app", world.settings()) as client:
        assert (await client.post(world.url, json=chat())).status_code == 503
        again = await client.post(world.url, json=chat(), headers={"x-stainless-retry-count": "7"})
    assert (again.status_code, again.headers[REASON_HEADER]) == (429, "cooldown")
    assert world.sim.books.requests == 1
