"""LangChain's ChatOpenAI with both of its clients guarded."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import httpx
import httpx2
import openai
import pytest
from guard_kit import FREE, KEY, PAID, World, collect, settled_in_time
from langchain_openai import ChatOpenAI

from monitor import guard_client, guarded_async_client, guarded_client

pytestmark = [
    pytest.mark.sdk,
    # langchain-core warns of its own coming changes, and pydantic of langchain's field names.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]

HANG = {"do": {"kind": "hang", "after_chunks": 1}}


@pytest.fixture(params=["httpx", "httpx2"])
def connect(request):
    """A function that gives a chat model for a world; its asynchronous client is closed by the test's loop."""
    with contextlib.ExitStack() as stack:

        def start(world: World, model: str = FREE) -> tuple[ChatOpenAI, Any]:
            settings = world.settings()
            if request.param == "httpx":
                client: Any = guarded_client("chain", settings)
                aclient: Any = guarded_async_client("chain", settings)
            else:
                client = guard_client(httpx2.Client(), "chain", settings)
                aclient = guard_client(httpx2.AsyncClient(), "chain", settings)
            stack.enter_context(client)
            chain = ChatOpenAI(
                model=model,
                base_url=world.sim.base_url,
                api_key=KEY,
                http_client=client,
                http_async_client=aclient,
            )
            return chain, aclient

        yield start


def test_invoke_and_stream(connect, world):
    """`invoke` and `stream` give the same text, and each is one row with its usage."""
    chain, _ = connect(world)
    answer = chain.invoke("hello")
    assert "".join(chunk.content for chunk in chain.stream("hello")) == answer.content
    assert [(row["outcome"], row["stream"], row["app"]) for row in world.rows()] == [
        ("success", 0, "chain"),
        ("success", 1, "chain"),
    ]
    assert world.rows()[0]["completion_tokens"] == answer.usage_metadata["output_tokens"]


def test_break(connect, worlds):
    """A consumer that breaks out of `stream` leaves no row in flight."""
    world = worlds(HANG)
    chain, _ = connect(world)
    stream = chain.stream("hello")
    next(stream)
    stream.close()
    collect()
    assert world.row()["outcome"] in ("cancelled", "abandoned")


@pytest.mark.parametrize("how", ["invoke", "stream"])
def test_a_paid_model_is_a_permission_error_after_one_attempt(connect, world, how):
    """A model that bills: the OpenAI SDK's exception, one attempt, nothing sent."""
    chain, _ = connect(world, PAID)
    with pytest.raises(openai.PermissionDeniedError):
        chain.invoke("hello") if how == "invoke" else list(chain.stream("hello"))
    assert world.refused_once()["reason"] == "model_not_free"


async def test_async(connect, world):
    """`ainvoke` and `astream` pass the guard of the asynchronous client."""
    chain, aclient = connect(world)
    async with aclient:
        answer = await chain.ainvoke("hello")
        assert "".join([chunk.content async for chunk in chain.astream("hello")]) == answer.content
    assert world.outcomes() == ["success", "success"]


@pytest.mark.parametrize("how", ["ainvoke", "astream"])
async def test_async_refusal(connect, world, how):
    """A model that bills is refused on the asynchronous side too, after one attempt."""
    chain, aclient = connect(world, PAID)
    async with aclient:
        with pytest.raises(openai.PermissionDeniedError):
            await chain.ainvoke("hello") if how == "ainvoke" else [chunk async for chunk in chain.astream("hello")]
    assert world.refused_once()["reason"] == "model_not_free"


async def test_async_break_and_cancel(connect, worlds):
    """Broken off after the first word, or cancelled: no row stays in flight, and each counts."""
    world = worlds(HANG)
    chain, aclient = connect(world)
    async with aclient:
        stream = chain.astream("hello")
        await anext(stream)
        await stream.aclose()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_consume(chain), 0.3)
        await settled_in_time(world, 2)
    assert set(world.outcomes()) <= {"cancelled", "abandoned"}
    assert world.taken() == 2


async def _consume(chain: ChatOpenAI) -> None:
    async for _ in chain.astream("hello"):
        pass


def test_the_families_are_two(world):
    """A guarded client of one family is still of that family: LangChain and the SDK check the class."""
    settings = world.settings()
    with guarded_client("chain", settings) as one, guard_client(httpx2.Client(), "chain", settings) as two:
        assert isinstance(one, httpx.Client)
        assert isinstance(two, httpx2.Client)
