"""The asynchronous client on trio: the same truths, another event loop."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
import trio
from guard_kit import FREE, PAID, REASON_HEADER, World, bearer, chat, collect

from monitor import guard_client, guarded_async_client


def _client(family: str, world: World, **changes: Any) -> Any:
    if family == "httpx":
        return guarded_async_client("app", world.settings(**changes), headers=bearer(), timeout=20)
    return guard_client(httpx2.AsyncClient(headers=bearer(), timeout=20), "app", world.settings(**changes))


@pytest.fixture(params=["httpx", "httpx2"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_call_stream_and_refusal(family, world):
    """A call, a stream and a refusal under trio are answered and on record as under asyncio."""

    async def main() -> None:
        async with _client(family, world) as client:
            assert (await client.post(world.url, json=chat())).json()["model"] == FREE
            async with client.stream("POST", world.url, json=chat(stream=True)) as answer:
                assert b"[DONE]" in b"".join([chunk async for chunk in answer.aiter_raw()])
            assert (await client.post(world.url, json=chat(PAID))).headers[REASON_HEADER] == "model_not_free"

    trio.run(main)
    assert world.outcomes() == ["success", "success", "refused"]
    assert world.sim.books.requests == 2


def test_many_at_once(family, world):
    """Twenty calls in one nursery fetch the catalogue once and are twenty successes."""

    async def main() -> None:
        async with _client(family, world) as client, trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(lambda: client.post(world.url, json=chat()))

    trio.run(main)
    assert (world.outcomes(), world.taken()) == (["success"] * 20, 20)


# httpx, httpcore and their successors leave generators of their own to trio, without the guard too. We leave none.
@pytest.mark.filterwarnings(r"ignore:Exception ignored in. <async_generator object (?!\w*Tee)")
def test_early_close_and_cancellation(family, worlds):
    """Left early, or cancelled by a scope while waiting for the answer or for a chunk: cancelled on record."""
    world = worlds(
        {"match": {"nth": 1}, "do": {"kind": "hang", "after_chunks": 1}},
        {"match": {"nth": 2}, "do": "hang"},
        {"match": {"nth": 3}, "do": {"kind": "hang", "after_chunks": 1}},
    )

    async def main() -> None:
        async with _client(family, world) as client:
            async with client.stream("POST", world.url, json=chat(stream=True)) as answer:
                chunks = answer.aiter_raw()
                await anext(chunks)
            await chunks.aclose()
            with trio.move_on_after(0.2) as scope:
                await client.post(world.url, json=chat())
            assert scope.cancelled_caught
            with trio.move_on_after(0.2) as scope:
                await client.post(world.url, json=chat(stream=True))
            assert scope.cancelled_caught
            assert world.outcomes() == ["cancelled"] * 3

    trio.run(main)
    collect()
    assert (world.outcomes(), world.taken(), world.open_holds()) == (["cancelled"] * 3, 3, 0)
