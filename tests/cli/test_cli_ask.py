"""`ask`: an answer, where it came from, and what is said when there is none."""

from __future__ import annotations

import io
import json
import signal
from pathlib import Path

import pytest

from monitor.cli.asking import told
from tests.cli.cli_kit import CANARY, one_line, started

QWEN, CODER, PAID = "qwen/qwen3-235b-a22b:free", "qwen/qwen3-coder:free", "openai/gpt-5-mini"


def busy(model: str) -> dict:
    return {"match": {"model": model}, "do": "upstream_429"}


def test_the_answer_alone_goes_into_a_pipe(cli, sims):
    """Nothing but its text on stdout and nothing on stderr, so that it can be piped on."""
    sim = sims()
    said = cli("ask", "What is machine learning?")
    asked = json.loads(sim.books.posts[0].body)
    assert (said.code, said.err) == (0, "")
    assert said.out.endswith("\n")
    assert len(said.out) > 2
    assert (asked["model"], asked["messages"]) == (QWEN, [{"role": "user", "content": "What is machine learning?"}])


def test_options_say_what_is_asked_for(cli, sims):
    """The task chooses another model, the system's text goes before, the app is on record."""
    sim = sims()
    assert cli("ask", "hi", "--task", "code", "--system", "Be brief.", "--app", "shell").code == 0
    assert cli("ask", "hi", "--model", CODER).code == 0
    assert [post.model_asked for post in sim.books.posts] == [CODER, CODER]
    assert json.loads(sim.books.posts[0].body)["messages"][0] == {"role": "system", "content": "Be brief."}
    assert [row["app"] for row in json.loads(cli("calls", "--json").out)] == ["default", "shell"]


def test_the_question_may_come_from_stdin(cli, sims, monkeypatch):
    """`-` stands for it, alone or after words, whatever bytes are in it."""
    sim = sims()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("Grüße\n".encode() + b"\xff")))
    assert cli("ask", "-").code == 0
    assert json.loads(sim.books.posts[0].body)["messages"][0]["content"] == "Grüße\n\ufffd"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"x = 1\n")))
    assert cli("ask", "Review", "this", "-").code == 0
    assert json.loads(sim.books.posts[1].body)["messages"][0]["content"] == "Review\n\nthis\n\nx = 1"


def test_json_tells_everything(cli, sims):
    """The answer, its model and tokens, each attempt with why it failed, and the route when it is asked for."""
    sims(busy(QWEN))
    found = json.loads(cli("ask", "hi", "--json", "--why").out)
    assert found["text"]
    first, last = found["attempts"]
    assert (first["model"], first["outcome"]) == (QWEN, "rate_limited")
    assert last["model"] == found["model"] != QWEN
    assert (found["cost_usd"], found["cached"]) == (0, False)
    assert found["completion_tokens"] > 0
    assert found["route"]["choices"][0]["why"]
    assert "route" not in json.loads(cli("ask", "hi", "--json").out)


def test_why_explains_the_choice(cli, sims):
    """On stderr: what speaks for the model that answered, who failed before it, who would be next, who cannot serve."""
    sims(busy(QWEN))
    said = cli("ask", "hi", "--why")
    assert " was chosen: " in said.err
    assert f"{QWEN} failed: rate_limited, " in said.err
    assert 'Others for the task "general": ' in said.err
    said = cli("ask", "hi", "--why", "--task", "vision")
    assert "it reads no image" in said.err
    assert cli("ask", "hi", "--why", "--model", CODER).err == f"{CODER} was chosen: you named it.\n"


def test_an_answer_is_given_again(cli, sims):
    """`--cache 1d`: the second time nothing is sent."""
    sim = sims()
    first, second = cli("ask", "hi", "--cache", "1d"), cli("ask", "hi", "--cache", "1d", "--json")
    assert json.loads(second.out)["text"] == first.out.rstrip("\n")
    assert json.loads(second.out)["cached"] is True
    assert sim.books.requests == 1


def test_a_call_that_fails_says_what_was_tried(cli, sims):
    """With `--why` each attempt in a line of its own, above the error."""
    sims({"do": {"kind": "status", "status": 400, "message": "bad picture"}})
    said = cli("ask", "hi", "--why")
    first, last = said.err.splitlines()
    assert (said.code, said.out) == (1, "")
    assert first.startswith(f"{QWEN} failed: client_error, ")
    assert "bad picture" in last


def test_fallbacks(cli, sims):
    """A model that is named has none, unless it is said who: any free one, or a list."""
    sim = sims(busy(QWEN))
    alone = cli("ask", "hi", "--model", QWEN, "--wait", "0")
    assert alone.code == 1
    assert one_line(alone.err)
    assert 'fallbacks="free"' in alone.err
    assert cli("ask", "hi", "--model", QWEN, "--fallbacks", "free").code == 0
    assert cli("ask", "hi", "--model", QWEN, "--fallbacks", f"{CODER}, ").code == 0
    assert sim.books.posts[-1].model_asked == CODER
    paid = cli("ask", "hi", "--model", QWEN, "--fallbacks", PAID)
    assert (paid.code, sim.books.cost_usd) == (3, 0)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["hi", "--model", PAID], 3, "is not free"),
        (["hi", "--task", "poetry"], 2, "there is no task 'poetry'"),
        (["hi", "--cache", "often"], 2, "cache is wrong"),
        (["hi", "--wait", "-1"], 2, "wait is wrong"),
        (["  "], 2, "the question is empty"),
    ],
)
def test_what_cannot_be_is_told(cli, sims, arguments, code, says):
    """One line and the exit code; nothing was sent."""
    sim = sims()
    said = cli("ask", *arguments)
    assert said.code == code, said
    assert one_line(said.err)
    assert says in said.err
    assert (said.out, sim.books.requests) == ("", 0)


def test_without_a_key(cli, sims, monkeypatch):
    """A settings error that says where a key may lie; a `.env` file is read when it is named, and not before."""
    sim = sims()
    monkeypatch.delenv("OPENROUTER_API_KEY")
    Path(".env").write_text(f"OPENROUTER_API_KEY={CANARY}\n")
    said = cli("ask", "hi")
    assert (said.code, sim.books.requests) == (2, 0)
    assert "OPENROUTER_API_KEY" in said.err
    assert cli("ask", "hi", "--env-file", ".env").code == 0
    assert cli("--env-file", "nowhere", "ask", "hi").code == 2


def test_a_day_that_is_spent(cli, sims):
    """The guard's refusal: exit code 3, and when to come again."""
    sim = sims(per_day=1)
    assert cli("ask", "hi").code == 0
    said = cli("ask", "hi")
    assert (said.code, one_line(said.err)) == (3, True)
    assert "2026-09-22T00:00:00Z" in said.err
    assert sim.books.requests == 1


@pytest.mark.processes
def test_a_terminal_sees_it_come(sims, on_terminal):
    """As a stream, with a line about the model below."""
    sim = sims(time=None)
    code, said = on_terminal("ask", "What is machine learning?")
    assert code == 0, said
    assert json.loads(sim.books.posts[0].body)["stream"] is True
    lines = said.splitlines()
    assert lines[-1].startswith(f"({QWEN}, ")
    assert "$0.00" in lines[-1]


@pytest.mark.processes
def test_a_stream_that_breaks_off_says_so(sims, on_terminal):
    """What had come stays there; the error stands on a line of its own."""
    sims({"do": {"kind": "cut", "after_chunks": 2}}, time=None)
    code, said = on_terminal("ask", "hi")
    assert code == 1
    assert "\nError: The answer broke off after " in said
    assert not said.startswith(("\n", "Error"))


def test_a_models_text_does_not_steer_the_terminal():
    """Lines and tabs stay, escape codes do not."""
    text = "a\n\tb\x1b[31mc\r\x9bd\ud800"
    assert told(text, terminal=True) == "a\n\tb [31mc  d?"
    assert told(text, terminal=False) == f"{text[:-1]}?"


@pytest.mark.processes
@pytest.mark.parametrize("name", ["ask", "compare"])
def test_ctrl_c_ends_it_at_once(sims, name):
    """While the models are silent: exit code 130, and not a word of Python's."""
    sim = sims({"do": "hang"}, time=None)
    with started(name, "hi") as process:
        sim.books.wait_for(1 if name == "ask" else 3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")
