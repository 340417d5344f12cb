"""One connection to the upstream: what it reads, when it can be used again, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from monitor.errors import ConfigError
from monitor.proxy import upstream as upstream_module
from monitor.proxy.upstream import Reply, Upstream
from monitor.proxy.wire import Broken, Silent, Unreachable, Wire
from tests.fakes.certificates import make_certificate

OK = b"HTTP/1.1 200 OK\r\n"


class Other:
    """The other end: answers each request with the next of `answers`; after the last it hangs up, unless it `stays`."""

    def __init__(self, *answers: bytes, stays: bool = False) -> None:
        self.answers = list(answers)
        self.stays = stays
        self.asked: list[bytes] = []
        self.connections = 0
        self._tasks: list[asyncio.Task[object]] = []

    async def ended(self) -> None:
        """Until every connection has ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.append(task)
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while self.answers or self.stays:
                self.asked.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self.answers.pop(0))
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def before(other: Other, tls: ssl.SSLContext | None = None, **more: object) -> AsyncIterator[Upstream]:
    server = await asyncio.start_server(other.serve, "127.0.0.1", 0, **more)  # type: ignore[arg-type]
    port = server.sockets[0].getsockname()[1]
    scheme = "http" if tls is None else "https"
    async with Upstream(f"{scheme}://127.0.0.1:{port}/api/v1", tls) as upstream:
        yield upstream
    server.close()
    await other.ended()


async def get(upstream: Upstream, method: str = "GET") -> Reply:
    return await upstream.send(method, f"{upstream.base_url}/x?y=1", [(b"A", b"b")], None)


async def asked(upstream: Upstream) -> Wire:
    """The connection over which something is being asked."""
    while not upstream._busy:
        await asyncio.sleep(0)
    (wire,) = upstream._busy
    await asyncio.sleep(0)
    return wire


async def test_a_connection_is_used_again_after_each_answer():
    """With a length, in chunks, without a body: whatever frames an answer, the next call finds the connection free."""
    other = Other(
        OK + b"Content-Length: 2\r\n\r\nhi",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nz",
    )
    async with before(other) as upstream:
        bodies = [await (await get(upstream)).read() for _ in range(4)]
        assert (bodies, other.connections, upstream.busy) == ([b"hi", b"hi!", b"", b"z"], 1, 0)
    assert other.asked[0].startswith(b"GET /api/v1/x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert other.asked[0].endswith(b"\r\nA: b\r\n\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi",
        OK + b"Content-Length: 2\r\n\r\nhi and more than was asked for",
        OK + b"Content-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        OK + b"\r\nhi",
    ],
    ids=["closed", "garbage after it", "an answer nobody asked for", "HTTP/1.0", "to the end"],
)
async def test_a_connection_in_doubt_is_not_used_again(answer):
    """An answer of the next call could be anybody's."""
    other = Other(answer, stays=answer != OK + b"\r\nhi")
    async with before(other) as upstream:
        assert await (await get(upstream)).read() == b"hi"
        other.answers = [OK + b"Content-Length: 2\r\n\r\nok"]
        assert await (await get(upstream)).read() == b"ok"
    assert other.connections == 2


async def test_what_nobody_took_yet_is_nobody_elses():
    """An answer that came whole with its head is kept for its own reader, whoever asks meanwhile."""
    other = Other(OK + b"Content-Length: 5\r\n\r\nfirst", stays=True)
    async with before(other) as upstream:
        first = await get(upstream)
        other.answers = [OK + b"Content-Length: 6\r\n\r\nsecond"]
        second = await get(upstream)
        assert [await second.read(), await first.read()] == [b"second", b"first"]
        other.answers = [OK + b"Content-Length: 5\r\n\r\nthird"] * 2
        third = await get(upstream)
        first.abort()  # late: the connection may be at another's request
        second.abort()
        assert await third.read() == b"third"
    assert other.connections == 2


async def test_an_answer_that_is_given_up_ends_its_connection():
    """Half of it is never mistaken for the beginning of another."""
    other = Other(OK + b"Content-Length: 9\r\n\r\nhalf", stays=True)
    async with before(other) as upstream:
        reply = await get(upstream)
        reply.abort()
        while upstream.busy:
            await asyncio.sleep(0)
        other.answers = [OK + b"Content-Length: 2\r\n\r\nok"]
        assert await (await get(upstream)).read() == b"ok"
    assert other.connections == 2


async def test_head_has_no_body_whatever_it_announces():
    """Its length is that of what a GET would give."""
    async with before(Other(OK + b"Content-Length: 7\r\n\r\n")) as upstream:
        reply = await get(upstream, "HEAD")
        assert (reply.length, await reply.read()) == (7, b"")


async def test_a_reader_that_falls_behind_stops_the_upstream():
    """What comes while nobody takes it is bounded, and all of it is there when somebody does."""
    size = 8_000_000
    other = Other(OK + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)
    async with before(other) as upstream:
        reply = await get(upstream)
        while not reply._wire.is_paused:
            await asyncio.sleep(0.001)
        assert sum(map(len, reply._wire._held)) < 1_000_000
        assert len(await reply.read()) == size


async def test_who_cannot_pass_on_what_was_held_is_not_given_more():
    """The pause that the first pieces call for lasts, though what was held is taken only then."""
    other = Other(b"", stays=True)
    async with before(other) as upstream:
        asking = asyncio.create_task(get(upstream))
        wire = await asked(upstream)
        wire.data_received(OK + b"Content-Length: 900000\r\n\r\n" + b"x" * 300_000)
        assert wire.is_paused
        reply = await asking
        taking = asyncio.create_task(reply.take(lambda piece: reply.pause()))
        await asyncio.sleep(0)
        assert wire.is_paused
        wire.data_received(b"x" * 600_000)
        await taking


async def test_a_head_is_not_too_large_for_what_comes_with_it():
    """A long body that arrives in the same read as its head does not count to the head's bytes."""
    body = b"x" * 200_000
    other = Other(b"", stays=True)
    async with before(other) as upstream:
        asking = asyncio.create_task(get(upstream))
        wire = await asked(upstream)
        wire.data_received(OK + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        assert await (await asking).read() == body


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        OK + b"Content-Length: 5\r\n\r\nhal",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhal",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        OK + b"X: " + b"x" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
    ids=["nothing", "ssh", "short", "short in chunks", "no chunk", "two lengths", "huge head", "upgrade"],
)
async def test_what_is_no_answer_is_broken(answer):
    """It raises at the head or in the body, and never hangs."""
    async with before(Other(answer)) as upstream, asyncio.timeout(30):
        with pytest.raises(Broken):
            await (await get(upstream)).read()


async def test_nobody_there_is_unreachable(monkeypatch):
    """Refused, no such name, or a TLS that cannot be: nothing was sent."""
    other = Other()
    async with before(other) as upstream:
        pass
    async with Upstream(upstream.base_url, None) as gone:
        with pytest.raises(Unreachable):
            await get(gone)
    async with before(other, ssl.create_default_context()) as plain:
        with pytest.raises(Unreachable):
            await get(plain)


async def test_old_connections_are_closed(monkeypatch):
    """One that was not used for a while may be closing at the other end already."""
    monkeypatch.setattr(upstream_module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(upstream_module, "KEEP_SECONDS", 0.0)
    other = Other(OK + b"Content-Length: 2\r\n\r\nhi", OK)
    async with before(other) as upstream, asyncio.timeout(20):
        await (await get(upstream)).read()
        while upstream._idle:
            await asyncio.sleep(0.005)


async def test_whoever_speaks_is_not_silent():
    """What comes, and being read again after a pause, begin the silence anew."""
    go: asyncio.Queue[bytes] = asyncio.Queue()

    class Speaking(Other):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            while said := await go.get():
                writer.write(said)
            writer.close()

    async with before(Speaking()) as upstream:
        go.put_nowait(OK + b"Content-Length: 3\r\n\r\n")
        reply = await get(upstream)
        (wire,) = upstream._busy
        clock, heard = asyncio.get_running_loop().time, asyncio.Queue[bytes]()
        taking = asyncio.create_task(reply.take(heard.put_nowait))
        before_it = clock()
        go.put_nowait(b"x")
        await heard.get()
        assert wire.heard_at > before_it
        wire.pause()
        before_it = clock()
        wire.resume()
        assert wire.heard_at > before_it
        go.put_nowait(b"yz")
        await taking
        go.put_nowait(b"")


async def test_who_may_not_speak_is_not_silent(monkeypatch):
    """An answer that its reader holds up is not ended for being quiet; one beside it, which may speak, is."""
    monkeypatch.setattr(upstream_module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(upstream_module, "SILENCE_SECONDS", 0.0)
    async with before(Other(*[OK + b"Content-Length: 3\r\n\r\nx"] * 2, stays=True)) as upstream, asyncio.timeout(20):
        held, quiet = await get(upstream), await get(upstream)
        held.pause()
        with pytest.raises(Silent):
            await quiet.read()
        assert held._wire._error is None
        held.abort()


# ---- the environment's proxy ----


class Joining(Other):
    """A proxy that knows CONNECT."""

    def __init__(self, status: bytes) -> None:
        super().__init__()
        self._status = status

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.append(task)
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 " + self._status + b"\r\n\r\n")
        if self._status.startswith(b"200"):
            port = int(self.asked[-1].split(b" ")[1].split(b":")[1])
            there, back = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_copy(reader, back), _copy(there, writer), return_exceptions=True)
        writer.close()


async def _copy(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        to.write(data)
    to.close()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For a server at upstream.example, and for a client that trusts it."""
    cert, key = make_certificate(tmp_path, "DNS:upstream.example")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(cert, key)
    return server, ssl.create_default_context(cafile=str(cert))


@pytest.mark.parametrize("status", [b"200 Joined", b"407 Who are you"])
async def test_the_environments_proxy_joins_the_ends(certificate, monkeypatch, status):
    """TLS goes through it end to end; one that refuses makes the upstream unreachable."""
    serving, trusting = certificate
    other, joined = Other(OK + b"Content-Length: 2\r\n\r\nhi", OK + b"Content-Length: 2\r\n\r\nho"), Joining(status)
    upstream_server = await asyncio.start_server(other.serve, "127.0.0.1", 0, ssl=serving)
    way = await asyncio.start_server(joined.serve, "127.0.0.1", 0)
    port = upstream_server.sockets[0].getsockname()[1]
    for name in ("NO_PROXY", "no_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", f"http://me:pass@127.0.0.1:{way.sockets[0].getsockname()[1]}")
    async with Upstream(f"https://upstream.example:{port}/api/v1", trusting) as upstream:
        if status.startswith(b"200"):
            assert [await (await get(upstream)).read() for _ in range(2)] == [b"hi", b"ho"]
            assert other.asked[0].startswith(b"GET /api/v1/x?y=1 HTTP/1.1\r\n")
        else:
            with pytest.raises(Unreachable, match="407"):
                await get(upstream)
    assert joined.asked[0].startswith(f"CONNECT upstream.example:{port} HTTP/1.1\r\n".encode())
    assert (len(joined.asked), b"Proxy-Authorization: Basic bWU6cGFzcw==\r\n" in joined.asked[0]) == (1, True)
    upstream_server.close()
    way.close()
    await other.ended()
    await joined.ended()


def test_a_proxy_of_another_kind_is_told_at_the_start(monkeypatch):
    """Not with the first call."""
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1080")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(ConfigError, match="http://"):
        Upstream("https://openrouter.ai/api/v1", None)
