"""Clients that mean harm, or do not know better: turned away, told why, and nothing of theirs reaches OpenRouter."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from guard_kit import FREE, KEY, World, chat, eventually
from wire_kit import ask, connect, get, hear, is_closed, post

from monitor.metrics.sheet import Sheet
from monitor.proxy import bodies
from monitor.serving import connection as serving
from monitor.serving import server
from monitor.simulator.server import Simulator
from monitor.transport.headers import _kept as names_kept
from tests.fakes.proxy import ServedProxy

BODY = json.dumps(chat()).encode()
LARGE = b"1388\r\n" + b"x" * 5000 + b"\r\n0\r\n\r\n"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServedProxy, World]]:
    """One for all that are turned away, since nothing that they do changes it."""
    with Simulator() as sim:
        world = World(sim, tmp_path_factory.mktemp("strict") / "monitor.db")
        with ServedProxy(world.settings(proxy={"max_body_bytes": 4096})) as proxy:
            yield proxy, world


@pytest.fixture
def proxy(serve, world: World) -> ServedProxy:
    """A proxy that allows little."""
    return serve(world, max_connections=16, proxy={"max_body_bytes": 4096})


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(post(BODY, "Transfer-Encoding: chunked"), 400, id="length and chunks"),
        pytest.param(post(BODY, f"Content-Length: {len(BODY) + 5}"), 400, id="two lengths"),
        pytest.param(post(BODY, "Transfer-Encoding: xchunked", length=False), 400, id="unknown transfer encoding"),
        pytest.param(post(BODY, "Content-Length: -1", length=False), 400, id="negative length"),
        pytest.param(post(BODY, "Content-Length : 10", length=False), 400, id="space before the colon"),
        pytest.param(post(BODY, "X-A: b\rX-C: d"), 400, id="bare carriage return"),
        pytest.param(post(BODY, " folded: yes"), 400, id="folded line"),
        pytest.param(post(b"zz\r\n", "Transfer-Encoding: chunked", length=False), 400, id="chunk of no size"),
        pytest.param(post(BODY, f"X-Long: {'x' * 40_000}"), 431, id="long header"),
        pytest.param(post(BODY, *(f"X-{i}: y" for i in range(500))), 431, id="many headers"),
        pytest.param(get(f"/api/v1/models?{'x' * 40_000}"), 431, id="long path"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 200, 400, id="TLS"),
        pytest.param(post(BODY, "Host: localhost"), 400, id="two hosts"),
        pytest.param(post(BODY, host="evil.example"), 403, id="rebound host"),
        pytest.param(post(BODY, "Origin: https://evil.example"), 403, id="page of elsewhere"),
        pytest.param(post(BODY, "Origin: null"), 403, id="page of nowhere"),
        pytest.param(post(BODY, kind="text/plain"), 415, id="text"),
        pytest.param(post(BODY, "Origin: http://localhost", kind="application/x-www-form-urlencoded"), 415, id="form"),
        pytest.param(post(BODY, kind="multipart/form-data; boundary=x"), 415, id="multipart"),
        pytest.param(post(b"x" * 5000), 413, id="large"),
        pytest.param(post(LARGE, "Transfer-Encoding: chunked", length=False), 413, id="large in chunks"),
        pytest.param(post(BODY, "Expect: tea"), 417, id="expectation"),
        pytest.param(get("/api/v1/models", method="DELETE"), 405, id="delete"),
        pytest.param(get("/api/v1/models", method="OPTIONS"), 405, id="options"),
        pytest.param(post(b"{}", path="/api/v1/keys"), 403, id="management"),
        pytest.param(post(BODY, path="/api/v1/nothing/known"), 403, id="unknown endpoint"),
        pytest.param(post(BODY, "X-HTTP-Method-Override: GET"), 403, id="overridden method"),
        pytest.param(get("/api/v1/../../keys"), 400, id="out of the API"),
        pytest.param(get("/api/v1/%2e%2e/%2E%2e/keys"), 400, id="out of it, encoded"),
        pytest.param(get("/api/v1/..%2f..%2fkeys"), 400, id="out of it by an encoded slash"),
        pytest.param(get("/api/v1/..;a/keys"), 400, id="out of it by a parameter"),
        pytest.param(get("http://evil.example/api/v1/models"), 404, id="absolute"),
        pytest.param(post(BODY, "X-Openrouter-Monitor-App: a b"), 400, id="app with a space"),
        pytest.param(post(BODY, f"X-Openrouter-Monitor-App: {'a' * 65}"), 400, id="long app"),
        pytest.param(post(BODY, "X-Odd: \xff"), 200, id="odd but fine"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_turned_away(strict, request_, status):
    """One clear answer each; OpenRouter sees none of them, and the key is in none."""
    proxy, world = strict
    before = world.sim.books.requests
    heard = ask(proxy, request_)
    assert heard.status == status
    assert KEY.encode() not in heard.raw
    assert world.sim.books.requests == before + (status == 200)


def test_what_strangers_send_is_not_kept(strict):
    """What is remembered of paths and names is short: a thousand long ones would fill the memory."""
    proxy, _ = strict
    long = "x" * 2000
    ask(proxy, get("/api/v1/models"))
    ask(proxy, post(BODY, kind="text/plain"))
    ways, names = proxy.proxy._known_way.cache_info().currsize, names_kept.cache_info().currsize
    assert ask(proxy, get(f"/api/v1/models?{long}", f"X-{long}: y")).status == 200
    assert ask(proxy, get(f"/api/v1/{long}")).status == 400
    assert ask(proxy, get("/api/v1/models", host=long)).status == 403
    assert ask(proxy, post(BODY, kind=f"text/{long}")).status == 415
    way = proxy.proxy._known_way
    assert (way.cache_info().currsize, names_kept.cache_info().currsize) == (ways, names)


def test_a_hidden_second_request_is_none(proxy, world):
    """What follows a request that is told its length in two ways is not taken for another one."""
    smuggled = post(BODY, "Transfer-Encoding: chunked") + post(BODY)
    with connect(proxy) as connection:
        connection.sendall(smuggled)
        assert hear(connection).status == 400
        assert is_closed(connection)
    assert world.sim.books.requests == 0


def test_two_requests_in_one_packet_are_two(proxy, world):
    """Pipelining is HTTP: answered in order, one after the other."""
    with connect(proxy) as connection:
        connection.sendall(post(BODY) + get("/api/v1/key"))
        first = hear(connection)
        assert first.status == 200
    assert world.settled()[0]["outcome"] == "success"


def test_a_head_that_drips_is_cut_off(proxy, monkeypatch):
    """Letter by letter a client holds its connection for as long as it is allowed, and no longer."""
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.0)
    monkeypatch.setattr(server, "LOOK_SECONDS", 3600.0)
    with connect(proxy) as slow, connect(proxy) as quick:
        slow.sendall(b"POST /api/v1/chat/comple")
        quick.sendall(post(BODY))
        assert hear(quick).status == 200

        async def look() -> None:
            proxy.connections.look()

        proxy.do(look)
        assert is_closed(slow)
        quick.sendall(post(BODY))  # between two requests a connection may rest
        assert hear(quick).status == 200


def test_a_body_that_drips_is_cut_off(proxy, world, monkeypatch):
    """Nobody waits for ever for the rest of a body."""
    monkeypatch.setattr(bodies, "HEAD_START_SECONDS", 0.01)
    with connect(proxy) as connection:
        connection.sendall(post(BODY)[:-20])
        heard = hear(connection)
        assert (heard.status, heard.error()["metadata"]["reason"]) == (408, "body_slow")
        assert is_closed(connection)
    assert world.sim.books.requests == 0


def test_one_connection_too_many_is_told_so(proxy):
    """Beyond the cap a client hears at once that it is full; when others leave, there is room."""
    held = [connect(proxy) for _ in range(16)]
    for connection in held:
        connection.sendall(get("/api/v1/key"))
        assert hear(connection).status == 200
    assert ask(proxy, get("/api/v1/key")).status == 503
    for connection in held:
        connection.close()

    async def gone() -> int:
        return len(proxy.connections)

    while proxy.do(gone):
        pass
    assert ask(proxy, get("/api/v1/key")).status == 200


def test_a_client_that_leaves_before_its_body_is_done_costs_nothing(proxy, world):
    """Nothing was asked yet, so nothing is on record."""
    with connect(proxy) as connection:
        connection.sendall(post(BODY)[:-5])
    assert ask(proxy, post(BODY)).status == 200
    assert len(world.settled()) == 1


def test_a_client_that_does_not_read_is_cut_off(serve, worlds, monkeypatch):
    """Who asks for a long answer and never takes it holds the upstream only for so long."""
    monkeypatch.setattr(serving, "WRITE_SECONDS", 0.0)
    world = worlds(chunks=20_000)
    proxy = serve(world)
    with connect(proxy) as connection:
        connection.sendall(post(json.dumps(chat(stream=True)).encode()))
        world.settled()
    assert world.rows()[0]["outcome"] in ("cancelled", "success")


def test_names_that_apps_give_themselves_are_few(proxy, world):
    """A million names would be a million rows in the store: beyond the first ones, all are `other`."""
    with connect(proxy) as connection:
        for number in range(70):
            connection.sendall(post(json.dumps({"model": "x"}).encode(), f"X-Openrouter-Monitor-App: app-{number}"))
            assert hear(connection).status == 403
    names = {row["app"] for row in world.settled(70)}
    assert (len(names), "other" in names) == (65, True)


def test_without_a_key_nothing_is_asked(serve, world):
    """The daemon says what it lacks, instead of passing on whatever the caller has."""
    proxy = serve(world, api_key=None)
    for request in (post(BODY, "Authorization: Bearer sk-or-v1-the-callers-own"), get("/api/v1/key")):
        heard = ask(proxy, request)
        assert (heard.status, heard.error()["metadata"]["reason"]) == (401, "no_key")
        assert "OPENROUTER_API_KEY" in heard.error()["message"]
    assert world.sim.books.requests == 0


def test_anthropics_endpoint_is_told_in_its_own_shape(proxy):
    """So that its SDK raises its own exception."""
    heard = ask(proxy, post(b"x" * 5000, path="/api/v1/messages"))
    told = json.loads(heard.body)
    assert (heard.status, told["type"], told["error"]["type"]) == (413, "error", "request_too_large")


def test_what_the_proxy_does_is_counted(proxy, world):
    """A scrape tells what was turned away and why, and what calls had to wait for the proxy itself."""
    ask(proxy, post(BODY, kind="text/plain"))
    ask(proxy, post(json.dumps(chat(FREE)).encode()))
    eventually(lambda: not proxy.proxy.figures.in_flight)  # the caller has its answer a moment before
    sheet = Sheet()
    proxy.proxy.figures.fill(sheet)
    told = {(s.name, *s.labels.values()): s.value for metric in sheet.metrics() for s in metric.samples}
    assert told["openrouter_monitor_proxy_turned_away_total", "type_not_json"] == 1
    assert told["openrouter_monitor_added_seconds_count",] == 1
    # The first call finds no catalogue: it asks, has it fetched, and asks again.
    assert told["openrouter_monitor_admission_seconds_count",] == 2
    assert told["openrouter_monitor_proxy_in_flight",] == told["openrouter_monitor_proxy_waiting",] == 0
