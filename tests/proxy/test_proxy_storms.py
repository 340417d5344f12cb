"""A program that hammers through the proxy: slowed in no line, then refused."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from guard_kit import DEADLINE, REASON_HEADER, chat

from monitor.policy.storm import SLOWED_FROM
from monitor.proxy.turns import Closed, Turns

FAILING = {"do": {"kind": "status", "status": 503}}


def test_it_is_slowed_while_others_go_on(serve, worlds):
    """The fourth try of one request waits; another app's leaves meanwhile. One that counts eight tries is refused."""
    world = worlds({"match": {"times": SLOWED_FROM}, **FAILING})
    proxy = serve(world)

    async def run() -> httpx.Response:
        async with httpx.AsyncClient(timeout=DEADLINE) as client, asyncio.timeout(DEADLINE):
            for _ in range(SLOWED_FROM):
                assert (await client.post(proxy.chat, json=chat())).status_code == 503
            slowed = asyncio.create_task(client.post(proxy.chat, json=chat()))
            refused = await client.post(proxy.chat, json=chat(), headers={"x-stainless-retry-count": "7"})
            others = {"X-Openrouter-Monitor-App": "other"}
            assert (await client.post(proxy.chat, json=chat(max_tokens=7), headers=others)).status_code == 200
            assert (await slowed).status_code == 200
            return refused

    refused = asyncio.run(run())
    assert (refused.status_code, refused.headers[REASON_HEADER]) == (429, "cooldown")
    assert refused.headers["x-should-retry"] == "false"
    assert b"max_tokens" in world.sim.books.posts[-2].body
    assert world.sim.books.requests == SLOWED_FROM + 2


async def test_a_pause_ends_when_the_daemon_does():
    """Who is slowed is told to come again, now and from now on, and holds up no line."""
    turns = Turns({})
    paused = asyncio.create_task(turns.pause(1000.0))
    await asyncio.sleep(0)
    assert turns.waiting == 0
    turns.close()
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(Closed):
            await paused
    with pytest.raises(Closed):
        await turns.pause(0.0)
