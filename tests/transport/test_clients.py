"""The guard put into clients that people have: what they set up stays, and what is not ours passes."""

from __future__ import annotations

import asyncio
import inspect
import ssl
from typing import Any

import httpx
import httpx2
import pytest
import requests
from guard_kit import FREE, PAID, REASON_HEADER, bearer, chat, error_of
from upstream_kit import ANSWER, CATALOGUE, Reply, Seen, Upstream

import monitor
from monitor import ConfigError, Settings, guard_client, guarded_async_client, guarded_client
from monitor.transport.with_httpx import AsyncGuardTransport, GuardTransport

OPENROUTER = "https://openrouter.ai/api/v1"


@pytest.fixture(params=[httpx, httpx2], ids=lambda library: library.__name__)
def library(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings.build({"store": str(tmp_path / "store.db")})


@pytest.fixture
def no_proxies(monkeypatch) -> None:
    """Nothing of the machine's own proxies."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def _is_guard(transport: Any) -> bool:
    return type(transport).__name__ in ("GuardTransport", "AsyncGuardTransport")


# ---- what stays ----


@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
async def test_tls_timeouts_and_limits_stay(library, settings, kind, no_proxies):
    """The client is the one that was given, with its TLS context, timeout, limits and hooks."""
    context = ssl.create_default_context()
    limits = library.Limits(max_connections=7, max_keepalive_connections=3)
    client = getattr(library, kind)(verify=context, timeout=library.Timeout(33, connect=4), limits=limits)
    assert guard_client(client, "app", settings) is client
    assert _is_guard(client._transport)
    pool = client._transport.next_transport._pool
    assert pool._ssl_context is context
    assert (pool._max_connections, pool._max_keepalive_connections) == (7, 3)
    assert (client.timeout.read, client.timeout.connect) == (33, 4)
    if kind == "Client":
        client.close()
    else:
        await client.aclose()


def test_options_of_guarded_client_are_httpxs_own(settings, no_proxies):
    """`guarded_client` takes what `httpx.Client` takes; it and its asynchronous twin are httpx's own classes."""
    with guarded_client("app", settings, timeout=9, headers={"X-A": "b"}, base_url="http://host/") as client:
        assert type(client) is httpx.Client
        assert (client.timeout.read, client.headers["x-a"], str(client.base_url)) == (9, "b", "http://host/")
    assert type(guarded_async_client("app", settings)) is httpx.AsyncClient
    with pytest.raises(TypeError):
        guarded_client("app", settings, no_such_option=1)


@pytest.mark.parametrize("how", ["environment", "option"])
def test_proxies_stay_and_are_guarded(library, settings, no_proxies, monkeypatch, how):
    """Calls go by the proxy that the client had, judged before they do; what needs no proxy is judged as well."""
    forward = Reply(parts=[CATALOGUE])

    def answer(seen: Seen) -> Reply | None:
        return forward if seen.method == "GET" and "/models" in seen.path else None

    base_url = "http://openrouter.test/api/v1"
    config = settings.with_changes(base_url=base_url)
    with Upstream(answer) as proxy:
        address = f"http://127.0.0.1:{proxy.port}"
        if how == "environment":
            monkeypatch.setenv("HTTP_PROXY", address)
            monkeypatch.setenv("NO_PROXY", "direct.test")
        options = {"proxy": address} if how == "option" else {}
        with guard_client(library.Client(headers=bearer(), **options), "app", config) as client:
            mounted = [transport for transport in client._mounts.values() if transport is not None]
            assert mounted
            assert all(_is_guard(transport) for transport in (client._transport, *mounted))
            assert len(client._mounts) > len(mounted) or how == "option"
            assert client.post(f"{base_url}/chat/completions", json=chat()).status_code == 200
            assert client.post(f"{base_url}/chat/completions", json=chat(PAID)).headers[REASON_HEADER]
    assert [seen.path for seen in proxy.posts] == [f"{base_url}/chat/completions"]


def test_guarding_twice_is_guarding_once(library, settings, no_proxies, monkeypatch):
    """A guarded client is returned as it is."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with guard_client(library.Client(), "app", settings) as client:
        before = (client._transport, dict(client._mounts))
        assert guard_client(client, "other", settings) is client
        assert (client._transport, dict(client._mounts)) == before
        assert not _is_guard(client._transport.next_transport)


@pytest.mark.parametrize("thing", [None, object(), "client", httpx.HTTPTransport, httpx.Client, requests, 7])
def test_what_cannot_be_guarded_is_an_error_that_helps(settings, thing):
    """Anything but a client is a ConfigError that names it and says what would do."""
    with pytest.raises(ConfigError, match="cannot guard") as caught:
        guard_client(thing, "app", settings)
    assert "requests.Session" in caught.value.hint


def test_the_private_names_that_the_guard_relies_on_are_there(library, no_proxies):
    """Both libraries keep their transports as `_transport` and `_mounts`, and choose between them by URL."""
    for kind in (library.Client, library.AsyncClient):
        assert {"_transport", "_mounts"} <= set(vars(kind(mounts={"http://x": None})))
        assert "_mounts" in inspect.getsource(kind._transport_for_url)


# ---- what passes ----


def test_other_hosts_pass_untouched_and_unlogged(library, world):
    """GETs and POSTs to somebody else are neither judged nor recorded, whatever they hold."""
    with Upstream() as elsewhere, guard_client(library.Client(), "app", world.settings()) as client:
        url = f"http://127.0.0.1:{elsewhere.port}"
        assert client.get(f"{url}/anything?a=b").status_code == 200
        assert client.post(f"{url}/api/items", content=b"\x00{not json").status_code == 200
        assert client.put(f"{url}/api/items", content=b"x").status_code == 200
    assert [seen.body for seen in elsewhere.seen] == [b"", b"\x00{not json", b"x"]
    assert not world.path.exists()


def test_reading_openrouter_passes_and_is_not_a_call(library, world):
    """GETs of models, key and generations go through and are not on record."""
    with guard_client(library.Client(headers=bearer()), "app", world.settings()) as client:
        for path in ("/models", "/key", f"/models/{FREE}/endpoints"):
            assert client.get(f"{world.sim.base_url}{path}").status_code == 200
    assert not world.path.exists()


def test_one_upstreams_catalogue_does_not_vouch_for_another(library, worlds):
    """A model that is free at `base_url` and bills at another address is not called there; at home it is served."""
    home, away = worlds(), worlds()
    away.sim.catalogue.update(FREE, pricing={"prompt": "0.001"})
    with guard_client(library.Client(headers=bearer()), "app", home.settings()) as client:
        assert client.post(home.url, json=chat()).status_code == 200
        answer = client.post(away.url, json=chat())
        by_name = client.post(home.url, json=chat(), headers={"Host": "openrouter.ai"})
    assert {each.headers[REASON_HEADER] for each in (answer, by_name)} == {"endpoint_unknown"}
    error = error_of(answer)
    assert "base_url" in error["metadata"]["hint"]
    assert home.sim.base_url in error["message"]
    assert (home.sim.books.requests, away.sim.books.requests) == (1, 0)
    assert [row["endpoint"] for row in home.rows()] == ["chat"] * 3


@pytest.mark.parametrize("mode", ["shadow", "off"])
def test_what_passes_unenforced_is_no_free_call_elsewhere(library, worlds, mode):
    """Where the guard does not enforce, the row of such a call says that its price is not known, until it is."""
    home, away = worlds(), worlds({"do": {"kind": "status", "status": 500}})
    with guard_client(library.Client(headers=bearer()), "app", home.settings(guard={"mode": mode})) as client:
        client.post(home.url, json=chat())
        assert client.post(away.url, json=chat()).status_code == 500
    assert [row["tier"] for row in home.rows()][1] == "unknown"
    assert home.rows()[1]["reason"] == ("endpoint_unknown" if mode == "shadow" else None)


@pytest.mark.parametrize("path", ["/new/endpoint", "/chat/completions/batch", "/../admin", "/%63hat/completions"])
def test_a_post_that_nobody_knows_is_refused(library, world, path):
    """A POST to an endpoint of OpenRouter's that the guard cannot judge does not leave."""
    with guard_client(library.Client(headers=bearer()), "app", world.settings()) as client:
        answer = client.post(f"{world.sim.base_url}{path}", json=chat())
    assert answer.headers[REASON_HEADER] == "endpoint_unknown"
    assert world.refused_once()["reason"] == "endpoint_unknown"


# ---- other transports behind the guard ----


def _respond(library: Any, request: Any) -> Any:
    if request.method == "GET":
        return library.Response(200, content=CATALOGUE)
    return library.Response(200, json=ANSWER)


def test_a_mock_transport_is_a_next_transport(library, world):
    """Answers that come with their bodies read, as from a mock or a cache, are booked with their usage."""
    mock = library.MockTransport(lambda request: _respond(library, request))
    settings = world.settings(base_url=OPENROUTER)
    with guard_client(library.Client(transport=mock, headers=bearer()), "app", settings) as client:
        assert client.post(f"{OPENROUTER}/chat/completions", json=chat()).json() == ANSWER
        assert client.post(f"{OPENROUTER}/chat/completions", json=chat(PAID)).status_code == 403
    rows = world.rows()
    assert [row["outcome"] for row in rows] == ["success", "refused"]
    assert rows[0]["completion_tokens"] == 2


async def test_an_asynchronous_mock_transport_is_one_too(library, world):
    """The same for the asynchronous client."""
    mock = library.MockTransport(lambda request: _respond(library, request))
    settings = world.settings(base_url=OPENROUTER)
    async with guard_client(library.AsyncClient(transport=mock, headers=bearer()), "app", settings) as client:
        assert (await client.post(f"{OPENROUTER}/chat/completions", json=chat())).json() == ANSWER
    assert (world.row()["outcome"], world.row()["completion_tokens"]) == ("success", 2)


def test_the_transports_stand_alone(world):
    """`GuardTransport(next_transport, app, settings)` guards a client that is built around it."""
    inner = httpx.HTTPTransport()
    transport = GuardTransport(inner, "alone", world.settings())
    assert transport.next_transport is inner
    with httpx.Client(transport=transport, headers=bearer()) as client:
        assert client.post(world.url, json=chat()).status_code == 200
        refused = client.post(world.url, json=chat(PAID))
    assert error_of(refused)["metadata"]["model"] == PAID
    assert {row["app"] for row in world.rows()} == {"alone"}
    with pytest.raises(ConfigError, match="app"):
        GuardTransport(inner, "no app\nname", world.settings())


async def test_the_asynchronous_transport_stands_alone(world):
    """The same for `AsyncGuardTransport`, twenty at once."""
    transport = AsyncGuardTransport(app="alone", settings=world.settings())
    async with httpx.AsyncClient(transport=transport, headers=bearer()) as client:
        answers = await asyncio.gather(*(client.post(world.url, json=chat()) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert world.outcomes() == ["success"] * 20


def test_routes_beside_a_guard_are_guarded_too(library, world):
    """A client made with the guard as its transport and a proxy or mount beside it has no way around the guard."""
    settings = world.settings()
    transport = monitor.guard_client(library.Client(), "app", settings)._transport
    client = library.Client(transport=transport, mounts={"http://": library.HTTPTransport()}, headers=bearer())
    with guard_client(client, "app", settings):
        assert client.post(world.url, json=chat(PAID)).status_code == 403
        assert all(mounted.guard is transport.guard for mounted in client._mounts.values())
    world.refused_once()


@pytest.mark.parametrize("path", ["/keys", "/chat/completions"])
@pytest.mark.parametrize("target", [b"/api/v1/chat/completions", b"http://elsewhere.test/api/v1/chat/completions"])
def test_what_stands_on_the_first_line_is_judged(library, world, path, target):
    """The extension `target` of httpx replaces the URL's path: the guard judges what is sent."""
    with guard_client(library.Client(headers=bearer()), "app", world.settings()) as client:
        answer = client.post(f"{world.sim.base_url}{path}", json=chat(PAID), extensions={"target": target})
    known = target.startswith(b"/")
    assert answer.headers[REASON_HEADER] == ("model_not_free" if known else "endpoint_unknown")
    world.refused_once()


def test_two_clients_share_one_account(library, world):
    """Clients with the same store are one account: what one used, the other has not."""
    settings = world.settings(quota={"per_minute": 3})
    with (
        guard_client(library.Client(headers=bearer()), "one", settings) as one,
        guard_client(library.Client(headers=bearer()), "two", settings) as two,
    ):
        statuses = [client.post(world.url, json=chat()).status_code for client in (one, two, one, two, one)]
    assert statuses == [200, 200, 200, 429, 429]
    assert [row["app"] for row in world.rows()] == ["one", "two", "one", "two", "one"]


def test_a_stream_outlives_its_client(library, worlds):
    """An answer that is read after its client was closed by mistake still settles."""
    world = worlds({"do": {"kind": "hang", "after_chunks": 1}})
    client = guard_client(library.Client(headers=bearer()), "app", world.settings())
    answer = client.send(client.build_request("POST", world.url, json=chat(stream=True)), stream=True)
    chunks = answer.iter_raw()
    next(chunks)
    client.close()
    answer.close()
    assert world.row()["outcome"] in ("cancelled", "network_error")


def test_public_names_are_there():
    """Every public name can be imported from the root, and nothing is imported before it is used."""
    for name in monitor.__all__:
        assert getattr(monitor, name) is not None
    with pytest.raises(AttributeError):
        monitor.no_such_name  # noqa: B018
