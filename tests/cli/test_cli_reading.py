"""What the reading commands tell: to programs as JSON, in a pipe as plain text, in a terminal in colour."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

from monitor.model import Ending, Endpoint, Outcome, Tier
from monitor.store.protocol import CircuitRow, OpenCall
from monitor.store.sqlite.pages import CALL_COLUMNS
from tests.cli.cli_kit import CANARY, READING, bytes_of
from tests.fakes.builders import FREE, FREE2, PAID, ledger, success, take


@pytest.mark.parametrize("names", READING, ids=" ".join)
def test_every_reading_command_speaks_json(cli, store, names):
    """`--json` gives one JSON document and nothing else on stdout."""
    said = cli(*names, "--json")
    assert said.code == 0
    json.loads(said.out)


@pytest.mark.parametrize("names", READING, ids=" ".join)
def test_a_pipe_gets_plain_text(cli, store, names):
    """No escape codes, no drawn lines, no control characters, and no line that is padded or wrapped."""
    said = cli(*names)
    assert said.code == 0
    assert said.out
    for line in said.out.splitlines():
        assert line.isprintable()
        assert line == line.rstrip()
        assert not any(0x2500 <= ord(character) < 0x2600 for character in line)


@pytest.mark.parametrize("names", [names for names in READING if names != ("db", "verify")], ids=" ".join)
def test_nothing_is_created_by_reading(cli, path, home, names):
    """A store that does not exist yet is told of plainly, exit code 0, and is not made."""
    for arguments in (names, (*names, "--json")):
        said = cli(*arguments)
        assert said.code == 0, said.err
        assert said.out or said.err
    assert bytes_of(home) == {}


@pytest.mark.parametrize("names", READING, ids=" ".join)
def test_reading_changes_nothing(cli, store, home, names):
    """Reading leaves every byte of the store and its log as it was."""
    before = bytes_of(home)
    cli(*names)
    assert bytes_of(home) == before


@pytest.mark.parametrize("names", [*READING, ("db", "path"), ("config", "path"), ("pause",), ("resume",)], ids=" ".join)
def test_the_key_is_never_shown(cli, store, names):
    """The API key of the environment is in no command's output."""
    said = cli(*names)
    assert CANARY not in said.out + said.err


def test_status_tells_how_things_stand(cli, store, clock):
    """Used and left of the day and the minute, per app, what was refused and why, money, key, catalogue, events."""
    found = json.loads(cli("status", "--json").out)
    assert found["store"] == {"path": str(store), "recorded": True}
    assert found["guard"]["mode"] == "enforce"
    assert (found["day"]["limit"], found["day"]["used_source"]) == (50, "openrouter")
    assert found["day"]["left"] == 50 - found["day"]["used"]
    assert found["minute"]["left"] == 20 - 4
    used = {app["app"]: app["used"] for app in found["apps"]}
    assert used == {"billing-bot": 1, "summariser": 1, "notebook": 1}  # an upstream 429 is not counted by OpenRouter
    assert found["refused_today"]["by_reason"] == {"model_not_free": 1, "model_missing": 1}
    assert found["refused_today"]["complete"]
    assert found["in_flight"] == {"attempts": 1, "expired": 0}
    assert found["spend"]["month_usd"] == 0
    assert found["key"]["present"]
    assert found["key"]["read_at"] == clock.now()
    assert found["catalogue"]["usable"]
    assert [each["subject"] for each in found["cooling"]] == [FREE2]
    assert found["events"][0]["kind"] == "model_free"


def test_status_has_the_same_names_without_a_store(cli, path, clock):
    """A program finds every name before the first call too."""
    nothing = json.loads(cli("status", "--json").out)
    assert nothing["store"]["recorded"] is False
    assert nothing["day"]["left"] == 50
    cli("pause")
    assert set(json.loads(cli("status", "--json").out)) == set(nothing)


def test_status_shows_a_pause_and_a_lost_call(cli, store, clock):
    """A pause stands where it cannot be overlooked, and so does a call whose process died."""
    cli("pause", "--app", "notebook", "--for", "1h30m", "--note", "too eager")
    clock.advance(1000)
    said = cli("status")
    assert "PAUSED" in said.out
    assert "notebook, for 1 h 13 min more: too eager" in said.out
    assert "1 of a process that died" in said.out


def test_calls_are_newest_first_with_their_public_columns(cli, store):
    """`calls --json` has the public columns and no others."""
    rows = json.loads(cli("calls", "--json").out)
    assert [row["id"] for row in rows] == sorted((row["id"] for row in rows), reverse=True)
    assert all(tuple(row) == CALL_COLUMNS for row in rows)
    assert rows[0]["outcome"] == "in_flight"
    assert rows[-1] == {**rows[-1], "app": "billing-bot", "model_requested": FREE, "prompt_tokens": 7, "stream": False}


@pytest.mark.parametrize(
    ("options", "calls"),
    [
        (["--limit", "2"], ["call-open", "call-limited"]),
        (["--app", "billing-bot"], ["call-paid", "call-billing-bot"]),
        (["--model", FREE], ["call-open", "call-billing-bot"]),
        (["--model", PAID], ["call-paid"]),
        (["--outcome", "rate_limited"], ["call-limited"]),
        (["--reason", "model_missing"], ["call-none"]),
        (["--app", "billing-bot", "--outcome", "refused"], ["call-paid"]),
        (["--since", "0.2s"], ["call-open"]),
        (["--since", "2030-01-01"], []),
        (["--app", "nobody"], []),
    ],
)
def test_calls_can_be_chosen(cli, store, options, calls):
    """Each option narrows what is shown, and they add up."""
    assert [row["call_id"] for row in json.loads(cli("calls", "--json", *options).out)] == calls


def test_a_wrong_choice_is_a_usage_error(cli, store):
    """A value that cannot be is told with what could be, exit code 2."""
    for options in (["--outcome", "bad"], ["--reason", "bad"], ["--since", "yesterday"], ["--limit", "0"]):
        said = cli("calls", *options)
        assert said.code == 2
        assert options[0] in said.err


def test_models_tell_prices_and_our_own_experience(cli, store):
    """Each model with its price class, and the share of our attempts that succeeded."""
    rows = {row["id"]: row for row in json.loads(cli("models", "--json").out)}
    assert (rows[FREE]["price"], rows[FREE]["tier"], rows[FREE]["success_rate"]) == ("free", "free", 1.0)
    assert (rows[FREE2]["attempts"], rows[FREE2]["success_rate"]) == (2, 0.5)
    assert rows[PAID]["price"] == "paid"
    assert rows[PAID]["success_rate"] is None


def test_models_can_be_chosen(cli, store):
    """`--free` leaves what the guard lets through, `--search` what is looked for."""
    free = [row["id"] for row in json.loads(cli("models", "--free", "--json").out)]
    assert free == [FREE, FREE2, "openrouter/free"]
    assert [row["id"] for row in json.loads(cli("models", "--search", "HERON", "--json").out)] == [PAID]


def test_without_a_catalogue_it_says_how_to_get_one(cli, path):
    """An empty list for programs, and the way for people."""
    said = cli("models", "--json")
    assert (said.code, json.loads(said.out)) == (0, [])
    assert "models --refresh" in said.err


def test_events_have_six_names(cli, store):
    """An event is at, kind, subject, before, after and note; newest first; by kind and time."""
    rows = json.loads(cli("events", "--json").out)
    assert [row["kind"] for row in rows] == ["model_free", "model_removed"]
    assert all(list(row) == ["at", "kind", "subject", "before", "after", "note"] for row in rows)
    assert len(json.loads(cli("events", "--json", "--since", "1h").out)) == 1
    assert [row["kind"] for row in json.loads(cli("events", "--json", "--kind", "model_removed").out)] == [
        "model_removed"
    ]


def in_terminal(*arguments: object, **environment: str) -> str:
    """What a person in a terminal sees, escape codes and all."""
    main, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", *map(str, arguments)],
        stdout=other,
        stderr=other,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", **environment},
    )
    os.close(other)
    seen = b""
    try:
        while part := os.read(main, 65536):
            seen += part
    except OSError:
        pass  # the other end is closed: that is the end on Linux
    os.close(main)
    process.wait()
    return seen.decode()


def test_a_terminal_gets_colours_and_shape(store):
    """Tables are drawn and coloured, nothing is wider than the terminal, and foreign escape codes are taken out."""
    seen = in_terminal("events")
    assert "\x1b[" in seen
    assert "\x1b[31mnew" not in seen
    assert "[red] [31mnew" in seen


def test_no_color_is_respected(store):
    """With NO_COLOR there is shape without colour."""
    seen = in_terminal("status", NO_COLOR="1")
    assert "free requests left" in seen
    for colour in ("\x1b[32m", "\x1b[36m", "\x1b[1;32m"):
        assert colour not in seen


def test_a_dumb_terminal_gets_plain_text(store):
    """TERM=dumb is told as a pipe is."""
    assert "\x1b" not in in_terminal("status", TERM="dumb")


def test_what_the_client_did_is_shown(cli, path, clock):
    """Retries, kept answers and models left alone in `status`; in `calls` a kept answer with the model it is of."""
    book = ledger(path, clock, store=str(path))
    book.settle(take(book, call_id="one"), Ending(Outcome.SERVER_ERROR, status=502))
    book.settle(take(book, call_id="one", attempt=2), success())
    with book.store.transaction() as tx:
        row = OpenCall(clock.now(), "reader", "default", Endpoint.CHAT, None, Tier.FREE, False, 1, "kept")
        tx.record_cached(row, clock.now(), FREE2)
        tx.save_circuit("default", FREE, CircuitRow(2, 1, clock.now() + 30, 0.0))
    book.store.close()
    said = cli("status").out
    assert "2.00 attempts (2 for 1 call); 1 request saved by kept answers" in said
    assert f"left alone     {FREE}, it failed; again in 30 s" in said
    (kept,) = json.loads(cli("calls", "--outcome", "cached", "--json").out)
    assert (kept["app"], kept["model_requested"], kept["model_served"]) == ("reader", None, FREE2)
    line = next(line for line in cli("calls").out.splitlines() if "cached" in line)
    assert FREE2 in line
    clock.advance(31)
    assert "left alone" not in cli("status").out
