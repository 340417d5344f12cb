"""Which headers pass, and which stay here: those of one hop, of this machine, and whatever could carry a key."""

from __future__ import annotations

from collections.abc import Iterable

Pairs = Iterable[tuple[bytes, bytes]]

_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110, 7.6.1, and what clients send beside it: about this connection, so never passed on."""

_OURS = frozenset(
    {b"authorization", b"content-length", b"cookie", b"expect", b"forwarded", b"host", b"http2-settings", b"origin",
     b"referer", b"via", b"x-api-key", b"x-openrouter-monitor-app", b"x-real-ip"}
)  # fmt: skip
"""Answered here, or none of the upstream's business: a browser's cookies for this machine are of other programs."""

_FORWARDED = b"x-forwarded-"
_THEIRS = frozenset({b"alt-svc", b"content-length", b"strict-transport-security"})
"""What an upstream says of its own host, and would be taken as said of this machine; and a length, said anew."""
_NOT_SENT = _HOP | _OURS
_NOT_TOLD = _HOP | _THEIRS


def to_upstream(raw: Pairs) -> list[tuple[bytes, bytes]]:
    """A request's headers as they go on: as they were written, repeated ones kept."""
    drop = _dropped(raw, _NOT_SENT)
    return [pair for pair in raw if (low := pair[0].lower()) not in drop and not low.startswith(_FORWARDED)]


def to_client(raw: Pairs) -> list[tuple[bytes, bytes]]:
    """An answer's headers as they go on, likewise; without its length, which the writer knows."""
    drop = _dropped(raw, _NOT_TOLD)
    return [pair for pair in raw if pair[0].lower() not in drop]


def _dropped(raw: Pairs, always: frozenset[bytes]) -> frozenset[bytes]:
    """`always`, and the names that a `Connection` header says are of this hop."""
    for name, value in raw:
        if len(name) == 10 and name.lower() == b"connection":
            always = always.union(part.strip().lower() for part in value.split(b","))
    return always
