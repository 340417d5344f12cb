"""`db`: what the commands say and do; the workings are tested in tests/store."""

from __future__ import annotations

import csv
import json
import sqlite3

import pytest

from monitor.store.sqlite.pages import CALL_COLUMNS
from tests.cli.cli_kit import bytes_of


def test_path_is_only_the_path(cli, path):
    """`db path` can be used in a script: the path and nothing else, whether or not there is a store."""
    said = cli("db", "path")
    assert (said.code, said.out, said.err) == (0, f"{path}\n", "")


def test_a_backup_is_a_store(cli, store, home):
    """The copy can be used in the store's place, and only its owner can read it."""
    said = cli("db", "backup", home / "copy.db")
    assert said.code == 0
    assert "verified" in said.out
    assert (home / "copy.db").stat().st_mode & 0o777 == 0o600
    ours, theirs = (json.loads(cli("calls", "--json", "--store", each).out) for each in (store, home / "copy.db"))
    assert ours == theirs
    assert cli("pause", "--store", home / "copy.db").code == 0
    assert cli("db", "verify", "--full", "--store", home / "copy.db").code == 0


@pytest.mark.parametrize("names", [("db", "backup"), ("db", "export")], ids=" ".join)
def test_nothing_is_overwritten(cli, store, home, names):
    """A file that is there already is left as it is."""
    (home / "here").write_text("mine")
    said = cli(*names, home / "here")
    assert said.code == 1
    assert "exists already" in said.err
    assert (home / "here").read_text() == "mine"


@pytest.mark.parametrize("names", [("verify",), ("backup", "x"), ("prune",), ("export", "x")], ids=" ".join)
def test_without_a_store_there_is_nothing_to_do(cli, path, home, names):
    """Looking after a store that does not exist is a mistake, and makes none."""
    said = cli("db", *names)
    assert said.code == 1
    assert "there is no store" in said.err
    assert bytes_of(home) == {}


def test_prune_tells_what_goes(cli, store, clock):
    """`--dry-run` tells what would go and deletes nothing; without it that many go, and the totals stay."""
    clock.advance(40 * 86_400)
    would = json.loads(cli("db", "prune", "--older-than", "30d", "--dry-run", "--json").out)
    assert len(json.loads(cli("calls", "--json").out)) == 6
    gone = json.loads(cli("db", "prune", "--older-than", "30d", "--json").out)
    assert gone == {**would, "dry_run": False}
    assert gone["calls"] == 5
    assert [row["outcome"] for row in json.loads(cli("calls", "--json").out)] == ["in_flight"]
    models = json.loads(cli("models", "--json").out)
    assert sum(row["attempts"] for row in models) == 3


def test_prune_without_a_word_follows_the_settings(cli, store, clock):
    """Nothing goes that `retention` keeps."""
    clock.advance(89 * 86_400)
    assert "Deleted 0 calls" in cli("db", "prune").out
    clock.advance(2 * 86_400)
    assert "Deleted 5 calls" in cli("db", "prune").out


def test_an_export_holds_the_log(cli, store, home):
    """JSON lines and CSV hold the same rows, oldest first, in the public columns."""
    assert cli("db", "export", home / "calls.jsonl").code == 0
    assert cli("db", "export", home / "calls.csv").code == 0
    lines = [json.loads(line) for line in (home / "calls.jsonl").read_text().splitlines()]
    with (home / "calls.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert lines == json.loads(cli("calls", "--json").out)[::-1]
    assert [tuple(row) for row in table] == [CALL_COLUMNS] * len(lines)
    assert [row["call_id"] for row in table] == [row["call_id"] for row in lines]
    assert table[0]["cost_usd"] == "0.0"
    assert table[-1]["cost_usd"] == ""


def test_an_export_to_stdout_is_only_rows(cli, store):
    """`-` writes rows and no word beside them."""
    said = cli("db", "export", "-", "--table", "events")
    assert [json.loads(line)["kind"] for line in said.out.splitlines()] == ["model_removed", "model_free"]
    assert said.err == ""


def test_every_table_can_be_exported(cli, store):
    """Every table that the help names exists."""
    from monitor.cli.db import _TABLES
    from monitor.store.sqlite.export import TABLES

    assert set(_TABLES) == set(TABLES)
    for table in TABLES:
        assert cli("db", "export", "-", "--table", table, "--format", "csv").code == 0


def test_the_export_can_be_read_back(cli, store, home):
    """JSON lines become the same table elsewhere."""
    from sqlite_utils import Database

    cli("db", "export", home / "calls.jsonl")
    elsewhere = Database(memory=True)
    elsewhere["calls"].insert_all(map(json.loads, (home / "calls.jsonl").read_text().splitlines()))
    with sqlite3.connect(store) as ours:
        columns = ", ".join(CALL_COLUMNS)
        expected = ours.execute(f"SELECT {columns} FROM calls ORDER BY id").fetchall()
    ours.close()
    assert elsewhere.execute(f"SELECT {columns} FROM calls ORDER BY id").fetchall() == expected
    elsewhere.close()
