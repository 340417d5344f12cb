"""Polls: GETs of OpenRouter, which spend no quota, made only if no process has asked since.

None holds a transaction while it waits for the network, so no call ever waits for a poll.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from monitor.clock import DAY, Clock
from monitor.config.addresses import url_is_loopback
from monitor.errors import MonitorError, PollError
from monitor.metrics.families import MODELS_ASKED
from monitor.metrics.polls import Polls
from monitor.poller.job import Trouble
from monitor.poller.looks import look_at_providers
from monitor.redact import Secret
from monitor.refresh import Fetch, Fetched, Refresher, Stopped
from monitor.store.sqlite.reader import Reader

CACHED_SECONDS = 120.0
"""OpenRouter's catalogue comes from a cache of this age: to ask more often tells nothing new."""

FRESH_PART = 0.9
"""A copy younger than this part of an interval is left alone: another daemon, or an app, has just asked."""

ENDPOINTS_FLOOR_SECONDS = 300.0
"""Providers are told of by the half hour."""

LATELY_SECONDS = DAY

RETRY_SECONDS = 60.0
RETRY_AT_MOST = 900.0

log = logging.getLogger("monitor.poller")


class Poll:
    """Asks OpenRouter at an interval; after a failure less and less often.

    `ask(fetch, newer_than)` asks unless the store has something newer. `floor` is the least number of seconds between
    two requests, whatever is configured and however often it fails.
    """

    def __init__(
        self,
        name: str,
        seconds: float,
        ask: Callable[[Fetch, float], object],
        *,
        fetch: Fetch,
        clock: Clock,
        polls: Polls,
        floor: float = 0.0,
    ) -> None:
        self.name = name
        self.seconds = max(seconds, floor)
        self.first = 0.0
        self._ask, self._fetch, self._clock, self._polls = ask, fetch, clock, polls
        self._fresh = max(floor, self.seconds * FRESH_PART)
        self._first_retry = min(self.seconds, max(floor, RETRY_SECONDS))
        self._retry: float | None = None
        self._trouble = Trouble(f"the poll of {name}")

    def __repr__(self) -> str:
        return f"<Poll of {self.name} every {self.seconds:g} s>"

    def announced(self) -> Self:
        """Told of among the pollers before it has asked anything; the others are told of once they ask."""
        self._polls.runs(self.name, self.seconds)
        return self

    def delay(self) -> float:
        return self.seconds if self._retry is None else self._retry

    def run(self) -> bool:
        asked = False

        def fetch(url: str, headers: Mapping[str, str]) -> Fetched:
            nonlocal asked
            if not asked:
                asked = True
                self._polls.runs(self.name, self.seconds)
            return self._timed(url, headers)

        started = self._clock.monotonic()
        try:
            self._ask(fetch, self._clock.now() - self._fresh)
        except MonitorError as exc:
            if isinstance(exc.__cause__, Stopped):
                log.info("the poll of %s was cut off: %s", self.name, exc.message)
                return False
            # Only requests are polls: that another process has failed just now is its own to count.
            self._count(asked, started, ok=False)
            self._failed(exc)
            return False
        self._count(asked, started, ok=True)
        self._retry = None
        self._trouble.over()
        return True

    def _timed(self, url: str, headers: Mapping[str, str]) -> Fetched:
        """Ask, and set our clock beside theirs: the answer was made about halfway between asking and hearing."""
        asked_at, asked = self._clock.now(), self._clock.monotonic()
        answer = self._fetch(url, headers)
        if answer.sent_at is not None:
            halfway = asked_at + (self._clock.monotonic() - asked) / 2
            self._polls.compared_clocks(halfway - answer.sent_at)
        return answer

    def _count(self, asked: bool, started: float, *, ok: bool) -> None:
        if asked:
            self._polls.record(self.name, ok=ok, seconds=self._clock.monotonic() - started)

    def _failed(self, exc: MonitorError) -> None:
        if isinstance(exc, PollError):
            twice = self._first_retry if self._retry is None else self._retry * 2
            self._retry = min(twice, max(RETRY_AT_MOST, self._first_retry))
        self._trouble.met(exc.message)


class ModelsPoll(Poll):
    """Asks for the catalogue, which comes from a cache unless the upstream is this machine's."""

    def __init__(self, refresher: Refresher, *, fetch: Fetch, polls: Polls) -> None:
        settings = refresher.settings
        super().__init__(
            "models",
            settings.poll.models_seconds,
            lambda fetch, newer_than: refresher.models(fetch, newer_than=newer_than, wait=False),
            fetch=fetch,
            clock=refresher.clock,
            polls=polls,
            floor=0.0 if url_is_loopback(settings.base_url) else CACHED_SECONDS,
        )


class KeyPoll(Poll):
    """Asks for the key's figures. A key that was refused is asked about ever less often, another one at once."""

    def __init__(self, refresher: Refresher, *, fetch: Fetch, polls: Polls) -> None:
        self._refresher = refresher
        self._settings = refresher.settings
        self._key: Secret | None = None
        self._due = 0.0
        super().__init__(
            "key", self._settings.poll.key_seconds, self._look, fetch=fetch, clock=refresher.clock, polls=polls
        )

    def delay(self) -> float:
        return self.seconds  # the key is looked at each time; whether to ask is decided then

    def run(self) -> bool:
        try:
            key = self._settings.key()
        except MonitorError as exc:
            self._trouble.met(exc.message)
            return False
        if key is None:
            return True
        if key != self._key:
            self._key, self._retry = key, None
        if self._retry is not None and self._clock.monotonic() < self._due:
            return False
        return super().run()

    def _failed(self, exc: MonitorError) -> None:
        super()._failed(exc)
        # Runs come a little after their time, never before: half an interval is nearer to this one than to the next.
        self._due = self._clock.monotonic() + (self._retry or 0.0) - self.seconds / 2

    def _look(self, fetch: Fetch, newer_than: float) -> object:
        assert self._key is not None
        return self._refresher.key(fetch, self._key.reveal(), newer_than=newer_than, wait=False)


Look = Callable[..., object]
"""`look(refresher, fetch, api_key, newer_than=…)`: one of those in `looks` that need a management key."""


class ManagementPoll(Poll):
    """Asks what OpenRouter tells a management key only: one that is set as such, or an API key that is one too."""

    def __init__(
        self, name: str, seconds: float, look: Look, refresher: Refresher, path: Path, *, fetch: Fetch, polls: Polls
    ) -> None:
        self._look_with, self._refresher, self._path = look, refresher, path
        super().__init__(
            name, seconds, self._look, fetch=fetch, clock=refresher.clock, polls=polls, floor=CACHED_SECONDS
        )

    def _look(self, fetch: Fetch, newer_than: float) -> object:
        key = self._key()
        return key is not None and self._look_with(self._refresher, fetch, key.reveal(), newer_than=newer_than)

    def _key(self) -> Secret | None:
        settings = self._refresher.settings
        if (key := settings.key_to_manage()) is not None:
            return key
        with Reader(self._path) as reader, reader.moment() as moment:
            facts = moment.key_reading(settings.account).facts
        return settings.key() if facts is not None and facts.is_management_key else None


class EndpointsPoll(Poll):
    """Asks how the providers of the models fare that apps used of late: few models, and seldom."""

    def __init__(self, refresher: Refresher, path: Path, *, fetch: Fetch, polls: Polls) -> None:
        self._refresher, self._path = refresher, path
        settings = refresher.settings
        super().__init__(
            "endpoints",
            settings.poll.endpoints_seconds,
            self._look,
            fetch=fetch,
            clock=refresher.clock,
            polls=polls,
            floor=0.0 if url_is_loopback(settings.base_url) else ENDPOINTS_FLOOR_SECONDS,
        )

    def _look(self, fetch: Fetch, newer_than: float) -> object:
        with Reader(self._path) as reader, reader.moment() as moment:
            models = moment.models_used(self._clock.now() - LATELY_SECONDS, MODELS_ASKED)
        return bool(models) and look_at_providers(self._refresher, fetch, models, newer_than=newer_than)
