"""Reading single values of answers, in which every field may be missing or of another type than documented."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_LARGEST = 2**53
_DECODER = json.JSONDecoder()
_WHITE = " \t\n\r"


def number(value: object) -> float | None:
    """A finite float of a number or of a string that holds one; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def count(value: object) -> int | None:
    """A whole number from 0 to 2**53, which a store and a float can hold; None for anything else."""
    if type(value) is int:
        return value if 0 <= value <= _LARGEST else None
    if isinstance(value, float) and 0 <= value <= _LARGEST and value == int(value):
        return int(value)
    return None


def text(value: object) -> str | None:
    """A string that is not empty; None for anything else. Half a surrogate pair, which no file takes, becomes a "?"."""
    if not isinstance(value, str) or not value:
        return None
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


def letters(value: str) -> str:
    """The text as a file and a terminal take it: surrogate pairs are put together, half a pair becomes "\ufffd"."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


def flag(value: object) -> bool | None:
    """A boolean; None for anything else."""
    return value if isinstance(value, bool) else None


def mapping(value: object) -> Mapping[str, Any]:
    """An object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def instant(value: object) -> float | None:
    """Epoch seconds of an ISO 8601 text (UTC unless it says otherwise); None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value.strip())
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def decoded(decoder: json.JSONDecoder, text: str) -> object:
    """What `decoder.decode` returns or raises, in half the time: it asks expressions for white space at both ends."""
    if text[:1] not in ("{", "["):
        return decoder.decode(text)
    value, end = decoder.raw_decode(text)
    if end != len(text) and text[end:].strip(_WHITE):
        return decoder.decode(text)  # which says what is wrong with the rest
    return value


def loads(raw: bytes | bytearray | memoryview | str) -> object:
    """What a JSON text holds; None when it is none, or `null`."""
    try:
        text = raw if isinstance(raw, str) else str(raw, "utf-8")
        if text[:1] == "\ufeff":
            text = text[1:]
        return decoded(_DECODER, text)
    except (ValueError, RecursionError):
        return None
