"""OpenRouter's clock, out of the headers of an answer."""

from __future__ import annotations

import httpx
import pytest

from monitor.openrouter.dates import sent_at


@pytest.mark.parametrize("name", ["date", "Date", "DATE"])
def test_a_date_is_read_to_the_middle_of_its_second(name):
    """The header has whole seconds: half of one is added, so that the error is half a second at most."""
    assert sent_at(httpx.Headers({name: "Mon, 21 Sep 2026 12:00:00 GMT"})) == 1_789_992_000.5


def test_an_answer_out_of_a_cache_tells_no_time():
    """Its date may be an hour old."""
    assert sent_at(httpx.Headers({"date": "Mon, 21 Sep 2026 12:00:00 GMT", "age": "0"})) is None


@pytest.mark.parametrize("text", ["", "now", "Mon, 99 Sep 2026 12:00:00 GMT", "Mon, 21 Sep 99999999 12:00:00 GMT"])
def test_what_is_no_date_tells_no_time(text):
    """Whatever stands there is no error."""
    assert sent_at({"Date": text}) is None
    assert sent_at({}) is None
