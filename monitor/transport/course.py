"""One attempt, written once, without I/O: judge, reserve, send, watch the answer.

`Guard.course` is a generator. It yields what it needs done (`Run` a blocking function, `Sleep`, `Pause`, `Send` a body)
and gets the result back, so the sync shell, the async one and the requests adapter each are a loop of a few lines. It
knows method, URL, headers, body, status and chunks, and nothing of any HTTP library.
"""

from __future__ import annotations

import itertools
import logging
import secrets
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from typing import Any

from monitor.bookings import Hold
from monitor.clock import Clock, SystemClock
from monitor.config import Settings
from monitor.errors import ConfigError, PollError, StoreError
from monitor.ledger import Ask, Decision, Ledger, Patience, store_refusal
from monitor.model import Action, Allow, Ending, Endpoint, Intent, Mode, Objection, Outcome, Reason, Tier, Verdict
from monitor.openrouter.answer import AnswerReader
from monitor.openrouter.endpoints import Kind, classify
from monitor.openrouter.intent import read_intent
from monitor.openrouter.max_price import add_max_price
from monitor.policy.storm import SLOWED_FROM, Storms, refused
from monitor.redact import redact
from monitor.refresh import Fetch, Refresher
from monitor.store import open_store
from monitor.store.protocol import Store
from monitor.transport.effects import Effect, Head, Pause, Request, Run, Send, Shell, Sleep
from monitor.transport.refusal import Answer, refusal
from monitor.transport.watch import Watch

REMEMBERED_BODIES = 512
REFRESH_PAUSE_SECONDS = 5.0
"""Between two background refreshes that one client starts, whatever becomes of them."""

RETRY_HEADER = "x-stainless-retry-count"

log = logging.getLogger("monitor.transport")


Course = Generator[Effect, Any, "Answer | Watch | None"]
"""Returns an `Answer` made here, a `Watch` over the answer that was sent for, or None for what is not ours."""


class Guard:
    """The guard of one client: its settings, its ledger, and who asks."""

    def __init__(
        self,
        app: str | None = None,
        settings: Settings | None = None,
        *,
        clock: Clock | None = None,
        store: Store | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        """`ledger` is for guards that share one; else each has its own, over `store` or the settings' own."""
        self.settings = settings if settings is not None else Settings.load()
        self.app = Settings(app=app).app if app is not None else self.settings.app
        self.clock = clock or SystemClock()
        if ledger is None:
            ledger = Ledger(store or open_store(self.settings.store_path), self.settings, self.clock)
        self.ledger = ledger
        self.refresher = Refresher(self.ledger)
        # Unique without asking the system for randomness at each call.
        self._prefix = secrets.token_hex(6)
        self._numbers = itertools.count()
        self._calls: dict[int, str] = {}
        self._storms = Storms()
        self._next_refresh = 0.0

    def __repr__(self) -> str:
        return f"<Guard of app {self.app!r}, {self.settings.guard.mode} {self.settings.guard.allow}>"

    def close(self) -> None:
        """Write what is left over and release the store. Streams that are still read settle all the same."""
        self.ledger.write_left_over()
        self.ledger.store.close()

    def new_call_id(self) -> str:
        """An id that no other call has."""
        return f"{self._prefix}{next(self._numbers):06x}"

    def judges(self, request: Request) -> bool:
        """Whether the course will read this request's body."""
        target = classify(request.method, request.url, self.settings.base_url, request.headers)
        return target.kind not in (Kind.FREE, Kind.FOREIGN)

    def course(self, request: Request, shell: Shell) -> Course:
        """The course of one HTTP request."""
        target = classify(request.method, request.url, self.settings.base_url, request.headers)
        if target.kind in (Kind.FREE, Kind.FOREIGN):
            yield Send()
            return None
        body = request.body()
        if target.kind is Kind.UNKNOWN:
            endpoint = Endpoint.UNKNOWN
            intent = Intent(endpoint, objections=(Objection(Reason.ENDPOINT_UNKNOWN, target.detail),))
        else:
            endpoint = target.endpoint or Endpoint.UNKNOWN
            intent = read_intent(endpoint, request.headers, body)
            if target.unvouched:
                intent = replace(intent, unvouched=target.unvouched)
        ask = Ask(intent, self.app, *self._call_of(request, body))
        # Our own client's retries have a budget of their own.
        again = None if request.tag is not None else hash(body)
        if again is not None and (self._storms or ask.attempt > SLOWED_FROM):
            yield from self._brake(ask, request, again)
        try:
            decision = yield from self._reserve(ask, request, shell.fetch)
        except StoreError as exc:
            if self.settings.guard.mode is Mode.ENFORCE:
                return refusal(store_refusal(exc), endpoint, self.clock.now())
            log.warning("a call leaves unrecorded, for the guard does not enforce: %s", exc)
            yield Send()
            return None
        if decision.refresh_due:
            self._refresh_soon(request, shell)
        if decision.hold is None:
            return refusal(decision.verdict, endpoint, self.clock.now())
        return (yield from self._send(decision.hold, intent, body, shell, again))

    def _brake(self, ask: Ask, request: Request, body: int) -> Generator[Effect, Any, None]:
        """Slow down what fails again and again, or have it refused; outside of enforce mode nothing is slowed."""
        mode, now = self.settings.guard.mode, self.clock.monotonic()
        brake = self._storms.brake(body, now, ask.attempt - 1)
        if brake is None or mode is Mode.OFF:
            return
        if brake.until is not None:
            agent = request.headers.get("user-agent", "")
            ask.storm = refused(brake, ask.intent.model, agent, self.clock.now(), now)
        elif mode is Mode.ENFORCE:
            yield Pause(brake.delay)

    def _ended(self, body: int, began: float, outcome: Outcome) -> None:
        self._storms.ended(body, outcome, began, self.clock.monotonic())

    def _reserve(self, ask: Ask, request: Request, fetch: Fetch) -> Generator[Effect, Any, Decision]:
        """Reserve, with patience: fetch what is missing once, and queue for a slot while `guard.wait` allows."""
        now = self.clock.monotonic
        tag = request.tag
        deadline = now() + (self.settings.guard.wait if tag is None else tag.wait)
        cooldowns = tag is None or tag.cooldowns
        fetch_catalogue, fetch_key, failure = True, True, ""
        while True:
            patience = Patience(deadline - now(), fetch_catalogue, fetch_key, cooldowns)
            reserve = partial(self.ledger.reserve, ask, patience)
            within = partial(self.ledger.reserve_within, ask, patience)
            decision: Decision = yield Run(reserve, self._unreserve, partial(reserve, block=False), within)
            if not decision.deferred:
                return _explained(decision, failure)
            if decision.verdict.action is Action.DELAY:
                yield Sleep(decision.verdict.delay, decision.verdict.model or "")
            elif decision.verdict.reason is Reason.DAY_LIMIT:
                fetch_key = False
                yield Run(lambda: self._key_now(request, fetch))
            else:
                fetch_catalogue = False
                failure = yield Run(lambda: self._refresh_now(request, fetch))

    def _unreserve(self, decision: Decision) -> None:
        if decision.hold is not None:
            self.ledger.release(decision.hold, Ending(Outcome.CANCELLED, error="given up before it was sent"))

    def _send(
        self, hold: Hold, intent: Intent, body: bytes, shell: Shell, again: int | None
    ) -> Generator[Effect, Any, Watch]:
        """`again`: what the same body would be known by if it came once more; None: nobody minds."""
        guard = self.settings.guard
        if guard.log_bodies:
            yield Run(lambda: self.ledger.keep_request(hold, body))
        judged_free = guard.mode is Mode.ENFORCE and hold.call.tier is Tier.FREE
        cheap = guard.max_price and intent.accepts_max_price and judged_free
        started = self.clock.monotonic()
        try:
            head: Head = yield Send(add_max_price(body, replace=guard.allow is Allow.FREE) if cheap else None)
        except GeneratorExit:
            self.ledger.settle(hold, Ending(Outcome.CANCELLED, error="given up before an answer came"), block=False)
            raise
        except BaseException as exc:
            ending = _network_ending(exc)
            if shell.never_sent(exc):
                yield Run(lambda: self.ledger.release(hold, ending))
            else:
                if again is not None:
                    self._ended(again, started, ending.outcome)
                yield Run(lambda: self.ledger.settle(hold, ending))
            raise
        reader = AnswerReader(intent.endpoint, head.status, head.headers, keep_text=guard.log_bodies)
        ended = None if again is None else partial(self._ended, again, started)
        return Watch(self.ledger, hold, reader, started, ended)

    def _call_of(self, request: Request, body: bytes) -> tuple[str, int]:
        """The id of the call that this attempt belongs to, and the attempt's number.

        SDKs that retry send the same body with a count, and no id of their own.
        """
        if request.tag is not None:
            return request.tag.call_id, request.tag.attempt
        retries = request.headers.get(RETRY_HEADER, "0")
        attempt = int(retries) + 1 if retries.isdecimal() and len(retries) < 4 else 1
        key = hash(body)
        call_id = self._calls.get(key) if attempt > 1 else None
        if call_id is None:
            call_id = self.new_call_id()
            if len(self._calls) >= REMEMBERED_BODIES:
                self._calls.clear()
            self._calls[key] = call_id
        return call_id, attempt

    def _api_key(self, request: Request) -> str | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return token.strip()
        try:
            key = self.settings.key()
        except ConfigError:
            return None
        return key.reveal() if key else None

    def _refresh_now(self, request: Request, fetch: Fetch) -> str:
        """Fetch a missing catalogue, and the key's figures with it. Returns what went wrong, or nothing."""
        oldest = self.clock.now() - self.settings.guard.catalogue_max_age
        try:
            if not self.refresher.models(fetch, newer_than=oldest):
                return "another process is still fetching it"
        except PollError as exc:
            return str(exc)
        self._key_now(request, fetch)
        return ""

    def _key_now(self, request: Request, fetch: Fetch) -> None:
        key = self._api_key(request)
        if key is not None and self._is_upstream(request):
            try:
                self.refresher.key(fetch, key, newer_than=self.clock.now() - self.settings.poll.key_seconds)
            except PollError as exc:
                log.warning("the key's figures cannot be fetched, the guard counts by itself: %s", exc)

    def _refresh_soon(self, request: Request, shell: Shell) -> None:
        """Have the figures fetched in the background; the call does not wait, for its copy is usable."""
        now = self.clock.monotonic()
        if now >= self._next_refresh:
            self._next_refresh = now + REFRESH_PAUSE_SECONDS
            shell.background(lambda: self._refresh_due(request, shell.fetch))

    def _refresh_due(self, request: Request, fetch: Fetch) -> None:
        now, poll = self.clock.now(), self.settings.poll
        try:
            self.refresher.models(fetch, newer_than=now - poll.models_seconds, wait=False)
            key = self._api_key(request)
            if key is not None and self._is_upstream(request):
                self.refresher.key(fetch, key, newer_than=now - poll.key_seconds, wait=False)
        except (PollError, StoreError) as exc:
            log.warning("the copy of OpenRouter's figures could not be refreshed: %s", exc)

    def _is_upstream(self, request: Request) -> bool:
        """Whether the request goes where our own polls go: its key is shown to nobody else."""
        return request.url.startswith(self.settings.base_url + "/")


def _explained(decision: Decision, failure: str) -> Decision:
    if not failure or decision.verdict.reason is not Reason.CATALOGUE_STALE:
        return decision
    verdict = decision.verdict
    told = Verdict(verdict.action, reason=verdict.reason, model=verdict.model, detail=f"{verdict.detail}: {failure}")
    return Decision(told, decision.hold, refresh_due=False)


def _network_ending(exc: BaseException) -> Ending:
    outcome = Outcome.NETWORK_ERROR if isinstance(exc, Exception) else Outcome.CANCELLED
    return Ending(outcome, error=redact(f"{type(exc).__name__}: {exc}", limit=200))
