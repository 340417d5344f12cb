"""The short way of reading a usual request says what the close look says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.model import Endpoint
from monitor.openrouter.bodies import read_object
from monitor.openrouter.intent import _read_closely, _usual
from monitor.openrouter.unreadable import Unreadable

VALUES: dict[str, list[Any]] = {
    "model": ["lab/gull:free", "lab/heron", "openrouter/auto", "lab/gull:online", "", None, 7, "lab/ gull", "ü", []],
    "messages": [
        [{"role": "user", "content": "hi"}],
        None,
        "hi",
        [{"role": "user", "content": [{"type": "image_url"}]}],
    ],
    "stream": [True, False, None, 1, "true", "false"],
    "max_tokens": [0, 1, 100, 10**9, 10**9 + 1, -1, 1.5, None, True, "9"],
    "temperature": [0.5, None],
    "tools": [None, [], [{"type": "openrouter:web_search"}]],
    "plugins": [[{"id": "web"}]],
    "max_completion_tokens": [5],
    "n": [2],
    "Model": ["lab/heron"],
    "provider": [{"max_price": {}}, None],
}
BODIES = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in VALUES.items()})


@settings(max_examples=400)
@given(BODIES, st.sampled_from(list(Endpoint)))
def test_the_short_way_says_what_the_close_look_says(body: dict[str, Any], endpoint: Endpoint) -> None:
    """Whatever the short way answers, it answers as the close look does; what it cannot, it leaves to it."""
    read = read_object({}, json.dumps(body).encode())
    usual = _usual(endpoint, read)
    assert usual is None or usual == _read_closely(endpoint, read, [])


@pytest.mark.parametrize("extra", [{}, {"stream": True}, {"max_tokens": 50}, {"temperature": 0.2}])
def test_the_usual_chat_takes_the_short_way(extra: dict[str, Any]) -> None:
    """A plain chat needs no close look: this is what makes it cheap."""
    body = {"model": "lab/gull:free", "messages": [{"role": "user", "content": "hi"}], **extra}
    assert _usual(Endpoint.CHAT, read_object({}, json.dumps(body).encode())) is not None


def test_what_is_unreadable_never_gets_that_far() -> None:
    """A key that stands twice is refused before."""
    with pytest.raises(Unreadable):
        read_object({}, b'{"model":"a/b:free","model":"a/b"}')
