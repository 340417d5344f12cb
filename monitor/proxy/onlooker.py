"""Lets a watch see an answer that goes by: at once while that matters, later and together once it does not.

Of most of a stream only the end is of interest. To look at each chunk by itself would hold up the next one, which is
another caller's.
"""

from __future__ import annotations

import asyncio
from typing import Self

from monitor.transport.watch import Watch

LOOK_SECONDS = 1.0
"""How long chunks lie unseen. Where neither side ends a stream that is over, it is settled so much later."""

LOOK_BYTES = 64 * 1024
"""How much of them may."""


class Onlooker:
    """Sees the chunks of one answer for `watch`, and keeps its hold while the answer lasts. Enter it on the loop.

    All that went by has been seen when it is left; to settle is then the caller's. What came after an answer's end and
    was looked at with it counts as said by it: an error there makes it a failed one.
    """

    __slots__ = ("_held", "_loop", "_size", "_timer", "_waits", "_watch")

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._held: list[bytes] = []
        self._size = 0
        self._waits = False
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Self:
        self._timer = self._loop.call_later(LOOK_SECONDS, self._in_time)
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._look()

    def see(self, chunk: bytes) -> None:
        """Take a chunk that was handed on."""
        if not self._waits:
            self._feed(chunk)
            self._waits = self._watch.can_wait
        elif not self._watch.settled:
            self._held.append(chunk)
            self._size += len(chunk)
            if self._size > LOOK_BYTES:
                self._look()

    def _look(self) -> None:
        if self._held:
            seen, self._held, self._size = b"".join(self._held), [], 0
            self._feed(seen)

    def _feed(self, chunk: bytes) -> None:
        if self._watch.feed(chunk):
            self._watch.settle()

    def _in_time(self) -> None:
        self._look()
        if self._watch.due():
            self._watch.renew()
        self._timer = self._loop.call_later(LOOK_SECONDS, self._in_time)
