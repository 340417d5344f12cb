"""The belt: `provider.max_price` of zero in the request itself, so that OpenRouter routes to nothing that costs.

OpenRouter's docs (provider routing): prices are USD per million tokens (per request, image, audio unit), and a request
that no endpoint can serve within them does not run. The values are strings: OpenRouter's SDK 1.3 types them so, earlier
schemas take a string or a number, and projects send either. It does not cover plugins and server tools.

Where only free calls may leave, a `max_price` of the app's own gives way to the zeros. Nothing is lost: a call that was
judged free can only be served at zero, and what could serve it at a price must not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

_ZERO = {"prompt": "0", "completion": "0", "request": "0", "image": "0", "audio": "0"}
_BLANK = re.compile(r"[ \t\n\r]*")
_OPEN = re.compile(rb"[ \t\n\r]*\{[ \t\n\r]*")
_DECODER = json.JSONDecoder()
_ZERO_PRICES = json.dumps(_ZERO, separators=(",", ":"))
_ZERO_PROVIDER = f'"provider":{{"max_price":{_ZERO_PRICES}}}'.encode()


def add_max_price(body: bytes, prices: Mapping[str, str | int] | None = None, *, replace: bool = False) -> bytes:
    """`body` with `provider.max_price` in it, every other byte as it was.

    `prices` replaces the zeros; an empty mapping adds an empty object. A body that is no JSON object, or has a
    `provider` that is neither an object nor null, comes back unchanged; so does one with a `max_price` of its own,
    unless it is to be replaced.
    """
    opening = _OPEN.match(body)
    if opening is None:
        return body
    if prices is None:
        value, provider = _ZERO_PRICES, _ZERO_PROVIDER
    else:
        value = json.dumps(dict(prices), separators=(",", ":"))
        provider = f'"provider":{{"max_price":{value}}}'.encode()
    # A key can be escaped (`\u0070rovider`): only a body without both can do without looking closer.
    # Not `in`, which asks first whether a mark is the number of a byte, by an exception.
    if body.find(b'"provider"') < 0 and body.find(b"\\u00") < 0:
        at = opening.end()
        comma = b"" if body[at : at + 1] == b"}" else b","
        return body[:at] + provider + comma + body[at:]
    try:
        return _put(body.decode("utf-8"), value, replace=replace).encode("utf-8")
    except (ValueError, RecursionError, IndexError, StopIteration):
        return body


def _put(text: str, value: str, *, replace: bool) -> str:
    provider = _find(text, _skip(text, 0), "provider")
    if provider.start == provider.end:
        return _insert(text, provider.start, f'"provider":{{"max_price":{value}}}', alone=provider.empty)
    now = _DECODER.raw_decode(text, provider.start)[0]
    if now is None:
        return text[: provider.start] + f'{{"max_price":{value}}}' + text[provider.end :]
    if type(now) is not dict:
        return text
    if "max_price" not in now:
        return _insert(text, provider.start + 1, f'"max_price":{value}', alone=not now)
    if not replace:
        return text
    own = _find(text, provider.start, "max_price")
    return text[: own.start] + value + text[own.end :]


def _insert(text: str, at: int, member: str, *, alone: bool) -> str:
    return text[:at] + member + ("" if alone else ",") + text[at:]


class _Place(NamedTuple):
    """Where a member's value begins and ends; the same twice, at the object's first member, when it has none."""

    start: int
    end: int
    empty: bool
    """The object has no member at all."""


def _find(text: str, opening: int, wanted: str) -> _Place:
    """The member `wanted` of the object that opens there, however its key is written.

    Raises ValueError or IndexError for what is not a JSON object.
    """
    first = at = _skip(text, opening + 1)
    if text[at] == "}":
        return _Place(first, first, empty=True)
    while True:
        if text[at] != '"':
            raise ValueError("no key")
        key, at = _DECODER.raw_decode(text, at)
        at = _skip(text, at)
        if text[at] != ":":
            raise ValueError("no colon")
        start = _skip(text, at + 1)
        _, end = _DECODER.raw_decode(text, start)
        if key == wanted:
            return _Place(start, end, empty=False)
        at = _skip(text, end)
        if text[at] == "}":
            return _Place(first, first, empty=False)
        if text[at] != ",":
            raise ValueError("no comma")
        at = _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at
