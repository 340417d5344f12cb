"""`run`: the child's SDKs call the proxy, and nothing starts without a daemon."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sqlite3
import sys
from pathlib import Path

import pytest

from monitor.cli.run import key_of, variables
from monitor.config import Settings
from monitor.simulator.server import Simulator
from tests.cli.cli_kit import command
from tests.fakes.daemon import DaemonProcess

SHOW = "import json, os, sys; json.dump([dict(os.environ), sys.argv], open('seen.json', 'w')); sys.exit(7)"
CALL = """
import json, os, sys, openai
free, message = sys.argv[2], [{"role": "user", "content": "hi"}]
client = openai.OpenAI()
told = {"answer": client.chat.completions.create(model=free, messages=message).choices[0].message.content}
try:
    client.chat.completions.create(model="openai/gpt-5", messages=message)
except openai.PermissionDeniedError as exc:
    told["refused"] = exc.body["metadata"]["reason"]
print(json.dumps([told, sys.argv, dict(os.environ)]))
sys.exit(7)
"""
FREE = "meta-llama/llama-3.3-70b-instruct:free"


def test_without_a_daemon_nothing_is_started(home, monkeypatch):
    """One line that says what is missing and what to do; the command never ran."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("OPENROUTER_MONITOR_LISTEN", f"127.0.0.1:{port}")
    said = command("run", "--", sys.executable, "-c", SHOW)
    assert said.returncode == 1
    assert said.stderr.startswith(f"Error: no daemon answers at http://127.0.0.1:{port}: ")
    assert "openrouter-monitor serve" in said.stderr
    assert len(said.stderr.splitlines()) == 1
    assert not Path("seen.json").exists()


def test_what_is_no_daemon_is_told_from_one(home, monkeypatch):
    """Something else that listens there is not given anybody's calls."""
    with Simulator() as sim:
        monkeypatch.setenv("OPENROUTER_MONITOR_LISTEN", sim.root_url.removeprefix("http://"))
        said = command("run", "--", sys.executable, "-c", SHOW)
    assert (said.returncode, "is no daemon" in said.stderr) == (1, True)
    assert not Path("seen.json").exists()


@pytest.mark.parametrize("arguments", [(), ("--app", "bot"), ("--",)])
def test_a_command_is_needed(home, arguments):
    """Nothing to run is a usage error, as is a wrong name."""
    assert command("run", *arguments).returncode == 2
    assert command("run", "--app", "no good", "--", "true").returncode == 2


def test_the_key_names_the_app():
    """By its token, or its name; with the proxy's token where one is needed."""
    assert key_of(Settings(app="bot")) == "app:bot"
    assert key_of(Settings(app="bot", proxy={"token": "secret"})) == "app:bot:secret"
    assert key_of(Settings(app="bot", apps={"bot": {"token": "own"}}, proxy={"token": "secret"})) == "own"


def test_the_usual_sdks_are_pointed_at_the_proxy():
    """OpenAI's, OpenRouter's and Anthropic's; what goes to this machine bypasses the environment's proxy."""
    found = variables(Settings(app="bot"), "http://127.0.0.1:1", {"NO_PROXY": "example.org"})
    assert {found[name] for name in found if name.endswith(("BASE_URL", "API_BASE"))} == {
        "http://127.0.0.1:1/api/v1",
        "http://127.0.0.1:1/api",
    }
    assert {found[name] for name in found if "KEY" in name or name.endswith("AUTH_TOKEN")} == {"app:bot"}
    assert found["NO_PROXY"] == "example.org,127.0.0.1,localhost,::1"


@pytest.mark.processes
def test_a_child_calls_through_the_daemon(home, monkeypatch, tmp_path):
    """An SDK in the child needs nothing but its defaults; the real key is not in the child, its exit code is ours."""
    with Simulator() as sim, DaemonProcess(tmp_path, STORE=tmp_path / "monitor.db", BASE_URL=sim.base_url) as daemon:
        monkeypatch.setenv("OPENROUTER_MONITOR_LISTEN", daemon.url().removeprefix("http://"))
        monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-v1-the-real-one")
        said = command("run", "--app", "summariser", "--", sys.executable, "-c", CALL, "--app", FREE)
        told, arguments, environment = json.loads(said.stdout)
        assert (said.returncode, arguments, told["refused"]) == (7, ["-c", "--app", FREE], "model_unknown")
        assert told["answer"]
        assert environment["OPENROUTER_API_KEY"] == "app:summariser"
        assert "sk-or-v1-the-real-one" not in environment.values()
        assert environment["PATH"] == os.environ["PATH"]
        said = command("run", "--", "no-such-command-here")
        assert (said.returncode, said.stderr.startswith("Error: no-such-command-here cannot be started")) == (1, True)
    with contextlib.closing(sqlite3.connect(tmp_path / "monitor.db")) as books:
        rows = books.execute("SELECT app, outcome FROM calls ORDER BY id").fetchall()
    assert rows == [("summariser", "success"), ("summariser", "refused")]
