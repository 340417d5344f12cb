"""The belt: `provider.max_price` of zero in the request itself, so that OpenRouter routes to nothing that costs.

OpenRouter's docs (provider routing): prices are USD per million tokens (per request, image, audio unit), and a request
that no endpoint can serve within them does not run. The values are strings: OpenRouter's SDK 1.3 types them so, earlier
schemas take a string or a number, and projects send either. It does not cover plugins and server tools.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_ZERO = {"prompt": "0", "completion": "0", "request": "0", "image": "0", "audio": "0"}
_BLANK = re.compile(r"[ \t\n\r]*")
_OPEN = re.compile(rb"[ \t\n\r]*\{[ \t\n\r]*")
_DECODER = json.JSONDecoder()
_ZERO_MEMBER = f'"max_price":{json.dumps(_ZERO, separators=(",", ":"))}'
_ZERO_PROVIDER = f'"provider":{{{_ZERO_MEMBER}}}'.encode()


def add_max_price(body: bytes, prices: Mapping[str, str | int] | None = None) -> bytes:
    """`body` with `provider.max_price` in it, every other byte as it was.

    `prices` replaces the zeros; an empty mapping adds an empty object. A body that is no JSON object, has a
    `max_price` already, or a `provider` that is neither an object nor null, comes back unchanged.
    """
    opening = _OPEN.match(body)
    if opening is None:
        return body
    if prices is None:
        member, provider = _ZERO_MEMBER, _ZERO_PROVIDER
    else:
        member = f'"max_price":{json.dumps(dict(prices), separators=(",", ":"))}'
        provider = f'"provider":{{{member}}}'.encode()
    # A key can be escaped (`\u0070rovider`): only a body without both can do without looking closer.
    if b'"provider"' not in body and b"\\u00" not in body:
        at = opening.end()
        comma = b"" if body[at : at + 1] == b"}" else b","
        return body[:at] + provider + comma + body[at:]
    return _into(body, member)


def _into(body: bytes, member: str) -> bytes:
    try:
        text = body.decode("utf-8")
        found = _find_provider(text)
    except (ValueError, RecursionError, IndexError, StopIteration):
        return body
    start, end, empty = found
    if start == end:
        comma = "" if empty else ","
        added = f'"provider":{{{member}}}{comma}'
        return (text[:start] + added + text[start:]).encode("utf-8")
    value = _DECODER.raw_decode(text, start)[0]
    if value is None:
        return (text[:start] + "{" + member + "}" + text[end:]).encode("utf-8")
    if type(value) is not dict or "max_price" in value:
        return body
    inside = start + 1
    return (text[:inside] + member + ("," if value else "") + text[inside:]).encode("utf-8")


def _find_provider(text: str) -> tuple[int, int, bool]:
    """Where the top level's `provider` value begins and ends; without one, where the object's first member would be.

    The third part says that the object is empty. Raises ValueError for what is not a JSON object.
    """
    first = at = _skip(text, _skip(text, 0) + 1)
    if text[at] == "}":
        return first, first, True
    while True:
        if text[at] != '"':
            raise ValueError("no key")
        key, at = _DECODER.raw_decode(text, at)
        at = _skip(text, at)
        if text[at] != ":":
            raise ValueError("no colon")
        start = _skip(text, at + 1)
        _, end = _DECODER.raw_decode(text, start)
        if key == "provider":
            return start, end, False
        at = _skip(text, end)
        if text[at] == "}":
            return first, first, False
        if text[at] != ",":
            raise ValueError("no comma")
        at = _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at
