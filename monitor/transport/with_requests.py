"""The guard for `requests`: an adapter before the one that a session has."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from io import BytesIO
from typing import Any

import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse
from urllib3.exceptions import ConnectTimeoutError, HTTPError, MaxRetryError, NewConnectionError
from urllib3.util import Retry

from monitor.openrouter.decoding import Undecodable, decoder
from monitor.refresh import Fetched
from monitor.transport.course import Guard
from monitor.transport.effects import Head, Pause, Request, Run, Send, Shell, Sleep
from monitor.transport.headers import without_encoding
from monitor.transport.refusal import REASON_HEADER, Answer
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
        """Judge, reserve, send and watch; or answer with a refusal.

        The adapter's own retries send again below the guard, unseen: for what is judged they are made here, and each
        is an attempt of its own.
        """
        retries = getattr(self.next_adapter, "max_retries", None)
        if not isinstance(retries, Retry) or retries.total in (0, False) or not self.guard.judges(_seen(request)):
            return self._attempt(self.next_adapter, request, args, kwargs)
        adapter = _only_connecting(self.next_adapter, retries)
        while True:
            try:
                response = self._attempt(adapter, request, args, kwargs)
            except requests.RequestException as exc:
                again = _after_error(retries, request, exc)
                if again is None:
                    raise
                again.sleep()
            else:
                again = _after_answer(retries, request, response)
                if again is None:
                    return response
                again.sleep(response.raw)
            retries = again

    def _attempt(
        self, adapter: BaseAdapter, request: requests.PreparedRequest, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> requests.Response:
        shell = Shell(lambda url, headers: self._fetch(url, headers, kwargs), _never_sent, self._background.start)
        course = self.guard.course(_seen(request), shell)
        response: Any = None
        try:
            effect = next(course)
            while True:
                try:
                    if isinstance(effect, Send):
                        response = adapter.send(_with_body(request, effect.body), *args, **kwargs)
                        result: Any = Head(response.status_code, _decoded_headers(response))
                    elif isinstance(effect, Run):
                        result = effect.work()
                    else:
                        assert isinstance(effect, (Sleep, Pause))
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


def _seen(request: requests.PreparedRequest) -> Request:
    headers = {str(name).lower(): str(_text(value)) for name, value in request.headers.items()}
    return Request(request.method or "GET", request.url or "", headers, lambda: _body(request))


def _only_connecting(adapter: BaseAdapter, retries: Retry) -> BaseAdapter:
    """The same adapter, pools and all, but for retries after something was sent."""
    copy: Any = object.__new__(type(adapter))
    copy.__dict__.update(adapter.__dict__)
    copy.max_retries = retries.new(read=False, other=0, status_forcelist=(), respect_retry_after_header=False)
    return copy  # type: ignore[no-any-return]


def _after_error(retries: Retry, request: requests.PreparedRequest, exc: requests.RequestException) -> Retry | None:
    """What is left of `retries` when the request is to be sent again after `exc`; None when it is not."""
    cause = exc.args[0] if exc.args else None
    if not isinstance(cause, HTTPError) or isinstance(cause, MaxRetryError):
        return None
    try:
        return retries.increment(request.method, request.url, error=cause)
    except HTTPError:
        return None


def _after_answer(retries: Retry, request: requests.PreparedRequest, response: requests.Response) -> Retry | None:
    """The same after an answer, which is read to its end if the request is to be sent again.

    Raises requests' RetryError when the retries are used up, as its own adapter does.
    """
    headers = response.headers
    if REASON_HEADER in headers or not retries.is_retry(
        request.method or "GET", response.status_code, "Retry-After" in headers
    ):
        return None
    try:
        again = retries.increment(request.method, request.url, response=response.raw)
    except MaxRetryError as exc:
        if not retries.raise_on_status:
            return None
        response.close()
        raise requests.exceptions.RetryError(exc, request=request) from exc
    with contextlib.suppress(requests.RequestException):
        _ = response.content
    return again


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
        if hasattr(body, "read"):
            body = _utf8(body.read())
        elif not isinstance(body, bytearray | memoryview):
            body = b"".join(map(_utf8, body))
        request.body = body = bytes(body)
        request.headers.pop("Transfer-Encoding", None)
        request.headers["Content-Length"] = str(len(body))
    return bytes(body)


def _utf8(piece: str | bytes) -> bytes:
    return piece.encode() if isinstance(piece, str) else piece


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
