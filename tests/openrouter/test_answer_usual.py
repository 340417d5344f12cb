"""The short way of ending a usual answer says what the close look says."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.model import Endpoint
from monitor.openrouter.answer import AnswerReader

CHOICES: list[Any] = [
    [],
    [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop", "native_finish_reason": "stop"}],
    [{"finish_reason": "error"}],
    [{"finish_reason": "stop", "native_finish_reason": "network_error"}],
    [{"finish_reason": "stop", "native_finish_reason": []}],
    [{"finish_reason": "stop", "error": {"code": 429, "message": "slow down"}}],
    [{"finish_reason": "stop"}, {"finish_reason": "error"}],
    [7],
    None,
]
VALUES: dict[str, list[Any]] = {
    "id": ["gen-1790000000-abc", "sk-or-v1-0123456789abcdef", "", None, 7],
    "model": ["lab/gull:free", "", None, "x" * 300, 7],
    "provider": ["Gulls", None, ""],
    "choices": CHOICES,
    "usage": [{"prompt_tokens": 3, "completion_tokens": 4, "cost": 0}, {"cost": "0.1"}, {}, None, 7],
    "error": [{"code": 429, "message": "x"}, None],
    "object": ["chat.completion"],
    "type": ["error", "message"],
    "response": [{"error": {"message": "x"}}],
}
BODIES = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in VALUES.items()})


def reader(body: bytes, status: int, **headers: str) -> AnswerReader:
    made = AnswerReader(Endpoint.CHAT, status, {"content-type": "application/json", **headers})
    made.feed(body, 1.0, 0.5)
    return made


@settings(max_examples=500)
@given(BODIES, st.sampled_from([200, 201, 429, 500]), st.booleans())
def test_the_short_way_says_what_the_close_look_says(body: dict[str, Any], status: int, complete: bool) -> None:
    """Whatever an answer holds, its ending is that of the close look."""
    raw = json.dumps(body).encode()
    quick = reader(raw, status).ending(complete=complete, now=1.0)
    assert quick == reader(raw, status)._ending(complete, 1.0, None)


def test_a_usual_answer_takes_the_short_way() -> None:
    """Ids, one choice and the usage: this is what makes it cheap."""
    usual = {
        "id": "gen-1-a",
        "model": "lab/gull:free",
        "provider": "Gulls",
        "choices": CHOICES[1],
        "usage": {"cost": 0},
    }
    made = reader(json.dumps(usual).encode(), 200)
    assert made._usual(usual) is not None
