"""Tells people of alerts, by each way in a thread of its own: no call, poll or look ever waits for a mail server.

Nothing is queued. At each round a courier asks what is due now, sends it, and writes down that it did; what failed is
due again later. A kill between a server's answer and that note is the one case in which a message comes twice.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from monitor.alerting.messages import Message
from monitor.alerting.told import Told
from monitor.alerting.way import Undelivered, Way
from monitor.clock import Clock, day_of
from monitor.config.hours import Span, span
from monitor.config.sections import AlertSettings
from monitor.errors import StoreError
from monitor.metrics.polls import Polls
from monitor.policy.alert_states import AlertState
from monitor.policy.notices import Bundle, Due, Health, Manners, Notice, begun, bundled, due, outlived
from monitor.store import SQLiteStore

FIRST_RETRY_SECONDS, RETRY_AT_MOST = 5.0, 900.0
END_SECONDS = 2.0
"""How long the end of the daemon waits for a message that is being sent."""

log = logging.getLogger("monitor.alerting")


class Standing(Protocol):
    """How alerts stand, and whether this daemon is the one that tells."""

    @property
    def states(self) -> Mapping[str, AlertState]: ...
    @property
    def leading(self) -> bool: ...


class Occasion(Protocol):
    """Something that people are told at a time of the day. `key` stands for an alert's fingerprint."""

    key: str

    def at(self, now: float) -> float | None:
        """When it was last due (epoch seconds); None when that is too long ago to be told."""
        ...

    def bundle(self, now: float) -> Bundle | None:
        """What to say; None when there is nothing to say. Raises StoreError."""
        ...


class Courier:
    """Brings what is due by one way. `url` is where this daemon's page is."""

    def __init__(
        self,
        way: Way,
        watch: Standing,
        told: Told,
        alerts: AlertSettings,
        clock: Clock,
        polls: Polls,
        url: str,
        occasions: Sequence[Occasion] = (),
    ) -> None:
        self.way = way
        self.wake = threading.Event()
        self._watch, self._told, self._clock, self._polls, self._url = watch, told, clock, polls, url
        self._occasions = occasions
        self._manners = Manners(alerts.severity, alerts.repeat_seconds)
        self._quiet: Span | None = None if alerts.quiet_hours is None else span(alerts.quiet_hours)
        self._health = Health(way.place)
        self._retry: float | None = None
        self._retry_at = 0.0
        self._aside: frozenset[str] = frozenset()
        """What failed, maybe by its own fault: what is new need not wait for it."""

    def __repr__(self) -> str:
        return f"<Courier by {self.way!r}>"

    def round(self) -> float | None:
        """Bring what is due. Returns in how many seconds to try again what failed; None when nothing did."""
        if not self._watch.leading:
            self._told.drop()
            self._retry = None
            return None
        if self._retry is not None and (left := self._retry_at - self._clock.monotonic()) > 0 and not self._news():
            return left
        try:
            notices, now = self._told.notices(), self._clock.now()
            if self._told.fresh:
                self._told.fresh = False
                self._told.note(begun(dict(self._watch.states), now))
                self._told.write(self._health)
            failed = self._bring(notices, now)
        except StoreError as exc:
            self._later(None)
            log.warning("messages by %s have to wait for the store: %s", self.way.name, exc)
            return self._retry
        if failed is not None:
            self._failed(failed, now)
            if not failed.partly:
                return self._retry
        self._retry = None
        mine = {occasion.key for occasion in self._occasions}
        gone = [key for key in outlived(dict(self._watch.states), notices) if key not in mine]
        self._told.note({}, gone)
        return None

    def _bring(self, notices: Mapping[str, Notice], now: float) -> Undelivered | None:
        """Send what is due, and note it. The first that failed: others are still tried if it may be its own fault."""
        first: Undelivered | None = None
        sent, aside = False, set[str]()
        for bundle, told in self._due(notices, now):
            failed = self._try(bundle)
            if failed is None or failed.partly:
                self._told.note(told)
                sent = True
            if failed is None:
                continue
            aside |= told.keys()
            if first is None or first.partly or failed.again_after is not None:
                first = failed
            if not failed.alone or failed.again_after is not None:
                aside.clear()
                break
        self._aside = frozenset(aside)
        if sent:
            self._arrived(now, well=first is None)
        return first

    def _news(self) -> bool:
        """Whether something is due besides what was set aside."""
        if not self._aside:
            return False
        try:
            found = self._due_alerts(self._told.notices(), self._clock.now())
        except StoreError:
            return False
        return any(each.key not in self._aside for each in found)

    def _due_alerts(self, notices: Mapping[str, Notice], now: float) -> list[Due]:
        quiet = self._quiet is not None and self._quiet.holds(now)
        return due(dict(self._watch.states), notices, self._manners, now, quiet=quiet)

    def _due(self, notices: Mapping[str, Notice], now: float) -> Iterator[tuple[Bundle, dict[str, Notice]]]:
        for bundle in bundled(self._due_alerts(notices, now)):
            yield bundle, {each.key: each.notice(now) for each in bundle.due}
        for occasion in self._occasions:
            at, known = occasion.at(now), notices.get(occasion.key)
            if at is None or (known is not None and known.incident == int(at)):
                continue
            bundle_ = occasion.bundle(now)
            if bundle_ is not None:
                yield bundle_, {occasion.key: Notice(int(at), False, now, day_of(at))}

    def _try(self, bundle: Bundle) -> Undelivered | None:
        """Why it did not arrive; None when it did."""
        try:
            self._send(Message(bundle, self._url))
        except Undelivered as exc:
            self._polls.notified(self.way.channel, ok=False)
            return exc
        self._polls.notified(self.way.channel, ok=True)
        return None

    def _arrived(self, now: float, *, well: bool) -> None:
        if not well:
            self._fares(self._health._replace(sent_at=now))
            return
        if self._health.failing_since is not None:
            log.info("messages by %s arrive again", self.way.name)
        self._fares(Health(self.way.place, now))

    def _send(self, message: Message) -> None:
        try:
            self.way.send(message)
        except Undelivered:
            raise
        except Exception as exc:  # noqa: BLE001 - only its kind: what a library says may hold the address
            raise Undelivered(f"{self.way.place}: {type(exc).__name__}", alone=True) from None

    def _failed(self, exc: Undelivered, now: float) -> None:
        if not exc.partly:
            self._later(exc.again_after)
        if self._health.error != str(exc):
            log.warning("messages by %s do not arrive: %s", self.way.name, exc)
        since = now if self._health.failing_since is None else self._health.failing_since
        self._fares(self._health._replace(failing_since=since, error=str(exc)))

    def _later(self, asked: float | None) -> None:
        twice = FIRST_RETRY_SECONDS if self._retry is None else self._retry * 2
        self._retry = min(max(twice, asked or 0.0), RETRY_AT_MOST)
        self._retry_at = self._clock.monotonic() + self._retry

    def _fares(self, health: Health) -> None:
        self._health = health
        self._told.write(health)


class Couriers:
    """All of them, each in its thread. `wake` after each look; `end` before the daemon's end."""

    def __init__(self, couriers: Sequence[Courier], store: SQLiteStore) -> None:
        self._couriers, self._store = tuple(couriers), store
        self._ending = threading.Event()
        self._tidied = False
        self._threads = [
            # The end must not wait for a server that does not answer.
            threading.Thread(target=self._run, args=(courier,), name=f"monitor-{courier.way.name}", daemon=True)
            for courier in self._couriers
        ]

    def __repr__(self) -> str:
        return f"<Couriers by {', '.join(courier.way.name for courier in self._couriers)}>"

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Let each ask what is due."""
        for courier in self._couriers:
            courier.wake.set()

    def tidy(self) -> None:
        """Forget the ways that are no longer set. Raises StoreError."""
        with self._store.transaction() as tx:
            tx.forget_alert_ways(but=[courier.way.name for courier in self._couriers])

    def end(self) -> None:
        """Begin no more; a message that is being sent may end within two seconds."""
        self._ending.set()
        self.wake()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(END_SECONDS / len(self._threads))

    def _run(self, courier: Courier) -> None:
        delay: float | None = None
        while True:
            courier.wake.wait(delay)
            courier.wake.clear()
            if self._ending.is_set():
                return
            try:
                delay = courier.round()
            except Exception:
                log.exception("messages by %s: a defect", courier.way.name)
                delay = RETRY_AT_MOST
