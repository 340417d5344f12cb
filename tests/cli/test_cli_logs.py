"""The daemon's log: a line an event, whatever happened, and no credential in it."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from monitor.cli.logs import JsonLine, OneLine
from tests.cli.cli_kit import CANARY


def record(message: str, *, exc: bool = False) -> logging.LogRecord:
    made = logging.LogRecord(
        "monitor.poller", logging.WARNING, __file__, 1, message, (), sys.exc_info() if exc else None
    )
    made.created = 1_795_564_971.0
    return made


def failed() -> logging.LogRecord:
    try:
        raise ValueError(f"line one\nline two with {CANARY}")
    except ValueError:
        return record("it failed", exc=True)


def test_a_line_says_when_how_bad_where_and_what():
    """In this order, so that a log can be read down."""
    assert OneLine().format(record("a\nb")) == "2026-11-25T00:02:51Z WARNING monitor.poller: a b"


def test_a_line_can_be_an_object():
    """With the same four things by name."""
    assert json.loads(JsonLine().format(record("a\nb"))) == {
        "at": "2026-11-25T00:02:51Z", "level": "warning", "logger": "monitor.poller", "message": "a b",
    }  # fmt: skip


@pytest.mark.parametrize("formatter", [OneLine(), JsonLine()])
def test_an_exception_is_part_of_its_line(formatter):
    """What it was and where it came from, without the key that its text held."""
    line = formatter.format(failed())
    assert len(line.splitlines()) == 1
    assert "ValueError: line one line two" in line
    assert "test_cli_logs.py" in line
    assert CANARY not in line
