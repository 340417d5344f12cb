"""Reading a request's body as the server might, and refusing to read what two readers could read differently.

JSON leaves open what a repeated key means, servers differ on `NaN`, byte order marks and encodings: whoever judges one
reading while the server takes the other has judged nothing. Such a body is `Unreadable`.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from monitor.openrouter.multipart import read_form
from monitor.openrouter.unreadable import Unreadable
from monitor.openrouter.values import decoded

__all__ = ["MAX_DECODED", "Body", "Unreadable", "read_object"]

MAX_DECODED = 64 * 1024 * 1024
"""Bytes that a compressed body may grow to; one that grows further is a bomb."""

_UTF8 = frozenset({"", "utf-8", "utf8", '"utf-8"', '"utf8"'})
_CHARSET = re.compile(r";\s*charset\s*=\s*([^;]*)")


@dataclass(slots=True)
class Body:
    """A body that reads the same to everyone.

    `raw` is the text after decompression; `plain` says that it was JSON and sent as it is, so bytes may be spliced in.
    """

    value: dict[str, Any]
    raw: bytes
    plain: bool


def read_object(headers: Mapping[str, str], body: bytes, *, form: bool = False) -> Body:
    """The JSON object in `body` (or, with `form`, the text fields of a multipart form). Header names are lower-case.

    Raises `Unreadable`, which says why in plain words and never quotes the body.
    """
    encoding = headers.get("content-encoding", "").strip().lower()
    raw = body if encoding in ("", "identity") else _decompress(encoding, body)
    content_type = headers.get("content-type", "")
    if content_type not in ("application/json", ""):
        media = content_type.partition(";")[0].strip().lower()
        if media == "multipart/form-data" and form:
            return Body(read_form(content_type, raw), raw, False)
        _check_type(media, content_type)
    return Body(parse_object(raw), raw, raw is body)


def parse_object(raw: bytes) -> dict[str, Any]:
    """The object that `raw` holds as strict JSON in UTF-8. Raises `Unreadable`."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable("it is not UTF-8") from None
    if text.startswith("\ufeff"):
        raise Unreadable("it begins with a byte order mark")
    # `\ud8xx` can be half of an emoji in a prompt, which is fine, or a lone surrogate in a key, which is not.
    decoder = _CAREFUL if "\\ud" in text or "\\uD" in text else _STRICT
    try:
        value = decoded(decoder, text)
    except Unreadable:
        raise
    except RecursionError:
        raise Unreadable("it is nested too deep") from None
    except ValueError:
        raise Unreadable("it is not JSON") from None
    if type(value) is not dict:
        raise Unreadable("it is not a JSON object")
    return value


def _check_type(media: str, content_type: str) -> None:
    if media and media != "application/json" and not (media.startswith("application/") and media.endswith("+json")):
        raise Unreadable("its content type is not JSON")
    if any(charset.strip() not in _UTF8 for charset in _CHARSET.findall(content_type.lower())):
        raise Unreadable("its charset is not UTF-8")


def _decompress(encoding: str, body: bytes) -> bytes:
    if encoding in ("gzip", "x-gzip"):
        return _inflate(body, 16 + zlib.MAX_WBITS)
    if encoding == "deflate":
        # The standard means zlib's wrapper, some clients send the bare stream: the first byte tells.
        return _inflate(body, zlib.MAX_WBITS if body[:1] == b"\x78" else -zlib.MAX_WBITS)
    raise Unreadable("its content encoding is none that the guard can read")


def _inflate(body: bytes, wbits: int) -> bytes:
    stream = zlib.decompressobj(wbits)
    try:
        raw = stream.decompress(body, MAX_DECODED + 1)
    except zlib.error:
        raise Unreadable("it cannot be decompressed") from None
    if len(raw) > MAX_DECODED:
        raise Unreadable("it decompresses to more than 64 MiB")
    if not stream.eof or stream.unused_data:
        raise Unreadable("its compressed form is cut short or followed by more")
    return raw


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise Unreadable("a key appears twice in one object")
    return value


def _careful_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for key, _ in pairs:
        if not key.isascii() and any("\ud800" <= character <= "\udfff" for character in key):
            raise Unreadable("a key holds half a character")
    return _object(pairs)


def _constant(_: str) -> NoReturn:
    raise Unreadable("it holds NaN or Infinity, which is not JSON")


_STRICT = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
_CAREFUL = json.JSONDecoder(object_pairs_hook=_careful_object, parse_constant=_constant)
