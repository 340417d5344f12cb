"""Answers that are given again."""

from __future__ import annotations

import pytest
from client_kit import BUSY, CODER, NOON, QWEN, World, fault

from monitor import ConfigError
from monitor.client.cache import key_of
from monitor.client.wishes import make_wish
from monitor.store.sqlite.answers import AnswerRows

HELLO = "What is machine learning?"
DAY = 86_400.0


def test_a_second_asking_sends_nothing(world):
    """The same answer, marked as kept, on record, and no quota is used: by another app of the store too."""
    first = world.client("one").chat(HELLO, cache="1d")
    again = world.client("two").chat(HELLO, cache="1d")
    assert (again.text, again.model, again.usage) == (first.text, first.model, first.usage)
    assert (first.cached, again.cached, again.attempts) == (False, True, ())
    assert world.sim.books.requests == 1
    row = world.rows()[1]
    assert (row["app"], row["outcome"], row["model_served"], row["cost_usd"]) == ("two", "cached", QWEN, 0)
    assert world.query("SELECT * FROM saved") == [{"app": "two", "n": 1}]
    assert world.query("SELECT attempts FROM windows WHERE app = ''") == [{"attempts": 1}]
    assert world.query("SELECT sum(n) AS n, sum(calls) AS calls FROM totals") == [{"n": 1, "calls": 1}]


def test_only_who_asks_for_it_gets_kept_answers(world):
    """Without `cache` each call is sent; an app may have it always, a client too, and a call may do without."""
    client = world.client(apps={"saver": {"cache": "1d"}})
    client.chat(HELLO)
    client.chat(HELLO)
    assert world.query("SELECT * FROM answers") == []
    for _ in range(2):
        world.client("saver", apps={"saver": {"cache": "1d"}}).chat(HELLO)
    assert world.sim.books.requests == 3
    assert not world.client("saver", apps={"saver": {"cache": "1d"}}).chat(HELLO, cache=0).cached


def test_an_answer_grows_old(world):
    """For as long as was asked when it was kept, and no older than this call will have it."""
    client = world.client()
    client.chat(HELLO, cache="1h")
    world.clock.advance(1800)
    assert not client.chat(HELLO, cache="20m").cached
    world.clock.advance(1199)
    assert client.chat(HELLO, cache="20m").cached
    world.clock.advance(1)
    assert not client.chat(HELLO, cache="1d").cached
    world.clock.advance(DAY)
    assert not client.chat(HELLO, cache="30d").cached


def test_a_clock_that_was_set_back_gives_nothing_from_the_future(world):
    """An answer that was made later than now is not believed."""
    client = world.client()
    client.chat(HELLO, cache="1d")
    world.clock.set(NOON - 3600)
    assert not client.chat(HELLO, cache="1d").cached


def test_a_stream_is_a_stream_again(world):
    """In the pieces in which it came; one that came whole is one piece, and a stream serves who wants it whole."""
    client = world.client()
    pieces = list(client.chat(HELLO, stream=True, cache="1d"))
    again = client.chat(HELLO, stream=True, cache="1d")
    assert list(again) == pieces
    assert again.answer.cached
    assert client.chat(HELLO, cache="1d").text == "".join(pieces)
    other = client.chat("Another?", cache="1d").text
    assert list(client.chat("Another?", stream=True, cache="1d")) == [other]
    assert world.sim.books.requests == 2


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ({"kind": "cut", "after_chunks": 2}, {"stream": True}),
        ({"kind": "stream_error"}, {"stream": True}),
        ("partial_error", {}),
        (None, {"max_tokens": 3}),
        (None, {"stream": True, "close": True}),
    ],
    ids=["cut", "broken", "partial", "too long", "closed early"],
)
def test_only_whole_answers_are_kept(worlds, kind, more):
    """One that broke off, failed, or was cut at its length is asked for anew."""
    world = worlds(*([fault(kind)] if kind else []))
    client, close = world.client(client={"attempts": 1}), more.pop("close", False)
    with pytest.raises(Exception) if kind else __import__("contextlib").nullcontext():  # noqa: PT011
        answer = client.chat(HELLO, cache="1d", **more)
        if close:
            next(answer)
            answer.close()
        elif more.get("stream"):
            list(answer)
    assert world.query("SELECT * FROM answers") == []


def test_an_answer_of_a_fallback_is_kept_for_what_was_asked(worlds):
    """Whoever asks for the same again would have got the same."""
    world = worlds(fault(BUSY, model=CODER))
    client = world.client()
    first = client.chat(HELLO, model=CODER, fallbacks="free", cache="1d")
    again = client.chat(HELLO, model=CODER, fallbacks="free", cache="1d")
    assert (first.model, again.model, again.cached) == (QWEN, QWEN, True)
    assert not client.chat(HELLO, model=QWEN, cache="1d").cached


def wish(prompt=HELLO, **more):
    given = {"model": None, "task": None, "system": None, "fallbacks": None, "stream": False, "wait": 1.0, "cache": 1.0}
    parameters = {name: value for name, value in more.items() if name not in given}
    return make_wish(prompt, **(given | {n: v for n, v in more.items() if n in given}), parameters=parameters)


@pytest.mark.parametrize(
    "more",
    [{"stream": True}, {"wait": 9.0}, {"cache": 99.0}, {"user": "me"}, {"session_id": "s"}, {"metadata": {"a": 1}}],
)
def test_who_asks_and_how_does_not_matter(more):
    """The key is that of what is asked."""
    assert key_of(wish(**more), "u") == key_of(wish(), "u")


@pytest.mark.parametrize(
    "more", [{"model": QWEN}, {"task": "code"}, {"system": "Be brief."}, {"temperature": 0.1}, {"prompt": "Else?"}]
)
def test_what_is_asked_matters(more):
    """Another model, task, prompt or parameter is another question; so is another upstream."""
    assert key_of(wish(**more), "u") != key_of(wish(), "u")
    assert key_of(wish(), "v") != key_of(wish(), "u")


def test_the_order_of_fields_does_not_matter():
    """Canonical: `{"a":1,"b":2}` is `{"b":2,"a":1}`."""
    assert key_of(wish(temperature=1, seed=2), "u") == key_of(wish(seed=2, temperature=1), "u")
    assert key_of(wish([{"role": "user", "content": HELLO}]), "u") == key_of(
        wish([{"content": HELLO, "role": "user"}]), "u"
    )


def test_its_size_is_bounded(world):
    """What was not used for longest goes first; an answer that is too large is not kept at all."""
    client = world.client()
    client.chat("fill", cache="1d")
    (one,) = world.query("SELECT size FROM answers")
    small = world.client(client={"cache_bytes": one["size"] * 10})
    for number in range(30):
        world.clock.advance(1)
        small.chat(f"fill {number:02}", cache="1d")
        world.clock.advance(1)
        if number:
            assert small.chat("fill 00", cache="1d").cached
    kept = world.query("SELECT count(*) AS n, sum(size) AS size FROM answers")[0]
    assert 5 <= kept["n"] <= 12
    assert kept["size"] <= one["size"] * 10
    assert world.query("SELECT value FROM marks WHERE name = 'answers_size'") == [{"value": kept["size"]}]
    assert not world.client(client={"cache_bytes": 100}).chat("too large", cache="1d").cached
    assert world.query("SELECT * FROM answers WHERE content LIKE '%too large%'") == []


def test_forgetting_them_all(world):
    """Sizes are given back."""
    client = world.client()
    client.chat(HELLO, cache="1d")
    store = client._base.guard.ledger.store
    assert store.transact(AnswerRows.forget_answers) == 1
    assert world.query("SELECT value FROM marks WHERE name = 'answers_size'") == [{"value": 0}]


def test_a_span_that_is_none_is_told(world: World):
    """Of the client as of a call."""
    for cache in ("soon", -1):
        with pytest.raises(ConfigError, match="cache is wrong"):
            world.client().chat(HELLO, cache=cache)
