"""A body is read only when every server would read it alike."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from monitor.model import Endpoint, Intent, Reason
from monitor.openrouter.bodies import Unreadable, read_object
from monitor.openrouter.intent import read_intent

PLAIN = b'{"model":"a/b:free","messages":[]}'
JSON = {"content-type": "application/json"}


def judge(body: bytes, headers: dict[str, str] | None = None, endpoint: Endpoint = Endpoint.CHAT) -> Intent:
    return read_intent(endpoint, JSON if headers is None else headers, body)


def reasons(intent: Intent) -> set[Reason]:
    return {objection.reason for objection in intent.objections}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b'{"model":"a/b:free"} x',
        b'{"model":"a/b:free"}{"model":"c/d"}',
        b'{"model":"a/b:free","model":"c/d"}',
        b'{"model":"a/b:free","provider":{"sort":"price","sort":"x"}}',
        b'{"model":"a/b:free","x":[[{"y":1,"y":1}]]}',
        b'{"model":"a/b:free","temperature":NaN}',
        b'{"model":"a/b:free","temperature":-Infinity}',
        b"{'model':'a/b:free'}",
        b'{"model":"a/b:free",}',
        b'{"model":"a/b:free" /* c */}',
        b'{"model":"a\nb:free"}',
        b'{"model":"a/b:free","x\\ud800":1}',
        b'{"model":"a/b:free","x":{"y\\uDfff":1}}',
        b"\xef\xbb\xbf" + PLAIN,
        PLAIN.decode().encode("utf-16"),
        PLAIN.decode().encode("utf-16-le"),
        PLAIN.decode().encode("utf-32"),
        b'{"model":"a/b:free","x":"\xff"}',
        b'{"model":"a/b:free","x":"\xc0\xaf"}',
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"model":"a/b:free","n":' + b"1" * 5000 + b"}",
    ],
)
def test_unreadable_bodies(body: bytes) -> None:
    """What is not strict JSON in UTF-8, or repeats a key at any depth, is an objection and never an exception."""
    assert reasons(judge(body)) == {Reason.BODY_UNREADABLE}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "application/json"},
        {"content-type": "application/json; charset=utf-8"},
        {"content-type": 'Application/JSON; charset="UTF-8"'},
        {"content-type": "application/vnd.api+json"},
        {"content-type": "application/json", "content-encoding": "identity"},
    ],
)
def test_readable_headers(headers: dict[str, str]) -> None:
    """JSON by any of its names, in UTF-8, sent as it is, can be read and spliced into."""
    intent = judge(PLAIN, headers)
    assert not intent.objections
    assert intent.accepts_max_price


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": "application/json; charset=utf-8; charset=utf-7"},
        {"content-encoding": "br"},
        {"content-encoding": "zstd"},
        {"content-encoding": "gzip, gzip"},
        {"content-encoding": "gzip"},
        {"content-encoding": "deflate"},
        {"content-encoding": "nonsense"},
    ],
)
def test_unreadable_headers(headers: dict[str, str]) -> None:
    """Another content type, charset or encoding than the body has, or than we can undo, is refused."""
    assert Reason.BODY_UNREADABLE in reasons(judge(PLAIN, headers))


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", gzip.compress(PLAIN, mtime=0)), ("deflate", zlib.compress(PLAIN)), ("deflate", raw_deflate(PLAIN))],
)
def test_compressed_bodies(encoding: str, body: bytes) -> None:
    """A compressed body is judged as what it holds; nothing is spliced into it, and its true size bounds the prompt."""
    intent = judge(body, {**JSON, "content-encoding": encoding})
    assert not intent.objections
    assert intent.model == "a/b:free"
    assert intent.prompt_bytes == len(PLAIN)
    assert not intent.accepts_max_price


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(PLAIN, mtime=0)[:-4],
        gzip.compress(PLAIN, mtime=0) + b"x",
        gzip.compress(PLAIN, mtime=0) + gzip.compress(PLAIN, mtime=0),
        gzip.compress(b" " * (65 * 1024 * 1024) + PLAIN),
    ],
)
def test_compressed_bodies_that_are_not_what_they_seem(body: bytes) -> None:
    """Cut short, followed by more, or a bomb: refused."""
    assert reasons(judge(body, {**JSON, "content-encoding": "gzip"})) == {Reason.BODY_UNREADABLE}


@pytest.mark.parametrize("text", ["\\ud83d\\ude00", "\\ud800", "\\u0000", "ü", "\u202e"])
def test_odd_text_in_a_prompt_is_fine(text: str) -> None:
    """What stands in a prompt is the app's business, half a character too."""
    assert not judge(f'{{"model":"a/b:free","messages":[{{"role":"user","content":"{text}"}}]}}'.encode()).objections


@pytest.mark.parametrize(
    "key",
    [
        *("Model", "MODEL", " model", "model ", "mod\\u0000el", "mo-del", "ｍodel", "Models", "Plugins", "serviceTier"),
        *("service-tier", "webSearchOptions", "Preset", "Provider", "toolChoice", "\\u200bx"),
    ],
)
def test_keys_that_look_like_judged_ones(key: str) -> None:
    """A key that one reader takes for a judged one, and another does not, makes the body unreadable."""
    body = f'{{"model":"a/b:free","messages":[],"{key}":"x"}}'.encode()
    assert Reason.BODY_UNREADABLE in reasons(judge(body))


@pytest.mark.parametrize(
    "provider",
    [
        '{"max_price":{},"max_price":{}}',
        '{"max_price":{},"max_pric\\u0065":1}',
        '{"max_price":{},"\\u006dax_price":null}',
        '{"max_price":{"prompt":1,"prompt":0}}',
        '{"max_price":{"prompt":1,"promp\\u0074":0}}',
    ],
)
def test_a_price_that_stands_twice_is_refused(provider: str) -> None:
    """However its key is written: one reader would take the first, another the last."""
    body = f'{{"model":"a/b:free","messages":[],"provider":{provider}}}'.encode()
    assert reasons(judge(body)) == {Reason.BODY_UNREADABLE}


@pytest.mark.parametrize(
    "name", ["", " ", "a b", " a/b:free", "a/b:free ", "a/b:fr\u00e9e", "a/b\t", "a" * 600, 5, [], {}, True]
)
def test_model_ids_that_cannot_be_read(name: object) -> None:
    """A model id is printable ASCII without spaces; nothing is stripped or guessed."""
    intent = judge(json.dumps({"model": name, "messages": []}).encode())
    assert reasons(intent) == {Reason.MODEL_MISSING if name == "" else Reason.BODY_UNREADABLE}
    assert intent.model is None


def form(*parts: tuple[str, bytes], boundary: str = "b0") -> bytes:
    lines = b""
    for disposition, value in parts:
        lines += f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + value + b"\r\n"
    return lines + f"--{boundary}--\r\n".encode()


FORM = {"content-type": "multipart/form-data; boundary=b0"}
FILE = ('name="file"; filename="a.wav"', b"RIFF\r\n--b1\x00\xff")


def test_a_transcription_form() -> None:
    """A form's text fields are judged like those of JSON; the audio is left alone."""
    body = form(FILE, ('name="model"', b"openai/whisper-1"), ('name="response_format"', b"json"))
    intent = judge(body, FORM, Endpoint.TRANSCRIPTIONS)
    assert not intent.objections
    assert intent.model == "openai/whisper-1"
    assert not intent.accepts_max_price
    assert intent.by_reference


@pytest.mark.parametrize(
    "body",
    [
        form(FILE, ('name="model"', b"a/b:free"), ('name="model"', b"c/d")),
        form(FILE, ('name="model"; filename="x"', b"a/b:free")),
        form(FILE, ('name="Model"', b"c/d"), ('name="model"', b"a/b:free")),
        form(FILE, ("name*=utf-8''model", b"a/b:free")),
        form(FILE, ('name="model"', b"\xff")),
        form(FILE, ('x="model"', b"a/b:free")),
        b"preamble\r\n" + form(FILE, ('name="model"', b"a/b:free")),
        form(FILE, ('name="model"', b"a/b:free")) + b"epilogue",
        form(FILE, ('name="model"', b"a/b:free"))[:-8],
        form(FILE, ('name="model"', b"a/b:free"), boundary="other"),
        form(FILE, ('name="model"\r\nContent-Transfer-Encoding: base64', b"YS9iOmZyZWU=")),
        form(FILE, ('name="provider"', b'{"sort":"price"}'), ('name="model"', b"a/b:free")),
        b"",
    ],
)
def test_forms_that_two_readers_could_read_differently(body: bytes) -> None:
    """Repeated fields, odd names, sloppy boundaries and encoded parts are refused."""
    assert Reason.BODY_UNREADABLE in reasons(judge(body, FORM, Endpoint.TRANSCRIPTIONS))


def test_read_object_says_why() -> None:
    """The reason is in plain words and holds nothing of the body."""
    with pytest.raises(Unreadable, match="appears twice"):
        read_object({}, b'{"sk-secret":1,"sk-secret":2}')
