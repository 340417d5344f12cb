"""What the ledger needs of an answer that is no stream, or an error, whatever its encoding and length."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from typing import Any

import pytest
from openrouter_answers import BODY, JSON, NOW, SSE, STREAM, USAGE, read
from openrouter_data import error_bodies

from monitor.model import Ending, Endpoint, Outcome, Usage
from monitor.openrouter.answer import AnswerReader


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
    assert read(headers=JSON).outcome is Outcome.SERVER_ERROR
    assert read(headers={}).outcome is Outcome.SUCCESS


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
    import zstandard

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
