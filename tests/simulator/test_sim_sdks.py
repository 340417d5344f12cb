"""Real clients, unpatched, work on the simulator as they do on OpenRouter."""

from __future__ import annotations

import asyncio
import warnings

import httpx
import openai
import openrouter
import pytest
import requests
from openrouter import errors as openrouter_errors
from simulator_kit import DEAR, FREE, KEY

pytestmark = pytest.mark.sdk

SAY_HELLO = [{"role": "user", "content": "hello"}]
USE_TOOL = [{"role": "user", "content": "use the tool"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "", "parameters": SCHEMA}}]


@pytest.fixture
def openai_client(simulate):
    """A function that starts a simulator and gives an OpenAI client for it, with the simulator."""
    clients = []

    def start(**options):
        sim = simulate(**options).sim
        client = openai.OpenAI(base_url=sim.base_url, api_key=KEY, max_retries=0)
        clients.append(client)
        return client, sim

    yield start
    for client in clients:
        client.close()


@pytest.fixture
def openrouter_client(simulate):
    """The same with OpenRouter's own SDK, which would retry for an hour if it were let."""
    clients = []

    def start(**options):
        sim = simulate(**options).sim
        no_retries = openrouter.utils.RetryConfig("none", openrouter.utils.BackoffStrategy(1, 1, 1, 1), False)
        client = openrouter.OpenRouter(api_key=KEY, server_url=sim.base_url, retry_config=no_retries)
        clients.append(client.__enter__())
        return client, sim

    yield start
    for client in clients:
        client.__exit__(None, None, None)


def test_openai_chats(openai_client):
    """Chat, with the cost in the usage."""
    client, _ = openai_client()
    answer = client.chat.completions.create(model=FREE, messages=SAY_HELLO)
    assert answer.choices[0].message.content
    assert answer.usage.model_extra["cost"] == 0


def test_openai_streams(openai_client):
    """Stream: the pieces join to the answer; the last chunk has the usage."""
    client, _ = openai_client()
    chunks = list(client.chat.completions.create(model=FREE, messages=SAY_HELLO, stream=True))
    whole = client.chat.completions.create(model=FREE, messages=SAY_HELLO).choices[0].message.content
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == whole
    assert chunks[-1].usage.total_tokens > 0


def test_openai_calls_tools(openai_client):
    """A tool call, whole and accumulated from a stream."""
    client, _ = openai_client()
    message = client.chat.completions.create(model=FREE, messages=USE_TOOL, tools=TOOLS).choices[0].message
    assert message.tool_calls[0].function.arguments == '{"city":"Zürich"}'
    with client.chat.completions.stream(model=FREE, messages=USE_TOOL, tools=TOOLS) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.tool_calls[0].function.arguments == '{"city":"Zürich"}'


def test_openai_responses(openai_client):
    """The Responses API, whole, streamed, and with a tool."""
    client, _ = openai_client()
    whole = client.responses.create(model=FREE, input="hello")
    with client.responses.stream(model=FREE, input="hello") as stream:
        assert stream.get_final_response().output_text == whole.output_text != ""
    tool = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}
    with client.responses.stream(model=FREE, input="use the tool", tools=[tool]) as stream:
        item = stream.get_final_response().output[0]
    assert (item.type, item.name, item.arguments) == ("function_call", "weather", '{"city":"Zürich"}')


def test_openai_embeddings_and_models(openai_client):
    """Embeddings in the SDK's base64, and the list of models."""
    client, _ = openai_client()
    vectors = client.embeddings.create(model="nvidia/llama-nemotron-embed-vl-1b-v2:free", input=["a", "b"]).data
    assert vectors[0].embedding != vectors[1].embedding
    assert FREE in {model.id for model in client.models.list()}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("free_daily", openai.RateLimitError),
        ("key_limit_403", openai.PermissionDeniedError),
        ("credits_402", openai.APIStatusError),
        ("400", openai.BadRequestError),
        ("404_model", openai.NotFoundError),
        ("503", openai.InternalServerError),
        ("edge_html", openai.RateLimitError),
        ("close", openai.APIConnectionError),
    ],
)
def test_openai_raises_its_own_errors(openai_client, fault, error):
    """Each error of the platform becomes the SDK's own exception."""
    client, _ = openai_client(faults=[{"do": fault}])
    with pytest.raises(error):
        client.chat.completions.create(model=FREE, messages=SAY_HELLO)


def test_openai_sends_a_spent_quota_three_times(simulate):
    """With its default retries the SDK asks three times when the day is spent: the storm that a guard stops."""
    sim = simulate(per_day=0).sim
    client = openai.OpenAI(base_url=sim.base_url, api_key=KEY)
    with pytest.raises(openai.RateLimitError), client:
        client.chat.completions.create(model=FREE, messages=SAY_HELLO)
    assert sim.books.overshoots == 3
    assert [post.headers["x-stainless-retry-count"] for post in sim.books.posts] == ["0", "1", "2"]


def test_openai_raises_on_an_error_in_a_stream(openai_client):
    """An error chunk in a stream is an APIError."""
    client, _ = openai_client(faults=[{"do": "stream_error"}])
    stream = client.chat.completions.create(model=FREE, messages=SAY_HELLO, stream=True)
    with pytest.raises(openai.APIError, match="disconnected"):
        list(stream)


async def test_openai_async(simulate):
    """The asynchronous client, several at once; the books count each."""
    sim = simulate().sim
    async with openai.AsyncOpenAI(base_url=sim.base_url, api_key=KEY, max_retries=0) as client:
        calls = [client.chat.completions.create(model=FREE, messages=SAY_HELLO) for _ in range(8)]
        answers = await asyncio.gather(*calls)
    assert len({answer.id for answer in answers}) == sim.books.free_served == 8


def test_openrouter_chats_streams_and_calls_tools(openrouter_client):
    """The official SDK's own typed models accept every answer."""
    client, _ = openrouter_client()
    answer = client.chat.send(model=FREE, messages=SAY_HELLO)
    assert answer.usage.cost == 0
    with client.chat.send(model=FREE, messages=SAY_HELLO, stream=True) as stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text == answer.choices[0].message.content
    called = client.chat.send(model=DEAR, messages=USE_TOOL, tools=TOOLS)
    assert called.choices[0].message.tool_calls[0].function.name == "weather"
    assert called.usage.cost > 0


def test_openrouter_responses_embeddings_rerank(openrouter_client):
    """Its other inference endpoints are typed as well."""
    client, _ = openrouter_client()
    assert client.responses.send(model=FREE, input="hello").output
    with client.responses.send(model=FREE, input="hello", stream=True) as stream:
        assert [event.type for event in stream][-1] == "response.completed"
    embedded = client.embeddings.generate(model="openai/text-embedding-3-small", input="hello")
    assert embedded.usage.cost > 0
    assert client.rerank.rerank(model="cohere/rerank-4-fast", query="a", documents=["a", "b"]).results


def test_openrouter_reads_key_models_endpoints_and_generation(openrouter_client):
    """Every field that its typed models require of the reading endpoints is there."""
    client, _ = openrouter_client(key_limit_usd=1.0)
    answer = client.chat.send(model=DEAR, messages=SAY_HELLO, max_tokens=50)
    with warnings.catch_warnings():
        # The SDK warns of deprecated fields that the API still sends.
        warnings.simplefilter("ignore", DeprecationWarning)
        key = client.api_keys.get_current_key_metadata().data
    assert key.effective_budget.limit_usd == 1.0
    assert key.usage == answer.usage.cost
    assert client.generations.get_generation(id=answer.id).data.total_cost == answer.usage.cost
    assert client.models.count().data.count > 10
    listed = client.endpoints.list(author="openai", slug="gpt-5-mini").data
    assert listed.endpoints[0].provider_name


def test_openrouter_lists_models(openrouter_client):
    """The whole of our own catalogue passes the SDK's types."""
    client, _ = openrouter_client()
    page = client.models.list(output_modalities="all")
    rows = page.result.data if hasattr(page, "result") else page.data
    assert {"openrouter/free", "black-forest-labs/flux-3"} <= {row.id for row in rows}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("upstream_429", openrouter_errors.TooManyRequestsResponseError),
        ("free_minute", openrouter_errors.TooManyRequestsResponseError),
        ("credits_402", openrouter_errors.PaymentRequiredResponseError),
        ("key_limit_403", openrouter_errors.ForbiddenResponseError),
        ("404_model", openrouter_errors.NotFoundResponseError),
        ("529", openrouter_errors.ProviderOverloadedResponseError),
        ("edge_html", openrouter_errors.OpenRouterDefaultError),
        ("error_in_200", openrouter_errors.ResponseValidationError),
    ],
)
def test_openrouter_raises_its_own_errors(openrouter_client, fault, error):
    """Each error of the platform becomes the official SDK's typed exception."""
    client, _ = openrouter_client(faults=[{"do": fault}])
    with pytest.raises(error):
        client.chat.send(model=FREE, messages=SAY_HELLO)


def test_openrouter_yields_an_error_chunk(openrouter_client):
    """An error in a stream is yielded, not raised: who does not look at `chunk.error` misses it."""
    client, _ = openrouter_client(faults=[{"do": "stream_error"}])
    with client.chat.send(model=FREE, messages=SAY_HELLO, stream=True) as stream:
        chunks = list(stream)
    assert chunks[-1].error.code == 502


def test_requests_chats_and_streams(simulate):
    """`requests` reads whole answers and lines of a stream."""
    sim = simulate().sim
    body = {"model": FREE, "messages": SAY_HELLO}
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {KEY}"
        url = f"{sim.base_url}/chat/completions"
        assert session.post(url, json=body, timeout=5).json()["model"] == FREE
        with session.post(url, json={**body, "stream": True}, stream=True, timeout=5) as answer:
            lines = [line for line in answer.iter_lines() if line]
    assert lines[-1] == b"data: [DONE]"


async def test_httpx_async_streams(simulate):
    """httpx's asynchronous client reads a stream line by line."""
    sim = simulate().sim
    headers = {"Authorization": f"Bearer {KEY}"}
    body = {"model": FREE, "messages": SAY_HELLO, "stream": True}
    async with (
        httpx.AsyncClient(base_url=sim.base_url, headers=headers, verify=False) as client,
        client.stream("POST", "/chat/completions", json=body) as answer,
    ):
        lines = [line async for line in answer.aiter_lines() if line]
    assert lines[0] == ": OPENROUTER PROCESSING"
    assert lines[-1] == "data: [DONE]"
