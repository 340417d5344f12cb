"""Answers given again: nothing is sent, and no quota is spent.

An answer is found by what was asked, whoever asks: the request in a canonical form, without what names a user or a
session. Only whole answers are kept. One that came as a stream is given as a stream again, in the pieces it came in;
one that did not is a stream of a single piece.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from monitor.client.answers import Answer, read_answer
from monitor.client.effects import Effect, Run
from monitor.client.wishes import Wish
from monitor.errors import StoreError
from monitor.model import Endpoint, Tier
from monitor.openrouter.values import letters
from monitor.store.protocol import OpenCall, Transaction
from monitor.transport.course import Guard

WHOLE = frozenset({"stop", "tool_calls"})
"""Reasons to end that say that nothing was cut off."""

_NOBODYS = frozenset({"user", "session_id", "metadata", "trace", "safety_identifier", "prompt_cache_key"})
"""Fields that say who asks, and change nothing of the answer."""

log = logging.getLogger("monitor.client")


def key_of(wish: Wish, base_url: str) -> str:
    """What an answer to this wish is found by."""
    asked = {
        "base_url": base_url,
        "model": wish.model,
        "task": wish.task if wish.model is None or wish.fallbacks is None else None,
        "fallbacks": wish.fallbacks,
        "body": {name: value for name, value in wish.body.items() if name not in _NOBODYS},
    }
    text = json.dumps(asked, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


class Cache:
    """The answers that the store keeps for one guard's app. A store that fails costs the hit, never the call."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._clock = guard.clock
        self._store = guard.ledger.store

    def look_up(self, wish: Wish, call_id: str) -> Generator[Effect | str, Any, Answer | None]:
        """Give a kept answer, if there is one that is young enough; it is on record as `cached`."""
        if not wish.cache:
            return None
        started = self._clock.monotonic()
        content: str | None = yield Run(lambda: self._find(wish, call_id))
        if content is None:
            return None
        kept = json.loads(content)
        answer = _answer(kept, call_id, self._clock.monotonic() - started)
        if answer is not None and wish.stream:
            yield from kept.get("pieces") or ([answer.text] if answer.text else [])
        return answer

    def keep(self, wish: Wish, answer: Answer, pieces: Sequence[str]) -> Generator[Effect | str, Any, None]:
        """Keep an answer, if it is whole and this was asked for."""
        if wish.cache and answer.finish_reason in WHOLE and answer.raw:
            yield Run(lambda: self._keep(wish, answer, pieces))

    def _find(self, wish: Wish, call_id: str) -> str | None:
        now, key = self._clock.now(), key_of(wish, self._guard.settings.base_url)

        def find(tx: Transaction) -> str | None:
            content = tx.kept_answer(key, now, now - (wish.cache or 0.0))
            if content is not None:
                tx.record_cached(self._row(wish, call_id, now), now, _model(json.loads(content)))
            return content

        try:
            return self._store.transact(find)
        except (StoreError, ValueError) as exc:
            log.warning("kept answers cannot be looked up: %s", exc)
            return None

    def _keep(self, wish: Wish, answer: Answer, pieces: Sequence[str]) -> None:
        now = self._clock.now()
        kept = json.dumps(
            {"raw": answer.raw, "asked": answer.attempts[-1].model, "pieces": list(pieces), "why": list(answer.why)},
            ensure_ascii=False,
            separators=(",", ":"),
        )
        content = letters(kept)
        key, settings = key_of(wish, self._guard.settings.base_url), self._guard.settings.client
        until = now + (wish.cache or 0.0)
        try:
            self._store.transact(lambda tx: tx.keep_answer(key, content, until, now, settings.cache_bytes))
        except StoreError as exc:
            log.warning("an answer could not be kept: %s", exc)

    def _row(self, wish: Wish, call_id: str, now: float) -> OpenCall:
        settings = self._guard.settings
        return OpenCall(
            started_at=now,
            app=self._guard.app,
            account=settings.account,
            endpoint=Endpoint.CHAT,
            model=wish.model,
            tier=Tier.FREE,
            stream=wish.stream,
            attempt=1,
            call_id=call_id,
        )


def _model(kept: Mapping[str, Any]) -> str:
    return str(kept["raw"].get("model") or kept.get("asked", ""))


def _answer(kept: Mapping[str, Any], call_id: str, seconds: float) -> Answer | None:
    why = tuple(kept.get("why", ()))
    return read_answer(kept["raw"], kept.get("asked", ""), seconds=seconds, call_id=call_id, cached=True, why=why)
