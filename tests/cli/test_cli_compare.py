"""`compare`: answers side by side, as a table, JSON and a report."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.cli_kit import one_line

CODER, R1, PAID = "qwen/qwen3-coder:free", "deepseek/deepseek-r1:free", "openai/gpt-5-mini"
BUSY = {"match": {"model": R1}, "do": "upstream_429"}


def test_a_table_and_the_answers_below(cli, sims):
    """A row for each model with its times, tokens and cost; then each answer under its model's name."""
    sims()
    said = cli("compare", "Explain", "quantum computing", "--models", f"{CODER}, {R1}")
    lines = said.out.splitlines()
    assert (said.code, said.err) == (0, "")
    assert lines[0].split() == ["MODEL", "SECONDS", "FIRST", "WORD", "TOKENS", "COST", "ENDED"]
    assert lines[1].startswith(CODER)
    assert lines[2].startswith(R1)
    assert "$0.00" in lines[1]
    assert lines.index(CODER) < lines.index(R1)


def test_json(cli, sims):
    """The rows in the order of the models; without models the three best for the task."""
    sims()
    found = json.loads(cli("compare", "hi", "--json", "--task", "code").out)
    assert [found[0]["model"], len(found)] == [CODER, 3]
    assert all(row["text"] and row["error"] is None for row in found)


def test_what_fails_sets_the_exit_code(cli, sims):
    """One that fails: 1. One that only the guard refused: 3. Its row says why, and the others answer."""
    sim = sims(BUSY)
    said = cli("compare", "hi", "--models", f"{CODER},{R1}", "--wait", "0")
    assert said.code == 1
    assert "rate_limited" in said.out
    said = cli("compare", "hi", "--models", f"{CODER},{PAID}")
    assert said.code == 3
    assert "is not free" in said.out
    assert sim.books.cost_usd == 0


def test_a_report(cli, sims):
    """`--html FILE`, which is written over; one that cannot be written costs no request."""
    sim = sims()
    said = cli("compare", "Is 1 < 2?", "--models", CODER, "--html", "report.html")
    assert (said.code, said.err) == (0, "The report is report.html.\n")
    assert "Is 1 &lt; 2?" in Path("report.html").read_text("utf-8")
    assert cli("compare", "again?", "--models", CODER, "--html", "report.html", "--json").code == 0
    assert "again?" in Path("report.html").read_text("utf-8")
    before = sim.books.requests
    said = cli("compare", "hi", "--html", "nowhere/report.html")
    assert (said.code, one_line(said.err), sim.books.requests) == (1, True, before)


def test_too_many_models(cli, sims):
    """A usage error, before anything is asked."""
    sim = sims()
    said = cli("compare", "hi", "--models", ",".join(f"m/{n}:free" for n in range(21)))
    assert (said.code, one_line(said.err), sim.books.requests) == (2, True, 0)
    assert cli("compare", "hi", "--models", ",").code == 2
