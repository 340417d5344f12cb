"""`doctor`: what it looks at and what it finds; and the fetch that it advises."""

from __future__ import annotations

import json

import pytest

from monitor.simulator.server import Simulator
from tests.cli.cli_kit import CANARY


def checks(said) -> dict[str, str]:
    return {check["name"]: check["level"] for check in json.loads(said.out)}


def test_doctor_finds_nothing_wrong(cli, store):
    """A sound installation has no problem, exit code 0."""
    said = cli("doctor", "--json")
    assert said.code == 0
    found = checks(said)
    assert found["store"] == found["settings"] == found["api key"] == found["catalogue"] == "ok"
    assert all(set(check) == {"name", "level", "found", "todo"} for check in json.loads(said.out))


def test_doctor_finds_a_module_that_hides_the_package(cli, store, home):
    """A monitor.py in the working folder is a problem: programs started there would import it."""
    (home / "work" / "monitor.py").touch()
    said = cli("doctor", "--json")
    assert said.code == 1
    assert checks(said)["import"] == "problem"


def test_doctor_warns_of_a_key_that_others_can_read(cli, store, home, monkeypatch):
    """A key file that is open to other users is told of, with the command that closes it."""
    monkeypatch.delenv("OPENROUTER_API_KEY")
    file = home / "key"
    file.write_text(f"{CANARY}\n")
    file.chmod(0o644)
    monkeypatch.setenv("OPENROUTER_MONITOR_API_KEY_FILE", str(file))
    said = cli("doctor")
    assert said.code == 0
    assert f"chmod 600 {file}" in said.out
    assert CANARY not in said.out


def test_doctor_tells_of_wrong_settings_and_goes_on(cli, home, monkeypatch):
    """Wrong settings are a problem among the checks, not the end of them."""
    monkeypatch.setenv("OPENROUTER_MONITOR_GUARD__MODE", "forced")
    said = cli("doctor", "--json")
    assert said.code == 1
    assert checks(said)["settings"] == "problem"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [("GUARD__MODE", "shadow", "nothing is held back"), ("GUARD__ALLOW", "any", "any amount")],
)
def test_doctor_warns_of_a_guard_that_does_not_guard(cli, store, monkeypatch, name, value, says):
    """Shadow mode, and paid models without a budget, are warnings."""
    monkeypatch.setenv(f"OPENROUTER_MONITOR_{name}", value)
    said = cli("doctor")
    assert said.code == 0
    assert says in said.out


def test_doctor_tells_of_an_old_or_foreign_catalogue(cli, store, clock, monkeypatch):
    """A catalogue that is too old, or of another address, is told of."""
    clock.advance(7 * 3600)
    assert checks(cli("doctor", "--json"))["catalogue"] == "warning"
    monkeypatch.setenv("OPENROUTER_MONITOR_BASE_URL", "http://127.0.0.1:1/api/v1")
    assert "not of http://127.0.0.1:1/api/v1" in cli("doctor").out


def test_doctor_asks_online(cli, store, clock, monkeypatch):
    """`--online` asks for the catalogue and the key, and compares the clocks; an unreachable address is a problem."""
    with Simulator() as simulator:
        monkeypatch.setenv("OPENROUTER_MONITOR_BASE_URL", simulator.base_url)
        said = cli("doctor", "--online", "--json")
        found = checks(said)
        assert (found["models"], found["key"]) == ("ok", "ok")
        # The test's clock stands at another day than the simulator's.
        assert found["clock"] == "problem"
        assert simulator.books.requests == 0
    said = cli("doctor", "--online", "--json")
    assert (said.code, checks(said)["online"]) == (1, "problem")
    assert CANARY not in said.out


def test_models_can_be_fetched(cli, path, clock, monkeypatch):
    """`models --refresh` makes the store, and fetches the catalogue and the key's figures into it."""
    monkeypatch.setenv("OPENROUTER_API_KEY", CANARY)
    with Simulator() as simulator:
        monkeypatch.setenv("OPENROUTER_MONITOR_BASE_URL", simulator.base_url)
        rows = json.loads(cli("models", "--refresh", "--json").out)
        assert len(rows) > 20
        found = json.loads(cli("status", "--json").out)
        assert found["catalogue"]["usable"]
        assert found["key"]["read_at"] == clock.now()
    said = cli("models", "--refresh")
    assert said.code == 1
    assert "GET /api/v1/models failed" in said.err
    assert CANARY.encode() not in path.read_bytes()
