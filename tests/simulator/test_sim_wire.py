"""Faults of delivery: connections cut, closed and hanging, streams slow, split, packed and without end."""

from __future__ import annotations

import gzip
import json
import threading

import httpx
import pytest
from simulator_kit import FREE
from test_sim_shapes import events_of


def test_a_connection_cut_after_bytes(simulate):
    """Exactly so many bytes of the body arrive, then the connection ends without an ending."""
    api = simulate(faults=[{"do": {"kind": "cut", "after_bytes": 40}}])
    with api.http.stream("POST", "/chat/completions", json=_ask()) as answer:
        assert answer.status_code == 200
        assert len(_until_cut(answer)) == 40


def test_a_stream_cut_after_chunks(simulate):
    """So many content chunks arrive, no usage, no `[DONE]`; the books have the call all the same."""
    api = simulate(faults=[{"do": {"kind": "cut", "after_chunks": 3}}])
    with api.http.stream("POST", "/chat/completions", json=_ask(stream=True)) as answer:
        text = _until_cut(answer).decode()
    assert len([event for event in events_of(text) if event["choices"][0]["delta"]["content"]]) == 3
    assert "usage" not in text
    assert api.sim.books.posts[-1].status == 200


def test_a_connection_closed_before_headers(simulate):
    """Nothing is answered at all; the request is in the books with status 0, and counted."""
    api = simulate(faults=[{"do": "close"}])
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        api.chat()
    assert api.sim.books.posts[-1].status == 0
    assert api.sim.used() == 1


@pytest.mark.parametrize("where", [{}, {"after_chunks": 1}])
def test_a_hanging_answer_outlives_the_clients_patience(simulate, where):
    """The answer hangs, before its headers or in the middle, until the client gives up."""
    api = simulate(faults=[{"do": {"kind": "hang", **where}}])
    with pytest.raises(httpx.ReadTimeout):
        api.http.post("/chat/completions", json=_ask(stream=True), timeout=0.1)
    assert api.sim.books.requests == 1


def test_a_hang_ends_after_its_seconds(simulate):
    """With seconds the answer comes late, and whole."""
    assert simulate(faults=[{"do": {"kind": "hang", "seconds": 0.05}}]).chat().status_code == 200


def test_processing_comments_without_end(simulate):
    """Comments come for ever and no data ever does."""
    api = simulate(faults=[{"do": {"kind": "processing_forever", "seconds": 0.001}}])
    with api.http.stream("POST", "/chat/completions", json=_ask(stream=True)) as answer:
        text = ""
        for block in answer.iter_text():
            text += block
            if text.count("PROCESSING") >= 20:
                break
    assert "data:" not in text


def test_a_compressed_answer_is_whole(simulate):
    """gzip, for a plain answer and for a stream, gives the same text when unpacked."""
    api = simulate(faults=[{"do": "gzip"}])
    plain = api.chat()
    assert plain.headers["Content-Encoding"] == "gzip"
    assert plain.json()["model"] == FREE
    assert api.chat(stream=True).text.endswith("data: [DONE]\n\n")


def test_split_events_and_characters(simulate):
    """Pieces of one byte cut through events and UTF-8 characters; joined they are the same stream."""
    api = simulate()
    whole = api.chat(text="你好，数一数", stream=True).content
    api.sim.faults.add({"do": {"kind": "split", "bytes": 1}})
    with api.http.stream("POST", "/chat/completions", json=_ask("你好，数一数", stream=True)) as answer:
        blocks = list(answer.iter_raw())
    assert len(b"".join(blocks)) == len(whole)
    assert not all(_is_text(block) for block in blocks)


def test_a_huge_answer_is_valid(simulate):
    """An answer of megabytes is still JSON, with its usage at the end."""
    body = simulate(faults=[{"do": {"kind": "huge", "megabytes": 3}}]).chat()
    assert len(body.content) > 3 * 1024 * 1024
    assert body.json()["usage"]["cost"] == 0


def test_garbage_bytes(simulate):
    """Bytes that are neither JSON nor text, in an answer, a stream and the catalogue."""
    api = simulate(faults=[{"do": "garbage"}, {"match": {"path": "/models"}, "do": "garbage"}])
    for answer in (api.chat(), api.chat(stream=True), api.get("/models")):
        assert answer.status_code == 200
        with pytest.raises(ValueError, match=r"."):
            json.loads(answer.content)


def test_slow_chunks_arrive_one_by_one(simulate):
    """A slow stream arrives whole, over at least the sum of its pauses."""
    api = simulate(chunks=2, faults=[{"do": {"kind": "slow", "seconds": 0.01}}])
    answer = api.chat(stream=True)
    assert answer.text.endswith("[DONE]\n\n")
    assert answer.elapsed.total_seconds() >= 0.04


def test_two_rules_strike_together(simulate):
    """One rule's error and another's delivery add up."""
    api = simulate(faults=[{"do": "gzip"}, {"do": "502"}])
    answer = api.chat()
    assert (answer.status_code, answer.headers["Content-Encoding"]) == (502, "gzip")
    assert api.sim.books.posts[-1].fault == "502+gzip"


def test_stopping_frees_those_who_hang(simulate):
    """A simulator that stops ends answers that hang, instead of waiting for them."""
    api = simulate(faults=[{"do": "hang"}])
    failures: list[Exception] = []

    def call() -> None:
        try:
            api.chat()
        except httpx.HTTPError as error:
            failures.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    assert api.sim.books.wait_for(1)
    api.sim.stop()
    caller.join(5)
    assert len(failures) == 1


def _ask(text: str = "hello", **more: object) -> dict[str, object]:
    return {"model": FREE, "messages": [{"role": "user", "content": text}], **more}


def _until_cut(answer: httpx.Response) -> bytes:
    """What arrived before the connection was cut."""
    received: list[bytes] = []
    with pytest.raises(httpx.RemoteProtocolError):
        received.extend(_noted(answer, received))
    return b"".join(received)


def _noted(answer: httpx.Response, received: list[bytes]) -> list[bytes]:
    for block in answer.iter_raw():
        received.append(block)
    return []


def _is_text(block: bytes) -> bool:
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_a_compressed_request_is_read(simulate):
    """A request body in gzip is understood; one that only claims to be is a 400."""
    api = simulate()
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    packed = gzip.compress(json.dumps(_ask()).encode())
    assert api.http.post("/chat/completions", content=packed, headers=headers).status_code == 200
    assert api.http.post("/chat/completions", content=b"not gzip", headers=headers).status_code == 400
