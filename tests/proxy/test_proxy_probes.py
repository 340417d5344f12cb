"""What an attacker would try, and what a broken upstream does: each once, with its one right end."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from guard_kit import KEY, PAID, World, chat
from hypothesis import given
from hypothesis import strategies as st
from upstream_kit import ANSWER, JSON, SSE, Reply, Upstream
from wire_kit import Heard, ask, connect, get, hear, is_closed, post

from monitor.config import Settings
from monitor.proxy.veil import Veil
from tests.fakes.proxy import ServedProxy

BODY = json.dumps(chat()).encode()
BAD = json.dumps(chat(PAID)).encode()
CHUNKED = "Transfer-Encoding: chunked"
ENDED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


def _calls(answer):
    return lambda seen: answer(seen) if seen.method == "POST" else None


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServedProxy, Upstream, World]]:
    with Upstream() as upstream:
        world = World(upstream, Path(tmp_path_factory.mktemp("probes")) / "monitor.db")  # type: ignore[arg-type]
        with ServedProxy(world.settings(guard={"max_price": False})) as proxy:
            yield proxy, upstream, world


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(post(BODY).replace(b"\r\n", b"\n"), 400, id="bare line feeds"),
        pytest.param(post(ENDED.replace(b"\r\n", b"\n"), CHUNKED, length=False), 400, id="bare feeds in chunks"),
        pytest.param(post(ENDED, "Transfer-Encoding: identity", CHUNKED, length=False), 400, id="two encodings"),
        pytest.param(post(ENDED, f"{CHUNKED}, identity", length=False), 400, id="chunked is not the last"),
        pytest.param(post(b"-1\r\n", CHUNKED, length=False), 400, id="negative chunk"),
        pytest.param(post(b"0x" + ENDED, CHUNKED, length=False), 400, id="chunk with a prefix"),
        pytest.param(post(BODY, f"Content-Length: +{len(BODY)}", length=False), 400, id="length with a sign"),
        pytest.param(post(BODY, f"Content-Length: {len(BODY)}, {len(BODY)}", length=False), 400, id="list of lengths"),
        pytest.param(post(BODY, f"Content-Length: {len(BODY)}"), 400, id="the same length twice"),
        pytest.param(post(BODY, "X A: b"), 400, id="space in a name"),
        pytest.param(post(BODY, ": b"), 400, id="no name"),
        pytest.param(post(BODY, "X-A: a\x00b"), 400, id="zero byte"),
        pytest.param(b"GET /api/v1/key HTTP/1.1\r\n\r\n", 400, id="no host"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="HTTP/2"),
        pytest.param(b"CONNECT openrouter.ai:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, id="connect"),
        pytest.param(b"CONNECT /api/v1/key HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, id="connect to a path"),
        pytest.param(post(BODY, path="//api/v1/chat/completions"), 404, id="host in the path"),
        pytest.param(post(BODY, path="/API/v1/chat/completions"), 404, id="upper case"),
        *(
            pytest.param(post(BODY, path=f"/api/v1/{path}"), 403, id=path)
            for path in ("%63hat/completions", "chat%2fcompletions", "chat/completions;x", "CHAT/completions")
        ),
        pytest.param(post(BAD, path="/api/v1//chat/completions"), 403, id="two slashes are judged"),
        pytest.param(post(BAD, path="/api/v1/chat/completions/"), 403, id="a slash at the end is judged"),
        pytest.param(get("/api/v1/key", "X-HTTP-Method-Override: DELETE"), 405, id="a GET that deletes"),
        pytest.param(get("/api/v1/key", "X-Method-Override: POST", method="HEAD"), 405, id="a HEAD that posts"),
        pytest.param(post(gzip.compress(BAD), "Content-Encoding: gzip", "Content-Encoding: identity"), 403, id="gzip?"),
        pytest.param(post(gzip.compress(BAD), "Content-Encoding: gzip", "Connection: content-encoding"), 403, id="hop"),
        pytest.param(post(gzip.compress(b" " * (65 << 20)), "Content-Encoding: gzip"), 403, id="bomb"),
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_turned_away(shared, request_, status):
    """One answer each; OpenRouter sees none of them."""
    proxy, upstream, _ = shared
    before = len(upstream.posts)
    assert ask(proxy, request_).status == status
    assert len(upstream.posts) == before
    assert not any("method" in name.lower() for seen in upstream.seen for name, _ in seen.headers)


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8377", 200), ("localhost.", 200), ("LOCALHOST", 200), ("[::1]:8377", 200), ("127.0.0.1:", 200),
     ("::1", 403), ("localhost@evil.example", 403), ("127.0.0.1.evil.example", 403), ("evil.localhost", 403),
     ("2130706433", 403), ("0.0.0.0", 403), ("", 403), ("localhost:80:80", 403), ("127.1", 403), ("[fe80::1]", 403),
     ("localhost, evil.example", 403)],
)  # fmt: skip
def test_only_this_machines_own_names_are_its_own(shared, host, status):
    """With a port, a dot at the end, in any case; not what only looks like one of them."""
    assert ask(shared[0], get("/api/v1/key", host=host)).status == status


def test_chunk_extensions_and_trailers_stay_here(shared):
    """They are HTTP, and no part of what is judged or sent on."""
    proxy, upstream, _ = shared
    body = b'%x;a=b;c="d"\r\n%b\r\n0\r\nAuthorization: Bearer forged\r\nX-Trail: 1\r\n\r\n' % (len(BODY), BODY)
    assert ask(proxy, post(body, CHUNKED, length=False)).status == 200
    seen = upstream.posts[-1]
    assert (seen.body, seen.header("authorization"), seen.header("x-trail")) == (BODY, [f"Bearer {KEY}"], [])


def test_no_upgrade_passes(shared):
    """No WebSocket and no HTTP/2 can be opened through it: the wish stays here, the answer is the plain one."""
    proxy, upstream, _ = shared
    wish = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA==")
    assert ask(proxy, get("/api/v1/key", *wish)).status == 200
    assert (upstream.seen[-1].header("upgrade"), upstream.seen[-1].header("connection")) == ([], [])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_key_that_the_upstream_echoes_is_not_handed_on(before, stream):
    """In a header, in the body, and cut in two between chunks; the books and kept bodies do not have it either."""

    def echo(seen):
        shown = seen.header("authorization")[0].encode()
        if not stream:
            return Reply(401, (*JSON, ("X-Echo", shown.decode())), [b'{"error": {"message": "no: %b"}}' % shown])
        parts = [b"data: " + shown[:20], shown[20:] + b"\n\n"]
        return Reply(200, (*SSE, ("X-Echo", shown.decode())), parts, chunked=True)

    proxy, _, world = before(_calls(echo), guard={"log_bodies": True})
    heard = ask(proxy, post(json.dumps(chat(stream=stream)).encode()))
    assert heard.all("x-echo") == ["Bearer " + "*" * len(KEY)]
    assert b"*" * len(KEY) in (_unchunked(heard.body) if stream else heard.body)
    assert KEY.encode() not in heard.raw
    assert KEY[-12:].encode() not in heard.raw
    world.settled()
    for file in world.path.parent.glob("monitor.db*"):
        assert KEY.encode() not in file.read_bytes()


def _unchunked(raw: bytes) -> bytes:
    body = b""
    while size := int(raw.partition(b"\r\n")[0], 16):
        raw = raw.partition(b"\r\n")[2]
        body, raw = body + raw[:size], raw[size + 2 :]
    return body


@given(
    st.lists(st.sampled_from([b"k3y-k3y-of-16-ch", b"k3y-", b"k3y-k3y-of", b"-16-ch", b"xyz", b"k"]), max_size=8),
    st.lists(st.integers(1, 9)),
)
def test_a_veil_changes_nothing_but_the_key_however_it_is_cut(parts, cuts):
    """Chunk by chunk as in one piece, and of the same length."""
    key, whole = b"k3y-k3y-of-16-ch", b"".join(parts)
    veil, got, left = Veil(key), [], whole
    take = veil.before(got.append)
    for cut in [*cuts, len(whole)]:
        if left:
            take(left[:cut])
            left = left[cut:]
    got.append(veil.rest())
    assert b"".join(got) == Veil(key).over(whole) == whole.replace(key, b"*" * len(key))


def test_a_second_request_waits_for_the_first_ones_stream(before):
    """Sent while the first still streams, it is answered after it, over the same connection, each on record once."""
    go, started = threading.Event(), threading.Event()

    def events():
        yield b'data: {"id":"gen-1","choices":[]}\n\n'
        started.set()
        assert go.wait(30)
        yield b"data: [DONE]\n\n"

    def answer(seen):
        return Reply(200, SSE, events(), chunked=True) if b"stream" in seen.body else Reply()

    proxy, upstream, world = before(_calls(answer))
    with connect(proxy) as connection:
        connection.sendall(post(json.dumps(chat(stream=True)).encode()))
        assert started.wait(30)
        connection.sendall(post(BODY))
        go.set()
        raw = b""
        while not raw.endswith(json.dumps(ANSWER).encode()):
            more = connection.recv(65536)
            assert more, raw
            raw += more
    first, _, second = raw.partition(b"0\r\n\r\n")
    assert (Heard(first).status, Heard(second).status) == (200, 200)
    assert first.endswith(b"data: [DONE]\n\n\r\n")
    assert [row["outcome"] for row in world.settled(2)] == ["success", "success"]
    assert len(upstream.posts) == 2


def test_an_answer_that_promises_more_than_it_has_is_cut(before):
    """A length that is not kept: the caller sees the connection end before it, and the row says so."""
    proxy, _, world = before(_calls(lambda seen: Reply(200, JSON, [b"x" * 70_000], cut=True)))
    with connect(proxy) as connection:
        connection.sendall(post(BODY))
        heard = hear(connection)
        assert is_closed(connection)
    assert heard.all("content-length") == ["1000000"]
    assert len(heard.body) < 1_000_000
    assert [row["outcome"] for row in world.settled()] == ["network_error"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: appl",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 2",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
    ids=["mid-header", "only an interim answer", "mid-status", "an upgrade that nobody asked for"],
)
def test_an_answer_that_ends_before_it_begins_is_a_clean_error(tmp_path, answer):
    """The connection closes in the midst of its head: a 502, one network error in the books, and the quota is gone."""
    with socket.create_server(("127.0.0.1", 0)) as listening, Upstream() as polls:
        calls = World(polls, tmp_path / "monitor.db")  # type: ignore[arg-type]
        with ServedProxy(calls.settings()) as proxy:
            assert ask(proxy, post(BODY)).status == 200  # the catalogue is there

            async def elsewhere() -> None:
                proxy.proxy._upstream._port = listening.getsockname()[1]
                while proxy.proxy._upstream._idle:
                    proxy.proxy._upstream._idle.pop().close()

            def serve() -> None:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

            proxy.do(elsewhere)
            thread = threading.Thread(target=serve)
            thread.start()
            heard = ask(proxy, post(BODY))
            thread.join()
            assert (heard.status, heard.error()["metadata"]["reason"]) == (502, "upstream_broken")
            assert [row["outcome"] for row in calls.settled(2)] == ["success", "network_error"]
            assert calls.taken() == 2


def test_interim_answers_and_trailers_of_the_upstream_stay_there(tmp_path):
    """`103 Early Hints` and fields after the last chunk are not handed on; the answer between them is."""
    raw = (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\nTrailer: X-Late\r\n\r\n2\r\n{}\r\n0\r\nX-Late: 1\r\n\r\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        world = World(None, tmp_path / "monitor.db")  # type: ignore[arg-type]
        port = listening.getsockname()[1]
        settings = Settings.build(
            {"store": str(world.path), "base_url": f"http://127.0.0.1:{port}/api/v1", "api_key": KEY}
        )

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(raw)

        thread = threading.Thread(target=serve)
        thread.start()
        with ServedProxy(settings) as proxy:
            heard = ask(proxy, get("/api/v1/key"))
        thread.join()
    assert heard.raw.count(b"HTTP/1.1") == 1
    assert (heard.status, heard.body) == (200, b"2\r\n{}\r\n0\r\n\r\n")
    assert not heard.all("link")
    assert b"x-late" not in heard.raw.lower()
