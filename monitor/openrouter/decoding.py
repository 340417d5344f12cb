"""Undoing a response's content encoding a chunk at a time, beside the bytes that go on to the app untouched."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from typing import Any


class Undecodable(Exception):
    """The encoding is unknown here, or the bytes do not follow it: the answer passes, but cannot be read."""


def decoder(encoding: str) -> Callable[[bytes], bytes] | None:
    """What turns each chunk into plain bytes; None when they are plain already. Raises `Undecodable`.

    Brotli and zstandard are read when their packages are there, as the HTTP clients that ask for them need them too.
    """
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip":
            return _checked(zlib.decompressobj(16 + zlib.MAX_WBITS).decompress)
        case "deflate":
            return _checked(_Deflate().decompress)
        case "br":
            return _checked(_module("brotli").Decompressor().process)
        case "zstd":
            return _checked(_module("zstandard").ZstdDecompressor().decompressobj().decompress)
    raise Undecodable("an encoding that cannot be read here")


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise Undecodable(f"{name} is not installed") from None


def _checked(decompress: Callable[[bytes], Any]) -> Callable[[bytes], bytes]:
    def run(chunk: bytes) -> bytes:
        try:
            return bytes(decompress(chunk))
        except Exception:  # noqa: BLE001 - each package has errors of its own, and reading along must not break a call
            raise Undecodable("its bytes do not follow its encoding") from None

    return run


class _Deflate:
    """The standard means zlib's wrapper, some servers send the bare stream: the first byte tells."""

    def __init__(self) -> None:
        self._stream: Any = None

    def decompress(self, chunk: bytes) -> bytes:
        if not chunk:
            return b""
        if self._stream is None:
            self._stream = zlib.decompressobj(zlib.MAX_WBITS if chunk[:1] == b"\x78" else -zlib.MAX_WBITS)
        return bytes(self._stream.decompress(chunk))
