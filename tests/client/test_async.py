"""The asynchronous client: the same core, so only what awaiting changes is asked here."""

from __future__ import annotations

import asyncio
import inspect

import anyio
import pytest
from client_kit import BUSY, CODER, LLAMA, PAID, QWEN, fault

from monitor import AsyncClient, CallFailed, Client, NotFree
from monitor.clock import SystemClock

HELLO = "What is machine learning?"


async def test_it_chats_falls_back_and_streams(worlds):
    """One call with a fallback, one stream, and the answers are those of the blocking client."""
    world = worlds(fault(BUSY, model=QWEN))
    async with world.async_client() as client:
        answer = await client.chat(HELLO)
        stream = await client.chat(HELLO, stream=True)
        pieces = [piece async for piece in stream]
        assert "".join(pieces) == (await stream.answer()).text
    assert [attempt.model for attempt in answer.attempts] == [QWEN, LLAMA]
    assert answer.text == world.client().chat(HELLO).text


async def test_many_at_once(world):
    """Twenty tasks share a client; one fetches the catalogue for all; each gets its answer, and is on record once."""
    # By the real clock: who waits for another's fetch must wait in earnest.
    async with world.async_client(clock=SystemClock()) as client:
        answers = await asyncio.gather(*(client.chat(f"question {number}") for number in range(20)))
    assert len({answer.call_id for answer in answers}) == 20
    assert [row["outcome"] for row in world.rows()] == ["success"] * 20


async def test_refusals_and_failures_are_the_same_exceptions(worlds):
    """Raised where they are awaited."""
    world = worlds(fault({"kind": "status", "status": 400}))
    async with world.async_client() as client:
        with pytest.raises(NotFree):
            await client.chat(HELLO, model=PAID)
        with pytest.raises(CallFailed):
            await client.chat(HELLO)
        with pytest.raises(CallFailed):
            await client.chat(HELLO, stream=True)


async def test_a_cancelled_call_leaves_nothing_open(worlds):
    """Its row is settled, and the client goes on."""
    world = worlds(fault("hang", times=1))
    async with world.async_client() as client:
        task = asyncio.create_task(client.chat(HELLO))
        await asyncio.to_thread(world.sim.books.wait_for, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await client.chat(HELLO)).text
    assert [row["outcome"] for row in world.rows()] == ["cancelled", "success"]


async def test_a_stream_closed_early_is_settled(world):
    """`async with` gives the connection back."""
    async with world.async_client() as client:
        async with await client.chat(HELLO, stream=True) as stream:
            await anext(stream)
        with pytest.raises(CallFailed, match="no whole answer"):
            await stream.answer()
    assert [row["outcome"] for row in world.rows()] == ["cancelled"]


async def test_it_looks_around(world):
    """Models, quota and route, as the blocking client tells them; repr shows no key."""
    async with world.async_client() as client:
        assert (await client.models(task="code"))[0].id == CODER
        assert (await client.route("code")).models[0] == CODER
        assert (await client.quota()).day_left == 10_000
        assert "sk-or" not in repr(client)


def test_it_runs_on_trio(world):
    """Nothing in it is asyncio's own."""

    async def main() -> None:
        async with world.async_client() as client:
            assert (await client.chat(HELLO)).text
            async with await client.chat(HELLO, stream=True) as stream:
                assert "".join([piece async for piece in stream])

    anyio.run(main, backend="trio")


def test_both_clients_take_the_same():
    """Every public method of the one is one of the other, with the same parameters; only closing has another name."""

    def surface(kind: type) -> dict[str, list[inspect.Parameter]]:
        names = {name for name in vars(kind) if not name.startswith("_")} | {"__init__"}
        found = {name: list(inspect.signature(getattr(kind, name)).parameters.values()) for name in names}
        found["close"] = found.pop("aclose", found.get("close", []))
        return found

    assert surface(AsyncClient) == surface(Client)
