"""OpenRouter's own SDK, unpatched and with its default retries, behind the guard."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import httpx
import openrouter
import pytest
from guard_kit import FREE, HELLO, KEY, PAID, REASON_HEADER, World, collect, eventually
from openrouter import errors

from monitor import guarded_async_client, guarded_client

pytestmark = pytest.mark.sdk

ASK: dict[str, Any] = {"model": FREE, "messages": HELLO}
HANG = {"do": {"kind": "hang", "after_chunks": 1}}


@pytest.fixture
def connect():
    """A function that gives an SDK with guarded clients of both kinds for a world."""
    with contextlib.ExitStack() as stack:

        def start(world: World, **changes: Any) -> openrouter.OpenRouter:
            settings = world.settings(**changes)
            return openrouter.OpenRouter(
                api_key=KEY,
                server_url=world.sim.base_url,
                client=stack.enter_context(guarded_client("bot", settings, follow_redirects=True)),
                async_client=guarded_async_client("bot", settings, follow_redirects=True),
            )

        yield start


def _text(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_call_and_stream(connect, world):
    """It calls and streams, its typed models accept the answers, and both are on record with their usage."""
    sdk = connect(world)
    answer = sdk.chat.send(**ASK)
    with sdk.chat.send(**ASK, stream=True) as stream:
        assert _text(list(stream)) == answer.choices[0].message.content
    rows = world.rows()
    assert [(row["outcome"], row["stream"], row["cost_usd"]) for row in rows] == [("success", 0, 0), ("success", 1, 0)]
    assert rows[0]["completion_tokens"] == answer.usage.completion_tokens


def test_early_break(connect, worlds):
    """Closed after the first word: cancelled. Left without a word: settled when it is collected."""
    world = worlds(HANG)
    sdk = connect(world)
    with sdk.chat.send(**ASK, stream=True) as stream:
        next(iter(stream))
    assert world.outcomes() == ["cancelled"]
    for _ in sdk.chat.send(**ASK, stream=True):
        break
    collect()
    assert world.outcomes()[1] in ("cancelled", "abandoned")


@pytest.mark.parametrize("stream", [False, True], ids=["call", "stream"])
def test_a_paid_model_is_a_forbidden_error_after_one_attempt(connect, world, stream):
    """A model that bills: the SDK's own ForbiddenResponseError; it would have retried a 5xx for an hour."""
    with pytest.raises(errors.ForbiddenResponseError, match="Nothing was sent") as caught:
        connect(world).chat.send(model=PAID, messages=HELLO, stream=stream)
    assert world.refused_once()["reason"] == caught.value.headers[REASON_HEADER] == "model_not_free"
    assert caught.value.data.error.metadata["limit_source"] == "openrouter_monitor"
    assert caught.value.data.error.metadata["reason"] == "model_not_free"


def test_a_broken_budget_is_a_payment_error(connect, world):
    """A call above its budget: PaymentRequiredResponseError after one attempt."""
    sdk = connect(world, guard={"allow": "any"}, budget={"per_call_usd": 1e-9})
    with pytest.raises(errors.PaymentRequiredResponseError):
        sdk.chat.send(model=PAID, messages=HELLO, max_tokens=100)
    assert world.refused_once()["reason"] == "budget_call"


def test_a_spent_day_is_a_too_many_requests_error(connect, worlds):
    """OpenRouter says that the day is spent: TooManyRequestsResponseError with Retry-After, and nothing is sent."""
    world = worlds(per_day=0)
    with pytest.raises(errors.TooManyRequestsResponseError) as caught:
        connect(world).chat.send(**ASK)
    assert int(caught.value.headers["retry-after"]) >= 1
    assert world.refused_once()["reason"] == "day_limit"


def test_a_stream_that_is_cut_raises_what_it_always_did(connect, worlds):
    """A peer that dies mid-stream is httpx's own exception, one attempt, and a network error on record."""
    world = worlds({"do": {"kind": "cut", "after_chunks": 2}})
    with (
        pytest.raises(httpx.RemoteProtocolError),
        connect(world).chat.send(**ASK, stream=True) as stream,
    ):
        list(stream)
    assert world.row()["outcome"] == "network_error"


def test_an_error_chunk_is_on_record_although_the_sdk_only_yields_it(connect, worlds):
    """The SDK yields an error chunk and does not raise; the row tells of the error all the same."""
    world = worlds({"do": "stream_error"})
    with connect(world).chat.send(**ASK, stream=True) as stream:
        assert list(stream)[-1].error.code == 502
    assert world.row()["outcome"] == "server_error"


async def test_async_call_stream_break_and_refusal(connect, worlds):
    """The asynchronous half: call, stream, early close, and a refusal after one attempt."""
    world = worlds({"match": {"nth": 3}, **HANG})
    sdk = connect(world)
    async with sdk:
        answer = await sdk.chat.send_async(**ASK)
        async with await sdk.chat.send_async(**ASK, stream=True) as stream:
            assert _text([chunk async for chunk in stream]) == answer.choices[0].message.content
        async with await sdk.chat.send_async(**ASK, stream=True) as stream:
            async for _ in stream:
                break
        with pytest.raises(errors.ForbiddenResponseError):
            await sdk.chat.send_async(model=PAID, messages=HELLO, stream=True)
        await sdk.sdk_configuration.async_client.aclose()
    assert world.outcomes() == ["success", "success", "cancelled", "refused"]
    assert world.sim.books.requests == 3


async def test_async_cancel(connect, worlds):
    """A task that is cancelled while it waits for the answer leaves a cancelled row that counts."""
    world = worlds({"do": "hang"})
    sdk = connect(world)
    task = asyncio.create_task(sdk.chat.send_async(**ASK))
    await asyncio.to_thread(world.sim.books.wait_for, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await sdk.sdk_configuration.async_client.aclose()
    eventually(lambda: not world.open_holds(), "the row to be settled")
    assert (world.row()["outcome"], world.taken()) == ("cancelled", 1)
