"""The blocking client: `Client`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self, overload

import httpx

from monitor.client import failures
from monitor.client.answers import Answer
from monitor.client.base import Base, is_stream, never_sent
from monitor.client.batches import Manner, Tell, prepare, telling
from monitor.client.batching import BatchResult
from monitor.client.effects import Effect, Lost, Post, Read, Reply, Run, Talk
from monitor.client.looking import Quota, models_of, quota_of, ranking_of
from monitor.client.wishes import Messages, Wish
from monitor.client.workers import work_in_threads
from monitor.clock import Clock
from monitor.config import Settings
from monitor.model import ModelFacts
from monitor.policy.routing import Ranking
from monitor.refresh import Fetched
from monitor.transport import with_httpx
from monitor.transport.clients import put_guard
from monitor.transport.course import TAG
from monitor.transport.headers import lower_case


class Client:
    """Asks OpenRouter's free models, within their quotas, and spends no request in vain.

    >>> client = Client(app="notebook")
    >>> print(client.chat("What is machine learning?"))

    `app` is who asks; `settings` replace those of file and environment. The key comes from there, or is given as
    `api_key`; a `.env` file is read only when it is named as `env_file`. `cache` is how long answers may be given again
    ("1d", or seconds). `options` are httpx's own. May be shared by threads. Raises ConfigError when something is wrong.
    """

    def __init__(
        self,
        app: str | None = None,
        settings: Settings | None = None,
        *,
        api_key: str | None = None,
        env_file: str | os.PathLike[str] | None = None,
        cache: float | str | None = None,
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        self._base = Base(app, settings, api_key=api_key, env_file=env_file, cache=cache, clock=clock)
        self._http = httpx.Client(**self._base.options(options))
        put_guard(self._http, with_httpx, lambda: self._base.guard)

    def __repr__(self) -> str:
        return f"<Client of app {self._base.guard.app!r} at {self._base.settings.base_url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections and release the store; what is under way settles all the same."""
        self._http.close()

    @overload
    def chat(self, prompt: Messages, *, stream: Literal[False] = ..., **more: Any) -> Answer: ...

    @overload
    def chat(self, prompt: Messages, *, stream: Literal[True], **more: Any) -> Stream: ...

    def chat(
        self,
        prompt: Messages,
        *,
        model: str | None = None,
        task: str | None = None,
        system: str | None = None,
        fallbacks: str | Sequence[str] | None = None,
        stream: bool = False,
        wait: float | None = None,
        cache: float | str | None = None,
        **parameters: Any,
    ) -> Answer | Stream:
        """Ask once: a text, or messages as OpenAI's chat API has them.

        Without a `model`, the best free one for the `task` ("general" by default; "fast", "code", "reasoning", "long",
        "vision", "tools", "chinese", or one of your own table) answers, and when it cannot, the next best. With a
        `model`, others answer only as `fallbacks`: "free" for any free one, or a list. `wait` is how long (seconds) it
        may queue for its turn and between attempts. `cache`: give an answer again that is not older than that, 0 for
        never. `parameters` (temperature, max_tokens, tools, …) go with the request.

        With `stream=True` returns a `Stream` as soon as the answer begins. Raises NotFree, QuotaExhausted,
        BudgetExceeded or GuardRefused when the guard says no (nothing was sent), and CallFailed when no answer came.
        """
        wish = self._base.wish(
            prompt,
            model=model,
            task=task,
            system=system,
            fallbacks=fallbacks,
            stream=stream,
            wait=wait,
            cache=cache,
            parameters=parameters,
        )
        if not stream:
            return self._ask(wish)
        running = _Running(self, self._base.calls.chat(wish, self.fetch))
        return Stream(running)

    def batch(
        self,
        questions: Iterable[Any],
        *,
        name: str | None = None,
        concurrency: int = 8,
        spread: str = "now",
        progress: bool | Tell = False,
        dry_run: bool = False,
        fresh: bool = False,
        **words: Any,
    ) -> BatchResult:
        """Ask many questions, `concurrency` at a time, at the pace that the quota allows.

        A question is a text, a list of messages, or an object with `prompt` or `messages` and whatever `chat` takes
        besides (and a `custom_id`); what is given here holds for all of them. Finished items are kept in the store: the
        same questions (or the same `name`) asked again go on where the last run ended, and try again what failed;
        `fresh=True` begins anew. When the day's requests are spent the rest is left for later (`spread="now"`);
        "day" spreads them evenly over the rest of the UTC day, "days" waits for the next day and goes on. `progress`:
        True draws a bar, a function is called with a `Progress`. `dry_run=True` asks nothing and tells the plan.

        Raises ConfigError, StoreError, PollError, and GuardRefused never: what is refused is a failed item.
        """
        manner = Manner(name, concurrency, spread, fresh, words)
        run = prepare(self._base, self.fetch, questions, manner)
        if dry_run:
            return run.with_plan(run.look())
        with telling(progress) as tell:
            return work_in_threads(run, self._ask, self._base.guard.clock, concurrency, tell)

    def _ask(self, wish: Wish) -> Answer:
        running = _Running(self, self._base.calls.chat(wish, self.fetch))
        while running.piece() is not None:
            pass
        return running.answered()

    def models(self, *, free: bool = True, task: str | None = None) -> list[ModelFacts]:
        """Models of the catalogue, by id; with a `task` the free ones that can serve it, the best first."""
        return models_of(self._base, self.fetch, free=free, task=task)

    def route(self, task: str | None = None) -> Ranking:
        """Which free models would be asked for a task, in which order, and why; and why others would not."""
        return ranking_of(self._base, self.fetch, task)

    def quota(self) -> Quota:
        """What is left to ask today and this minute. Asking costs nothing."""
        return quota_of(self._base, self.fetch)

    def fetch(self, url: str, headers: Mapping[str, str]) -> Fetched:
        """A GET by this client's own way out; no quota is spent by it."""
        answer = self._http.get(url, headers=dict(headers))
        return Fetched(answer.status_code, answer.content)


class _Running:
    """A call under way: does what its core asks for."""

    def __init__(self, client: Client, talk: Talk) -> None:
        self._base = client._base
        self._http = client._http
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

    def __init__(self, running: _Running) -> None:
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
