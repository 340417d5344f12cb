"""Who serves a model and how often they could: read leniently, kept within bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import PollError
from monitor.openrouter.providers import PROVIDERS_AT_MOST, endpoints_path, parse_uptimes


def page(*endpoints: Any) -> bytes:
    return json.dumps({"data": {"id": "lab/gull:free", "endpoints": list(endpoints)}}).encode()


def one(percent: Any, provider: Any = "Chutes", **more: Any) -> dict[str, Any]:
    return {"provider_name": provider, "uptime_last_30m": percent, **more}


def test_percents_become_ratios():
    """By provider, from 0 to 1."""
    assert parse_uptimes(page(one(98.5), one(0, "Novita"))) == {"Chutes": 0.985, "Novita": 0.0}


def test_a_provider_is_as_good_as_its_best_endpoint():
    """Requests go to whichever of them works."""
    assert parse_uptimes(page(one(10), one(90), one(None))) == {"Chutes": 0.9}


def test_a_provider_without_a_name_goes_by_its_tag():
    """Either is a name that people know."""
    assert parse_uptimes(page(one(50, None, tag="chutes/fp8"))) == {"chutes/fp8": 0.5}


@pytest.mark.parametrize("percent", [None, "soon", -1, 101, True, [], float("nan")])
def test_a_figure_that_is_none_is_left_out(percent):
    """Absent is not zero: an alert on uptime must not fire for what was not told."""
    assert parse_uptimes({"data": {"endpoints": [one(percent), one(100, "Novita")]}}) == {"Novita": 1.0}


def test_the_number_of_providers_is_bounded():
    """The best stay."""
    found = parse_uptimes(page(*(one(n, f"p{n}") for n in range(PROVIDERS_AT_MOST + 9))))
    assert sorted(found) == sorted(f"p{n}" for n in range(9, PROVIDERS_AT_MOST + 9))


def test_a_name_is_short_and_holds_no_key():
    """It becomes a label."""
    (name,) = parse_uptimes(page(one(1, f"{'x' * 50} sk-or-v1-canary0123456789abcdef {'y' * 500}")))
    assert len(name) <= 60
    assert "canary" not in name


@pytest.mark.parametrize("answer", [{}, {"data": {}}, {"data": {"endpoints": {}}}, {"data": {"endpoints": [1, None]}}])
def test_nothing_listed_is_nothing_told(answer):
    """A router has no endpoints of its own."""
    assert parse_uptimes(answer) == {}


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b"null", b'{"error": {"message": "no such thing"}}'])
def test_what_is_no_answer_is_an_error(answer):
    """So that the poll backs off and says why."""
    with pytest.raises(PollError):
        parse_uptimes(answer)


JUNK = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["endpoints", "provider_name", "uptime_last_30m", "tag"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JUNK)
def test_junk_is_figures_or_nothing(junk):
    """Whatever is inside the envelope, the answer is ratios."""
    assert all(isinstance(name, str) and 0 <= ratio <= 1 for name, ratio in parse_uptimes({"data": junk}).items())


def test_a_path_names_the_model_as_openrouter_does():
    """Author and slug stay two parts, the variant stays as it is, and nothing else can step out of it."""
    assert endpoints_path("lab/gull-3.5:free") == "/models/lab/gull-3.5:free/endpoints"
    assert endpoints_path("lab/a?b#c d") == "/models/lab/a%3Fb%23c%20d/endpoints"
