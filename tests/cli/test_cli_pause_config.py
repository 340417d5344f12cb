"""pause and resume, and the settings."""

from __future__ import annotations

import json
import stat
import tomllib

from monitor.cli.config_file import APP_WORDS, TOP_LEVEL, WORDS, text
from monitor.config import Settings
from tests.cli.cli_kit import CANARY
from tests.fakes.builders import FREE, ask, ledger

# pause and resume


def test_a_pause_holds_for_everybody_who_uses_the_store(cli, path, clock):
    """After `pause` the guard refuses, after `resume` it does not."""
    cli("pause", "--note", "the bill is too high")
    book = ledger(path, clock)
    assert book.reserve(ask(FREE)).verdict.reason == "paused"
    assert "Resumed" in cli("resume").out
    assert book.reserve(ask(FREE)).verdict.reason is None
    book.store.close()


def test_a_pause_can_end_by_itself(cli, store, clock):
    """`--for` counts from now, and a pause that ran out is not shown."""
    cli("pause", "--app", "notebook", "--for", "90m")
    (pause,) = json.loads(cli("status", "--json").out)["paused"]
    assert (pause["app"], pause["until"]) == ("notebook", clock.now() + 5400)
    clock.advance(5400)
    assert json.loads(cli("status", "--json").out)["paused"] == []


def test_resume_says_what_is_still_paused(cli, store):
    """Ending one pause does not hide another."""
    cli("pause")
    cli("pause", "--app", "notebook")
    assert "resume --app notebook" in cli("resume").out
    assert "There was no pause" in cli("resume").out
    assert [row["kind"] for row in json.loads(cli("events", "--json", "--limit", "3").out)] == [
        "resumed",
        "paused",
        "paused",
    ]


def test_a_pause_needs_a_name_that_can_be_one(cli, store):
    """An app's name that no app can have is an error of usage."""
    assert cli("pause", "--app", "no such name!").code == 2
    assert cli("pause", "--for", "soon").code == 2


# config


def test_the_settings_file_explains_every_setting(home):
    """Every setting has its words, and there are no words without a setting."""
    from dataclasses import fields

    from monitor.config import AppSettings
    from monitor.config.settings import SECTIONS

    assert set(WORDS) == set(SECTIONS)
    for name, section in SECTIONS.items():
        assert set(WORDS[name]) == {field.name for field in fields(section)}
    assert set(APP_WORDS) == {field.name for field in fields(AppSettings)}
    assert set(TOP_LEVEL) == {field.name for field in fields(Settings)} - set(SECTIONS) - {"apps"}


def test_the_settings_file_tells_the_defaults(home):
    """As it is written it changes nothing; and each line, uncommented, is a setting that is right."""
    assert Settings.build(tomllib.loads(text())) == Settings()
    uncommented = "\n".join(
        line.removeprefix("# ") if line.startswith("# [") or " = " in line else line
        for line in text().splitlines()
        if not line.startswith("# ") or line.startswith("# [") or (" = " in line and line[2:].split(" ")[1] == "=")
    )
    settings = Settings.build(tomllib.loads(uncommented))
    assert settings.guard == Settings().guard
    assert settings.retention == Settings().retention
    assert "billing-bot" in settings.apps


def test_init_writes_once(cli, home):
    """The file is private, is what `--config` reads, and is not overwritten unless asked."""
    file = home / "new" / "config.toml"
    assert cli("config", "init", "--path", file).code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert cli("--config", file, "status").code == 0
    file.write_text("# mine\n")
    said = cli("config", "init", "--path", file)
    assert (said.code, file.read_text()) == (1, "# mine\n")
    assert "--force" in said.err
    assert cli("config", "init", "--path", file, "--force").code == 0
    assert file.read_text() == text()


def test_show_tells_where_a_setting_comes_from(cli, home, monkeypatch):
    """Default, file, environment or option; secrets are masked."""
    file = home / "config.toml"
    file.write_text('account = "team"\n[guard]\nwait = 3\n[proxy]\ntoken = "hidden-token"\n[apps.bot]\nshare = 0.5\n')
    monkeypatch.setenv("OPENROUTER_MONITOR_QUOTA__PER_MINUTE", "10")
    monkeypatch.setenv("OPENROUTER_API_KEY", CANARY)
    said = cli("config", "show", "--json", "--config", file, "--store", home / "s.db")
    rows = {row["name"]: (row["value"], row["source"]) for row in json.loads(said.out)}
    assert rows["store"] == (str(home / "s.db"), "option")
    assert rows["account"] == ("team", "file")
    assert rows["guard.wait"] == (3.0, "file")
    assert rows["apps.bot.share"] == (0.5, "file")
    assert rows["quota.per_minute"] == (10, "environment")
    assert rows["guard.mode"] == ("enforce", "default")
    assert rows["api_key"] == ("(set, not shown)", "environment")
    assert "hidden-token" not in said.out
    assert CANARY not in said.out
