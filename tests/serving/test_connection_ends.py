"""How a connection ends: by the client, by the time that it takes, by the last answer; and what is left of it."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from serving_kit import LAST, WAIT, echo, head, rest

from monitor.clock import FakeClock
from monitor.serving import connection as serving
from monitor.serving.messages import Request, Response, Written


def test_who_sends_more_than_is_wanted_sees_the_answer(serve):
    """The rest is taken for a while: a reset would take the answer away from the sender."""

    async def no(request: Request) -> Response:
        return Response(413, b"no", closes=True)

    served = serve(no)
    with served.connect() as connection:
        connection.sendall(head("Content-Length: 3000000") + b"x" * 100_000)
        served.until(lambda: any(each._lingers for each in served.server._connections))
        told = rest(connection)  # to the end, which is there before the sender has done
        connection.sendall(b"x" * 2_900_000)
    assert told.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nConnection: close\r\n" in told
    served.until(lambda: not len(served.server))


def test_who_goes_on_sending_is_cut_off(serve):
    """The rest of what nobody wants is taken for so long, and no longer."""

    async def no(request: Request) -> Response:
        return Response(413, b"no", closes=True)

    clock = FakeClock()
    served = serve(no, clock)
    with served.connect() as connection:
        connection.sendall(head("Content-Length: 3000000") + b"x" * 1000)
        served.until(lambda: any(each._lingers for each in served.server._connections))
        clock.advance(serving.LINGER_SECONDS)
        served.do(served.server.look)
        assert served.do(lambda: len(served.server)) == 1
        clock.advance(0.01)
        served.do(served.server.look)
        served.until(lambda: not len(served.server))


def test_after_the_last_answer_half_a_head_becomes_no_request(serve):
    """What was begun before the answer said that it is the last is not finished after it."""
    asked = []

    async def once(request: Request) -> Response:
        asked.append(request.target)
        return Response(200, b"ok", closes=True)

    served = serve(once)
    more = head(first="GET /more HTTP/1.1")
    with served.connect() as connection:
        connection.sendall(head(first="GET /one HTTP/1.1") + more[:9])
        assert rest(connection).endswith(b"ok")
        connection.sendall(more[9:])
    served.until(lambda: not len(served.server))
    assert asked == ["/one"]


def test_who_leaves_answers_unread_and_hangs_up_is_forgotten(serve):
    """A client that says no more, and does not take what it was sent, does not hold its connection for ever."""
    begun, cancelled = threading.Event(), threading.Event()

    async def endless(request: Request) -> Written:
        begun.set()
        try:
            transport = request.line.transport
            assert transport is not None
            while True:
                if transport.get_write_buffer_size() < 1000:
                    transport.write(b"x" * 1000)
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    clock = FakeClock()
    served = serve(endless, clock)
    with served.connect() as connection:
        connection.sendall(head(first="GET / HTTP/1.1"))
        assert begun.wait(WAIT)
        (one,) = served.server._connections
        served.until(lambda: one.transport.get_write_buffer_size() > 0)
        connection.shutdown(socket.SHUT_WR)
        assert cancelled.wait(WAIT)
        clock.advance(serving.WRITE_SECONDS + 0.01)
        served.do(served.server.look)
        served.until(lambda: not len(served.server))


def test_nothing_is_answered_on_a_connection_that_closes(serve):
    """What was sent behind the last request is not asked, however slowly its answer is read."""
    asked = []

    async def last(request: Request) -> Response:
        asked.append(request.target)
        return Response(200, b"x" * 8_000_000, closes=True)

    served = serve(last)
    with served.connect() as connection:
        connection.sendall(head(first="GET /1 HTTP/1.1") + head(first="GET /2 HTTP/1.1"))
        served.until(lambda: any(each._stuck_until for each in served.server._connections))
        assert len(rest(connection)) > 8_000_000
    served.until(lambda: not len(served.server))
    assert asked == ["/1"]


def test_answers_that_nobody_reads_do_not_pile_up(serve):
    """While the client leaves them unread, no further request of its connection is answered."""
    asked = 0

    async def large(request: Request) -> Response:
        nonlocal asked
        asked += 1
        return Response(200, b"x" * 4_000_000)

    served = serve(large)
    with served.connect() as connection:
        connection.sendall(head(first="GET / HTTP/1.1") * 5)
        served.until(lambda: any(each._stuck_until for each in served.server._connections))
        assert served.do(lambda: asked) == 1
        connection.shutdown(socket.SHUT_WR)
    served.until(lambda: not len(served.server))


def test_a_client_that_leaves_ends_what_is_done_for_it(serve):
    """The handler is cancelled, at once."""
    begun, cancelled = threading.Event(), threading.Event()

    async def slow(request: Request) -> Response:
        begun.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Response()

    served = serve(slow)
    with served.connect() as connection:
        connection.sendall(head(first="GET / HTTP/1.1"))
        assert begun.wait(WAIT)
    assert cancelled.wait(WAIT)
    served.until(lambda: not len(served.server))


def test_a_defect_cuts_the_connection_and_is_logged(serve, caplog):
    """No answer is made up."""

    async def broken(request: Request) -> Response:
        raise ZeroDivisionError

    assert serve(broken).ask(LAST) == b""
    assert "could not be answered" in caplog.text


@pytest.mark.parametrize(
    ("sent", "limit"),
    [(b"", "HEAD_SECONDS"), (b"GET / HT", "HEAD_SECONDS"), (head(first="GET / HTTP/1.1"), "KEEP_ALIVE_SECONDS"),
     (head(first="GET / HTTP/1.1") + b"GET / HT", "HEAD_SECONDS")],
    ids=["nothing", "half a head", "at rest", "half a head after an answer"],
)  # fmt: skip
def test_who_dawdles_is_ended_when_the_time_is_up(serve, sent, limit):
    """Not a moment before."""
    clock = FakeClock()
    served = serve(echo, clock)
    with served.connect() as connection:
        connection.sendall(sent)
        served.until(lambda: len(served.server) == 1)
        (one,) = served.server._connections
        if sent:
            served.until(lambda: not one.is_busy and (one._received is None or one._head_size))
            connection.recv(1) if sent.startswith(b"GET / HTTP") else None
        if sent.endswith(b"GET / HT"):
            served.until(lambda: one._head_size)
        clock.advance(getattr(serving, limit))
        served.do(served.server.look)
        assert served.do(lambda: len(served.server)) == 1
        clock.advance(0.01)
        served.do(served.server.look)
        rest(connection)
    served.until(lambda: not len(served.server))


def test_no_part_of_an_answer_waits_for_the_one_before(serve):
    """Nagle's algorithm would hold a stream's first chunk until its head is acknowledged, which a client puts off."""
    served = serve(echo)
    with served.connect():
        served.until(lambda: len(served.server) == 1)
        (one,) = served.server._connections
        connection = one.transport.get_extra_info("socket")
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_connection_at_rest_holds_no_body(serve):
    """A thousand clients that once sent a long prompt would hold a thousand prompts."""
    served = serve(echo)
    with served.connect() as connection:
        connection.sendall(head("Content-Length: 5") + b"hello")
        connection.recv(65536)
        (one,) = served.server._connections
        served.until(lambda: not one.is_busy)
        assert (one._received, one._served) == (None, None)
