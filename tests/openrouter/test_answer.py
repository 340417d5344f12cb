"""What the ledger needs of a stream is found as it passes, and the stream itself is never touched."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from openrouter_answers import DONE, ERROR_429, JSON, NOW, SSE, STREAM, USAGE, chunk, event, read
from openrouter_data import folder, recorded

from monitor.model import Ending, Endpoint, LimitKind, Outcome, Usage
from monitor.openrouter.answer import AnswerReader


def test_a_chat_stream() -> None:
    """Model, provider, id, usage and the time of the first word are found."""
    assert read(*STREAM) == Ending(
        Outcome.SUCCESS, 200, Usage(9, 5, None, None, 0.0), "a/b:free", "P", "gen-1-a", ttft=2.5
    )


def test_when_enough_was_seen() -> None:
    """The usage chunk says that the attempt may be settled; nothing before it does."""
    reader = AnswerReader(Endpoint.CHAT, 200, SSE)
    assert [reader.feed(part, 1.0, 0.0) for part in STREAM] == [False] * 5 + [True] * 2
    assert reader.ending(complete=False, now=NOW).outcome is Outcome.SUCCESS


def test_the_first_word_is_timed() -> None:
    """Comments and an empty delta are no answer yet; reasoning and tool calls are."""
    for delta in ({"reasoning": "x"}, {"tool_calls": [{}]}, {"content": "x"}):
        reader = AnswerReader(Endpoint.CHAT, 200, SSE)
        reader.feed(STREAM[0], 1.0, 0.0)
        reader.feed(event(chunk()), 2.0, 0.0)
        reader.feed(event(chunk(choice={"delta": delta})), 3.0, 0.0)
        reader.feed(event(chunk("x")), 4.0, 0.0)
        assert reader.ending(complete=True, now=NOW).ttft == 3.0


@pytest.mark.parametrize("broken", [None, Outcome.CANCELLED, Outcome.NETWORK_ERROR])
def test_a_stream_that_breaks_off(broken: Outcome | None) -> None:
    """What was not read to its end, and had not said that it was over, ended as the caller knows."""
    ending = read(*STREAM[:4], complete=False, broken=broken)
    assert ending.outcome is (broken or Outcome.NETWORK_ERROR)
    assert ending.model_served == "a/b:free"
    assert read(complete=False).outcome is Outcome.NETWORK_ERROR
    # A message's first event reports the prompt: that is no end.
    start = {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 5}}}
    assert read(event(start), endpoint=Endpoint.MESSAGES, complete=False).outcome is Outcome.NETWORK_ERROR


def test_a_stream_without_its_last_line() -> None:
    """Usage in an event that the stream's end cut short counts when the stream was read to its end."""
    assert read(*STREAM[:-2], STREAM[-2].rstrip()).usage == Usage(9, 5, None, None, 0.0)


def test_an_empty_stream() -> None:
    """A stream without one event is no answer."""
    assert read(b": OPENROUTER PROCESSING\n\n").outcome is Outcome.SERVER_ERROR


@pytest.mark.parametrize(
    ("last", "outcome", "kind"),
    [
        (chunk(error=ERROR_429, choice={"finish_reason": "error"}), Outcome.RATE_LIMITED, LimitKind.UPSTREAM),
        ({"error": ERROR_429}, Outcome.RATE_LIMITED, LimitKind.UPSTREAM),
        ({"error": {"code": "429", "message": "free-models-per-day"}}, Outcome.RATE_LIMITED, LimitKind.FREE_DAILY),
        ({**chunk(error=ERROR_429), "choices": []}, Outcome.RATE_LIMITED, LimitKind.UPSTREAM),
        (chunk(error={"code": 400, "message": "Token limit reached"}), Outcome.CLIENT_ERROR, None),
        (chunk(error={"code": 502, "message": "x"}), Outcome.SERVER_ERROR, None),
        (chunk(error={"code": 200, "message": "x"}), Outcome.SERVER_ERROR, None),
        (chunk(error="x"), Outcome.SERVER_ERROR, None),
        (chunk(choice={"finish_reason": "error"}), Outcome.SERVER_ERROR, None),
        (chunk(choice={"error": {"code": 429, "message": "x"}}), Outcome.RATE_LIMITED, LimitKind.UPSTREAM),
        (chunk(choice={"finish_reason": "stop", "native_finish_reason": "network_error"}), Outcome.SERVER_ERROR, None),
        (chunk(choice={"finish_reason": "stop", "native_finish_reason": "error"}), Outcome.SERVER_ERROR, None),
    ],
)
def test_errors_inside_a_stream(last: dict[str, Any], outcome: Outcome, kind: LimitKind | None) -> None:
    """An error inside a 200, in each of the shapes met in the wild, is the outcome; usage that came with it is kept."""
    for parts in ([event({**last, "usage": USAGE}), DONE], [event(last), event(chunk(usage=USAGE)), DONE]):
        ending = read(*STREAM[:4], *parts)
        assert ending.outcome is outcome
        assert (ending.limit and ending.limit.kind) == kind
        assert ending.usage.completion_tokens == 5
        assert ending.error
    assert read(*STREAM[:4], event(last), complete=False, broken=Outcome.CANCELLED).outcome is outcome


def test_a_body_with_an_error_inside_a_200() -> None:
    """The same in a JSON body."""
    ending = read(json.dumps({"error": ERROR_429}).encode(), headers=JSON)
    assert (ending.outcome, ending.error) == (Outcome.RATE_LIMITED, "Rate limit exceeded")
    partial = {
        **chunk(),
        "choices": [{"finish_reason": "error", "error": {"code": 502, "message": "x"}}],
        "usage": USAGE,
    }
    assert read(json.dumps(partial).encode(), headers=JSON).outcome is Outcome.SERVER_ERROR


def test_responses_stream() -> None:
    """A responses stream is over at its last event, which carries the whole response."""
    response = {"id": "gen-2", "model": "c/d", "error": None, "usage": None}
    usage = {"input_tokens": 7, "output_tokens": 3, "cost": 0.5}
    parts = [
        event({"type": "response.created", "response": response}),
        event({"type": "response.output_text.delta", "delta": "x"}),
        event({"type": "response.output_text.delta", "delta": "y"}),
        event({"type": "response.completed", "response": {**response, "usage": usage}}),
    ]
    reader = AnswerReader(Endpoint.RESPONSES, 200, SSE)
    assert [reader.feed(part, 1.0, 0.0) for part in parts] == [False, False, False, True]
    ending = reader.ending(complete=False, now=NOW)
    assert ending == Ending(Outcome.SUCCESS, 200, Usage(7, 3, None, None, 0.5), "c/d", generation_id="gen-2", ttft=1.0)
    failed = {**response, "error": {"code": "rate_limit_exceeded", "message": "busy"}}
    for last, outcome in [
        (event({"type": "response.failed", "response": failed}), Outcome.RATE_LIMITED),
        (event({"type": "response.failed", "response": response}), Outcome.SERVER_ERROR),
        (event({"type": "response.incomplete", "response": response}), Outcome.SUCCESS),
        (event({"type": "error", "code": "server_error", "message": "x"}), Outcome.SERVER_ERROR),
    ]:
        reader = AnswerReader(Endpoint.RESPONSES, 200, SSE)
        assert [reader.feed(part, 1.0, 0.0) for part in [*parts[:3], last]][-1]
        assert reader.ending(complete=True, now=NOW).outcome is outcome


def test_messages_stream() -> None:
    """A messages stream reports the prompt first and the answer's tokens last; both are booked."""
    parts = [
        event({"type": "message_start", "message": {"id": "gen-3", "model": "e/f", "usage": {"input_tokens": 11}}}),
        event({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "x"}}, "content_block_delta"),
        event({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 4}}, "message_delta"),
        event({"type": "message_stop"}, "message_stop"),
    ]
    reader = AnswerReader(Endpoint.MESSAGES, 200, SSE)
    assert [reader.feed(part, 1.0, 0.0) for part in parts] == [False, False, False, True]
    ending = reader.ending(complete=False, now=NOW)
    assert (ending.usage, ending.model_served, ending.generation_id) == (Usage(11, 4), "e/f", "gen-3")
    error = event({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, "error")
    ending = read(*parts[:2], error, endpoint=Endpoint.MESSAGES)
    assert (ending.outcome, ending.error) == (Outcome.SERVER_ERROR, "busy")


STREAMS: list[tuple[Endpoint, list[bytes]]] = [
    (Endpoint.CHAT, STREAM),
    (Endpoint.CHAT, [*STREAM[:4], event({"error": ERROR_429}), DONE]),
    (Endpoint.CHAT, [part.replace(b"\n", b"\r\n") for part in STREAM]),
    (
        Endpoint.CHAT,
        [event(chunk('say "usage" and "error"')), event(chunk(choice={"native_finish_reason": "network_error"}))],
    ),
    (Endpoint.MESSAGES, [event({"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 1}}})]),
]


@settings(max_examples=150)
@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 1200), max_size=10), st.booleans())
def test_any_chunking_gives_the_same_ending(
    case: tuple[Endpoint, list[bytes]], cuts: list[int], complete: bool
) -> None:
    """Wherever the network cuts a stream, the record is the same."""
    endpoint, parts = case
    stream = b"".join(parts)
    borders = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:end] for start, end in pairwise(borders)]
    whole = read(stream, endpoint=endpoint, complete=complete)
    assert read(*chunks, endpoint=endpoint, complete=complete) == whole
    assert read(*parts, endpoint=endpoint, complete=complete) == whole


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=40), max_size=5), st.sampled_from([200, 429, 500]), st.booleans(), st.booleans())
def test_nothing_raises(chunks: list[bytes], status: int, streams: bool, complete: bool) -> None:
    """Any bytes with any headers give an ending."""
    for encoding in ("", "gzip", "deflate", "zstd"):
        headers = {**(SSE if streams else JSON), "content-encoding": encoding, "content-length": "x"}
        assert read(*chunks, status=status, headers=headers, complete=complete).status == status


def test_recorded_streams() -> None:
    """Every recorded stream gives a model and, but for those of 2024, a cost; cut anywhere it gives the same."""
    for path in sorted(folder("recorded").glob("*.sse")):
        stream = path.read_bytes()
        endpoint = Endpoint.RESPONSES if b'"response.created"' in stream else Endpoint.CHAT
        ending = read(stream, endpoint=endpoint)
        assert ending.model_served, path.name
        assert ending.generation_id and ending.generation_id.startswith("gen-"), path.name  # noqa: PT018
        assert ending.usage.prompt_tokens, path.name
        assert ending.ttft == 2.5, path.name
        failed = path.name.startswith("sse_03")
        assert ending.outcome is (Outcome.CLIENT_ERROR if failed else Outcome.SUCCESS), path.name
        assert ending.error == ("Token limit reached" if failed else None)
        events = [part + b"\n\n" for part in stream.split(b"\n\n")]
        assert read(*events, endpoint=endpoint) == ending
        assert read(*(stream[at : at + 97] for at in range(0, len(stream), 97)), endpoint=endpoint) == ending


def test_recorded_usage() -> None:
    """The error chunk of a recorded stream carries usage, which is booked."""
    ending = read(recorded("sse_03_pydantic-ai-stream_error.sse"))
    assert ending.usage == Usage(43, 10, 0, 11, 0.0)
    assert (ending.model_served, ending.provider) == ("minimax/minimax-m2:free", "Minimax")


def test_recorded_bodies() -> None:
    """Every recorded JSON answer gives its model, provider and cost, or its error."""
    seen = 0
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in sorted(folder("recorded").glob("*.yaml")):
        for interaction in yaml.load(path.read_text("utf-8"), Loader=loader).get("interactions", []):
            response = interaction["response"]
            if "parsed_body" not in response:
                continue
            body, status = response["parsed_body"], response["status"]["code"]
            ending = read(json.dumps(body).encode(), status=status, headers=JSON)
            seen += 1
            if status != 200:
                assert ending.outcome is (Outcome.RATE_LIMITED if status == 429 else Outcome.CLIENT_ERROR)
                assert ending.error is not None
                assert ending.error.startswith(body["error"]["message"])
                continue
            assert ending.outcome is Outcome.SUCCESS, path.name
            assert ending.model_served == body["model"]
            assert ending.usage.completion_tokens == body["usage"]["completion_tokens"]
            assert ending.usage.cost_usd == body["usage"].get("cost")
    assert seen >= 18
