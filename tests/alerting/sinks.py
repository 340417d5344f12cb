"""Servers that take messages, on this machine: a webhook and a mail server, told to fail as a test wants."""

from __future__ import annotations

import json
import queue
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAIT = 60.0


class Hook:
    """A webhook. `answers` are the next statuses; then 200. `bodies` is what arrived, in order."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/services/T0KEN-s3cr3t"
        self.answers: list[int] = []
        self.says = b""
        self.headers: list[dict[str, str]] = []
        self.bodies: queue.Queue[dict[str, Any]] = queue.Queue()
        self.asked = 0

    def next(self) -> dict[str, Any]:
        """The next body; waits for it."""
        return self.bodies.get(timeout=WAIT)

    def all(self) -> list[dict[str, Any]]:
        """What has arrived and not been looked at."""
        found = []
        while not self.bodies.empty():
            found.append(self.bodies.get_nowait())
        return found


@contextmanager
def webhook() -> Iterator[Hook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            hook.asked += 1
            status = hook.answers.pop(0) if hook.answers else 200
            hook.headers.append(dict(self.headers))
            self.send_response(status)
            if status == 429:
                self.send_header("Retry-After", "40")
            self.send_header("Content-Length", str(len(hook.says)))
            self.end_headers()
            self.wfile.write(hook.says)
            if status < 300:
                hook.bodies.put(body)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook = Hook(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield hook
        finally:
            server.shutdown()
            thread.join()


class Post:
    """A mail server. `mails` is what it took; `refuses` names commands that it answers with 5xx.

    `unknown` are addresses that it answers with another code.
    """

    def __init__(self, port: int) -> None:
        self.url = f"smtp://127.0.0.1:{port}"
        self.port = port
        self.refuses: set[str] = set()
        self.unknown: dict[str, int] = {}
        self.says = "no"
        self.logins: list[str] = []
        self.mails: queue.Queue[Any] = queue.Queue()

    def next(self) -> Any:
        return self.mails.get(timeout=WAIT)

    def receives(self, rest: str, to: list[str]) -> str:
        """The answer to RCPT; who is taken is put into `to`."""
        code = self.unknown.get(rest.removeprefix("TO:<").rstrip(">"), 250)
        if code == 250:
            to.append(rest)
        return f"{code} {'ok' if code == 250 else self.says}"


@contextmanager
def mail_server() -> Iterator[Post]:
    """As much of SMTP as a client needs that sends mail."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 here")
            to: list[str] = []
            while line := self.rfile.readline():
                word, _, rest = line.decode().strip().partition(" ")
                word = word.upper()
                if word in post.refuses:
                    self._say(f"550 {post.says}")
                elif word == "EHLO":
                    self._say("250-here", "250 AUTH PLAIN")
                elif word == "AUTH":
                    post.logins.append(rest)
                    self._say("235 in")
                elif word == "RCPT":
                    self._say(post.receives(rest, to))
                elif word == "DATA":
                    self._say("354 go")
                    text = b""
                    while (part := self.rfile.readline()) not in (b".\r\n", b""):
                        text += part
                    self._say("250 taken")
                    mail = message_from_bytes(text, policy=policy.default)
                    mail["X-To"] = ", ".join(to)
                    post.mails.put(mail)
                elif word == "QUIT":
                    self._say("221 bye")
                    return
                else:
                    self._say("250 ok")

        def _say(self, *lines: str) -> None:
            self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address, daemon_threads = True, True

    with Server(("127.0.0.1", 0), Handler) as server:
        post = Post(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield post
        finally:
            server.shutdown()
            thread.join()
