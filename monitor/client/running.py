"""A call of the blocking client under way, and its answer as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import httpx

from monitor.client import failures
from monitor.client.answers import Answer
from monitor.client.base import Base, is_stream, never_sent
from monitor.client.effects import Effect, Lost, Post, Read, Reply, Run, Talk
from monitor.transport.effects import TAG
from monitor.transport.headers import lower_case


class Running:
    """A call under way: does what its core asks for."""

    def __init__(self, base: Base, http: httpx.Client, talk: Talk) -> None:
        self._base = base
        self._http = http
        self._talk = talk
        self._response: httpx.Response | None = None
        self._chunks: Iterator[bytes] = iter(())
        self.answer: Answer | None = None

    def piece(self) -> str | None:
        """The next piece of the answer's text; None at its end. Raises what the call raises."""
        result: Any = None
        error: BaseException | None = None
        try:
            while True:
                step = self._talk.send(result) if error is None else self._talk.throw(error)
                if isinstance(step, str):
                    return step
                result, error = None, None
                try:
                    result = self._do(step)
                except Exception as exc:  # noqa: BLE001 - thrown into the core, which raises it again
                    error = exc
        except StopIteration as stop:
            self.answer = stop.value or self.answer
            self.close()
            return None
        except BaseException:
            self.close()
            raise

    def answered(self) -> Answer:
        """The whole answer. Raises CallFailed when there is none, for it was closed early or failed."""
        if self.answer is None:
            raise failures.not_whole()
        return self.answer

    def close(self) -> None:
        """End it, wherever it is."""
        self._talk.close()
        self._hang_up()

    def _hang_up(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def _do(self, effect: Effect) -> Any:
        if isinstance(effect, Run):
            return effect.work()
        if isinstance(effect, Post):
            return self._post(effect)
        if isinstance(effect, Read):
            return self._read()
        self._base.guard.clock.sleep(effect.seconds)
        return None

    def _post(self, effect: Post) -> Reply | Lost:
        self._hang_up()  # what an attempt before left unread
        request = self._http.build_request(
            "POST", self._base.url, content=effect.body, headers=self._base.headers(), extensions={TAG: effect.tag}
        )
        try:
            response = self._http.send(request, stream=True)
        except httpx.RequestError as exc:
            return Lost(not never_sent(exc), f"{type(exc).__name__}: {exc}")
        headers = lower_case(response.headers.raw)
        if effect.stream and is_stream(response):
            self._response, self._chunks = response, response.iter_bytes()
            return Reply(response.status_code, headers, None)
        try:
            return Reply(response.status_code, headers, response.read())
        except httpx.RequestError as exc:
            return Lost(True, f"{type(exc).__name__}: {exc}")
        finally:
            response.close()

    def _read(self) -> bytes | Lost | None:
        try:
            return next(self._chunks, None)
        except httpx.RequestError as exc:
            return Lost(True, f"{type(exc).__name__}: {exc}")


class Stream:
    """An answer as it comes: iterate it for its pieces of text. Close it, or use `with`, to stop early.

    `answer` is the whole answer, once the last piece was read. Closing early may still cost what the whole would have.
    """

    def __init__(self, running: Running) -> None:
        self._running = running
        self._first = running.piece()  # raises here what goes wrong before the answer begins

    def __repr__(self) -> str:
        return f"<Stream, {'ended' if self._running.answer else 'under way'}>"

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        piece, self._first = self._first, None
        if piece is None and self._running.answer is None:
            piece = self._running.piece()
        if piece is None:
            raise StopIteration
        return piece

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading."""
        self._running.close()

    @property
    def answer(self) -> Answer:
        """The whole answer; reads what is left of it."""
        for _ in self:
            pass
        return self._running.answered()
