"""The OpenAI SDK, unpatched, behind the guard: on httpx2 and on httpx, and (see `test_openai2.py`) its major 2."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import httpx
import openai
import pytest
from guard_kit import FREE, HELLO, KEY, PAID, REASON_HEADER, World, collect, eventually, settled_in_time

from monitor import guard_client, guarded_async_client, guarded_client

pytestmark = pytest.mark.sdk

MAJOR = int(openai.__version__.partition(".")[0])
ASK: dict[str, Any] = {"model": FREE, "messages": HELLO}
STREAM: dict[str, Any] = {**ASK, "stream": True}
AGAIN_AT_ONCE = {"retry-after-ms": "1"}
"""What the SDK obeys between two attempts, so that a test of its retries does not wait."""


def _client(family: str, world: World, **changes: Any) -> Any:
    if family == "httpx":
        return guarded_client("bot", world.settings(**changes))
    import httpx2

    return guard_client(httpx2.Client(), "bot", world.settings(**changes))


def _async_client(family: str, world: World, **changes: Any) -> Any:
    if family == "httpx":
        return guarded_async_client("bot", world.settings(**changes))
    import httpx2

    return guard_client(httpx2.AsyncClient(), "bot", world.settings(**changes))


@pytest.fixture(params=["httpx", "httpx2"] if MAJOR >= 3 else ["httpx"])
def family(request: pytest.FixtureRequest) -> str:
    """The HTTP library below the SDK; major 2 knows httpx only."""
    return str(request.param)


@pytest.fixture
def connect(family):
    """A function that gives an SDK client for a world."""
    with contextlib.ExitStack() as stack:

        def start(world: World, retries: int = 2, **changes: Any) -> openai.OpenAI:
            http = _client(family, world, **changes)
            client = openai.OpenAI(base_url=world.sim.base_url, api_key=KEY, http_client=http, max_retries=retries)
            return stack.enter_context(client)

        yield start


@pytest.fixture
def connect_async(family):
    """The same for the asynchronous client, which the test enters."""

    def start(world: World, retries: int = 2, **changes: Any) -> openai.AsyncOpenAI:
        http = _async_client(family, world, **changes)
        return openai.AsyncOpenAI(base_url=world.sim.base_url, api_key=KEY, http_client=http, max_retries=retries)

    return start


def _text(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


# ---- calls ----


def test_a_free_call_is_answered_and_on_record(connect, world):
    """A free call gets the server's answer, and one row says who asked for what and what it took."""
    answer = connect(world).chat.completions.create(**ASK)
    assert answer.choices[0].message.content
    row = world.row()
    assert (row["outcome"], row["status"], row["app"], row["stream"]) == ("success", 200, "bot", 0)
    assert (row["model_requested"], row["model_served"], row["tier"]) == (FREE, FREE, "free")
    assert (row["prompt_tokens"], row["completion_tokens"]) == (
        answer.usage.prompt_tokens,
        answer.usage.completion_tokens,
    )
    assert (row["generation_id"], row["cost_usd"], row["attempt"]) == (answer.id, 0, 1)
    assert (world.sim.books.free_served, world.sim.books.cost_usd, world.taken()) == (1, 0, 1)


def test_what_the_sdk_gives_beside_the_answer_still_works(connect, world):
    """Raw and streaming responses work, and so does the HTTP version, read from the response's extensions."""
    client = connect(world)
    raw = client.chat.completions.with_raw_response.create(**ASK)
    assert raw.parse().choices[0].message.content
    assert raw.http_response.http_version == "HTTP/1.1"
    assert raw.headers["x-generation-id"] == world.row()["generation_id"]
    with client.chat.completions.with_streaming_response.create(**ASK) as streamed:
        assert b'"usage"' in streamed.read()
    assert world.outcomes() == ["success", "success"]


def test_other_endpoints_are_booked_under_their_names(connect, world):
    """Responses, completions and embeddings pass, and the models list is not a call."""
    client = connect(world)
    assert client.responses.create(model=FREE, input="hello").output_text
    with client.responses.stream(model=FREE, input="hello") as stream:
        assert stream.get_final_response().output_text
    client.completions.create(model=FREE, prompt="hello")
    client.embeddings.create(model="nvidia/llama-nemotron-embed-vl-1b-v2:free", input=["a"])
    assert FREE in {model.id for model in client.models.list()}
    assert [row["endpoint"] for row in world.rows()] == ["responses", "responses", "completions", "embeddings"]
    assert set(world.outcomes()) == {"success"}


# ---- streams ----


def test_a_stream_read_to_its_end_is_a_success(connect, world):
    """The pieces of a stream join to the whole answer, and its usage is on record."""
    client = connect(world)
    chunks = list(client.chat.completions.create(**STREAM))
    assert _text(chunks) == client.chat.completions.create(**ASK).choices[0].message.content
    row = world.rows()[0]
    assert (row["outcome"], row["stream"]) == ("success", 1)
    assert row["completion_tokens"] == chunks[-1].usage.completion_tokens
    assert row["ttft_ms"] is not None


def test_the_usage_is_booked_before_it_is_handed_on(connect, worlds):
    """Who stops at the usage chunk and never comes back has left a settled row, with the stream still open."""
    world = worlds(processing_comments=0)
    stream = connect(world).chat.completions.create(**STREAM)
    for chunk in stream:
        if chunk.usage:
            break
    row = world.row()
    assert (row["outcome"], row["completion_tokens"]) == ("success", chunk.usage.completion_tokens)
    stream.close()
    assert world.row() == row


@pytest.mark.parametrize("how", ["with", "close"])
def test_an_early_close_is_a_cancellation(connect, worlds, how):
    """A consumer that closes after the first word has cancelled the call; it is settled when `close` returns."""
    world = worlds({"do": {"kind": "hang", "after_chunks": 1}})
    stream = connect(world).chat.completions.create(**STREAM)
    if how == "with":
        with stream:
            next(iter(stream))
    else:
        next(iter(stream))
        stream.close()
    assert world.row()["outcome"] == "cancelled"
    assert world.taken() == 1


def test_a_stream_left_without_a_word_is_settled_when_it_is_collected(connect, worlds):
    """A consumer that breaks and forgets the stream has left no row in flight once Python collects it."""
    world = worlds({"do": {"kind": "hang", "after_chunks": 1}})
    client = connect(world)
    for _ in client.chat.completions.create(**STREAM):
        break
    collect()
    assert world.row()["outcome"] in ("cancelled", "abandoned")


def test_a_stream_never_read_is_abandoned_when_it_is_collected(connect, worlds):
    """A stream object that nobody iterates is an abandoned call, not one that is in flight for ever."""
    world = worlds({"do": {"kind": "hang", "after_chunks": 1}})
    client = connect(world)
    client.chat.completions.create(**STREAM)
    collect()
    assert world.row()["outcome"] == "abandoned"


def test_an_error_in_a_stream_is_the_sdks_own_and_on_record(connect, worlds):
    """An error chunk raises APIError in the app, and the row tells of a server error."""
    world = worlds({"do": "stream_error"})
    with pytest.raises(openai.APIError, match="disconnected"):
        list(connect(world).chat.completions.create(**STREAM))
    row = world.row()
    assert row["outcome"] == "server_error"
    assert "disconnected" in row["error"]


def test_a_stream_that_is_cut_raises_what_it_always_did(connect, worlds):
    """A peer that dies mid-stream: the app sees the SDK's own exception, the row a network error, and one attempt."""
    world = worlds({"do": {"kind": "cut", "after_chunks": 2}})
    with pytest.raises(openai.APIConnectionError if MAJOR >= 3 else httpx.RemoteProtocolError):
        list(connect(world).chat.completions.create(**STREAM))
    assert world.row()["outcome"] == "network_error"


# ---- refusals ----


@pytest.mark.parametrize("stream", [False, True], ids=["call", "stream"])
def test_a_paid_model_is_a_permission_error_after_one_attempt(connect, world, stream):
    """A model that bills: PermissionDeniedError at `create`, one attempt, nothing sent, the reason in four places."""
    with pytest.raises(openai.PermissionDeniedError, match="Nothing was sent") as caught:
        connect(world).chat.completions.create(model=PAID, messages=HELLO, stream=stream)
    row = world.refused_once()
    error = caught.value
    assert row["reason"] == error.response.headers[REASON_HEADER] == "model_not_free"
    assert (error.status_code, error.body["code"], error.body["metadata"]["reason"]) == (403, 403, "model_not_free")
    assert error.body["metadata"]["limit_source"] == "openrouter_monitor"
    assert error.body["metadata"]["model"] == PAID
    assert ":free" in error.body["metadata"]["hint"]
    assert error.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("stream", [False, True], ids=["call", "stream"])
def test_a_broken_budget_is_a_status_error_after_one_attempt(connect, world, stream):
    """A call that could cost more than its budget: an APIStatusError with 402, one attempt, nothing sent."""
    client = connect(world, guard={"allow": "any"}, budget={"per_call_usd": 1e-9})
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=PAID, messages=HELLO, max_tokens=100, stream=stream)
    assert caught.value.status_code == 402
    assert world.refused_once()["reason"] == "budget_call"


@pytest.mark.parametrize("stream", [False, True], ids=["call", "stream"])
def test_a_full_minute_is_a_rate_limit_error_after_one_attempt(connect, world, stream):
    """The minute is used: RateLimitError with Retry-After, and the SDK does not try again."""
    client = connect(world, quota={"per_minute": 1})
    client.chat.completions.create(**ASK)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model=FREE, messages=HELLO, stream=stream)
    headers = caught.value.response.headers
    assert headers[REASON_HEADER] == "minute_limit"
    assert 1 <= int(headers["retry-after"]) <= 120
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("1", "0")
    assert int(headers["x-ratelimit-reset"]) > 1_700_000_000_000
    assert caught.value.body["metadata"]["resets_at"].endswith("Z")
    assert (world.outcomes(), world.sim.books.requests) == (["success", "refused"], 1)


def test_the_attempts_of_one_call_share_its_id(connect, worlds):
    """The SDK's own retries are attempts 1, 2, 3 of one call, each on record once."""
    world = worlds(
        {"match": {"path": "/chat/*", "method": "POST", "times": 2}, "do": {"kind": "503", "headers": AGAIN_AT_ONCE}}
    )
    client = connect(world)
    client.chat.completions.create(**ASK)
    client.chat.completions.create(**ASK)
    rows = world.rows()
    assert [row["attempt"] for row in rows] == [1, 2, 3, 1]
    assert [row["outcome"] for row in rows] == ["server_error", "server_error", "success", "success"]
    assert len({row["call_id"] for row in rows[:3]}) == 1
    assert rows[3]["call_id"] != rows[0]["call_id"]
    assert world.sim.books.requests == 4


def test_a_platform_429_stops_the_storm(connect, worlds):
    """The SDK would send a spent day three times; behind the guard the second attempt does not leave."""
    world = worlds({"do": {"kind": "free_daily", "headers": AGAIN_AT_ONCE}})
    with pytest.raises(openai.RateLimitError):
        connect(world).chat.completions.create(**ASK)
    rows = world.rows()
    assert [(row["outcome"], row["limit_kind"], row["reason"]) for row in rows] == [
        ("rate_limited", "free_daily", None),
        ("refused", None, "day_limit"),
    ]
    assert world.sim.books.requests == 1


# ---- asynchronous ----


async def test_async_call_and_stream(connect_async, world):
    """The asynchronous client calls and streams; both are on record with their usage."""
    async with connect_async(world) as client:
        answer = await client.chat.completions.create(**ASK)
        chunks = [chunk async for chunk in await client.chat.completions.create(**STREAM)]
    assert _text(chunks) == answer.choices[0].message.content
    assert [(row["outcome"], row["stream"]) for row in world.rows()] == [("success", 0), ("success", 1)]
    assert all(row["completion_tokens"] for row in world.rows())


async def test_thirty_calls_at_once_are_thirty_rows(connect_async, world):
    """Thirty parallel calls: each is answered, counted and settled once."""
    async with connect_async(world) as client:
        answers = await asyncio.gather(*(client.chat.completions.create(**ASK) for _ in range(30)))
    assert {answer.id for answer in answers} == {row["generation_id"] for row in world.rows()}
    assert (world.outcomes(), world.taken(), world.sim.books.counted) == (["success"] * 30, 30, 30)


async def test_async_early_close_is_a_cancellation(connect_async, worlds):
    """Leaving `async with` after the first word cancels the call; it is settled when the block is left."""
    world = worlds({"do": {"kind": "hang", "after_chunks": 1}})
    async with connect_async(world) as client:
        async with await client.chat.completions.create(**STREAM) as stream:
            async for _ in stream:
                break
        assert world.row()["outcome"] == "cancelled"


async def test_async_break_without_close_is_settled_when_it_is_collected(connect_async, worlds):
    """A consumer that breaks and forgets: no row is in flight once the stream has been collected."""
    world = worlds({"do": {"kind": "hang", "after_chunks": 1}})
    async with connect_async(world) as client:
        async for _ in await client.chat.completions.create(**STREAM):
            break
        await settled_in_time(world, 1)
    assert world.row()["outcome"] in ("cancelled", "abandoned")


async def test_async_stream_never_read_is_abandoned(connect_async, worlds):
    """A stream that nobody iterates is abandoned as soon as it is collected."""
    world = worlds({"do": {"kind": "hang", "after_chunks": 1}})
    async with connect_async(world) as client:
        await client.chat.completions.create(**STREAM)
        collect()
        assert world.row()["outcome"] == "abandoned"


@pytest.mark.parametrize("where", ["answer", "stream"])
@pytest.mark.parametrize("how", ["wait_for", "cancel"])
async def test_a_cancelled_task_leaves_a_cancelled_row(connect_async, worlds, how, where):
    """Cancelled while it waits, for the answer or a chunk: `cancelled`, and counted, for it may have been served."""
    hang = {"kind": "hang", "after_chunks": 1} if where == "stream" else {"kind": "hang"}
    world = worlds({"do": hang})
    first_word = asyncio.Event()

    async def consume(client: openai.AsyncOpenAI) -> None:
        if where == "answer":
            await client.chat.completions.create(**ASK)
            return
        async for _ in await client.chat.completions.create(**STREAM):
            first_word.set()

    async with connect_async(world) as client:
        task = asyncio.create_task(consume(client))
        await (first_word.wait() if where == "stream" else asyncio.to_thread(world.sim.books.wait_for, 1))
        if how == "cancel":
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(task, 0.01)
        eventually(lambda: not world.open_holds(), "the row to be settled")
    assert world.row()["outcome"] == "cancelled"
    assert world.taken() == 1


@pytest.mark.parametrize("stream", [False, True], ids=["call", "stream"])
async def test_async_refusal_is_a_permission_error_after_one_attempt(connect_async, world, stream):
    """A model that bills: PermissionDeniedError, one attempt, nothing sent."""
    async with connect_async(world) as client:
        with pytest.raises(openai.PermissionDeniedError) as caught:
            await client.chat.completions.create(model=PAID, messages=HELLO, stream=stream)
    assert caught.value.body["metadata"]["reason"] == world.refused_once()["reason"] == "model_not_free"


async def test_async_cut_stream_raises_what_it_always_did(connect_async, worlds):
    """A peer that dies mid-stream is the SDK's own exception and a network error on record."""
    world = worlds({"do": {"kind": "cut", "after_chunks": 2}})
    async with connect_async(world) as client:
        with pytest.raises(openai.APIConnectionError if MAJOR >= 3 else httpx.RemoteProtocolError):
            async for _ in await client.chat.completions.create(**STREAM):
                pass
        assert world.row()["outcome"] == "network_error"


async def test_async_attempts_of_one_call_share_its_id(connect_async, worlds):
    """The asynchronous SDK's retries are attempts 1, 2, 3 of one call."""
    world = worlds({"match": {"times": 2}, "do": {"kind": "503", "headers": AGAIN_AT_ONCE}})
    async with connect_async(world) as client:
        await client.chat.completions.create(**ASK)
    assert [row["attempt"] for row in world.rows()] == [1, 2, 3]
    assert len({row["call_id"] for row in world.rows()}) == 1
