"""Many at once: the quota is exact, nobody waits for somebody else, and every attempt is on record once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import aiohttp
from guard_kit import FREE, World, chat, eventually
from wire_kit import ask, connect, get, post

from tests.fakes.proxy import ServedProxy


async def _call(session: aiohttp.ClientSession, proxy: ServedProxy, app: str, stream: bool = False) -> int:
    headers = {"X-Openrouter-Monitor-App": app}
    async with session.post(proxy.chat, json=chat(stream=stream), headers=headers) as answer:
        body = await answer.read()
        assert not stream or answer.status != 200 or body.endswith(b"data: [DONE]\n\n")
        return answer.status


async def _all(proxy: ServedProxy, count: int, stream: bool = False) -> Counter[int]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        statuses = await asyncio.gather(
            *(_call(session, proxy, f"app-{number % 5}", stream and number % 2 == 0) for number in range(count))
        )
    return Counter(statuses)


def test_of_sixty_four_at_once_exactly_fifty_leave(serve, worlds):
    """The day's limit is fifty: the simulator serves fifty and refuses none, and the rest never left."""
    world = worlds(per_day=50)
    proxy = serve(world, quota={"per_minute": 1000, "per_day": 50})
    assert asyncio.run(_all(proxy, 64, stream=True)) == {200: 50, 429: 14}
    rows = world.settled(64)
    assert Counter(row["outcome"] for row in rows) == {"success": 50, "refused": 14}
    books = world.sim.books
    assert (books.requests, books.counted, books.overshoots, books.cost_usd) == (50, 50, 0, 0)


def test_two_hundred_streams_beside_each_other(serve, worlds):
    """Each arrives whole, while a thousand connections do nothing."""
    world = worlds(chunk_delay_seconds=0.002)
    proxy = serve(world, max_connections=1300)
    idle = [connect(proxy) for _ in range(1000)]
    try:
        assert asyncio.run(_all(proxy, 200, stream=True)) == {200: 200}
        assert ask(proxy, get("/api/v1/key")).status == 200
    finally:
        for connection in idle:
            connection.close()
    rows = world.settled(200)
    assert Counter(row["outcome"] for row in rows) == {"success": 200}
    assert len({row["generation_id"] for row in rows}) == 200
    assert world.sim.books.requests == 200


def test_calls_that_wait_for_a_slot_hold_up_nobody(serve, world: World):
    """While others stand in line, reading passes, a refusal comes at once, and apps are let out in turn."""
    proxy = serve(world, quota={"per_minute": 1}, guard={"wait": 600})
    assert ask(proxy, post()).status == 200
    held = [connect(proxy) for _ in range(5)]
    for number, connection in enumerate(held):
        app = "hog" if number < 4 else "single"
        connection.sendall(post(None, f"X-Openrouter-Monitor-App: {app}"))

    async def waiting() -> int:
        return proxy.proxy._means.turns.waiting

    eventually(lambda: proxy.do(waiting) == 5)
    assert ask(proxy, get("/api/v1/models")).status == 200
    assert ask(proxy, post(json.dumps(chat("openai/gpt-5")).encode())).status == 403

    async def open_twice() -> None:
        # As if the minute had gone by twice: the sends that fill the window are forgotten.
        for served in (2, 3):
            with proxy.desk.store.transaction() as tx:
                tx._db.execute("DELETE FROM sends")  # type: ignore[attr-defined]
            proxy.proxy._means.turns.lines[""].open_in(0)
            async with asyncio.timeout(20):
                while world.sim.books.requests < served:
                    await asyncio.sleep(0.005)

    proxy.do(open_twice)
    for connection in held:
        connection.close()
    eventually(lambda: len(world.rows()) == 4 and not world.open_holds())
    assert [row["app"] for row in world.rows() if row["outcome"] == "success"] == ["default", "hog", "single"]
    assert FREE in {row["model_requested"] for row in world.rows()}


def test_pause_and_resume_hold_at_once(serve, world: World):
    """What another process pauses is refused with the very next call; resumed, it passes again."""
    proxy = serve(world)
    assert ask(proxy, post()).status == 200
    from monitor.store import open_store

    store = open_store(str(world.path))
    with store.transaction() as tx:
        tx.pause("", 0.0, None, "lunch")
    heard = ask(proxy, post())
    assert (heard.status, heard.error()["metadata"]["reason"]) == (403, "paused")
    with store.transaction() as tx:
        tx.resume("")
    assert ask(proxy, post()).status == 200
    store.close()
    assert world.sim.books.requests == 2
