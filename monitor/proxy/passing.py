"""Which headers pass, and which stay here: those of one hop, of this machine, and whatever could carry a key."""

from __future__ import annotations

from collections.abc import Iterable

from multidict import CIMultiDict

from monitor.proxy.problems import SERVER, Problem, Turned

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
_THEIRS = frozenset({b"alt-svc", b"strict-transport-security"})
"""What an upstream says of its own host, and would be taken as said of this machine."""


def to_upstream(raw: Pairs) -> CIMultiDict[str]:
    """A request's headers as they go on, repeated ones kept. Raises Turned for what no header can hold."""
    drop = _HOP | _OURS | _named_by_connection(raw)
    passed: CIMultiDict[str] = CIMultiDict()
    names: dict[bytes, str] = {}
    try:
        for name, value in raw:
            low = name.lower()
            if low not in drop and not low.startswith(_FORWARDED):
                # Spelled as at first: the client would take another spelling for the whole of the header.
                spelled = names.get(low) or names.setdefault(low, name.decode("ascii"))
                passed.add(spelled, value.decode("utf-8"))
    except UnicodeDecodeError:
        raise Turned(Problem(400, "header_unreadable", "A header is not UTF-8.")) from None
    return passed


def seen_headers(headers: CIMultiDict[str]) -> dict[str, str]:
    """The same as a course reads them: names in lower case, repeated ones joined."""
    seen: dict[str, str] = {}
    for name, value in headers.items():
        low = name.lower()
        seen[low] = f"{seen[low]}, {value}" if low in seen else value
    return seen


def to_client(raw: Pairs) -> CIMultiDict[str]:
    """An answer's headers as they go on, repeated ones kept."""
    drop = _HOP | _THEIRS | _named_by_connection(raw)
    passed: CIMultiDict[str] = CIMultiDict()
    for name, value in raw:
        if name.lower() not in drop:
            passed.add(name.decode("ascii", "replace"), value.decode("utf-8", "replace"))
    passed.setdefault("Server", SERVER)
    return passed


def _named_by_connection(raw: Pairs) -> frozenset[bytes]:
    """Header names that a `Connection` header says are of this hop."""
    named: set[bytes] = set()
    for name, value in raw:
        if len(name) == 10 and name.lower() == b"connection":
            named.update(part.strip().lower() for part in value.split(b","))
    return frozenset(named)
