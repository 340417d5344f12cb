"""A stream of events is the same however the network cuts it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openrouter_data import folder

from monitor.openrouter.sse import MAX_EVENT, Event, SSEParser


def parse(*chunks: bytes) -> list[Event]:
    parser = SSEParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [(None, b"a")]),
        (b"data:a\n\ndata: b\n\n", [(None, b"a"), (None, b"b")]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [(None, b"a"), (None, b"b")]),
        (b"data: a\r\rdata: b\r\r", [(None, b"a"), (None, b"b")]),
        (b"data: a\ndata: b\n\n", [(None, b"a\nb")]),
        (b"data:  a\n\n", [(None, b" a")]),
        (b"data\n\n", [(None, b"")]),
        (b"event: x\ndata: a\n\ndata: b\n\n", [("x", b"a"), (None, b"b")]),
        (b"event: x\n\ndata: b\n\n", [(None, b"b")]),
        (b": OPENROUTER PROCESSING\n\n: \n\ndata: a\n\n", [(None, b"a")]),
        (b"id: 1\nretry: 5\nnonsense\ndata: a\n\n", [(None, b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [(None, b"a")]),
        (b"data: a\n", []),
        (b"data: a", []),
        (b"", []),
        (b"\n\n\n", []),
    ],
)
def test_grammar(stream: bytes, events: list[Event]) -> None:
    """Lines end in CR, LF or CRLF; comments say nothing; an event needs its empty line."""
    assert parse(stream) == events
    assert parse(*(bytes([byte]) for byte in stream)) == events


def test_flush() -> None:
    """The event that the stream's end cut short can be had."""
    parser = SSEParser()
    assert parser.feed(b"data: a\n\ndata: [DONE]") == [(None, b"a")]
    assert parser.flush() == [(None, b"[DONE]")]
    assert parser.flush() == []


def test_idle() -> None:
    """The parser is idle only between events, when nothing is held back."""
    parser = SSEParser()
    assert parser.idle
    for chunk, idle in [(b"da", False), (b"ta: a", False), (b"\n", False), (b"\r", False), (b"\n", True), (b"", True)]:
        parser.feed(chunk)
        assert parser.idle is idle, chunk


def test_a_letter_may_be_cut() -> None:
    """A letter of several bytes, cut by a chunk's end, arrives whole."""
    text = "data: naïve 🐍\n\n".encode()
    for at in range(len(text)):
        assert parse(text[:at], text[at:]) == [(None, "naïve 🐍".encode())]


@pytest.mark.parametrize("line", [b"data: " + b"x" * 1_000_000 + b"\n", b"x" * 1_000_000])
def test_an_endless_event_is_dropped(line: bytes) -> None:
    """An event beyond the bound is dropped and told of; memory stays bounded and the next event arrives."""
    parser = SSEParser()
    for _ in range(MAX_EVENT // 1_000_000 + 3):
        assert parser.feed(line) == []
        assert sum(map(len, parser._pieces)) + sum(map(len, parser._data)) <= MAX_EVENT
    assert parser.feed(b"\n\ndata: next\n\n") == [(None, b"next")]
    assert parser.dropped == 1


lines = st.lists(
    st.sampled_from([b"data: {}", b"data:x", b"event: e", b": c", b"", b"", b"id: 1", "data: é🐍".encode(), b"data"]),
    max_size=14,
)
ends = st.sampled_from([b"\n", b"\r\n", b"\r"])


@settings(max_examples=200)
@given(lines, st.lists(ends, min_size=14, max_size=14), st.lists(st.integers(0, 150), max_size=8))
def test_any_chunking_gives_the_same_events(content: list[bytes], line_ends: list[bytes], cuts: list[int]) -> None:
    """Wherever the network cuts, the events are those of the whole."""
    stream = b"".join(line + end for line, end in zip(content, line_ends, strict=False))
    borders = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:end] for start, end in pairwise(borders)]
    assert parse(*chunks) == parse(stream)
    # A second reader, as simple as the grammar: all line ends alike, events between empty lines.
    plain = stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    count = sum(any(line.partition(b":")[0] == b"data" for line in block.split(b"\n")) for block in whole(plain))
    assert len(parse(stream)) == count


def whole(plain: bytes) -> list[bytes]:
    blocks: list[list[bytes]] = [[]]
    for line in plain.split(b"\n")[:-1]:
        if line:
            blocks[-1].append(line)
        else:
            blocks.append([])
    return [b"\n".join(block) for block in blocks[:-1]]


def test_recorded_streams() -> None:
    """Every recorded stream ends in [DONE], and its events are as many as its data lines."""
    paths = sorted(folder("recorded").glob("*.sse"))
    for path in paths:
        stream = path.read_bytes()
        events = parse(stream)
        assert events[-1] == (None, b"[DONE]")
        assert len(events) == sum(line.startswith(b"data:") for line in stream.splitlines())
    assert len(paths) >= 12
