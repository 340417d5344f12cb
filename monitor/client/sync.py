"""The blocking client: `Client`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self, overload

import httpx

from monitor.client.answers import Answer
from monitor.client.base import Base
from monitor.client.batches import Manner, Tell, prepare, telling
from monitor.client.batching import BatchResult
from monitor.client.comparing import Comparison, compared, models_to_compare, question_of, wishes_of
from monitor.client.looking import Quota, models_of, quota_of, ranking_of
from monitor.client.running import Running, Stream
from monitor.client.wishes import Messages, Wish
from monitor.client.workers import all_in_threads, work_in_threads
from monitor.clock import Clock
from monitor.config import Settings
from monitor.model import ModelFacts
from monitor.policy.routing import Ranking
from monitor.refresh import Fetched
from monitor.transport import with_httpx
from monitor.transport.clients import put_guard


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
        running = Running(self._base, self._http, self._base.calls.chat(wish, self.fetch))
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

    def compare(
        self,
        prompt: Messages,
        models: Sequence[str] | None = None,
        *,
        task: str | None = None,
        system: str | None = None,
        wait: float | None = None,
        cache: float | str | None = None,
        **parameters: Any,
    ) -> Comparison:
        """Ask several models the same, all at once, each alone: their answers, times, tokens and errors side by side.

        Without `models`, the three best free ones for the `task`. What one of them fails at is told in its row.
        """
        chosen = models_to_compare(self._base, self.fetch, models, task)
        wishes = wishes_of(self._base, prompt, chosen, system=system, wait=wait, cache=cache, parameters=parameters)
        at = self._base.guard.clock.now()
        rows = all_in_threads(wishes, self._ask)
        return Comparison(question_of(prompt), at, tuple(compared(*row) for row in zip(chosen, rows, strict=True)))

    def _ask(self, wish: Wish) -> Answer:
        running = Running(self._base, self._http, self._base.calls.chat(wish, self.fetch))
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
