"""What may stand in a batch: whatever it is, it is read or refused by name, and never a fault."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import ConfigError
from monitor.client.items import read_items, read_lines, split_words
from monitor.client.wishes import Wish, make_wish

BASE = "https://openrouter.ai/api/v1"
WORDS = [
    "prompt",
    "messages",
    "model",
    "task",
    "system",
    "fallbacks",
    "cache",
    "max_tokens",
    "tools",
    "custom_id",
    "body",
]
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text() | st.sampled_from(["free", "1d"])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(), inner, max_size=4),
    max_leaves=12,
)


def make(question: Any, said: Mapping[str, Any]) -> Wish:
    own, parameters = split_words(said)
    words = {"model": None, "task": None, "system": None, "fallbacks": None, "cache": None, **own}
    return make_wish(question, stream=False, wait=0, parameters=parameters, **words)


@given(st.lists(VALUES | st.dictionaries(st.sampled_from(WORDS), VALUES), max_size=3))
def test_any_json_is_read_or_refused(values):
    """Whatever makes no sense is a wrong setting, never a fault; and what is read can be sent."""
    with contextlib.suppress(ConfigError):
        for item in read_items(values, make, BASE):
            assert json.dumps(dict(item.wish.body))


@pytest.mark.parametrize("line", ["[" * 100_000, '{"a":' * 100_000, "{", '"a" "b"', "nul"], ids=len)
def test_a_line_that_is_no_json_is_named(line):
    """Also one that is nested so deep that no reader follows."""
    with pytest.raises(ConfigError, match="line 2 is not JSON"):
        list(read_lines(['"a"', line]))
