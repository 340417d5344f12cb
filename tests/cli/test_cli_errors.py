"""What goes wrong is told in one line, with its exit code, and leaves everything as it was."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from monitor.cli import root
from monitor.cli.root import run
from monitor.errors import BudgetExceeded, ConfigError, MonitorError, StoreError
from monitor.store.sqlite import opening
from tests.cli.cli_kit import CANARY, bytes_of, command, one_line

EVERY_USE = (
    ("status",),
    ("calls",),
    ("models",),
    ("events",),
    ("pause",),
    ("resume",),
    ("db", "backup", "copy.db"),
    ("db", "prune"),
    ("db", "export", "calls.csv"),
)


def broken(path, how: str) -> None:
    """Put something at `path` that is no store of ours."""
    if how == "zero":
        path.touch()
    elif how == "text":
        path.write_text("this is no database " * 50)
    elif how == "foreign":
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE theirs (a)")
    elif how == "newer":
        with sqlite3.connect(path) as ours:
            ours.execute(f"PRAGMA application_id={0x4F524D4E}")
            ours.execute("PRAGMA user_version=999")
            ours.execute("CREATE TABLE calls (a)")
    else:
        path.mkdir()


@pytest.mark.parametrize("how", ["zero", "text", "foreign", "newer", "folder"])
@pytest.mark.parametrize("names", EVERY_USE, ids=" ".join)
def test_what_is_no_store_is_left_alone(cli, path, home, how, names):
    """One line, exit code 1, and not a byte is changed or added, whatever the command."""
    broken(path, how)
    before = bytes_of(home)
    said = cli(*names)
    assert said.code == 1
    assert one_line(said.err), said.err
    assert str(path) in said.err
    assert bytes_of(home) == before


@pytest.mark.parametrize("names", [("pause",), ("models", "--refresh")], ids=" ".join)
def test_a_store_that_cannot_be_made(cli, home, names):
    """A folder that is a file: one line that names the store."""
    (home / "file").touch()
    said = cli(*names, "--store", home / "file" / "monitor.db")
    assert said.code == 1
    assert one_line(said.err)
    assert "monitor.db" in said.err


def test_a_locked_store(cli, store, home, monkeypatch):
    """Who writes is told that another program holds the store; who reads does not wait."""
    monkeypatch.setattr(opening, "BUSY_SECONDS", 0.1)
    holder = sqlite3.connect(store, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        before = bytes_of(home)
        said = cli("pause")
        assert said.code == 1
        assert one_line(said.err)
        assert "locked" in said.err
        assert cli("status").code == 0
        assert cli("db", "backup", "copy.db").code == 0
        (home / "work" / "copy.db").unlink()
        assert bytes_of(home) == before
    finally:
        holder.close()


def test_a_full_disk(store, home):
    """When nothing more can be written: one line, and the store is as good as before."""
    limited = [sys.executable, "-m", "monitor"]
    room = 16 * 1024  # less than SQLite's index of the log, which it makes first, and than any copy
    for names in (["pause"], ["db", "backup", "copy.db"]):
        process = subprocess.run(
            [*limited, *names],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        )
        assert process.returncode == 1, process
        assert one_line(process.stderr), process.stderr
    assert not list((home / "work").iterdir())
    assert command("db", "verify", "--full").returncode == 0


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('[guard]\nmod = "enforce"\n', "guard.mode"),
        ('[guard]\nmode = "forced"\n', "enforce"),
        ("[guard\n", "not valid TOML"),
        ("[quota]\nper_minute = 0\n", "quota.per_minute"),
    ],
)
def test_wrong_settings(cli, home, text, names):
    """An unknown or wrong setting is named, with what would be right: exit code 2."""
    file = home / "config.toml"
    file.write_text(text)
    for arguments in (("--config", file, "status"), ("status", "--config", file), ("config", "show", "--config", file)):
        said = cli(*arguments)
        assert said.code == 2
        assert one_line(said.err)
        assert names in said.err


def test_settings_that_cannot_be_read(cli, home):
    """A settings file that is missing, or is a folder, is named: exit code 2."""
    for file in (home / "missing.toml", home):
        said = cli("calls", "--config", file)
        assert said.code == 2
        assert one_line(said.err)
        assert str(file) in said.err


def test_a_key_file_that_is_missing(cli, home, monkeypatch):
    """Who needs the key says which file cannot be read; who does not, goes on."""
    monkeypatch.setenv("OPENROUTER_MONITOR_API_KEY_FILE", str(home / "no-key"))
    said = cli("models", "--refresh")
    assert said.code == 2
    assert one_line(said.err)
    assert "no-key" in said.err
    assert cli("status").code == 0
    assert cli("doctor").code == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MonitorError("what happened.", hint="What to do."), 1),
        (StoreError("what happened.", hint="What to do."), 1),
        (ConfigError("what happened.", hint="What to do."), 2),
        (BudgetExceeded("what happened.", reason="budget_day", hint="What to do."), 3),
    ],
)
def test_exit_codes(capsys, monkeypatch, error, code):
    """1 for a problem, 2 for settings, 3 for a refusal of the guard; message and hint on one line."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(root.root, "invoke", fail)
    assert run(["status"]) == code
    assert capsys.readouterr().err == "Error: what happened. What to do.\n"


def test_an_error_never_repeats_a_key(capsys, monkeypatch):
    """Whatever an error's text holds, a key in it is masked."""

    def fail(*_: object) -> None:
        raise MonitorError(f"could not use {CANARY}.")

    monkeypatch.setattr(root.root, "invoke", fail)
    run(["status"])
    assert CANARY not in capsys.readouterr().err


def test_a_closed_pipe_ends_quietly(store):
    """A reader that goes away is no error to talk about."""
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", "calls"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    told = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), told) == (141, b"")


def test_output_that_cannot_be_written(store):
    """A full disk behind the redirection is one line, exit code 1."""
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "monitor", "status"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert process.returncode == 1
    assert one_line(process.stderr)


def test_ctrl_c_ends_quietly(store):
    """Following the log ends with Ctrl-C, exit code 130, without a word."""
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", "calls", "--follow", "--limit", "10"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    assert "success" in process.stdout.readline()
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert (process.returncode, told) == (130, "")


def test_a_damaged_store_is_found_and_not_touched(cli, store, home):
    """A page that was hit is found by `db verify` and `doctor` does not make it worse."""
    with sqlite3.connect(store) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    whole = store.read_bytes()
    damaged = whole[:4096] + b"\xff" * 2048 + whole[6144:]
    store.write_bytes(damaged)
    for left in home.glob("monitor.db-*"):
        left.unlink()
    said = cli("db", "verify")
    assert said.code == 1
    assert "problem" in said.out
    assert cli("db", "verify", "--json").code == 1
    cli("status")
    assert cli("db", "backup", "copy.db").code == 1
    assert store.read_bytes() == damaged
    assert not list((home / "work").iterdir())
    shutil.rmtree(home / "work")
