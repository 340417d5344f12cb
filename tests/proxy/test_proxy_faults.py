"""When the upstream fails, or the caller goes: one clear end for the caller, and one right row in the books."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator

import pytest
from guard_kit import PAID, World, chat, eventually
from upstream_kit import ANSWER, JSON, SSE, Reply
from wire_kit import ask, connect, get, hear, is_closed, post

from monitor.proxy import upstream as upstream_module
from monitor.transport.watch import Watch

STREAM = json.dumps(chat(stream=True)).encode()
EVENT = b'data: {"id":"gen-1","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'

LAST_OF_ITS_CONNECTION = (*JSON, ("Connection", "close"))


def _calls(answer):
    return lambda seen: answer(seen) if seen.method == "POST" else None


def test_an_upstream_that_is_not_there_costs_nothing(before):
    """Nothing was sent: a clean 502, the row says so, and the quota is given back."""
    proxy, upstream, world = before(_calls(lambda seen: Reply(headers=LAST_OF_ITS_CONNECTION)))
    assert ask(proxy, post()).status == 200
    upstream.__exit__()
    heard = ask(proxy, post())
    assert (heard.status, heard.error()["metadata"]["reason"]) == (502, "upstream_unreachable")
    assert not heard.all("x-should-retry")
    assert [row["outcome"] for row in world.settled(2)] == ["success", "network_error"]
    assert world.taken() == 1


@pytest.mark.parametrize("body", [chat(), chat(stream=True)], ids=["call", "stream"])
def test_an_upstream_that_hangs_up_before_an_answer(serve, worlds, body):
    """It may have counted and billed: a 502 for the caller, a network error in the books, and the quota is gone."""
    world = worlds({"do": "close"})
    heard = ask(serve(world), post(json.dumps(body).encode()))
    assert (heard.status, heard.error()["metadata"]["reason"]) == (502, "upstream_broken")
    assert world.settled()[0]["outcome"] == "network_error"
    assert world.taken() == 1


def test_a_stream_that_is_cut_is_cut(serve, worlds):
    """What came passes, then the connection ends without an ending."""
    world = worlds({"do": {"kind": "cut", "after_chunks": 2}})
    with connect(serve(world)) as connection:
        connection.sendall(post(STREAM))
        raw = hear(connection).raw
    assert b"data: " in raw
    assert not raw.endswith(b"0\r\n\r\n")
    assert world.settled()[0]["outcome"] == "network_error"


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
def test_half_an_answer_never_looks_like_a_whole_one(before, version):
    """In HTTP/1.1 the last chunk is missing; in HTTP/1.0, where the connection's end may be the body's, it is reset."""
    cut = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n"
    proxy, upstream, world = before(_calls(lambda seen: Reply(headers=LAST_OF_ITS_CONNECTION)))
    ask(proxy, post())
    upstream.__exit__()
    with _raw_upstream(upstream.port, cut % (len(EVENT), EVENT)), connect(proxy) as connection:
        connection.sendall(post(STREAM, version=version))
        raw = b""
        try:
            while more := connection.recv(65536):
                raw += more
            ended = "closed"
        except ConnectionResetError:
            ended = "reset"
    assert ended == ("closed" if version == "HTTP/1.1" else "reset")
    assert EVENT in raw or version == "HTTP/1.0"
    assert not raw.endswith(b"0\r\n\r\n")
    assert world.settled(2)[1]["outcome"] == "network_error"


@contextlib.contextmanager
def _raw_upstream(port: int, answer: bytes) -> Iterator[None]:
    """Answers one request with these bytes, and hangs up."""
    with socket.create_server(("127.0.0.1", port)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


@pytest.mark.parametrize(
    "garbage",
    [b"this is no HTTP\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"HTTP/1.1 999999 ?\r\n\r\n",
     b"\x00" * 99, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ids=["text", "length", "status", "zeros", "two lengths"],
)  # fmt: skip
def test_an_upstream_that_does_not_speak_http(before, garbage):
    """A clean error for the caller, a network error in the books."""
    proxy, upstream, world = before(_calls(lambda seen: Reply(headers=LAST_OF_ITS_CONNECTION)))
    ask(proxy, post())
    upstream.__exit__()
    with _raw_upstream(upstream.port, garbage):
        heard = ask(proxy, post())
    assert heard.status == 502
    assert world.settled(2)[1]["outcome"] == "network_error"


def test_an_upstream_that_never_answers(before, monkeypatch):
    """A caller is not left waiting for ever."""
    monkeypatch.setattr(upstream_module, "SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(upstream_module, "LOOK_SECONDS", 0.05)
    done = threading.Event()

    def silent(seen):
        done.wait(30)
        return Reply()

    proxy, _, world = before(_calls(silent))
    heard = ask(proxy, post())
    done.set()
    assert (heard.status, heard.error()["metadata"]["reason"]) == (504, "upstream_silent")
    assert world.settled()[0]["outcome"] == "network_error"


def test_a_huge_answer_passes_without_being_held(before):
    """A hundred megabytes go through a few hundred kilobytes of memory, and are on record."""
    part = b"x" * 1_000_000

    def parts() -> Iterator[bytes]:
        yield b'{"id": "gen-1", "pad": "'
        for _ in range(100):
            yield part
        yield b'", ' + json.dumps(ANSWER).encode()[1:]

    proxy, _, world = before(_calls(lambda seen: Reply(200, JSON, parts(), chunked=True)))
    size = 0
    with connect(proxy) as connection:
        connection.sendall(post(None, "Connection: close"))
        while more := connection.recv(1 << 20):
            size += len(more)
    assert size > 100_000_000
    row = world.settled()[0]
    assert (row["outcome"], row["completion_tokens"]) == ("success", 2)


@pytest.mark.parametrize("half", [False, True], ids=["closed", "half closed"])
def test_a_caller_that_leaves_ends_it_upstream(serve, worlds, half):
    """The upstream's connection is closed at once, the call settled as cancelled, once."""
    world = worlds({"do": {"kind": "hang", "after_chunks": 1}})
    with connect(serve(world)) as connection:
        connection.sendall(post(STREAM))
        while b"data: " not in connection.recv(65536):
            pass
        if half:
            connection.shutdown(socket.SHUT_WR)
            assert is_closed(connection)
    assert [row["outcome"] for row in world.settled()] == ["cancelled"]
    assert world.taken() == 1


def test_a_caller_that_leaves_before_the_answer_ends_it_upstream(before):
    """While the model still thinks, too: the upstream sees its connection close."""
    arrived, gone = threading.Event(), threading.Event()

    def parts() -> Iterator[bytes]:
        arrived.set()
        try:
            while not gone.wait(0.005):
                yield b": OPENROUTER PROCESSING\n\n"
        except GeneratorExit:
            pass

    proxy, upstream, world = before(_calls(lambda seen: Reply(200, SSE, parts(), chunked=True)))
    with connect(proxy) as connection:
        connection.sendall(post(STREAM))
        assert arrived.wait(30)
    assert world.settled()[0]["outcome"] == "cancelled"

    async def open_ones() -> int:
        return proxy.proxy._upstream.busy

    eventually(lambda: proxy.do(open_ones) == 0)
    gone.set()
    assert upstream.posts


def test_a_caller_that_leaves_while_it_waits_for_a_slot(serve, world: World):
    """It leaves the line; nothing is sent, and nothing is on record but the call that had the slot."""
    proxy = serve(world, quota={"per_minute": 1}, guard={"wait": 600})
    assert ask(proxy, post()).status == 200

    async def waiting() -> int:
        return proxy.proxy._means.turns.waiting

    with connect(proxy) as connection:
        connection.sendall(post())
        eventually(lambda: proxy.do(waiting) == 1)
    eventually(lambda: proxy.do(waiting) == 0)
    assert len(world.settled()) == 1
    assert world.sim.books.requests == 1


def test_a_store_that_is_gone_lets_nothing_leave(serve, world: World):
    """What cannot be recorded is refused, in the guard's own words; reading still passes."""
    proxy = serve(world)
    assert ask(proxy, post()).status == 200
    world.settled()
    aside = world.path.rename(world.path.with_name("aside.db"))
    world.path.write_bytes(b"")
    heard = ask(proxy, post())
    assert (heard.status, heard.error()["metadata"]["reason"]) == (403, "store_unavailable")
    world.path.unlink()
    aside.rename(world.path)
    assert ask(proxy, post()).status == 200
    assert world.sim.books.requests == 2


def test_modes_are_those_of_the_guard(serve, world: World):
    """In shadow mode what would be refused passes, and the row says why."""
    proxy = serve(world, guard={"mode": "shadow"})
    assert ask(proxy, post(json.dumps(chat(PAID)).encode())).status == 200
    row = world.settled()[0]
    assert (row["outcome"], row["reason"]) == ("success", "model_not_free")


def test_an_answer_that_cannot_be_looked_at_is_one_answer_all_the_same(before, monkeypatch, caplog):
    """It was handed on: no second one follows it, its row is closed, and the log has the reason."""

    def broken(self, chunk):
        raise ZeroDivisionError

    proxy, _, world = before()
    assert ask(proxy, post()).status == 200
    world.settled()
    monkeypatch.setattr(Watch, "feed", broken)
    with connect(proxy) as connection:
        connection.sendall(post())
        assert hear(connection).status == 200
        connection.sendall(get("/api/v1/key"))
        assert hear(connection).status == 200
    assert len(world.settled(2)) == 2
    assert "could not be read" in caplog.text
