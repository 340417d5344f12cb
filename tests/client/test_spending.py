"""No request, and no hour, is spent on what cannot be answered; and what was answered is not lost over its letters."""

from __future__ import annotations

import json

import pytest
from client_kit import BUSY, CODER, NOON, QWEN, R1, fault

from monitor import CallFailed, NotFree
from monitor.client.assembling import Assembler

HELLO = "What is machine learning?"
PATIENT = 1e9
GONE = "404_model"


def test_a_model_that_nobody_serves_is_asked_once(worlds):
    """However patient the call: one request, no waiting, and none at all for the next call while it is left alone."""
    world = worlds(fault(GONE, model=CODER, times=1))
    client = world.client()
    with pytest.raises(CallFailed, match="nobody serves this model now") as caught:
        client.chat(HELLO, model=CODER, wait=PATIENT)
    assert caught.value.status == 404
    assert 'fallbacks="free"' in caught.value.hint
    with pytest.raises(CallFailed, match=r"nobody serves qwen/qwen3-coder:free now.* until 2026-11-24T12:10:00Z"):
        client.chat(HELLO, model=CODER, wait=PATIENT)
    assert (world.clock.now(), world.sim.books.requests) == (NOON, 1)
    world.clock.advance(600)
    assert client.chat(HELLO, model=CODER).model == CODER


def test_of_several_the_one_that_is_gone_is_not_asked_again(worlds):
    """The other one is waited for, as long as it is busy."""
    world = worlds(fault(GONE, model=CODER), fault(BUSY, model=R1, times=2))
    answer = world.client().chat(HELLO, model=CODER, fallbacks=[R1], wait=PATIENT)
    assert answer.model == R1
    assert world.asked() == [CODER, R1, R1, R1]


def test_what_is_wrong_with_the_request_is_refused_once(world):
    """A plugin that bills does so with any model: one refusal on record, not one for each free model."""
    with pytest.raises(NotFree) as caught:
        world.client().chat(HELLO, plugins=[{"id": "web"}])
    assert caught.value.reason == "paid_plugin"
    assert [row["outcome"] for row in world.rows()] == ["refused"]


@pytest.mark.parametrize(
    ("kind", "model", "hint"),
    [
        ({"kind": "status", "status": 401}, None, "Check the key"),
        ({"kind": "status", "status": 400}, CODER, ""),
        ({"kind": "status", "status": 503}, None, ""),
        ({"kind": "status", "status": 503}, CODER, 'fallbacks="free"'),
    ],
)
def test_the_hint_is_one_that_can_help(worlds, kind, model, hint):
    """Other models are recommended only where others were not asked and could do better."""
    world = worlds(fault(kind))
    with pytest.raises(CallFailed) as caught:
        world.client(client={"attempts": 1}).chat(HELLO, model=model)
    assert caught.value.hint == "" if not hint else hint in caught.value.hint


def answer_of(content: str) -> dict[str, object]:
    body = {
        "id": "gen-1",
        "model": QWEN,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0},
    }
    headers = {"content-type": "application/json"}
    return fault({"kind": "status", "status": 200, "headers": headers, "body": json.dumps(body)})


@pytest.mark.parametrize(
    ("content", "text"), [("a\ud83d\ude00b", "a😀b"), ("a\ud83db", "a\ufffdb"), ("\ude00", "\ufffd")]
)
def test_half_a_letter_costs_no_answer(worlds, content, text):
    """JavaScript cuts texts within a surrogate pair: what no file takes is made good, kept, and written down."""
    world = worlds(answer_of(content))
    client = world.client()
    assert [client.chat(HELLO, cache="1d").text for _ in range(2)] == [text, text]
    assert world.sim.books.requests == 1
    found = client.batch(["another"])
    assert found[0].text == text


def test_a_letter_that_a_stream_cuts_is_put_together():
    """Half of it waits for the other half; one whose other half never comes is told as such at the next piece."""
    assembler = Assembler()
    pieces = [
        piece
        for content in ("a\ud83d", "\ude00", "b\ud83d", "c", "d\ud83d")
        for piece in assembler.feed(
            b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": content}}]}).encode() + b"\n\n"
        )
    ]
    assert pieces == ["a", "😀", "b", "\ufffdc", "d"]
    assert assembler.text == "a😀b\ufffdcd"
