"""Where messages arrive: a webhook and a mail server on this machine, which take everything."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, NamedTuple, TypeVar

WAIT = 60.0
T = TypeVar("T")


class Post(NamedTuple):
    """What was posted to the webhook: the path, and the JSON."""

    path: str
    body: dict[str, Any]


class Inbox:
    """What has arrived so far. Any thread may look."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.mails: list[EmailMessage] = []
        self.hook = self.smtp = ""
        self._news = threading.Condition()

    def __repr__(self) -> str:
        names = sorted({f"{p.path} {p.body.get('commonLabels', {}).get('alertname')}" for p in self.posts})
        return f"<Inbox with {names} and mails {[str(mail['subject']) for mail in self.mails]}>"

    def wait(self, find: Callable[[Inbox], T | None]) -> T:
        """What `find` finds, once it finds something; fails after a minute."""
        with self._news:
            self._news.wait_for(lambda: find(self) is not None, WAIT)
            found = find(self)
        assert found is not None, f"not among {self!r}"
        return found

    def _take(self, where: list[Any], what: Any) -> None:
        with self._news:
            where.append(what)
            self._news.notify_all()

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readline()).split()[1].decode()
        length = 0
        while (line := await reader.readline()).strip():
            name, _, value = line.decode().partition(":")
            length = int(value) if name.lower() == "content-length" else length
        self._take(self.posts, Post(path, json.loads(await reader.readexactly(length))))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async def _mail(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 inbox\r\n")
        while (line := await reader.readline()) and not line.upper().startswith(b"QUIT"):
            if not line.upper().startswith(b"DATA"):
                writer.write(b"250 ok\r\n")
                continue
            writer.write(b"354 go on\r\n")
            mail = (await reader.readuntil(b"\r\n.\r\n"))[:-5].replace(b"\r\n..", b"\r\n.")
            self._take(self.mails, message_from_bytes(mail, policy=default))
            writer.write(b"250 taken\r\n")
        writer.write(b"221 bye\r\n")
        writer.close()

    async def _serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        async with (
            await asyncio.start_server(self._http, "127.0.0.1") as http,
            await asyncio.start_server(self._mail, "127.0.0.1") as mail,
        ):
            self.hook, self.smtp = (f"127.0.0.1:{s.sockets[0].getsockname()[1]}" for s in (http, mail))
            ready.set()
            await stop.wait()


@contextmanager
def inbox() -> Iterator[Inbox]:
    """Takes messages until the end of the block."""
    made, ready, loop = Inbox(), threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(made._serve(ready, stop)))
    thread.start()
    assert ready.wait(WAIT)
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
