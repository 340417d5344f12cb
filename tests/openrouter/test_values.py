"""Reading JSON in half the time reads the same."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from monitor.openrouter.values import decoded

SPACE = st.text(" \t\n\r\u00a0\x0b", max_size=2)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def _told(decode: Any, text: str) -> object:
    try:
        return repr(decode(text))  # NaN equals nothing, and 1 equals 1.0
    except ValueError as exc:
        return str(exc)


@given(SPACE, VALUES.map(json.dumps) | st.text(max_size=5), SPACE | st.sampled_from(["{}", ",", "]", " x", "\x00"]))
@example("", "{}", "")
@example("", "{}", "\n")
@example("", "[1]", " []")
@example("\n", "{}", "")
def test_it_is_what_the_decoder_reads(before, text, after):
    """The same value, or the same error, whatever stands around it."""
    decoder = json.JSONDecoder()
    whole = before + text + after
    assert _told(lambda given: decoded(decoder, given), whole) == _told(decoder.decode, whole)
