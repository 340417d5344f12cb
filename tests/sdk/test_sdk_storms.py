"""SDKs that retry far too often, unpatched, behind the guard: how many attempts leave, and what their users read."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import openai
import openrouter
import pytest
from guard_kit import FREE, HELLO, KEY, World
from openrouter import errors
from openrouter.utils import BackoffStrategy, RetryConfig

from monitor.clock import FakeClock
from monitor.policy.storm import REFUSED_FROM, advice_for
from monitor.transport.course import Guard
from monitor.transport.with_httpx import AsyncGuardTransport, GuardTransport
from tests.fakes.builders import NOON

pytestmark = pytest.mark.sdk

ASK: dict[str, Any] = {"model": FREE, "messages": HELLO}
FAILING = {"do": {"kind": "503", "headers": {"retry-after-ms": "1"}}}
"""The header keeps the SDKs' own waits short."""
HOUR = 3_600_000


def guarded(world: World) -> httpx.Client:
    """An httpx client whose guard's waits cost no time."""
    guard = Guard("bot", world.settings(), clock=FakeClock(NOON))
    return httpx.Client(transport=GuardTransport(guard=guard), follow_redirects=True)


def test_the_openai_sdk_with_many_retries(worlds):
    """Set to fifty retries it sends seven attempts; the eighth is refused, and its user reads how to bound it."""
    world = worlds(FAILING)
    sdk = openai.OpenAI(base_url=world.sim.base_url, api_key=KEY, max_retries=50, http_client=guarded(world))
    with sdk, pytest.raises(openai.RateLimitError, match=r"OpenAI\(max_retries=1\)"):
        sdk.chat.completions.create(**ASK)
    assert world.sim.books.requests == REFUSED_FROM
    assert [row["attempt"] for row in world.rows()] == list(range(1, REFUSED_FROM + 2))
    assert len({row["call_id"] for row in world.rows()}) == 1
    assert world.outcomes()[-1] == "refused"


def test_a_loop_around_the_openai_sdk(worlds):
    """A loop that tries for ever, around an SDK with its default retries: seven attempts, whatever it does."""
    world = worlds(FAILING)
    with openai.OpenAI(base_url=world.sim.base_url, api_key=KEY, http_client=guarded(world)) as sdk:
        for _ in range(20):
            with pytest.raises(openai.APIStatusError):
                sdk.chat.completions.create(**ASK)
        assert world.sim.books.requests == REFUSED_FROM
        world.sim.faults.clear()
        assert sdk.chat.completions.create(**ASK, max_tokens=9).choices


def test_openrouters_sdk_that_retries_for_an_hour(worlds):
    """Its own loop of an hour ends after seven attempts with its own exception, which says how to bound it."""
    world = worlds(FAILING)
    hour = RetryConfig("backoff", BackoffStrategy(1, 1, 1.0, HOUR, jitter_ms=1), False)
    client = guarded(world)
    sdk = openrouter.OpenRouter(api_key=KEY, server_url=world.sim.base_url, client=client, retry_config=hour)
    with client, pytest.raises(errors.TooManyRequestsResponseError, match="retry_config"):
        sdk.chat.send(**ASK)
    assert world.sim.books.requests == REFUSED_FROM


def test_the_advice_for_openrouters_sdk_is_code_that_runs(worlds):
    """Configured as it says, the SDK gives up by itself when a second has gone by where the advice says twenty."""
    advice = advice_for("speakeasy-sdk/python openrouter")
    code = advice.partition("Bound it: ")[2].partition(", both from")[0].replace("20000", "0")
    world = worlds(FAILING)
    with guarded(world) as client:
        made = {"api_key": KEY, "server_url": world.sim.base_url, "client": client}
        names = {"RetryConfig": RetryConfig, "BackoffStrategy": BackoffStrategy}
        sdk = eval(code, {**names, "OpenRouter": lambda **given: openrouter.OpenRouter(**made, **given)})
        with pytest.raises(errors.ServiceUnavailableResponseError):
            sdk.chat.send(**ASK)
    assert world.sim.books.requests == 1


async def test_the_async_openai_sdk_beside_calls_that_are_well(worlds):
    """While one call's retries are slowed, others of the client are answered; when the upstream is back, so is it."""
    world = worlds({"match": {"times": 4}, **FAILING})
    transport = AsyncGuardTransport(app="bot", settings=world.settings())
    client = httpx.AsyncClient(transport=transport)
    async with (
        openai.AsyncOpenAI(base_url=world.sim.base_url, api_key=KEY, max_retries=9, http_client=client) as sdk,
        asyncio.timeout(20),
    ):
        slowed = asyncio.create_task(sdk.chat.completions.create(**ASK))
        while world.sim.books.requests < 4:  # the fourth takes the last fault with it, and the fifth is slowed
            await asyncio.sleep(0.001)
        assert (await sdk.chat.completions.create(**ASK, max_tokens=9)).choices
        assert not slowed.done()
        assert (await slowed).choices
    assert world.sim.books.requests == 6
