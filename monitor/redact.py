"""What must never be written: API keys and what looks like one.

Every text that came from outside and goes to the store, a log, a metric or an error passes `redact` first.
"""

from __future__ import annotations

import re

_KEYS = re.compile(
    r"sk-[A-Za-z0-9][A-Za-z0-9._-]{6,}"  # OpenRouter, OpenAI, Anthropic
    r"|(?i:bearer)\s+[\"']?[^\s\"',;]+"
    r"|(?i:(?:api[_-]?key|authorization|x-api-key|token|password|secret)[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic)\s+)?)[^\s\"',;&]+"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"  # user:password@ in a URL
)
_MASK = "[redacted]"


def redact(text: str, *, limit: int = 500) -> str:
    """`text` without anything that looks like a credential, cut to `limit` characters, on one line."""
    # Half a surrogate pair, which JSON can hold, is no text that a store could write.
    text = text.encode("utf-8", "replace").decode("utf-8")
    # Cut after masking: cutting first could leave half a key that no longer matches.
    clean = _KEYS.sub(_MASK, " ".join(text.split()))
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


class Secret:
    """A string that does not show itself: `repr`, `str` and pickling give a mask; `.reveal()` the value."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled: it would be written in the clear")
