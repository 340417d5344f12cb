"""What of a connection's bytes is a request, and in which order requests are answered."""

from __future__ import annotations

import asyncio
import select
import threading
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_kit import LAST, WAIT, bodies, echo, head, rest

from monitor.clock import FakeClock
from monitor.serving.connection import HEAD_LIMIT, HEADERS_LIMIT, QUEUE_LIMIT, Connection
from monitor.serving.messages import HELD_LIMIT, Request, Response, Written


@pytest.mark.parametrize(
    "wish",
    [
        ("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: x"),
        ("Upgrade: websocket", "Connection: Upgrade"),
    ],
    ids=["h2c", "websocket"],
)
@pytest.mark.parametrize("cut", [0, 3], ids=["in one piece", "in two"])
def test_a_wish_for_another_protocol_is_ignored_and_the_body_is_a_body(serve, wish, cut):
    """`curl --http2` sends its body with such a wish: it is the request's, and never taken for the next request."""
    hidden = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
    request = head(*wish, f"Content-Length: {len(hidden)}") + hidden
    served = serve(echo)
    with served.connect() as connection:
        at = len(request) - len(hidden) + cut if cut else len(request)
        connection.sendall(request[:at])
        if cut:
            served.until(lambda: any(each._served for each in served.server._connections))
        connection.sendall(request[at:] + LAST)
        assert bodies(rest(connection)) == [b"POST /a " + hidden, b"GET /last "]


def test_a_chunked_body_with_such_a_wish_is_one_too(serve):
    """Its chunks are read by the same rules."""
    request = (
        head("Upgrade: h2c", "Connection: Upgrade", "Transfer-Encoding: chunked") + b"2\r\nhi\r\n0\r\nX: y\r\n\r\n"
    )
    assert bodies(serve(echo).ask(request + LAST)) == [b"POST /a hi", b"GET /last "]


@settings(max_examples=60)
@given(st.lists(st.integers(1, 200), max_size=12))
def test_however_the_bytes_are_cut_the_same_is_heard(cuts):
    """Requests with a length, in chunks and without a body, each with its own body and headers."""
    raw = (
        head("Content-Length: 5", "X-A: \u00e4") + b"hello" + head("Transfer-Encoding: chunked")
        + b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-B: c\r\n\r\n" + head(first="GET /b?c=%20 HTTP/1.1")
    )  # fmt: skip
    heard: list[tuple[str, str, bytes, int]] = []

    async def note(request: Request) -> Written:
        while not request.is_whole:
            await request.more()
        heard.append((request.method, request.target, request.body, len(request.raw_headers)))
        return Stays()

    async def run() -> None:
        connection = Connection(note, FakeClock(), lambda _: None, lambda _: None)
        left = raw
        for cut in [*cuts, len(raw)]:
            if left:
                connection.data_received(left[:cut])
                left = left[cut:]
                await asyncio.sleep(0)
        while connection.is_busy:
            await asyncio.sleep(0)

    asyncio.run(run())
    assert heard == [("POST", "/a", b"hello", 3), ("POST", "/a", b"abcde", 2), ("GET", "/b?c=%20", b"", 1)]


class Stays(Written):
    stays = True


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (head("X: " + "x" * (HEAD_LIMIT - 40), "Connection: close", first="GET / HTTP/1.1"), 200),
        (head("X: " + "x" * HEAD_LIMIT, first="GET / HTTP/1.1"), 431),
        (head(*["X: y"] * (HEADERS_LIMIT - 2), "Connection: close", first="GET / HTTP/1.1"), 200),
        (head(*["X: y"] * (HEADERS_LIMIT - 1), "Connection: close", first="GET / HTTP/1.1"), 431),
        (b"GET /" + b"x" * 3 * HEAD_LIMIT, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 3 * HEAD_LIMIT, 431),
        (head(first="GET / HTTP/2.0"), 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nHost: x\r\nhost: y\r\n\r\n", 400),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (head("Transfer-Encoding: gzip, chunked"), 400),
        (head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400),
        (b"\r\n\r\n" + LAST, 200),
        (b"hello\r\n\r\n", 400),
    ],
    ids=["head at its bound", "over it", "headers at their bound", "over it in number", "endless path",
         "endless header", "HTTP/2", "no host", "no host in HTTP/1.0", "two hosts", "two hosts in HTTP/1.0",
         "chunks in HTTP/1.0", "gzip, chunked", "chunked twice", "empty lines first", "no HTTP"],
)  # fmt: skip
def test_what_is_too_large_or_ambiguous_is_told_so_and_ended(serve, request_, status):
    """At, and just over, each bound; the connection ends with it."""
    assert serve(echo).ask(request_).split(b" ")[1] == b"%d" % status


def test_a_long_head_that_never_ends_is_cut_at_its_bound(serve):
    """It is not collected for as long as somebody cares to send it."""
    with serve(echo).connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
        sent = 0
        while not select.select([connection], [], [], 0)[0]:
            connection.sendall(b"x" * 1024)
            sent += 1024
        assert connection.recv(65536).startswith(b"HTTP/1.1 431 ")
        assert sent >= HEAD_LIMIT - 1024


def test_requests_that_come_together_are_answered_in_order(serve):
    """As many as may wait; one more ends the connection, after those that were taken."""
    requests = [head(first=f"GET /{number} HTTP/1.1") for number in range(QUEUE_LIMIT + 2)]
    told = serve(echo).ask(b"".join(requests))
    assert [int(body.split(b"/")[1]) for body in bodies(told)] == list(range(QUEUE_LIMIT + 1))
    assert told.count(b"HTTP/1.1 400 ") == 1


def test_rubbish_after_a_good_request_is_told_after_its_answer(serve):
    """The good one has been asked, so it is answered."""
    told = serve(echo).ask(head(first="GET /good HTTP/1.1") + b"rubbish\r\n\r\n")
    assert bodies(told) == [b"GET /good "]
    assert told.index(b"[GET") < told.index(b"HTTP/1.1 400 ")


def test_what_follows_the_last_request_is_not_looked_at(serve):
    """`Connection: close` was said: more is neither answered nor complained about."""
    told = serve(echo).ask(LAST + head(first="GET /more HTTP/1.1"))
    assert (bodies(told), told.count(b"HTTP/1.1")) == ([b"GET /last "], 1)


def test_a_body_that_nobody_reads_is_held_back(serve):
    """Until it is read no more than a few chunks of it are taken; then all of it is there."""
    read = threading.Event()
    size = 8_000_000

    async def late(request: Request) -> Response:
        while not read.is_set():
            await asyncio.sleep(0.001)
        while not request.is_whole:
            await request.more()
        return Response(200, b"%d" % len(request.body), closes=True)

    served = serve(late)
    with served.connect() as connection:
        sender = threading.Thread(
            target=lambda: connection.sendall(head(f"Content-Length: {size}") + b"x" * size), daemon=True
        )
        sender.start()
        served.until(lambda: any(each._is_paused for each in served.server._connections))
        (one,) = served.server._connections
        assert one._served.size < 1_000_000
        read.set()
        assert rest(connection).endswith(b"\r\n\r\n%d" % size)
        sender.join(WAIT)


@pytest.mark.parametrize("size", [HELD_LIMIT, HELD_LIMIT + 1, 3 * HELD_LIMIT])
def test_a_large_body_that_came_at_once_leaves_the_connection_open_for_more(serve, size):
    """However much was there before anybody read it: the next request is heard, and so is the client's leaving."""
    cancelled = threading.Event()

    async def slow(request: Request) -> Response:
        if request.method == "POST":
            return await echo(request)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Response()

    served = serve(slow)
    with served.connect() as connection:
        connection.sendall(head("Content-Length: 0"))
        connection.recv(65536)
        (one,) = served.server._connections
        served.until(lambda: not one.is_busy)
        served.do(lambda: one.data_received(head(f"Content-Length: {size}") + b"x" * size))
        served.until(lambda: not one.is_busy)
        connection.sendall(head(first="GET / HTTP/1.1"))
        served.until(lambda: one.is_busy)
    assert cancelled.wait(WAIT)


def test_a_large_body_is_not_taken_before_its_turn(serve):
    """Who is not read is not seen to leave, so a request that waits for its turn has no such body."""
    go = threading.Event()

    async def first(request: Request) -> Response:
        while not go.is_set():
            await asyncio.sleep(0.001)
        return Response(200, b"[first]")

    served = serve(first)
    with served.connect() as connection:
        connection.sendall(head(first="GET / HTTP/1.1") + head(f"Content-Length: {4 * HELD_LIMIT}"))
        served.until(lambda: any(each._queue for each in served.server._connections))
        connection.sendall(b"x" * 4 * HELD_LIMIT)
        served.until(lambda: any(each._complaint for each in served.server._connections))
        go.set()
        told = rest(connection)
    assert bodies(told) == [b"first"]
    assert told.count(b"HTTP/1.1 413 ") == 1


def test_a_body_in_tiny_chunks_takes_no_more_than_its_bytes():
    """A list of its pieces would take twenty times as much."""

    request, pieces = Request(None), HELD_LIMIT // 2  # type: ignore[arg-type]
    tracemalloc.start()
    for number in range(pieces):
        request.take(bytes([number & 1, 0]))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert request.body == b"\x00\x00\x01\x00" * (pieces // 2)
    assert most < 3 * HELD_LIMIT


@pytest.mark.parametrize("rest_", [b"0\r\nX: ", b"2;x="], ids=["trailers", "extensions"])
def test_what_stands_between_and_behind_chunks_has_a_bound(serve, rest_):
    """It is no body, so no other bound knows of it."""
    with serve(echo).connect() as connection:
        connection.sendall(head("Transfer-Encoding: chunked") + b"2\r\nhi\r\n" + rest_)
        while not select.select([connection], [], [], 0)[0]:
            connection.sendall(b"x" * 1024)
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")
