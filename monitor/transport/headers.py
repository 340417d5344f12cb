"""Header lists as the course reads them."""

from __future__ import annotations

from collections.abc import Iterable


def lower_case(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """One mapping with lower-case names; a header that stands twice is joined with a comma, as HTTP says to read it.

    Keeping only one of two `Content-Encoding`s would let the guard read another body than the server.
    """
    pairs = list(raw)
    # Decoded all at once, for every call has twenty headers to read.
    names = b"\n".join([name for name, _ in pairs]).decode("latin-1").lower().split("\n")
    values = b"\n".join([value for _, value in pairs]).decode("latin-1").split("\n")
    headers = dict(zip(names, values, strict=False))
    return headers if len(headers) == len(names) == len(values) == len(pairs) else _one_by_one(pairs)


def _one_by_one(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """For lists in which a name stands twice, or that hold a line feed, which no server would be sent."""
    headers: dict[str, str] = {}
    for name_bytes, value_bytes in pairs:
        name, value = name_bytes.decode("latin-1").lower(), value_bytes.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def without_encoding(headers: dict[str, str]) -> dict[str, str]:
    """The headers of an answer whose body arrives decoded: its length and encoding no longer hold."""
    return {name: value for name, value in headers.items() if name not in ("content-encoding", "content-length")}
