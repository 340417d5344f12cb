"""A server that answers byte for byte what a test tells it, and keeps every request as it came over the wire."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from guard_kit import FREE, PAID


def _model(model_id: str, price: str) -> dict[str, Any]:
    architecture = {"modality": "text->text", "input_modalities": ["text"], "output_modalities": ["text"]}
    pricing = {"prompt": price, "completion": price, "request": "0", "image": "0"}
    return {"id": model_id, "name": model_id, "pricing": pricing, "architecture": architecture, "context_length": 1000}


CATALOGUE = json.dumps({"data": [_model(FREE, "0"), _model(PAID, "0.000001")]}).encode()
KEY_PAGE = json.dumps({"data": {"limit": None, "usage": 0, "is_free_tier": True}}).encode()
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "cost": 0}
ANSWER = {
    "id": "gen-1",
    "model": FREE,
    "object": "chat.completion",
    "created": 1,
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Grüße, 世界 🌍"}}],
    "usage": USAGE,
}
JSON = (("Content-Type", "application/json"),)
SSE = (("Content-Type", "text/event-stream"),)


@dataclass(frozen=True)
class Seen:
    """A request as it came. `connection` tells connections apart."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    connection: int

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]


@dataclass
class Reply:
    """What to answer: `parts` are sent as they are, each in a write of its own.

    `chunked`: as HTTP chunks. `cut`: the connection ends after the parts, without the ending of the body.
    """

    status: int = 200
    headers: Iterable[tuple[str, str]] = JSON
    parts: Iterable[bytes] = field(default_factory=lambda: [json.dumps(ANSWER).encode()])
    chunked: bool = False
    cut: bool = False


class Upstream:
    """Serves `/api/v1`: the catalogue, the key, and what `answer` says to everything else, or to them when it wants."""

    def __init__(self, answer: Callable[[Seen], Reply | None] | None = None) -> None:
        self.answer = answer or (lambda seen: None)
        self.seen: list[Seen] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"upstream": self}))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1"

    @property
    def posts(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.method == "POST"]

    def gets(self, path: str) -> int:
        """How many GETs of `path` below `/api/v1` came."""
        return sum(s.method == "GET" and s.path.partition("?")[0] == f"/api/v1{path}" for s in self.seen)

    def reply_to(self, seen: Seen) -> Reply:
        with self._lock:
            self.seen.append(seen)
        told = self.answer(seen)
        if told is not None:
            return told
        if seen.method == "GET" and seen.path.startswith("/api/v1/models"):
            return Reply(parts=[CATALOGUE])
        if seen.method == "GET" and seen.path == "/api/v1/key":
            return Reply(parts=[KEY_PAGE])
        return Reply()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    upstream: Upstream

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def _serve(self) -> None:
        body = b"".join(self._body())
        reply = self.upstream.reply_to(
            Seen(self.command, self.path, tuple(self.headers.items()), body, self.client_address[1])
        )
        self.send_response_only(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        parts = reply.parts
        if reply.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif not reply.cut:
            parts = list(parts)
            self.send_header("Content-Length", str(sum(map(len, parts))))
        else:
            self.send_header("Content-Length", "1000000")
        self.end_headers()
        if self.command == "HEAD":
            return
        for part in parts:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part) if reply.chunked else part)
            self.wfile.flush()
        if reply.cut:
            self.close_connection = True
        elif reply.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            yield self.rfile.read(int(self.headers.get("Content-Length", 0)))

    do_GET = do_HEAD = do_POST = do_PUT = _serve

    def log_message(self, *args: object) -> None:
        pass
