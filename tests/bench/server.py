"""The benchmarks' upstream: as little server as answers correctly, in a process of its own.

`python -m tests.bench.server` prints its port and serves until its standard input closes.
"""

from __future__ import annotations

import asyncio
import json
import random
import select
import selectors
import sys
import time

MODEL = "meta-llama/llama-3.3-70b-instruct:free"
PAID = "meta-llama/llama-3.3-70b-instruct"
CHUNKS = 50
SPACED_HEADER = "X-Bench-Spaced"
"""Asks for a stream whose chunks come one by one, each with the time at which it was sent: `pace` or `lockstep`."""

SPACE_SECONDS = 0.02
"""Between two chunks: on average, by chance, as models write; in lockstep always, so that all streams' come at once."""

_USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 20,
    "total_tokens": 30,
    "cost": 0,
    "is_byok": False,
    "prompt_tokens_details": {"cached_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0},
}
_HEAD = {"id": "gen-1790000000-abcdefghijklmnopqrst", "provider": "Bench", "model": MODEL, "created": 1790000000}


_WORD = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "a word "}}], "sent": 0}
_SPACED = b"data: " + json.dumps({**_HEAD, **_WORD}).encode().removesuffix(b"0}")
_LAST = b"data: " + json.dumps({**_HEAD, "choices": [], "usage": _USAGE}).encode() + b"\n\ndata: [DONE]\n\n"


def _http(body: bytes, content_type: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _json_answer() -> bytes:
    message = {"role": "assistant", "content": "Machine learning is the study of programs that improve by experience."}
    choices = [{"index": 0, "message": message, "finish_reason": "stop", "native_finish_reason": "stop"}]
    return json.dumps({**_HEAD, "object": "chat.completion", "choices": choices, "usage": _USAGE}).encode()


def _stream() -> bytes:
    """One response of fifty chunks, each an HTTP chunk of its own."""
    events = [b": OPENROUTER PROCESSING\n\n"]
    for i in range(CHUNKS):
        delta = {"role": "assistant", "content": f"word{i} "}
        chunk = {**_HEAD, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]}
        events.append(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    last = {**_HEAD, "object": "chat.completion.chunk", "usage": _USAGE}
    last["choices"] = [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}]
    events += [b"data: " + json.dumps(last).encode() + b"\n\n", b"data: [DONE]\n\n"]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(e), e) for e in events) + b"0\r\n\r\n"


def _models() -> bytes:
    rows = [
        {
            "id": name,
            "name": name,
            "created": 1,
            "context_length": 131072,
            "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
            "pricing": {"prompt": price, "completion": price},
            "top_provider": {"max_completion_tokens": 4096},
        }
        for name, price in ((MODEL, "0"), (PAID, "0.0000001"))
    ]
    return json.dumps({"data": rows}).encode()


_KEY = {"usage": 0, "is_free_tier": True, "free_model_daily_requests": {"used": 0, "limit": 10**9, "remaining": 10**9}}

ANSWERS = {
    b"json": _http(_json_answer(), "application/json"),
    b"stream": _stream(),
    b"models": _http(_models(), "application/json"),
    b"key": _http(json.dumps({"data": _KEY}).encode(), "application/json"),
}


class _Protocol(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            total = end + 4 + length
            if len(self._buffer) < total:
                return
            body, self._buffer = self._buffer[end + 4 : total], self._buffer[total:]
            if SPACED_HEADER.lower().encode() in head:
                lockstep = b": lockstep" in head
                self._trickle(lockstep)
            else:
                self._transport.write(self._answer(head, body))  # type: ignore[attr-defined]

    def _trickle(self, lockstep: bool, left: int = CHUNKS) -> None:
        """Written for speed: what it takes to send a chunk is taken from whoever hands it on, on the same machine."""
        loop = asyncio.get_running_loop()
        if left == CHUNKS:
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            self._transport.write(head)  # type: ignore[attr-defined]
        else:
            event = b"%s%d}\n\n" % (_SPACED, time.monotonic_ns())
            self._transport.write(b"%x\r\n%s\r\n" % (len(event), event))  # type: ignore[attr-defined]
        if left > 0:
            now = loop.time()
            gap = SPACE_SECONDS - now % SPACE_SECONDS if lockstep else random.expovariate(1 / SPACE_SECONDS)
            loop.call_at(now + gap, self._trickle, lockstep, left - 1)
        else:
            self._transport.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(_LAST), _LAST))  # type: ignore[attr-defined]

    def _answer(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"get"):
            return ANSWERS[b"models" if b"/models" in head.split(b"\r\n", 1)[0] else b"key"]
        return ANSWERS[b"stream" if b'"stream":true' in body.replace(b" ", b"") else b"json"]


class _Exact(selectors.EpollSelector):
    """epoll waits for whole milliseconds: all chunks that are due within one would come at once."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout:
            select.select([self], [], [], timeout)
            timeout = 0
        return super().select(timeout)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Protocol, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(_Exact())) as runner:
        runner.run(_serve())
