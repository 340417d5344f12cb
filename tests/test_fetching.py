"""How the daemon fetches: bounded in time and size, to the address it was given, and never after its end."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import certifi
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from monitor import fetching
from monitor.fetching import LoopFetch, ssl_context
from monitor.proxy.upstream import Upstream
from monitor.refresh import Fetched
from monitor.version import __version__

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def upstream() -> AsyncIterator[Callable[[Handler], Awaitable[tuple[LoopFetch, str]]]]:
    """Serves one handler at any path; gives a way to fetch and the address."""
    async with AsyncExitStack() as stack:

        async def serve(handler: Handler) -> tuple[LoopFetch, str]:
            app = web.Application()
            app.router.add_get("/{any:.*}", handler)
            server = TestServer(app)
            await server.start_server()
            stack.push_async_callback(server.close)
            url = str(server.make_url("/api/v1"))
            client = await stack.enter_async_context(Upstream(url, None))
            return LoopFetch(client, asyncio.get_running_loop()), f"{url}/models"

        yield serve


async def test_an_answer_is_fetched_from_a_thread(upstream):
    """Status and decoded body, asked for under our own name with the headers that were given."""
    seen: dict[str, str] = {}

    async def answer(request: web.Request) -> web.Response:
        seen.update({name.lower(): value for name, value in request.headers.items()})
        made = web.Response(status=418, text="a body " * 100)
        made.enable_compression(web.ContentCoding.gzip)
        return made

    fetch, url = await upstream(answer)
    assert await asyncio.to_thread(fetch, url, {"accept": "application/json"}) == Fetched(418, b"a body " * 100)
    assert seen["user-agent"] == f"openrouter-monitor/{__version__}"
    assert seen["accept"] == "application/json"


@pytest.mark.parametrize(("headers", "told"), [({}, 1_789_992_000.5), ({"Age": "3"}, None)])
async def test_an_answer_tells_when_it_was_made(upstream, headers, told):
    """By the server's clock, unless it comes out of a cache."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(headers={"Date": "Mon, 21 Sep 2026 12:00:00 GMT", **headers})

    fetch, url = await upstream(answer)
    assert (await asyncio.to_thread(fetch, url, {})).sent_at == told


async def test_a_redirect_is_not_followed(upstream):
    """The key goes to the address that the settings name, and to no other."""

    async def away(request: web.Request) -> web.Response:
        raise web.HTTPFound("http://127.0.0.1:1/elsewhere")

    fetch, url = await upstream(away)
    assert (await asyncio.to_thread(fetch, url, {})).status == 302


async def test_an_answer_without_end_is_given_up(upstream, monkeypatch):
    """What is larger than any catalogue fills no memory."""

    async def endless(request: web.Request) -> web.StreamResponse:
        made = web.StreamResponse()
        await made.prepare(request)
        while True:
            await made.write(b"x" * 65536)

    monkeypatch.setattr(fetching, "ANSWER_LIMIT", 1_000_000)
    fetch, url = await upstream(endless)
    with pytest.raises(ValueError, match="larger"):
        await asyncio.to_thread(fetch, url, {})


async def test_an_answer_that_drips_is_given_up(upstream, monkeypatch):
    """The time is that of the whole answer: one byte now and then does not hold a poll for ever."""
    released = asyncio.Event()

    async def dripping(request: web.Request) -> web.StreamResponse:
        made = web.StreamResponse()
        await made.prepare(request)
        while not released.is_set():
            await made.write(b"x")
            await asyncio.sleep(0.005)
        return made

    monkeypatch.setattr(fetching, "TIMEOUT_SECONDS", 0.05)
    fetch, url = await upstream(dripping)
    with pytest.raises(TimeoutError):
        await asyncio.to_thread(fetch, url, {})
    released.set()


async def test_stopping_ends_what_is_under_way(upstream):
    """A poll that waits for an answer hears of the end at once, as a failure; after it nothing is asked."""
    asked, never = asyncio.Event(), asyncio.Event()

    async def silent(request: web.Request) -> web.Response:
        asked.set()
        await never.wait()
        return web.Response()

    fetch, url = await upstream(silent)
    waiting = asyncio.create_task(asyncio.to_thread(fetch, url, {}))
    await asked.wait()
    fetch.stop()
    with pytest.raises(ConnectionAbortedError):
        await waiting
    asked.clear()
    with pytest.raises(ConnectionAbortedError):
        await asyncio.to_thread(fetch, url, {})
    assert not asked.is_set()
    never.set()


@pytest.mark.parametrize(
    ("packed", "why"),
    [
        (gzip.compress(b"x" * 100)[:-9], "ends before"),
        (b"no gzip", "unpacked"),
        (gzip.compress(b"x" * 2_000_000), "larger"),
        (b"", "ends before"),
    ],
    ids=["cut", "none", "a bomb", "empty"],
)
async def test_what_cannot_be_unpacked_is_an_error(upstream, monkeypatch, packed, why):
    """Half an answer, or one that fills the memory, is none."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    monkeypatch.setattr(fetching, "ANSWER_LIMIT", 1_000_000)
    fetch, url = await upstream(answer)
    with pytest.raises(ValueError, match=why):
        await asyncio.to_thread(fetch, url, {})


async def test_nobody_else_is_asked(upstream):
    """What is fetched is at the upstream that the settings name; the key goes nowhere else."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response()

    fetch, _ = await upstream(answer)
    with pytest.raises(ValueError, match="upstream"):
        await asyncio.to_thread(fetch, "http://127.0.0.1:1/api/v1/models", {})


def test_polls_trust_what_calls_trust(monkeypatch, tmp_path):
    """The list of certifi, or the one that SSL_CERT_FILE names, as httpx does."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    many = len(ssl_context().get_ca_certs())
    assert many > 50
    first = tmp_path / "one.pem"
    text = certifi.contents()
    end = "-----END CERTIFICATE-----\n"
    first.write_text(text[: text.index(end) + len(end)], encoding="utf-8")
    monkeypatch.setenv("SSL_CERT_FILE", str(first))
    context = ssl_context()
    assert len(context.get_ca_certs()) == 1
    assert context.verify_mode is ssl.CERT_REQUIRED
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert ssl_context().get_ca_certs() == []
