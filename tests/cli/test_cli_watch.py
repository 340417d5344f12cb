"""`status --watch`: drawn anew in its place, printed once per change in a pipe, and ended in order."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.cli.context import Invocation
from monitor.cli.root import run
from monitor.cli.watching import WATCH_SECONDS, still
from monitor.clock import FakeClock
from monitor.ledger import Ledger
from monitor.store import SQLiteStore
from tests.fakes.builders import PAID, ask, settings


class Script(FakeClock):
    """A clock at whose sleeps something happens; after the last of them somebody presses Ctrl-C."""

    def __init__(self, now: float, *steps: Callable[[], object]) -> None:
        super().__init__(now)
        self._steps = list(steps)
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if not self._steps:
            raise KeyboardInterrupt
        self._steps.pop(0)()
        self.advance(seconds)


def nothing() -> None:
    """Happens."""


def refuse(store: Path, clock: FakeClock) -> Callable[[], object]:
    """A call that is refused."""
    return lambda: Ledger(SQLiteStore(store), settings(), clock).reserve(ask(PAID, app="watched"))


def watched(clock: Script, capsys, *arguments: str) -> str:
    """What is printed until Ctrl-C, which is no error."""
    capsys.readouterr()
    assert run(["status", "--watch", *arguments], Invocation(time=clock)) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert clock.slept == [WATCH_SECONDS] * len(clock.slept)
    return str(said.out)


def test_a_pipe_is_told_once_and_after_each_change(store, clock, capsys):
    """However often it is looked: a log of what happened, not of every two seconds."""
    script = Script(clock.now(), nothing, nothing, refuse(store, clock), nothing)
    said = watched(script, capsys)
    assert len(script.slept) == 5
    assert said.count("refused today  ") == 2
    assert "refused today  2 " in said
    assert "refused today  3 " in said
    assert said.count("watched") == 1
    assert "\x1b" not in said


def test_json_is_one_object_a_line(store, clock, capsys):
    """With everything that `/api/status` tells, each at its time."""
    first, second = watched(Script(clock.now(), nothing, refuse(store, clock)), capsys, "--json").splitlines()
    before, after = json.loads(first), json.loads(second)
    assert after["refused_today"]["total"] == before["refused_today"]["total"] + 1
    assert after["traffic"]["attempts"] == before["traffic"]["attempts"] + 1
    assert after["at"] == before["at"] + 2 * WATCH_SECONDS


def test_it_waits_for_a_store_that_is_not_there_yet(path, clock, capsys):
    """Watching may begin before the first call."""
    script = Script(clock.now(), nothing, refuse(path, clock))
    said = watched(script, capsys)
    assert said.count("Nothing recorded yet.") == 1
    assert "refused today  1 " in said


def test_on_a_screen_it_is_drawn_in_its_place(store, clock, capsys, monkeypatch):
    """On a screen of its own, from its corner each time, as wide as the terminal; what stood there comes back."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    said = watched(Script(clock.now(), nothing, refuse(store, clock)), capsys)
    assert said.startswith("\x1b[?1049h")
    assert said.endswith("\x1b[?1049l")
    assert said.index("\x1b[?25l") < said.rindex("\x1b[?25h")
    assert said.count("free requests left") >= 2 * 3
    assert "24 hours" in said


def test_a_store_that_breaks_and_comes_back_is_watched_on(store, clock, capsys, monkeypatch):
    """The trouble stands on the screen for as long as it lasts."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    whole = store.read_bytes()
    script = Script(clock.now(), lambda: store.write_bytes(b""), lambda: store.write_bytes(whole), nothing)
    said = watched(script, capsys)
    assert "is an empty file" in said
    assert "free requests left" in said[said.index("is an empty file") :]


def test_a_store_that_is_broken_from_the_start_is_an_error(store, capsys):
    """Like any other command's: one line, code 1."""
    store.write_bytes(b"")
    assert run(["status", "--watch"], Invocation()) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_terminal_is_left_as_it_was(store, number):
    """Ctrl-C and SIGTERM end it with code 0; the first screen and the cursor are back."""
    main, other = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", "status", "--watch"], stdin=other, stdout=other, stderr=other, env=environment
    )
    os.close(other)
    seen = b""
    try:
        while b"free requests left" not in seen:
            seen += os.read(main, 65536)
        process.send_signal(number)
        while part := os.read(main, 65536):
            seen += part
    except OSError:
        pass  # the other end is closed: that is the end on Linux
    finally:
        os.close(main)
        process.kill() if process.poll() is None and b"\x1b[?1049l" not in seen else None
    assert process.wait(60) == 0
    assert seen.rstrip().endswith(b"\x1b[?1049l")
    assert b"\x1b[?25h" in seen
    assert b"Traceback" not in seen


def test_what_moves_by_itself_is_no_change():
    """Instants and what is reckoned from them; what is counted is."""
    found = {"at": 1.0, "day": {"left": 3, "pace_per_hour": 2.5, "resets_at": 9}, "failures": [{"id": 7, "at": 1.0}]}
    assert still(found) == {"day": {"left": 3}, "failures": [{"id": 7}]}
