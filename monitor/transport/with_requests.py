"""The guard for `requests`: an adapter before the one that a session has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from io import BytesIO
from typing import Any

import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from monitor.openrouter.decoding import Undecodable, decoder
from monitor.refresh import Fetched
from monitor.transport.course import Guard, Head, Request, Run, Send, Shell, Sleep
from monitor.transport.headers import without_encoding
from monitor.transport.refusal import Answer
from monitor.transport.sync import Background
from monitor.transport.watch import Watch

FETCH_TIMEOUT = (5.0, 10.0)
"""Seconds to connect and to read, for our own GETs."""


class GuardAdapter(BaseAdapter):
    """Lets through what the guard admits, by the adapter it stands before; answers the rest itself."""

    def __init__(self, next_adapter: BaseAdapter, guard: Guard) -> None:
        super().__init__()
        self.next_adapter = next_adapter
        self.guard = guard
        self._background = Background()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Judge, reserve, send and watch; or answer with a refusal."""
        shell = Shell(lambda url, headers: self._fetch(url, headers, kwargs), _never_sent, self._background.start)
        headers = {str(name).lower(): str(_text(value)) for name, value in request.headers.items()}
        seen = Request(request.method or "GET", request.url or "", headers, lambda: _body(request))
        course = self.guard.course(seen, shell)
        response: Any = None
        try:
            effect = next(course)
            while True:
                try:
                    if isinstance(effect, Send):
                        response = self.next_adapter.send(_with_body(request, effect.body), *args, **kwargs)
                        result: Any = Head(response.status_code, _decoded_headers(response))
                    elif isinstance(effect, Run):
                        result = effect.work()
                    else:
                        assert isinstance(effect, Sleep)
                        self.guard.clock.sleep(effect.seconds)
                        result = None
                except BaseException as exc:  # noqa: BLE001 - thrown into the course, which raises it again
                    effect = course.throw(exc)
                else:
                    effect = course.send(result)
        except StopIteration as stop:
            return self._finish(request, response, stop.value)

    def close(self) -> None:
        self._background.finish()
        self.next_adapter.close()
        self.guard.close()

    def _finish(self, request: requests.PreparedRequest, response: Any, outcome: Any) -> requests.Response:
        if isinstance(outcome, Answer):
            return _response(request, outcome)
        if isinstance(outcome, Watch):
            response.raw = RawTee(response.raw, outcome, response.headers.get("Content-Encoding"))
        return response  # type: ignore[no-any-return]

    def _fetch(self, url: str, headers: Mapping[str, str], sent_with: Mapping[str, Any]) -> Fetched:
        how = {name: value for name, value in sent_with.items() if name in ("verify", "cert", "proxies")}
        request = requests.Request("GET", url, headers=dict(headers)).prepare()
        with self.next_adapter.send(request, timeout=FETCH_TIMEOUT, **how) as response:
            return Fetched(response.status_code, response.content)


class RawTee:
    """urllib3's response, watched as it is read. What `requests` reads from it is decoded already; an app that reads
    `response.raw` itself gets it as it came, `encoding` and all, and the watch its own decoded copy."""

    def __init__(self, raw: Any, watch: Watch, encoding: str | None = None) -> None:
        self._raw = raw
        self._watch = watch
        self._encoding = encoding or ""
        self._decode: Callable[[bytes], bytes] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def __iter__(self) -> Iterator[bytes]:
        return self._watched(iter(self._raw), self._plain)  # urllib3 decodes when it is iterated

    def stream(self, amt: int | None = 65536, decode_content: bool | None = None) -> Iterator[bytes]:
        """Chunks as `requests` asks for them."""
        chunks = self._raw.stream(amt, decode_content=decode_content)
        return self._watched(chunks, self._reading(decode_content))

    def read(self, amt: int | None = None, decode_content: bool | None = None, **kwargs: Any) -> bytes:
        """For apps that read `response.raw` themselves."""
        try:
            data: bytes = self._raw.read(amt, decode_content=decode_content, **kwargs)
        except BaseException as exc:
            self._watch.failed(exc)
            raise
        if self._watch.feed(self._reading(decode_content)(data)) or not data or amt is None:
            self._watch.settle()
        return data

    def close(self) -> None:
        try:
            self._raw.close()
        finally:
            self._watch.closed()

    def _reading(self, decode_content: bool | None) -> Callable[[bytes], bytes]:
        decoded = self._raw.decode_content if decode_content is None else decode_content
        return self._plain if decoded or not self._encoding else self._decoded

    @staticmethod
    def _plain(chunk: bytes) -> bytes:
        return chunk

    def _decoded(self, chunk: bytes) -> bytes:
        try:
            self._decode = self._decode or decoder(self._encoding) or self._plain
            return self._decode(chunk)
        except Undecodable:
            return b""

    def _watched(self, chunks: Iterator[bytes], reading: Callable[[bytes], bytes]) -> Iterator[bytes]:
        watch = self._watch
        try:
            for chunk in chunks:
                if watch.feed(reading(chunk)):
                    watch.settle()
                elif watch.due():
                    watch.renew()
                yield chunk
        except GeneratorExit:
            watch.closed()
            raise
        except BaseException as exc:
            watch.failed(exc)
            raise
        watch.settle()


def _never_sent(exc: BaseException) -> bool:
    if isinstance(exc, (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError)):
        return True
    reason = getattr(exc.args[0], "reason", None) if exc.args else None
    return isinstance(reason, (NewConnectionError, ConnectTimeoutError))


def _body(request: requests.PreparedRequest) -> bytes:
    """The body's bytes; one that can be read only once is read and put back as bytes."""
    body: Any = request.body
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if not isinstance(body, bytes):
        body = body.read() if hasattr(body, "read") else b"".join(body)
        request.body = body
        request.headers.pop("Transfer-Encoding", None)
        request.headers["Content-Length"] = str(len(body))
    return bytes(body)


def _with_body(request: requests.PreparedRequest, body: bytes | None) -> requests.PreparedRequest:
    if body is None:
        return request
    copy = request.copy()
    copy.body = body
    copy.headers["Content-Length"] = str(len(body))
    return copy


def _response(request: requests.PreparedRequest, answer: Answer) -> requests.Response:
    raw = HTTPResponse(
        body=BytesIO(answer.body),
        headers=answer.headers,
        status=answer.status,
        reason=HTTPStatus(answer.status).phrase,
        preload_content=False,
        decode_content=False,
    )
    return requests.adapters.HTTPAdapter().build_response(request, raw)


def _decoded_headers(response: requests.Response) -> dict[str, str]:
    return without_encoding({name.lower(): value for name, value in response.headers.items()})


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
