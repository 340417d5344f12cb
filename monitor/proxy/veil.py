"""Keeps the daemon's key out of answers: an upstream, or a gateway before it, may echo the headers that it was sent."""

from __future__ import annotations

from collections.abc import Callable

SHORTEST = 16
"""A shorter key, as tests and simulators have, could be any word of an answer."""


class Veil:
    """Puts stars for `key` in one answer, as many as it has letters. A compressed answer cannot be looked into."""

    __slots__ = ("_key", "_rest")

    def __init__(self, key: bytes) -> None:
        self._key = key if len(key) >= SHORTEST else b""
        self._rest = b""

    def __repr__(self) -> str:
        return "<Veil>"

    def over(self, whole: bytes) -> bytes:
        """All of it, without the key."""
        key = self._key
        # `replace` finds the key itself. (`in` asks first whether it is the number of a byte, by an exception.)
        return whole.replace(key, b"*" * len(key)) if key else whole

    def before(self, taker: Callable[[bytes], None]) -> Callable[[bytes], None]:
        """What gives each chunk on to `taker` at once, but for an end that may be the beginning of the key."""
        key = self._key
        if not key:
            return taker

        def take(chunk: bytes) -> None:
            if self._rest:
                chunk, self._rest = self._rest + chunk, b""
            chunk = chunk.replace(key, b"*" * len(key))
            if chunk[-1] in key:
                kept = self._begun(chunk)
                if kept:
                    self._rest, chunk = chunk[-kept:], chunk[:-kept]
            if chunk:
                taker(chunk)

        return take

    def rest(self) -> bytes:
        """What was held back, at the end of the answer: it was not the key."""
        rest, self._rest = self._rest, b""
        return rest

    def _begun(self, chunk: bytes) -> int:
        """How many bytes at the end of `chunk` begin the key."""
        key = self._key
        longest = min(len(key) - 1, len(chunk))
        return next((count for count in range(longest, 0, -1) if chunk.endswith(key[:count])), 0)
