"""Speaking HTTP by hand, for what no client would send."""

from __future__ import annotations

import json
import socket
from typing import Any

from guard_kit import chat

from tests.fakes.proxy import WAIT, ServedProxy


def connect(proxy: ServedProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), WAIT)


def post(
    body: bytes | None = None,
    *headers: str,
    path: str = "/api/v1/chat/completions",
    version: str = "HTTP/1.1",
    host: str = "127.0.0.1",
    kind: str = "application/json",
    length: bool = True,
) -> bytes:
    """A POST as bytes."""
    body = json.dumps(chat()).encode() if body is None else body
    lines = [f"POST {path} {version}", f"Host: {host}", f"Content-Type: {kind}", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def get(path: str, *headers: str, method: str = "GET", host: str = "localhost") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode()


class Heard:
    """An answer taken apart."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        head, _, self.body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split(" ")[1]) if " " in first else 0
        self.headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = json.loads(self.body)["error"]
        return error


def hear(connection: socket.socket) -> Heard:
    """One answer with a length, or all up to the connection's end."""
    raw = b""
    while True:
        head, found, body = raw.partition(b"\r\n\r\n")
        if found and head.startswith(b"HTTP/1.1 100"):
            raw = body
            continue
        if found:
            heard = Heard(raw)
            length = heard.all("content-length")
            if length and len(body) >= int(length[0]):
                return heard
            if heard.all("transfer-encoding") and body.endswith(b"0\r\n\r\n"):
                return heard
        try:
            more = connection.recv(65536)
        except ConnectionResetError:
            more = b""
        if not more:
            return Heard(raw)
        raw += more


def ask(proxy: ServedProxy, request: bytes) -> Heard:
    """Send bytes over a connection of their own and take what comes back."""
    with connect(proxy) as connection:
        connection.sendall(request)
        return hear(connection)


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has ended the connection; waits for it."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True
