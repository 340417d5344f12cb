"""Fetch the catalogue and the key's figures once for everyone: plain GETs that spend no quota.

A lease in the store makes it one fetch across threads and processes; who does not get it waits for the other's result
or, with a usable copy at hand, goes on without. A failure is remembered for a while, so that a thousand refused calls
do not become a thousand fetches.
"""

from __future__ import annotations

import itertools
import os
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from monitor.clock import Clock, age_of
from monitor.config import Settings
from monitor.errors import PollError
from monitor.ledger import Ledger
from monitor.model import ModelFacts, PriceClass
from monitor.openrouter.catalogue import dearer, parse_catalogue
from monitor.openrouter.key import parse_key
from monitor.policy.changes import Belief, first_belief, from_text, judge, models_told, to_text
from monitor.redact import redact
from monitor.store.protocol import Store, Transaction

FETCH_SECONDS = 20.0
"""How long one fetch may take before others stop waiting for it."""

BACK_OFF_SECONDS = 10.0
PAGE_LIMIT = 20
_LOOK_AGAIN_SECONDS = 0.05

_holders = itertools.count()
"""Of the whole process: two refreshers of one thread must not take each other's lease for their own."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The answer to a GET: status, and the decoded body.

    `sent_at` is when the server says that it made the answer (epoch seconds); None when it does not, or a cache did.
    """

    status: int
    body: bytes
    sent_at: float | None = field(default=None, compare=False)


class Stopped(ConnectionAbortedError):
    """A fetch was cut off, or not begun, because its process is ending: that says nothing of OpenRouter."""


Fetch = Callable[[str, Mapping[str, str]], Fetched]
"""GET a URL with headers. Raises any exception when no answer came; the exception's text is redacted here."""


@dataclass(slots=True)
class Refresher:
    """Keeps the store's copy of the catalogue and of the key's figures. Each method may be called from any thread."""

    ledger: Ledger

    @property
    def store(self) -> Store:
        return self.ledger.store

    @property
    def settings(self) -> Settings:
        return self.ledger.settings

    @property
    def clock(self) -> Clock:
        return self.ledger.clock

    def models(self, fetch: Fetch, *, newer_than: float, wait: bool = True) -> bool:
        """See that the store has a catalogue fetched after `newer_than` (epoch seconds). True when it has.

        With `wait`, waits for whoever is fetching it. Raises PollError with the reason when it cannot be had, and
        StoreUnreachable or StoreDamaged.
        """
        return self._once("models", wait, lambda: self._catalogue_at() > newer_than, lambda: self._fetch_models(fetch))

    def key(self, fetch: Fetch, api_key: str, *, newer_than: float, wait: bool = True) -> bool:
        """The same for the key's figures, asked for with `api_key`, which goes nowhere but to the server."""
        name = f"key:{self.settings.account}"
        return self._once(name, wait, lambda: self._key_at() > newer_than, lambda: self._fetch_key(fetch, api_key))

    def holder(self) -> str:
        """A name for one look, which no other has."""
        return f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}:{next(_holders)}"

    def _once(self, name: str, wait: bool, is_there: Callable[[], bool], work: Callable[[], None]) -> bool:
        holder = self.holder()
        deadline = self.clock.monotonic() + FETCH_SECONDS
        while True:
            if is_there():
                return True
            now = self.clock.now()
            with self.store.transaction() as tx:
                mine = tx.take_lease(name, holder, now + FETCH_SECONDS, now)
                held = None if mine else tx.lease(name)
            if mine:
                # Looked for again: another may have fetched it between our look and our lease.
                self._work(name, holder, lambda: None if is_there() else work())
                return True
            if held is not None and held[2]:
                raise PollError(
                    f"the last try failed: {held[2]}.", hint=f"The next is in {BACK_OFF_SECONDS:g} seconds."
                )
            if not wait or self.clock.monotonic() >= deadline:
                return False
            self.clock.sleep(_LOOK_AGAIN_SECONDS)

    def _work(self, name: str, holder: str, work: Callable[[], None]) -> None:
        failure = "it was interrupted"
        try:
            work()
            failure = ""
        except PollError as exc:
            failure = redact(exc.message, limit=200)
            raise
        finally:
            with self.store.transaction() as tx:
                now = self.clock.now()
                tx.end_lease(name, holder, failure, now + BACK_OFF_SECONDS if failure else 0.0)

    def _catalogue_at(self) -> float:
        with self.store.transaction() as tx:
            return self._catalogue_seen(tx)

    def _catalogue_seen(self, tx: Transaction) -> float:
        catalogue = tx.catalogue()
        ours = catalogue is not None and catalogue.source == self.settings.base_url
        return self._believed(catalogue.fetched_at if ours and catalogue else None)

    def _key_at(self) -> float:
        with self.store.transaction() as tx:
            at = tx.account(self.settings.account).key_at
        return self._believed(at)

    def _believed(self, at: float | None) -> float:
        """`at`, or the beginning of time for what never was or has a stamp from the future."""
        return float("-inf") if at is None or age_of(at, self.clock.now()) is None else at

    def _fetch_models(self, fetch: Fetch) -> None:
        asked_at = self.clock.now()
        models: dict[str, ModelFacts] = {}
        url = f"{self.settings.base_url}/models?output_modalities=all"
        for _ in range(PAGE_LIMIT):
            page = parse_catalogue(get(fetch, url, {}))
            for name, facts in page.models.items():
                models[name] = dearer(models[name], facts) if name in models else facts
            if page.next_page is None:
                break
            following = urljoin(url, page.next_page)
            if urlsplit(following)[:2] != urlsplit(url)[:2]:
                raise PollError("the catalogue's next page is on another host")
            url = following
        else:
            raise PollError(f"the catalogue has more than {PAGE_LIMIT} pages")
        source, watched = self.settings.base_url, self.settings.guard.models
        with self.store.transaction() as tx:
            # Slower than its lease, an answer can come after one that was asked for later: that one stands.
            if asked_at >= self._catalogue_seen(tx):
                note_catalogue(tx, models, source=source, at=asked_at, watched=watched)

    def _fetch_key(self, fetch: Fetch, api_key: str) -> None:
        asked_at = self.clock.now()
        try:
            body = get(fetch, f"{self.settings.base_url}/key", bearer(api_key))
            facts = parse_key(body)
        except PollError as exc:
            if not isinstance(exc.__cause__, Stopped):
                self.ledger.note_key(None, asked_at=asked_at, error=exc.message)
            raise
        self.ledger.note_key(facts, asked_at=asked_at)


def bearer(api_key: str) -> dict[str, str]:
    """The header that shows a key."""
    return {"authorization": f"Bearer {api_key}"}


def get(fetch: Fetch, url: str, headers: Mapping[str, str]) -> bytes:
    """The body of a GET that was answered 200. Raises PollError."""
    return body_of(ask(fetch, url, headers), url)


def ask(fetch: Fetch, url: str, headers: Mapping[str, str]) -> Fetched:
    """Whatever a GET was answered. Raises PollError when there was no answer."""
    try:
        return fetch(url, {"accept": "application/json", **headers})
    except Exception as exc:
        said = redact(f"{type(exc).__name__}: {exc}", limit=160)
        raise PollError(f"GET {urlsplit(url).path} failed: {said}") from exc


def body_of(answer: Fetched, url: str) -> bytes:
    """The body of an answer to a GET of `url`. Raises PollError unless its status is 200."""
    path = urlsplit(url).path
    if answer.status == 401:
        raise PollError(f"GET {path} answered 401: the API key is not valid")
    if answer.status != 200:
        raise PollError(f"GET {path} answered {answer.status}")
    return answer.body


def note_catalogue(
    tx: Transaction, models: Mapping[str, ModelFacts], *, source: str, at: float, watched: tuple[str, ...] = ()
) -> None:
    """Make `models` the newest catalogue, which the guard judges by, and record what is news in it.

    `at` is when it was asked for; `watched` are globs of the ids whose absence matters as that of free ones does.
    """
    before = tx.catalogue()
    known = tx.all_facts()
    changed = [facts for name, facts in models.items() if known.get(name) != (facts, True)]
    gone = [name for name, (_, present) in known.items() if present and name not in models]
    tx.save_models(changed, gone, at)
    tx.save_catalogue(source, at, len(models))
    free = sum(facts.price is PriceClass.FREE for facts in models.values())
    tx.add_snapshot(at, "models", "", {"models": len(models), "free": free, "changed": len(changed), "gone": len(gone)})
    if before is None or before.source != source:
        # The first look at a world is no news of it.
        firsts = {name: to_text(first_belief(facts)) for name, facts in models.items()}
        tx.save_beliefs(firsts, tx.beliefs().keys() - firsts.keys())
        return
    beliefs, made = _beliefs(tx, known)
    judged = judge(beliefs, models, at, watched)
    tx.save_beliefs({name: to_text(belief) for name, belief in {**made, **judged.changed}.items()}, judged.forgotten)
    for event in judged.events:
        tx.add_event(event, models_told(event))


def _beliefs(
    tx: Transaction, known: Mapping[str, tuple[ModelFacts, bool]]
) -> tuple[dict[str, Belief], dict[str, Belief]]:
    """What was believed before this catalogue, and the part of it that the store did not have."""
    beliefs = {name: belief for name, text in tx.beliefs().items() if (belief := from_text(text)) is not None}
    # A store from before there were beliefs has the last catalogue all the same: nothing between the two is missed.
    made = {name: first_belief(facts) for name, (facts, listed) in known.items() if listed and name not in beliefs}
    return beliefs | made, made
