"""Where the API key may lie besides the environment: a keyring, and a `.env` file that somebody asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config import Settings
from monitor.config.durations import seconds_of
from monitor.errors import ConfigError

KEY = "sk-or-v1-0123456789abcdef"


@pytest.fixture
def keyring(tmp_path, monkeypatch) -> Path:
    """A keyring library of our own in place of the real one, which would ask this machine's user."""
    module = tmp_path / "libraries" / "keyring.py"
    module.parent.mkdir()
    monkeypatch.syspath_prepend(str(module.parent))
    monkeypatch.delitem(__import__("sys").modules, "keyring", raising=False)
    yield module
    __import__("sys").modules.pop("keyring", None)


def test_the_keyring_is_asked_for_the_account(keyring):
    """Under the service that the settings name; the environment and a key file come before it."""
    keyring.write_text(
        f"def get_password(service, user):\n    return '{KEY}\\n' if (service, user) == ('or', 'me') else None\n"
    )
    key = Settings(api_key_keyring="or", account="me").key()
    assert key is not None
    assert key.reveal() == KEY
    assert Settings(api_key_keyring="or", account="you").key() is None
    other = Settings(api_key_keyring="or", account="me", api_key="sk-or-v1-other").key()
    assert other is not None
    assert other.reveal() == "sk-or-v1-other"


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("def get_password(*_):\n    raise RuntimeError('locked sk-or-v1-secret')\n", "cannot be read: RuntimeError"),
        ("raise ImportError('no backend')\n", "not installed"),
    ],
)
def test_a_keyring_that_fails_is_a_settings_error(keyring, module, says):
    """Told without what the backend said, which may hold anything."""
    keyring.write_text(module)
    with pytest.raises(ConfigError, match=says) as told:
        Settings(api_key_keyring="or").key()
    assert "secret" not in str(told.value)
    assert told.value.hint


def test_a_keyring_is_not_looked_at_unless_named(keyring):
    """Settings without `api_key_keyring` import nothing."""
    keyring.write_text("raise AssertionError('imported')\n")
    assert Settings().key() is None


def test_an_env_file_is_read_only_when_asked(tmp_path, monkeypatch):
    """It lies in the working directory and is not looked at; named, it gives what is ours in it and nothing else."""
    (tmp_path / ".env").write_text(
        f"# keys\nexport OPENROUTER_API_KEY='{KEY}' # mine\nOPENROUTER_MONITOR_APP=bot # who\n"
        'OPENROUTER_MONITOR_GUARD__MODE="shadow"\nPATH=/evil\nno line\n=\n#OPENROUTER_MONITOR_ACCOUNT=x\n'
    )
    monkeypatch.chdir(tmp_path)
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    assert Settings.load(environ=environ).key() is None
    found = Settings.load(environ=environ, env_file=".env")
    key = found.key()
    assert key is not None
    assert (key.reveal(), found.app, found.guard.mode, found.account) == (KEY, "bot", "shadow", "default")


def test_the_environment_is_stronger_than_an_env_file(tmp_path):
    """What the process was given stands."""
    (tmp_path / "e").write_text("OPENROUTER_MONITOR_APP=file\nOPENROUTER_API_KEY=sk-or-v1-of-the-file\n")
    environ = {"OPENROUTER_MONITOR_APP": "environment", "XDG_CONFIG_HOME": str(tmp_path)}
    found = Settings.load(environ=environ, env_file=tmp_path / "e")
    assert found.app == "environment"
    assert found.key() is not None


@pytest.mark.parametrize("file", ["missing", "."])
def test_an_env_file_that_cannot_be_read_is_an_error(tmp_path, monkeypatch, file):
    """Asked for, it must be there."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        Settings.load(environ={"XDG_CONFIG_HOME": str(tmp_path)}, env_file=file)


@pytest.mark.parametrize(("value", "seconds"), [("1d", 86_400), ("90", 90), (90, 90), ("1h30m", 5400), (0, 0)])
def test_a_span_is_a_number_of_seconds_or_words(value, seconds):
    """As people write it."""
    assert seconds_of(value) == seconds
    assert Settings(apps={"bot": {"cache": value}}).apps["bot"].cache == seconds


@pytest.mark.parametrize("value", ["soon", -1, True, float("inf"), [], ""])
def test_what_is_no_span_is_told(value):
    """With what would be right."""
    with pytest.raises(ConfigError, match=r"apps\.\*\.cache|apps\.bot\.cache"):
        Settings(apps={"bot": {"cache": value}})


def test_the_routing_table_is_lists_of_models_by_task():
    """Lists in a file, a text with commas in the environment."""
    environ = {"OPENROUTER_MONITOR_ROUTING__CODE": "a/b:free, c/*", "XDG_CONFIG_HOME": "/nowhere"}
    assert Settings.load(environ=environ).routing == {"code": ("a/b:free", "c/*")}
    assert Settings(routing={"my-task": ["x"]}).routing["my-task"] == ("x",)
    for wrong in ([], {"Two Words": []}, {"code": 5}, {"code": [5]}):
        with pytest.raises(ConfigError, match="routing"):
            Settings(routing=wrong)
