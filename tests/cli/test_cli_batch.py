"""`batch`: a file of questions, a file of answers, and how a run that ended early goes on."""

from __future__ import annotations

import itertools
import json
import signal
from pathlib import Path

import pytest

from tests.cli.cli_kit import command, one_line, started

QWEN, PAID = "qwen/qwen3-235b-a22b:free", "openai/gpt-5-mini"


def ask_file(count: int, *more: object) -> Path:
    """A file of that many questions, and `more`."""
    file = Path("questions.jsonl")
    lines = [f"question {number}" for number in range(count)] + list(more)
    file.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return file


def answers(file: str = "out.jsonl") -> list[dict]:
    return [json.loads(line) for line in Path(file).read_text("utf-8").splitlines()]


def test_answers_are_written_in_order(cli, sims):
    """A line for each question; progress in lines on stderr, a summary on stdout."""
    sim = sims()
    said = cli("batch", ask_file(12), "--out", "out.jsonl", "--concurrency", "3", "--app", "nightly")
    assert said.code == 0
    assert said.out == "12 questions: 12 answered. The answers are in out.jsonl.\n"
    assert said.err.splitlines()[-1] == "12 of 12"
    assert [(line["index"], line["state"]) for line in answers()] == [(n, "done") for n in range(12)]
    assert all(line["text"] and line["model"] == QWEN for line in answers())
    assert sim.books.requests == 12
    assert {row["app"] for row in json.loads(cli("calls", "--json").out)} == {"nightly"}


def test_the_day_runs_out_and_the_next_run_goes_on(cli, sims, clock):
    """What does not fit is left, with when it can go and exit code 3; tomorrow only that is asked."""
    sim = sims(per_day=5)
    said = cli("batch", ask_file(8), "--out", "out.jsonl")
    assert said.code == 3
    assert "5 answered, 3 left for later (the day's requests are spent until 2026-09-22T00:00:00Z)" in said.out
    assert "The same command again goes on from here." in said.out
    assert [line["state"] for line in answers()].count("planned") == 3
    clock.advance(86_400)
    assert cli("batch", ask_file(8), "--out", "out.jsonl").code == 0
    assert [line["state"] for line in answers()] == ["done"] * 8
    assert sim.books.requests == 8


def test_failures_are_listed_and_tried_again(cli, sims):
    """With item, custom_id and reason; a second run asks them alone. Exit code 1, or 3 when the guard was all of it."""
    sim = sims({"match": {"nth": 2}, "do": {"kind": "status", "status": 400, "message": "bad picture"}})
    file = ask_file(1, {"prompt": "b", "custom_id": "mine"}, {"prompt": "c", "model": PAID})
    said = cli("batch", file, "--out", "out.jsonl", "--concurrency", "1")
    assert said.code == 1
    assert "3 questions: 1 answered, 2 failed" in said.out
    row = next(line for line in said.out.splitlines() if "mine" in line)
    assert row.split()[:3] == ["2", "mine", "client_error"]
    assert "bad picture" in row
    assert "The failed ones are tried again." in said.out
    said = cli("batch", file, "--out", "out.jsonl", "--json")
    found = json.loads(said.out)
    assert said.code == 3
    assert (found["items"], found["done"], found["failed"], found["planned"]) == (3, 2, 1, 0)
    assert [(each["index"], each["reason"]) for each in found["failures"]] == [(2, "model_not_free")]
    assert sim.books.requests == 3


def test_a_dry_run_asks_nothing(cli, sims):
    """How long it will take and what quota it needs, day by day; no output is needed, and none is written."""
    sim = sims(per_day=50)
    said = cli("batch", ask_file(120), "--dry-run")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0] == "120 questions: 0 answered already, 120 to ask."
    assert lines[1] == "120 requests needed; left today are 50 of 50, 20 may go a minute."
    assert lines[2].startswith("The last can go at 2026-09-23 ")
    assert [line.split()[-1] for line in lines[3:]] == ["ITEMS", "50", "50", "20"]
    found = json.loads(cli("batch", ask_file(120), "--dry-run", "--json", "--out", "out.jsonl").out)
    assert [day["items"] for day in found["plan"]["days"]] == [50, 50, 20]
    assert (found["plan"]["requests"], found["quota"]["day_left"]) == (120, 50)
    assert sim.books.requests == 0
    assert not Path("out.jsonl").exists()


def test_spread_and_words_for_all(cli, sims):
    """Evenly over what is left of the day; the task, the system's text and the model hold for every question."""
    sim = sims(per_day=50)
    said = cli(
        "batch", ask_file(6), "--out", "out.jsonl", "--spread", "day", "--concurrency", "1", "--system", "Brief."
    )
    assert said.code == 0
    stamps = [post.at for post in sim.books.posts]
    assert all(6000 < later - at < 9000 for at, later in itertools.pairwise(stamps))
    assert all(b"Brief." in post.body for post in sim.books.posts)


def test_questions_from_stdin(cli, sims, monkeypatch):
    """`-`; by its name a batch may grow, and only what is new is asked; `--fresh` begins anew."""
    import io

    sim = sims()

    def ask(*lines: str, more: tuple[str, ...] = ()) -> int:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(lines).encode())))
        return cli("batch", "-", "--out", "out.jsonl", "--name", "mine", *more).code

    assert ask('"a"', "", '"b"') == 0
    assert ask('"a"', '"b"', '"c\u2028d"') == 0
    assert (sim.books.requests, len(answers())) == (3, 3)
    assert ask('"a"', more=("--fresh",)) == 0
    assert (sim.books.requests, len(answers())) == (4, 1)


@pytest.mark.parametrize(
    ("content", "arguments", "code", "says"),
    [
        ('"a"', [], 2, "--out FILE"),
        ('"a"\n{', ["--out", "o"], 2, "line 2 is not JSON"),
        ("5", ["--out", "o"], 2, "item 1 is wrong"),
        ('"a"', ["--out", "questions.jsonl"], 2, "overwrite the questions"),
        ('"a"', ["--out", "notes.txt"], 2, "not written by a batch"),
        ('"a"', ["--out", "nowhere/o"], 1, "No such file"),
        (b"\xff\xfe", ["--out", "o"], 2, "no text in UTF-8"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_asked(cli, sims, content, arguments, code, says):
    """In one line; nothing is overwritten, nothing is sent."""
    sim = sims()
    Path("questions.jsonl").write_bytes(content if isinstance(content, bytes) else content.encode())
    Path("notes.txt").write_text("mine\n")
    said = cli("batch", "questions.jsonl", *arguments)
    assert said.code == code, said
    assert says in said.err
    assert one_line(said.err) or said.err.startswith("Usage:")
    assert Path("notes.txt").read_text() == "mine\n"
    assert sim.books.requests == 0


def test_a_file_that_is_not_there(cli, sims):
    """Is named."""
    sims()
    said = cli("batch", "nothing.jsonl", "--out", "o")
    assert (said.code, one_line(said.err)) == (1, True)
    assert "nothing.jsonl" in said.err


def test_output_into_a_pipe(cli, sims, home):
    """`--out /dev/stdout` is written to, not replaced."""
    sims()
    ask_file(2)
    said = command("batch", "questions.jsonl", "--out", "/dev/stdout", "--json")
    assert said.returncode == 0, said.stderr
    assert [json.loads(line)["state"] for line in said.stdout.splitlines()[:2]] == ["done", "done"]


def test_an_openrouter_that_is_not_there(cli, sims):
    """Is no item's failure: one line, exit code 1, and no output."""
    sims().stop()
    said = cli("batch", ask_file(3), "--out", "out.jsonl")
    assert said.code == 1
    assert said.err.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in said.err
    assert not Path("out.jsonl").exists()


@pytest.mark.processes
def test_ctrl_c_leaves_it_to_go_on(sims):
    """Two are answered, the third hangs when Ctrl-C comes: no traceback, the two are in the output, and the same
    command again asks only what has no answer."""
    sim = sims({"match": {"nth": 3}, "do": "hang"}, time=None)
    ask_file(4)
    arguments = ["batch", "questions.jsonl", "--out", "out.jsonl", "--concurrency", "1"]
    with started(*arguments) as process:
        sim.books.wait_for(3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("Interrupted: 2 of 4 are answered, and in out.jsonl.")
    assert [line["state"] for line in answers()] == ["done", "done", "planned", "planned"]
    again = command(*arguments)
    assert again.returncode == 0, again.stderr
    assert [line["state"] for line in answers()] == ["done"] * 4
    assert sim.books.requests == 5


@pytest.mark.processes
def test_a_bar_in_a_terminal(sims, on_terminal):
    """A bar with how many of how many, in place of lines."""
    sims(time=None)
    code, said = on_terminal("batch", str(ask_file(5)), "--out", "out.jsonl")
    assert code == 0, said
    assert "5/5" in said
    assert "━" in said
    assert "5 of 5" not in said
