"""Seeing an answer go by: what can wait is seen later, together, and nothing is missed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from guard_kit import chat
from upstream_kit import SSE, USAGE, Reply
from wire_kit import connect, post

from monitor.clock import FakeClock
from monitor.ledger import LEASE_SECONDS
from monitor.model import Endpoint
from monitor.openrouter.answer import AnswerReader
from monitor.proxy import onlooker as onlooker_module
from monitor.proxy.desk import Desk
from monitor.proxy.onlooker import LOOK_BYTES, Onlooker
from monitor.transport.watch import Watch
from tests.fakes.builders import FREE, ask, ledger, one, rows

EVENT = b'data: {"id":"gen-1","model":"lab/gull","choices":[{"delta":{"content":"word "}}]}\n\n'
LAST = b"data: " + json.dumps({"id": "gen-1", "choices": [], "usage": USAGE}).encode() + b"\n\n"


class Noting(AnswerReader):
    """Keeps what it is fed."""

    def __init__(self) -> None:
        super().__init__(Endpoint.CHAT, 200, {"content-type": "text/event-stream"})
        self.fed: list[bytes] = []

    def feed(self, chunk: bytes, at: float, started: float) -> bool:
        self.fed.append(chunk)
        return super().feed(chunk, at, started)


class Stream:
    """One that is under way, on the books of a desk."""

    def __init__(self, desk: Desk, watch: Watch, reader: Noting) -> None:
        self.desk, self.watch, self.reader = desk, watch, reader

    async def booked(self) -> None:
        await self.desk.close()


@pytest.fixture
async def stream(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Stream]:
    book = ledger(tmp_path / "monitor.db", clock)
    desk, reader = Desk(book.store, book.settings, clock), Noting()
    desk.housekeep()
    desk.open()
    decision = await desk.book(lambda tx: desk.reserve_within(ask(FREE), None, tx))
    yield Stream(desk, Watch(desk, decision.hold, reader, clock.monotonic()), reader)
    await desk.close()
    book.store.close()


async def test_the_first_words_are_seen_at_once_and_the_rest_together(stream, clock):
    """The first, for the time they took; what the end says is not missed for being seen late."""
    clock.advance(0.25)
    with Onlooker(stream.watch) as onlooker:
        onlooker.see(EVENT)
        clock.advance(9)
        for chunk in (EVENT, EVENT, LAST):
            onlooker.see(chunk)
        assert stream.reader.fed == [EVENT]
    assert stream.reader.fed == [EVENT, EVENT + EVENT + LAST]
    assert stream.watch.settled
    await stream.booked()
    assert rows(stream.desk, "SELECT outcome, ttft_ms, completion_tokens FROM calls") == [("success", 250, 2)]


async def test_much_that_lies_unseen_is_looked_at(stream):
    """Memory does not grow with the stream: beyond so many bytes they are seen, and the end among them settles."""
    with Onlooker(stream.watch) as onlooker:
        onlooker.see(EVENT)
        fill = EVENT * (LOOK_BYTES // len(EVENT))
        onlooker.see(fill)
        assert stream.reader.fed == [EVENT]
        onlooker.see(EVENT)
        assert stream.reader.fed == [EVENT, fill + EVENT]
        onlooker.see(fill)
        assert stream.reader.fed == [EVENT, fill + EVENT]
        onlooker.see(LAST)
        assert stream.reader.fed == [EVENT, fill + EVENT, fill + LAST]
        assert stream.watch.settled


async def test_what_lies_unseen_is_looked_at_from_time_to_time(stream, monkeypatch):
    """Again and again while the answer lasts, and not once it is over."""
    monkeypatch.setattr(onlooker_module, "LOOK_SECONDS", 0.001)
    async with asyncio.timeout(20):
        with Onlooker(stream.watch) as onlooker:
            for seen in (1, 2, 3):
                onlooker.see(EVENT)
                while len(stream.reader.fed) < seen:
                    await asyncio.sleep(0.001)
        assert onlooker._timer.cancelled()


async def test_a_call_that_fails_in_the_midst_was_seen_up_to_there(stream):
    """What had come when it broke says how it ended: here an answer that was over."""
    with contextlib.suppress(ConnectionError), Onlooker(stream.watch) as onlooker:
        onlooker.see(EVENT)
        onlooker.see(LAST)
        raise ConnectionError
    stream.watch.failed(ConnectionError())
    await stream.booked()
    assert one(stream.desk, "SELECT outcome FROM calls") == "success"


async def test_a_silent_stream_keeps_its_hold(stream, clock):
    """The hold of an answer that lasts is renewed though nothing comes; a lease that ran out would give it away."""
    before = one(stream.desk, "SELECT lease_until FROM calls")
    with Onlooker(stream.watch) as onlooker:
        onlooker.see(EVENT)
        clock.advance(LEASE_SECONDS / 3)
        onlooker._in_time()
    await stream.booked()
    assert one(stream.desk, "SELECT lease_until FROM calls") == before + LEASE_SECONDS / 3


def test_a_stream_that_neither_side_ends_is_settled(before):
    """The caller and the upstream keep it open after its end: it is on record all the same, soon."""
    go = threading.Event()

    def events():
        yield EVENT
        yield LAST
        yield b"data: [DONE]\n\n"
        assert go.wait(60)

    def answer(seen):
        return Reply(200, SSE, events(), chunked=True) if seen.method == "POST" else None

    proxy, _, world = before(answer)
    with connect(proxy) as connection:
        connection.sendall(post(json.dumps(chat(stream=True)).encode()))
        try:
            assert world.settled()[0]["outcome"] == "success"
        finally:
            go.set()
