"""Header lists as the course reads them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache


def lower_case(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """One mapping with lower-case names; a header that stands twice is joined with a comma, as HTTP says to read it.

    Keeping only one of two `Content-Encoding`s would let the guard read another body than the server.
    """
    pairs = raw if isinstance(raw, list) else list(raw)
    headers = {_name(name): value.decode("latin-1") for name, value in pairs}
    return headers if len(headers) == len(pairs) else _joined(pairs)


def _joined(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """For lists in which a name stands twice."""
    headers: dict[str, str] = {}
    for name_bytes, value_bytes in pairs:
        name, value = _name(name_bytes), value_bytes.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _name(name: bytes) -> str:
    # A long one is nobody's usual name, and strangers must not fill the memory with what is kept.
    return _kept(name) if len(name) <= 64 else name.decode("latin-1").lower()


@lru_cache(maxsize=1024)
def _kept(name: bytes) -> str:
    """Kept, for each call has some forty headers, and they have the same few names."""
    return name.decode("latin-1").lower()


def without_encoding(headers: dict[str, str]) -> dict[str, str]:
    """The headers of an answer whose body arrives decoded: its length and encoding no longer hold."""
    return {name: value for name, value in headers.items() if name not in ("content-encoding", "content-length")}
