"""One question to several models."""

from __future__ import annotations

import html
from html.parser import HTMLParser

import pytest
from client_kit import BUSY, CODER, LLAMA, NEMOTRON, PAID, QWEN, R1, fault

from monitor import ConfigError
from monitor.client.answers import Answer
from monitor.client.comparing import Comparison, compared
from monitor.model import Usage

HELLO = "Explain quantum computing"


def test_answers_stand_side_by_side(world):
    """In the order of the models, each with its time, its tokens and its cost; each was asked once, and all at once."""
    client = world.client()
    client.models()
    found = client.compare(HELLO, models=[CODER, R1, CODER])
    assert [row.model for row in found] == [CODER, R1]
    assert all(row.text and row.seconds is not None and row.first_token_seconds is not None for row in found)
    assert [row.as_json()["cost_usd"] for row in found] == [0, 0]
    assert sorted(world.asked()) == sorted([CODER, R1])
    assert repr(found) == "<Comparison of 2 models, 2 answered>"


def test_without_models_the_best_are_compared(world):
    """Three free ones, by the task."""
    client = world.client()
    assert [row.model for row in client.compare(HELLO)] == [QWEN, LLAMA, NEMOTRON]
    assert client.compare(HELLO, task="code")[0].model == CODER


def test_what_one_fails_at_is_its_own(worlds):
    """A refusal and a busy pool stand in their rows; no other model answers in their place."""
    world = worlds(fault(BUSY, model=R1))
    client = world.client()
    client.models()  # else they would wait for each other's catalogue, by a clock that leaps while they wait
    found = client.compare(HELLO, models=[CODER, R1, PAID], wait=0)
    assert [(row.error is None, row.reason) for row in found] == [
        (True, None), (False, "rate_limited"), (False, "model_not_free"),
    ]  # fmt: skip
    assert world.sim.books.cost_usd == 0
    assert PAID not in world.asked()


def test_it_stays_within_the_minute(world):
    """Seven models on an account that allows three a minute: they queue, and all are answered."""
    models = [facts.id for facts in world.client().models() if "embed" not in facts.id][:7]
    found = world.client(quota={"per_minute": 3}).compare(HELLO, models=models, wait=10_000)
    assert all(row.error is None for row in found)
    stamps = sorted(row["started_at"] for row in world.rows())
    assert all(later - at > 60 for at, later in zip(stamps, stamps[3:], strict=False))


@pytest.mark.parametrize("models", ["a/b:free", [], [5], [f"m/{n}:free" for n in range(21)]])
def test_what_is_no_list_of_models_is_told(world, models):
    """Before anything is asked."""
    with pytest.raises(ConfigError):
        world.client().compare(HELLO, models=models)


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_report_is_one_safe_page():
    """All is in it, nothing is loaded from elsewhere, and what models say stays text."""
    evil = '<script>alert("x")</script> & more'
    answer = Answer(evil, CODER, "P", "stop", Usage(1, 2, cost_usd=0.0), 1.234, "c")
    page = Comparison(
        evil, 1_795_521_600.0, (compared(CODER, answer), compared(R1, ConfigError("no <b>key</b>.")))
    ).html()
    read = _Texts()
    read.feed(page)
    assert "script" not in read.tags
    assert read.texts.count(evil) == 2
    assert "no <b>key</b>." in read.texts
    assert html.escape(CODER) in page
    assert "1.23" in page
    assert "http" not in page.lower().replace("<!doctype html>", "")


async def test_asynchronously(world):
    """The same rows."""
    async with world.async_client() as client:
        found = await client.compare(HELLO, models=[CODER, PAID])
        assert [row.error is None for row in found] == [True, False]
        assert len(await client.compare(HELLO)) == 3
