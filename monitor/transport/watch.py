"""Watching an answer go by: the bytes pass untouched, the attempt is settled when its end is *seen*.

Most SDKs stop reading at `[DONE]`, some consumers at the first word; a stream may be closed, cut, cancelled, or dropped
without a word. Whatever happens first settles, once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

from monitor.bookings import Hold
from monitor.ledger import LEASE_SECONDS, Ledger
from monitor.model import Ending, Outcome
from monitor.openrouter.answer import AnswerReader
from monitor.redact import redact


class Watch:
    """The end of one attempt, waited for. Methods that write are blocking: an async shell runs them in a thread."""

    __slots__ = ("_clock", "_ended", "_hold", "_ledger", "_reader", "_renew_at", "_started", "settled")

    def __init__(
        self,
        ledger: Ledger,
        hold: Hold,
        reader: AnswerReader,
        started: float,
        ended: Callable[[Outcome], None] | None = None,
    ) -> None:
        """`ended` is told once how it ended, before that is written; it must not wait, nor raise."""
        self._ended = ended
        self._ledger = ledger
        self._hold = hold
        self._reader = reader
        self._clock = ledger.clock
        self._started = started
        self._renew_at = started + LEASE_SECONDS / 3
        self.settled = False

    def feed(self, chunk: bytes) -> bool:
        """Take a chunk of the answer. True when `settle` should be called now. Never raises."""
        if self.settled:
            return False
        at = self._clock.monotonic()
        return self._reader.feed(chunk, at, self._started)

    @property
    def can_wait(self) -> bool:
        """Whether what comes from now on may be fed late, and many chunks as one: only its end is of interest."""
        return self.settled or self._reader.skims

    def due(self) -> bool:
        """Whether the hold should be renewed, for an answer that takes very long."""
        return not self.settled and self._clock.monotonic() >= self._renew_at

    def renew(self) -> None:
        """Keep the hold alive."""
        self._renew_at = self._clock.monotonic() + LEASE_SECONDS / 3
        self._ledger.renew(self._hold)

    def settle(self) -> None:
        """All that matters was seen, or the answer was read to its end."""
        self._end(complete=True)

    def settle_at_once(self) -> bool:
        """The same without waiting, for an event loop. False when it must be done elsewhere, by `settle`."""
        if not self.settled:
            # Marked first: a finalizer may run at any moment.
            self.settled = True
            self.settled = self._ledger.settle_at_once(self._hold, self._ending(True, None, None))
        return self.settled

    def closed(self) -> None:
        """The consumer closed the answer before its end."""
        self._end(complete=False, broken=Outcome.CANCELLED)

    def failed(self, exc: BaseException) -> None:
        """Reading broke off: the peer was cut, or the task was cancelled."""
        broken = Outcome.NETWORK_ERROR if isinstance(exc, Exception) else Outcome.CANCELLED
        self._end(complete=False, broken=broken, error=redact(f"{type(exc).__name__}: {exc}", limit=200))

    def _end(self, *, complete: bool, broken: Outcome | None = None, error: str | None = None) -> None:
        if self.settled:
            return
        self.settled = True
        self._ledger.settle(self._hold, self._ending(complete, broken, error))

    def _ending(self, complete: bool, broken: Outcome | None, error: str | None) -> Ending:
        ending = self._reader.ending(complete=complete, now=self._clock.now(), broken=broken)
        if self._ended is not None:
            told, self._ended = self._ended, None
            told(ending.outcome)
        if error is None or ending.error is not None or ending.outcome is Outcome.SUCCESS:
            return ending
        return replace(ending, error=error)

    def __del__(self) -> None:
        # Dropped without a word. This can run inside any transaction of this thread, so it must not wait for one;
        # what cannot be written now is written by the ledger's next use. At interpreter exit anything may be gone,
        # and the sweep settles the row.
        if not getattr(self, "settled", True):
            self.settled = True
            with contextlib.suppress(Exception):
                ending = self._ending(False, Outcome.ABANDONED, "the consumer dropped the answer unread")
                self._ledger.settle(self._hold, ending, block=False)
