"""What the ledger needs of an answer is found as it passes, and the answer itself is never touched."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from itertools import pairwise
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from openrouter_data import error_bodies, folder, recorded

from monitor.model import Ending, Endpoint, LimitKind, Outcome, Usage
from monitor.openrouter.answer import AnswerReader

NOW = 1_790_000_000.0
SSE = {"content-type": "text/event-stream; charset=utf-8"}
JSON = {"content-type": "application/json"}


def read(
    *chunks: bytes,
    endpoint: Endpoint = Endpoint.CHAT,
    status: int = 200,
    headers: dict[str, str] | None = None,
    complete: bool = True,
    broken: Outcome | None = None,
    keep_text: bool = False,
) -> Ending:
    reader = AnswerReader(endpoint, status, SSE if headers is None else headers, keep_text=keep_text)
    for chunk in chunks:
        reader.feed(chunk, 12.5, 10.0)
    return reader.ending(complete=complete, now=NOW, broken=broken)


def event(content: Any, name: str | None = None) -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(content, separators=(',', ':'))}\n\n".encode()


def chunk(text: str = "", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None, **more.pop("choice", {})}
    return {"id": "gen-1-a", "model": "a/b:free", "provider": "P", "choices": [choice], **more}


USAGE = {"prompt_tokens": 9, "completion_tokens": 5, "cost": 0}
DONE = b"data: [DONE]\n\n"
STREAM = [
    b": OPENROUTER PROCESSING\n\n",
    event(chunk()),
    event(chunk("Hel")),
    event(chunk("lo")),
    event(chunk(choice={"finish_reason": "stop", "native_finish_reason": "stop"})),
    event(chunk(usage=USAGE)),
    DONE,
]


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


ERROR_429 = {"code": 429, "message": "Rate limit exceeded", "metadata": {"error_type": "rate_limit_exceeded"}}


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


BODY = {
    "id": "gen-4",
    "provider": "P",
    "model": "a/b:free",
    "choices": [{"message": {"content": "hi"}}],
    "usage": USAGE,
}


def test_a_json_body() -> None:
    """A body's facts are found; headers fill what it leaves out; its announced length says when it is whole."""
    raw = json.dumps(BODY).encode()
    reader = AnswerReader(Endpoint.CHAT, 200, {**JSON, "content-length": str(len(raw)), "x-generation-id": "gen-h"})
    assert not reader.feed(raw[:50], 1.0, 0.0)
    assert reader.feed(raw[50:], 1.0, 0.0)
    ending = reader.ending(complete=False, now=NOW)
    assert ending == Ending(Outcome.SUCCESS, 200, Usage(9, 5, None, None, 0.0), "a/b:free", "P", "gen-h")
    assert read(b'{"data":[]}', headers={**JSON, "x-provider-name": "Q"}).provider == "Q"


def test_a_json_body_that_breaks_off() -> None:
    """Half a body is what the caller says; a whole one is whole, whatever the connection did after it."""
    raw = json.dumps(BODY).encode()
    assert read(raw[:-1], headers=JSON, complete=False, broken=Outcome.CANCELLED).outcome is Outcome.CANCELLED
    assert read(raw, headers=JSON, complete=False, broken=Outcome.CANCELLED).outcome is Outcome.SUCCESS
    assert read(raw[:-1], headers=JSON).outcome is Outcome.SERVER_ERROR
    assert read(headers=JSON).outcome in (Outcome.SUCCESS, Outcome.SERVER_ERROR)


def pack_deflate(raw: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(raw) + packer.flush()


ENCODED = [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", pack_deflate)]


@pytest.mark.parametrize(("encoding", "pack"), ENCODED)
def test_compressed_answers(encoding: str, pack: Any) -> None:
    """Compressed answers are read along, a byte at a time if they come so."""
    for headers, raw in ((JSON, json.dumps(BODY).encode()), (SSE, b"".join(STREAM))):
        packed = pack(raw)
        for parts in ([packed], [packed[at : at + 1] for at in range(len(packed))]):
            ending = read(*parts, headers={**headers, "content-encoding": encoding})
            assert ending.usage.prompt_tokens == 9
            assert ending.model_served == "a/b:free"


def test_zstandard() -> None:
    """zstandard is read when its package is there."""
    zstandard = pytest.importorskip("zstandard")
    packed = zstandard.ZstdCompressor().compress(json.dumps(BODY).encode())
    assert read(packed, headers={**JSON, "content-encoding": "zstd"}).usage.prompt_tokens == 9


@pytest.mark.parametrize("encoding", ["br", "unheard-of", "gzip, br", "gzip"])
def test_what_cannot_be_decoded(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoding that cannot be read here leaves a gap in the record and nothing else."""
    monkeypatch.setitem(sys.modules, "brotli", None)
    ending = read(b"\x00\x01\x02", headers={**JSON, "content-encoding": encoding, "x-generation-id": "gen-5"})
    assert ending == Ending(Outcome.SUCCESS, 200, generation_id="gen-5")


def test_a_body_too_long_to_keep() -> None:
    """Of a huge body only the ends are kept: the names of its head and the usage of its tail."""
    image = "A" * (5 * 1024 * 1024)
    raw = json.dumps({"id": "gen-6", "model": "m/i", "provider": "P", "data": image, "usage": USAGE}).encode()
    ending = read(*(raw[at : at + 60_000] for at in range(0, len(raw), 60_000)), headers=JSON, endpoint=Endpoint.IMAGES)
    assert ending == Ending(Outcome.SUCCESS, 200, Usage(9, 5, None, None, 0.0), "m/i", "P", "gen-6")
    raw = json.dumps({"data": image, "model": "m/e", "usage": USAGE}).encode()
    assert read(raw, headers=JSON, endpoint=Endpoint.EMBEDDINGS).model_served == "m/e"
    raw = json.dumps({"data": image}).encode()
    assert read(raw, headers=JSON) == Ending(Outcome.SUCCESS, 200)


def test_media_are_not_kept() -> None:
    """Audio passes without being looked at."""
    ending = read(
        b"ID3\x00", headers={"content-type": "audio/mpeg", "x-generation-id": "gen-7"}, endpoint=Endpoint.SPEECH
    )
    assert ending == Ending(Outcome.SUCCESS, 200, generation_id="gen-7")


@pytest.mark.parametrize("case", error_bodies(), ids=lambda case: f"{case['class']}-{case['date']}")
def test_recorded_errors(case: dict[str, Any]) -> None:
    """A recorded error is read as one, with the limit that it tells of."""
    body = case["body"]
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    status = case["status"] or 503
    kind = {"content-type": "text/html"} if isinstance(body, str) else JSON
    ending = read(raw, status=status, headers={**kind, **(case["headers"] or {})})
    code = 429 if status == 200 else status
    expected = {429: Outcome.RATE_LIMITED, 503: Outcome.SERVER_ERROR}.get(code, Outcome.CLIENT_ERROR)
    assert ending.outcome is expected
    assert ending.error
    assert (ending.limit is not None) == (case["class"] != "invalid_model")
    if "x-generation-id" in (case["headers"] or {}):
        assert ending.generation_id == case["headers"]["x-generation-id"]


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (400, b'{"detail":"x"}', Outcome.CLIENT_ERROR),
        (401, b"", Outcome.CLIENT_ERROR),
        (404, b'{"error":{"message":"gone","code":404}}', Outcome.CLIENT_ERROR),
        (429, b"slow", Outcome.RATE_LIMITED),
        (500, b"{", Outcome.SERVER_ERROR),
        (529, b"", Outcome.SERVER_ERROR),
        (302, b"", Outcome.CLIENT_ERROR),
    ],
)
def test_statuses(status: int, body: bytes, outcome: Outcome) -> None:
    """The status decides, whatever the body holds."""
    ending = read(body, status=status, headers=JSON, complete=False, broken=Outcome.CANCELLED)
    assert (ending.outcome, ending.status) == (outcome, status)
    assert ending.error
    assert (ending.limit is not None) == (status == 429)


def test_kept_text() -> None:
    """The answer's text is kept only when asked for, decoded, without keys, and bounded."""
    packed = gzip.compress(b'{"x":"sk-or-v1-0123456789abcdef"}')
    ending = read(packed, headers={**JSON, "content-encoding": "gzip"}, keep_text=True)
    assert ending.answer == '{"x":"[redacted]"}'
    assert read(b"{}", headers=JSON).answer is None
    long = read(*[b"x" * 700_000] * 4, headers=JSON, keep_text=True).answer
    assert long is not None
    assert len(long) == 1024 * 1024


def test_names_are_redacted() -> None:
    """A name that looks like a key is not written down."""
    body = {**BODY, "model": "sk-or-v1-0123456789abcdef", "provider": "Bearer abcdefghijkl", "id": "gen-" + "x" * 9}
    ending = read(json.dumps(body).encode(), headers={**JSON, "x-generation-id": "sk-or-v1-0123456789abcdef"})
    assert (ending.model_served, ending.provider, ending.generation_id) == ("[redacted]",) * 3


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
