"""Spans, instants and figures, as people write and read them."""

from __future__ import annotations

import pytest

from monitor.cli.durations import parse_duration, parse_instant
from monitor.words import count, dollars, per_million, span, until


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("45s", 45),
        ("90m", 5400),
        ("12h", 43_200),
        ("30d", 2_592_000),
        ("1h30m", 5400),
        ("2w", 1_209_600),
        ("1.5h", 5400),
    ],
)
def test_spans_of_time(said, seconds):
    """A span is numbers with units, added up."""
    assert parse_duration(said) == seconds


@pytest.mark.parametrize("said", ["", "h", "5", "5y", "1h 30", "-1h", "1h-5m"])
def test_what_is_no_span(said):
    """Anything else is an error that says what would be right."""
    with pytest.raises(ValueError, match="expected a span"):
        parse_duration(said)


def test_instants():
    """An instant is a span before now, or a date, which is UTC unless it says otherwise."""
    assert parse_instant("1h").seconds(10_000) == 6400
    assert parse_instant("1970-01-02").seconds(0) == 86_400
    assert parse_instant("1970-01-01T01:00:00+01:00").seconds(0) == 0
    with pytest.raises(ValueError, match="expected a span"):
        parse_instant("yesterday")


def test_figures_in_words():
    """Spans have two units, what is not nothing does not look like it, prices are per million tokens."""
    assert [span(s) for s in (0.9, 59, 60, 3661, 90_000)] == ["0 s", "59 s", "1 min", "1 h 1 min", "1 d 1 h"]
    assert [until(t, 100.0) for t in (99, 100.2, 160)] == ["now", "in 1 s", "in 1 min"]
    assert [dollars(d) for d in (0, 0.0000012, 0.004, 1.5, None)] == ["$0.00", "$0.000001", "$0.004", "$1.50", "-"]
    assert [per_million(p) for p in (0, 1e-7, 3.2e-7, None)] == ["0", "0.1", "0.32", "-"]
    assert [count(n, "model") for n in (0, 1, 12_000)] == ["0 models", "1 model", "12 000 models"]
