"""The blocking shell: drives a course over a transport of httpx or httpx2."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, Self

from monitor.config import Settings
from monitor.refresh import Fetched
from monitor.transport.course import Guard
from monitor.transport.effects import TAG, CallTag, Effect, Head, Pause, Request, Run, Send, Shell, Sleep
from monitor.transport.headers import lower_case, without_encoding
from monitor.transport.refusal import Answer
from monitor.transport.watch import Watch

FETCH_TIMEOUT: Mapping[str, float] = {"connect": 5.0, "read": 10.0, "write": 5.0, "pool": 5.0}
"""Seconds, for our own GETs of the catalogue and the key."""


class SyncTee:
    """A response's stream that is watched as it is read. Mixed with a library's own stream class."""

    def __init__(self, stream: Any, watch: Watch) -> None:
        self._stream = stream
        self._watch = watch

    def __iter__(self) -> Iterator[bytes]:
        watch = self._watch
        try:
            for chunk in self._stream:
                if watch.feed(chunk):
                    watch.settle()  # before the chunk is handed on: the consumer may never come back
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

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._watch.closed()


class SyncShell:
    """A transport that lets through what the guard admits. Mixed with a library's own transport class."""

    library: ModuleType
    tee: type[SyncTee]

    def __init__(
        self,
        next_transport: Any = None,
        app: str | None = None,
        settings: Settings | None = None,
        *,
        guard: Guard | None = None,
    ) -> None:
        """`next_transport` carries what is admitted (default: the library's own); `app` is who asks.

        Raises ConfigError when the settings are wrong.
        """
        self.guard = guard or Guard(app, settings)
        self.next_transport = self.library.HTTPTransport() if next_transport is None else next_transport
        self._background = Background()
        self._shell = Shell(self._fetch, self._never_sent, self._background.start)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.guard!r} before {self.next_transport!r}>"

    def __enter__(self) -> Self:
        self.next_transport.__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        self._background.finish()
        self.next_transport.__exit__(*exc)
        self.guard.close()

    def close(self) -> None:
        self._background.finish()
        self.next_transport.close()
        self.guard.close()

    def handle_request(self, request: Any) -> Any:
        """Judge, reserve, send and watch; or answer with a refusal."""
        course = self.guard.course(as_seen(request, request.read), self._shell)
        response: Any = None
        try:
            effect = next(course)
            while True:
                try:
                    if type(effect) is Send:
                        response = self.next_transport.handle_request(with_body(self.library, request, effect.body))
                        result: Any = head_of(response)
                    else:
                        result = self._do(effect)
                except BaseException as exc:  # noqa: BLE001 - thrown into the course, which raises it again
                    effect = course.throw(exc)
                else:
                    effect = course.send(result)
        except StopIteration as stop:
            return finish(self.library, self.tee, request, response, stop.value)

    def _do(self, effect: Effect) -> Any:
        if isinstance(effect, Run):
            return effect.work()
        assert isinstance(effect, (Sleep, Pause))
        self.guard.clock.sleep(effect.seconds)
        return None

    def _fetch(self, url: str, headers: Mapping[str, str]) -> Fetched:
        request = self.library.Request("GET", url, headers=headers, extensions={"timeout": dict(FETCH_TIMEOUT)})
        response = self.next_transport.handle_request(request)
        try:
            return Fetched(response.status_code, response.read())
        finally:
            response.close()

    def _never_sent(self, exc: BaseException) -> bool:
        return isinstance(exc, never_sent_types(self.library))


def never_sent_types(library: ModuleType) -> tuple[type[BaseException], ...]:
    """The exceptions of httpx and httpx2 that are raised before a byte of the request has left."""
    return (
        library.ConnectError,
        library.ConnectTimeout,
        library.PoolTimeout,
        library.ProxyError,
        library.UnsupportedProtocol,
    )


def as_seen(request: Any, body: Callable[[], bytes]) -> Request:
    """A request of httpx or httpx2 as the course knows it."""
    extensions = request.extensions
    url = str(request.url) if "target" not in extensions else _sent_to(request)
    tag = extensions.get(TAG)
    return Request(
        request.method, url, lower_case(request.headers.raw), body, tag if isinstance(tag, CallTag) else None
    )


def _sent_to(request: Any) -> str:
    """Where a request goes whose extension `target` stands on its first line in place of the URL's path."""
    target = request.extensions["target"]
    path = target.decode("latin-1") if isinstance(target, bytes) else str(target)
    # One that is no path, as for a proxy, may be read as either host: the space makes it one that nobody can judge.
    return f"{request.url.scheme}://{request.url.netloc.decode('ascii')}{path if path[:1] == '/' else f'/ {path}'}"


def with_body(library: ModuleType, request: Any, body: bytes | None) -> Any:
    """The request with another body. The app's own object is not changed: it may send it again."""
    if body is None:
        return request
    # A shallow copy: building a new Request costs as much as the reservation's SQL.
    copy: Any = object.__new__(type(request))
    copy.__dict__.update(request.__dict__)
    copy.__dict__.pop("_content", None)
    copy.headers = library.Headers(_with_length(request.headers.raw, len(body)))
    copy.stream = library.ByteStream(body)
    return copy


def _with_length(raw: list[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    """The header pairs with another `Content-Length`. Setting it in a copy of the headers costs twice as much."""
    others = [pair for pair in raw if pair[0].lower() != b"content-length"]
    if len(others) == len(raw) and any(name.lower() == b"transfer-encoding" for name, _ in raw):
        return raw  # a body told its length in two ways is refused by servers, or worse
    return [*others, (b"Content-Length", str(length).encode())]


def finish(library: ModuleType, tee: Callable[[Any, Watch], Any], request: Any, response: Any, outcome: Any) -> Any:
    """The library's response for what a course returned."""
    if isinstance(outcome, Answer):
        return library.Response(outcome.status, headers=outcome.headers, content=outcome.body, request=request)
    if isinstance(outcome, Watch):
        if response.is_stream_consumed:
            outcome.feed(response.content)
            outcome.settle()
        else:
            response.stream = tee(response.stream, outcome)
    return response


def head_of(response: Any) -> Head:
    """A response's first lines. One that came with its body read already, as from a mock transport, is decoded too."""
    headers = lower_case(response.headers.raw)
    return Head(response.status_code, without_encoding(headers) if response.is_stream_consumed else headers)


class Background:
    """Threads for fetches that no call waits for. A daemon's, so that a process can end in the midst of one."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="openrouter-monitor-refresh", daemon=True)
        self._threads = [*(old for old in self._threads if old.is_alive()), thread]
        thread.start()

    def finish(self) -> None:
        """Wait for what is under way: closing its connections under it would fail it, for everyone."""
        for thread in self._threads:
            thread.join(FETCH_TIMEOUT["read"])
