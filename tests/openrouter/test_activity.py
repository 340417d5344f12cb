"""What an account used on its newest whole day, over all its keys."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.clock import day_of
from monitor.errors import PollError
from monitor.openrouter.activity import parse_activity
from monitor.openrouter.values import instant


def row(date: Any = "2026-09-20", **more: Any) -> dict[str, Any]:
    figures = {"requests": 3, "usage": 0.25, "prompt_tokens": 40, "completion_tokens": 10}
    return {"date": date, "model": "lab/gull:free", **figures, **more}


def test_the_rows_of_the_newest_day_are_summed():
    """Models, providers and keys of one day are one sum; older days are not in it, wherever they stand."""
    body = json.dumps({"data": [row("2026-09-18"), row(), row(model="lab/heron"), row("2026-09-19")]}).encode()
    assert parse_activity(body) == {
        "day": day_of(instant("2026-09-20") or 0),
        "requests": 6,
        "usage_usd": 0.5,
        "prompt_tokens": 80,
        "completion_tokens": 20,
    }


def test_a_date_with_a_time_is_that_day():
    """Both were seen in documentation."""
    assert parse_activity({"data": [row("2026-09-20 00:00:00"), row()]})["requests"] == 6


def test_no_activity_is_no_day():
    """A new account is not one that used nothing on some day."""
    assert parse_activity({"data": []}) == {}
    assert parse_activity({"data": [row(None), row("soon"), row(7), 5, None]}) == {}


def test_missing_and_odd_figures_count_nothing():
    """One broken row does not hide the others."""
    told = parse_activity({"data": [row(requests=None, usage="x", prompt_tokens=-4), {"date": "2026-09-20"}, row()]})
    assert (told["requests"], told["usage_usd"], told["prompt_tokens"]) == (3, 0.25, 40)


@pytest.mark.parametrize("answer", [b"", b"<html>", {}, {"data": {}}, [], {"error": {"message": "no"}}])
def test_what_holds_no_list_is_an_error(answer):
    """So that the poll backs off."""
    with pytest.raises(PollError, match="activity"):
        parse_activity(answer)


@given(st.lists(st.dictionaries(st.sampled_from(["date", "requests", "usage"]), st.text() | st.floats() | st.none())))
def test_junk_rows_raise_nothing(rows):
    """Whatever stands in the rows."""
    parse_activity({"data": rows})
