"""The server as a whole: how many may come, and its end."""

from __future__ import annotations

import asyncio
import threading

from serving_kit import WAIT, rest

from monitor.serving import server as serving
from monitor.serving.messages import Request, Response

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def ok(request: Request) -> Response:
    return Response(200, b"ok")


def test_one_connection_too_many_is_told_so(serve):
    """At the bound there is room, over it a clean 503; when one leaves there is room again."""
    served = serve(ok, most=1)
    with served.connect() as first:
        first.sendall(ASK)
        assert first.recv(65536).endswith(b"ok")
        assert served.ask(ASK).startswith(b"HTTP/1.1 503 ")
    served.until(lambda: not len(served.server))
    with served.connect() as again:
        again.sendall(ASK)
        assert again.recv(65536).endswith(b"ok")


def test_at_its_end_what_is_answered_is_answered_and_what_rests_is_ended(serve):
    """An answer under way comes whole, and says that it is the last; an idle connection ends at once."""
    begun, go = threading.Event(), threading.Event()

    async def slow(request: Request) -> Response:
        if request.target == "/slow":
            begun.set()
            while not go.is_set():
                await asyncio.sleep(0.001)
        return Response(200, b"ok")

    served = serve(slow)
    with served.connect() as busy, served.connect() as idle:
        idle.sendall(ASK)
        assert idle.recv(65536).endswith(b"ok")
        busy.sendall(ASK.replace(b"GET /", b"GET /slow"))
        assert begun.wait(WAIT)
        end = threading.Thread(target=served.end)
        end.start()
        assert rest(idle) == b""
        go.set()
        told = rest(busy)
        end.join(WAIT)
    assert told.endswith(b"ok")
    assert b"\r\nConnection: close\r\n" in told


def test_at_its_end_what_is_written_is_read(serve):
    """The process that ends next would take the rest of a long answer with it."""

    async def long(request: Request) -> Response:
        return Response(200, b"x" * 8_000_000)

    served = serve(long)
    with served.connect() as connection:
        connection.sendall(ASK)
        served.until(lambda: any(each._stuck_until for each in served.server._connections))
        end = threading.Thread(target=served.end)
        end.start()
        served.until(lambda: served.server._is_ending)
        assert len(rest(connection)) > 8_000_000
        end.join(WAIT)


def test_what_takes_too_long_at_its_end_is_cut_off(serve, monkeypatch):
    """The end has a bound."""
    monkeypatch.setattr(serving, "PATIENCE_SECONDS", 0.01)

    async def never(request: Request) -> Response:
        await asyncio.sleep(3600)
        return Response()

    served = serve(never)
    with served.connect() as connection:
        connection.sendall(ASK)
        served.until(lambda: any(each.is_busy for each in served.server._connections))
        served.end()
        assert rest(connection) == b""
