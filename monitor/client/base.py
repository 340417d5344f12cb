"""What the blocking client and the asynchronous one have in common: settings, the guard, and how to read a wish."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from monitor.client.calls import Calls
from monitor.client.wishes import Messages, Wish, make_wish
from monitor.clock import Clock
from monitor.config import Settings
from monitor.config.addresses import url_is_loopback
from monitor.config.durations import seconds_of
from monitor.errors import ConfigError
from monitor.transport.course import Guard
from monitor.transport.sync import never_sent_types

CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 600.0
"""A free model may be slow to begin; httpx's own five seconds would give up on it, and the answer is counted anyway."""


class Base:
    """Settings, guard and core of a client."""

    def __init__(
        self,
        app: str | None,
        settings: Settings | None,
        *,
        api_key: str | None,
        env_file: str | os.PathLike[str] | None,
        cache: float | str | None,
        clock: Clock | None,
    ) -> None:
        if settings is not None and env_file is not None:
            raise ConfigError("settings and env_file exclude each other.", hint="Settings.load(env_file=…) reads both.")
        found = settings if settings is not None else Settings.load(env_file=env_file)
        self.settings = found if api_key is None else found.with_changes(api_key=api_key)
        self.guard = Guard(app, self.settings, clock=clock)
        self.calls = Calls(self.guard)
        self.url = f"{self.settings.base_url}/chat/completions"
        own = self.settings.apps.get(self.guard.app)
        self._cache = own.cache if own is not None and cache is None else _span(cache)

    def options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Options for an httpx client: `given` ones, and ours where nothing is given."""
        timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        # A proxy of the environment's could not reach this machine's own.
        return {"timeout": timeout, "trust_env": not url_is_loopback(self.settings.base_url), **given}

    def headers(self) -> dict[str, str]:
        """Headers of a request. Raises ConfigError without a key."""
        key = self.settings.key()
        if key is None:
            raise ConfigError("there is no API key.", hint="Set OPENROUTER_API_KEY, or api_key_file in the settings.")
        return {"authorization": f"Bearer {key.reveal()}", "content-type": "application/json"}

    def wish(
        self,
        prompt: Messages,
        *,
        model: str | None,
        task: str | None,
        system: str | None,
        fallbacks: str | Sequence[str] | None,
        stream: bool,
        wait: float | None,
        cache: float | str | None,
        parameters: Mapping[str, Any],
    ) -> Wish:
        """What is asked, checked. Raises ConfigError."""
        return make_wish(
            prompt,
            model=model,
            task=task,
            system=system,
            fallbacks=fallbacks,
            stream=stream,
            wait=self.settings.client.wait if wait is None else wait,
            cache=self._cache if cache is None else cache,
            parameters=parameters,
        )


def never_sent(exc: httpx.RequestError) -> bool:
    """Whether nothing can have left this machine."""
    return isinstance(exc, never_sent_types(httpx))


def is_stream(response: httpx.Response) -> bool:
    """Whether the answer is to be read piece by piece; an error comes whole, also where a stream was asked for."""
    return response.status_code == 200 and response.headers.get("content-type", "").startswith("text/event-stream")


def _span(cache: float | str | None) -> float | None:
    try:
        return None if cache is None else seconds_of(cache)
    except ValueError as exc:
        raise ConfigError(f"cache is wrong: {exc}.") from None
