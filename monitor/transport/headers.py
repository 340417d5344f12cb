"""Header lists as the course reads them."""

from __future__ import annotations

from collections.abc import Iterable


def lower_case(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """One mapping with lower-case names; a header that stands twice is joined with a comma, as HTTP says to read it.

    Keeping only one of two `Content-Encoding`s would let the guard read another body than the server.
    """
    headers: dict[str, str] = {}
    for name_bytes, value_bytes in raw:
        name, value = name_bytes.decode("latin-1").lower(), value_bytes.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def without_encoding(headers: dict[str, str]) -> dict[str, str]:
    """The headers of an answer whose body arrives decoded: its length and encoding no longer hold."""
    return {name: value for name, value in headers.items() if name not in ("content-encoding", "content-length")}
