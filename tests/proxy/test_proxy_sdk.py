"""Real clients, unpatched, through the proxy: nothing but their base URL is changed."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from typing import Any

import openai
import pytest
from guard_kit import FREE, HELLO, PAID, REASON_HEADER, World

from tests.fakes.proxy import ServedProxy

pytestmark = pytest.mark.sdk

ASK: dict[str, Any] = {"model": FREE, "messages": HELLO}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]


def _client(proxy: ServedProxy, app: str | None = "bot", **more: Any) -> openai.OpenAI:
    headers = {} if app is None else {"X-Openrouter-Monitor-App": app}
    return openai.OpenAI(base_url=proxy.base_url, api_key="anything", default_headers=headers, **more)


def test_a_call_is_answered_and_on_record(serve, world: World):
    """The app gets OpenRouter's answer with a key it never saw; one row says who asked for what, and what it took."""
    with _client(serve(world)) as client:
        answer = client.chat.completions.create(**ASK)
    assert answer.choices[0].message.content
    (row,) = world.settled()
    assert (row["outcome"], row["status"], row["app"], row["tier"]) == ("success", 200, "bot", "free")
    assert (row["generation_id"], row["completion_tokens"]) == (answer.id, answer.usage.completion_tokens)
    assert (world.sim.books.requests, world.sim.books.cost_usd) == (1, 0)


def test_a_stream_arrives_whole_and_is_on_record(serve, world: World):
    """Every chunk of a stream, usage included; without a name the app is that of the settings."""
    with _client(serve(world), app=None) as client:
        chunks = list(client.chat.completions.create(**ASK, stream=True))
        whole = client.chat.completions.create(**ASK)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    rows = world.settled(2)
    assert [(row["outcome"], row["stream"], row["app"]) for row in rows] == [
        ("success", 1, "default"),
        ("success", 0, "default"),
    ]
    assert rows[0]["completion_tokens"] == chunks[-1].usage.completion_tokens
    assert rows[0]["ttft_ms"] is not None


def test_tools_pass(serve, world: World):
    """A call with functions of the app's own reaches the model as it is."""
    with _client(serve(world)) as client:
        answer = client.chat.completions.create(**ASK, tools=TOOLS, tool_choice="required")
        chunks = list(client.chat.completions.create(**ASK, tools=TOOLS, tool_choice="required", stream=True))
    assert answer.choices[0].message.tool_calls[0].function.name == "weather"
    assert any(chunk.choices and chunk.choices[0].delta.tool_calls for chunk in chunks)


@pytest.mark.parametrize("stream", [False, True], ids=["call", "stream"])
def test_a_refusal_is_the_sdks_own_error_after_one_attempt(serve, world: World, stream):
    """A model that bills: PermissionDeniedError, tried once, nothing sent, the reason for people and for programs."""
    with (
        _client(serve(world)) as client,
        pytest.raises(openai.PermissionDeniedError, match="Nothing was sent") as caught,
    ):
        client.chat.completions.create(model=PAID, messages=HELLO, stream=stream)
    assert caught.value.response.headers[REASON_HEADER] == world.refused_once()["reason"] == "model_not_free"


def test_a_full_minute_is_a_rate_limit_error_after_one_attempt(serve, world: World):
    """The window is used: RateLimitError with Retry-After, and the SDK does not try again."""
    with _client(serve(world, quota={"per_minute": 1})) as client:
        client.chat.completions.create(**ASK)
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(**ASK)
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 120
    assert [row["outcome"] for row in world.settled(2)] == ["success", "refused"]
    assert world.sim.books.requests == 1


def test_upstreams_own_errors_pass_as_they_are(serve, worlds):
    """A provider's 429 is OpenRouter's to tell; the SDK's own retries are attempts of one call."""
    headers = {"retry-after-ms": "1"}
    world = worlds({"match": {"path": "/chat/*", "times": 2}, "do": {"kind": "503", "headers": headers}})
    with _client(serve(world)) as client:
        client.chat.completions.create(**ASK)
    rows = world.settled(3)
    assert [(row["attempt"], row["outcome"]) for row in rows] == [
        (1, "server_error"),
        (2, "server_error"),
        (3, "success"),
    ]
    assert len({row["call_id"] for row in rows}) == 1


def test_a_cut_stream_is_an_error_for_the_app_too(serve, worlds):
    """Half an answer never looks like a whole one."""
    world = worlds({"do": {"kind": "cut", "after_chunks": 2}})
    with _client(serve(world)) as client, pytest.raises(openai.APIConnectionError):
        list(client.chat.completions.create(**ASK, stream=True))
    assert world.settled()[0]["outcome"] == "network_error"


def test_an_early_close_ends_it_upstream_and_in_the_books(serve, worlds):
    """An app that has heard enough cancels the call: the upstream's connection is closed, the row settled."""
    world = worlds({"do": {"kind": "hang", "after_chunks": 1}})
    with _client(serve(world)) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        next(iter(stream))
        stream.close()
        assert world.settled()[0]["outcome"] == "cancelled"
    assert world.taken() == 1


async def test_async_calls_streams_and_refusals(serve, world: World):
    """The asynchronous SDK: thirty calls and streams at once, each answered and on record once."""
    proxy = serve(world)
    async with openai.AsyncOpenAI(base_url=proxy.base_url, api_key="anything") as client:

        async def stream() -> int:
            return len([chunk async for chunk in await client.chat.completions.create(**ASK, stream=True)])

        calls = [client.chat.completions.create(**ASK) for _ in range(15)]
        answers = await asyncio.gather(*calls, *(stream() for _ in range(15)))
        with pytest.raises(openai.PermissionDeniedError):
            await client.chat.completions.create(model=PAID, messages=HELLO)
    assert all(answers)
    rows = world.settled(31)
    assert [row["outcome"] for row in rows].count("success") == 30
    assert (world.taken(), world.sim.books.counted) == (30, 30)


async def test_a_cancelled_task_is_cancelled_upstream(serve, worlds):
    """Cancelled while it waits for the answer: on record as such, and counted, for it may have been served."""
    world = worlds({"do": {"kind": "hang"}})
    proxy = serve(world)
    async with openai.AsyncOpenAI(base_url=proxy.base_url, api_key="anything", max_retries=0) as client:
        task = asyncio.create_task(client.chat.completions.create(**ASK))
        assert await asyncio.to_thread(world.sim.books.wait_for, 1, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    rows = await asyncio.to_thread(world.settled)
    assert [row["outcome"] for row in rows] == ["cancelled"]
    assert world.taken() == 1


def test_responses_messages_and_embeddings_pass_too(serve, world: World):
    """The other endpoints that bill are judged and streamed as well."""
    with _client(serve(world)) as client:
        events = list(client.responses.create(model=FREE, input="hello", stream=True))
        assert events[-1].type == "response.completed"
        with pytest.raises(openai.PermissionDeniedError):
            client.responses.create(model=PAID, input="hello")
        assert client.models.list().data
    assert [(row["endpoint"], row["outcome"]) for row in world.settled(2)] == [
        ("responses", "success"),
        ("responses", "refused"),
    ]


def test_openrouters_own_sdk(serve, world: World):
    """Its typed models accept what comes through, calls and streams, and its exceptions are its own."""
    import openrouter
    from openrouter import errors

    proxy = serve(world)
    with openrouter.OpenRouter(api_key="app:own-sdk", server_url=proxy.base_url) as sdk:
        answer = sdk.chat.send(**ASK)
        with sdk.chat.send(**ASK, stream=True) as stream:
            chunks = list(stream)
        with pytest.raises(errors.ForbiddenResponseError, match="Nothing was sent"):
            sdk.chat.send(model=PAID, messages=HELLO)
    assert answer.choices[0].message.content
    assert chunks[-1].usage is not None
    assert [(row["app"], row["outcome"]) for row in world.settled(3)] == [
        ("own-sdk", "success"),
        ("own-sdk", "success"),
        ("own-sdk", "refused"),
    ]


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_fetch_of_node(serve, worlds):
    """Plain `fetch` in another language: a call, a stream read to its end, an abort, and a refusal."""
    world = worlds({"match": {"path": "/chat/*", "nth": 3}, "do": {"kind": "hang", "after_chunks": 1}})
    proxy = serve(world)
    script = """
    const [url, free, paid] = process.argv.slice(1);
    const ask = (model, more = {}, options = {}) => fetch(url, { method: "POST", headers: { "content-type":
      "application/json", authorization: "Bearer app:node" }, ...options,
      body: JSON.stringify({ model, messages: [{ role: "user", content: "hi" }], ...more }) });
    const told = {};
    told.call = (await (await ask(free)).json()).choices[0].message.content.length > 0;
    told.stream = (await (await ask(free, { stream: true })).text()).trimEnd().endsWith("data: [DONE]");
    const stop = new AbortController();
    const answer = await ask(free, { stream: true }, { signal: stop.signal });
    await answer.body.getReader().read();
    stop.abort();
    told.refused = (await (await ask(paid)).json()).error.metadata.reason;
    console.log(JSON.stringify(told));
    """
    run = ["node", "--input-type=module", "-e", script, proxy.chat, FREE, PAID]
    told = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True).stdout
    assert json.loads(told) == {"call": True, "stream": True, "refused": "model_not_free"}
    rows = world.settled(4)
    assert sorted(row["outcome"] for row in rows) == ["cancelled", "refused", "success", "success"]
    assert {row["app"] for row in rows} == {"node"}
