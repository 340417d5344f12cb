"""Answers as they come."""

from __future__ import annotations

import itertools
import json

import pytest
from client_kit import BROKEN, BUSY, LLAMA, NOON, QWEN, fault
from hypothesis import given
from hypothesis import strategies as st

from monitor import CallFailed
from monitor.client.assembling import Assembler

HELLO = "What is machine learning?"


def test_the_pieces_are_the_answer(world):
    """A stream is iterated for its text; at its end there is the same answer as without."""
    client = world.client()
    stream = client.chat(HELLO, stream=True)
    pieces = list(stream)
    assert len(pieces) > 1
    assert "".join(pieces) == stream.answer.text == client.chat(HELLO).text
    assert stream.answer.finish_reason == "stop"
    assert stream.answer.usage.cost_usd == 0
    assert stream.answer.first_token_seconds is not None
    assert [(row["stream"], row["outcome"]) for row in world.rows()] == [(1, "success"), (0, "success")]


def test_the_answer_may_be_asked_for_at_any_time(world):
    """It reads what is left."""
    stream = world.client().chat(HELLO, stream=True)
    first = next(stream)
    assert stream.answer.text.startswith(first)
    assert list(stream) == []


@pytest.mark.parametrize(
    "kind",
    [BUSY, BROKEN, {"kind": "stream_error", "after_chunks": 0}, {"kind": "cut", "after_chunks": 0}, "garbage"],
    ids=["busy", "broken", "error before the text", "cut before the text", "garbage"],
)
def test_before_the_first_piece_another_model_may_answer(worlds, kind):
    """Nothing was handed on yet: it falls back as any call does."""
    world = worlds(fault(kind, model=QWEN))
    stream = world.client().chat(HELLO, stream=True)
    assert "".join(stream) == stream.answer.text != ""
    assert [attempt.model for attempt in stream.answer.attempts] == [QWEN, LLAMA]
    assert world.clock.now() == NOON


@pytest.mark.parametrize(
    "kind",
    [
        {"kind": "cut", "after_chunks": 3},
        *({"kind": "stream_error", "shape": shape} for shape in ("documented", "bare", "benign_finish")),
    ],
    ids=["cut", "documented", "bare", "benign"],
)
def test_after_the_first_piece_it_is_told_and_not_begun_anew(worlds, kind):
    """What came stays, the exception holds it, and the model is remembered for it."""
    world = worlds(fault(kind, times=1))
    stream, pieces = world.client().chat(HELLO, stream=True), []
    with pytest.raises(CallFailed, match="broke off") as caught:
        pieces.extend(stream)
    assert caught.value.text
    assert world.sim.books.requests == 1
    assert world.query("SELECT model, failures FROM circuits") == [{"model": QWEN, "failures": 1}]
    with pytest.raises(CallFailed, match="no whole answer"):
        _ = stream.answer


def test_closed_early_it_is_cancelled(world):
    """The connection is given back and the attempt settled; there is no whole answer then."""
    with world.client().chat(HELLO, stream=True) as stream:
        next(stream)
    assert [row["outcome"] for row in world.rows()] == ["cancelled"]
    with pytest.raises(CallFailed, match="no whole answer"):
        _ = stream.answer


def test_thoughts_and_calls_of_tools_are_put_together(world):
    """A reasoning model's thoughts, and a tool's arguments that came in parts."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools = [{"type": "function", "function": {"name": "weather", "parameters": schema}}]
    client = world.client()
    whole = client.chat(HELLO, task="reasoning")
    stream = client.chat(HELLO, task="reasoning", stream=True)
    assert stream.answer.reasoning == whole.reasoning != ""
    called = client.chat(HELLO, tools=tools, tool_choice="required", stream=True)
    assert list(called) == []
    (call,) = called.answer.tool_calls
    assert json.loads(call["function"]["arguments"]) == {"city": "Zürich"}
    assert call["function"]["name"] == "weather"
    assert called.answer.finish_reason == "tool_calls"


EVENTS = (
    b": OPENROUTER PROCESSING\n\n"
    + "".join(
        f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
        for event in (
            {"id": "gen-1", "model": "m", "provider": "P", "choices": [{"index": 0, "delta": {"content": "Grü"}}]},
            {"choices": [{"index": 0, "delta": {"content": "ße 🌍", "reasoning": "hm"}}]},
            {"choices": [{"index": 1, "delta": {"content": "another choice"}}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
        )
    ).encode()
    + b"data: [DONE]\n\n"
)


@given(st.lists(st.integers(0, len(EVENTS)), max_size=30))
def test_wherever_the_chunks_end_the_text_is_the_same(cuts):
    """Inside a line, a letter or an event."""
    assembler, said = Assembler(), []
    bounds = [0, *sorted(cuts), len(EVENTS)]
    for start, end in itertools.pairwise(bounds):
        said += assembler.feed(EVENTS[start:end])
    assert "".join(said) == assembler.text == "Grüße 🌍"
    whole = assembler.whole()
    assert (whole["id"], whole["model"], whole["usage"]["completion_tokens"]) == ("gen-1", "m", 2)
    assert whole["choices"][0]["message"] == {"role": "assistant", "content": "Grüße 🌍", "reasoning": "hm"}


@given(st.binary(max_size=200))
def test_bytes_that_are_no_stream_give_no_answer(noise):
    """It never raises, and of noise it makes no choice."""
    assembler = Assembler()
    assembler.feed(noise)
    assembler.flush()
    assert assembler.begun or not assembler.whole()["choices"] or assembler.whole()["choices"][0]["finish_reason"]
