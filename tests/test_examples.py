"""Every example in the README and in the pages beside it runs, against the simulator, and says what it is said to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from monitor import Settings
from monitor.cli.root import COMMANDS
from monitor.simulator.options import SimulatorOptions
from monitor.simulator.server import Simulator
from tests.fakes.daemon import DaemonProcess
from tests.fakes.examples import Block, blocks, commands, matches, statements

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *sorted(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md"))]
OPENROUTER, DAEMON = "https://openrouter.ai/api/v1", "http://127.0.0.1:8377"
KEY = "sk-or-v1-simulated-key-of-an-example"

SHOWN = {
    "text": "what is printed: compared where a Python block right above prints it",
    "js": "the SDK for Node is not installed here; `make clients` runs it",
    "json": "a file of questions, which the commands of the page are given",
}
"""Languages of blocks that are not run, and why."""

NOT_RUN = {
    "make run": "tests/cli/test_cli_demo.py runs the demo; the rest of it is pip",
    "make test": "is what runs this test",
    "openrouter-monitor serve": "is started for the commands that need it",
    "openrouter-monitor alerts test --alertmanager": "needs an Alertmanager: tests/e2e has one",
    "deploy/stack.sh": "starts Prometheus and Alertmanager: tests/deploy and tests/e2e look after it",
    "openrouter-monitor batch questions.jsonl --out answers.jsonl --spread days": "takes until midnight, UTC",
}
"""Commands that are not run, by what they begin with, and why."""

NEEDS = ("curl", "node", "sqlite3", "git")
"""Programs of others: a command with one that is not installed is left out."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A folder to run in, an environment that points to a simulated OpenRouter, and nothing else set."""
    for name in list(os.environ):
        if name.startswith("OPENROUTER"):
            monkeypatch.delenv(name)
    with Simulator(SimulatorOptions()) as sim:
        values = {
            "HOME": tmp_path,
            "XDG_CONFIG_HOME": tmp_path / "config",
            "XDG_DATA_HOME": tmp_path / "data",
            "OPENROUTER_API_KEY": KEY,
            "OPENAI_API_KEY": KEY,
            "OPENROUTER_MONITOR_BASE_URL": sim.base_url,
            "OPENROUTER_MONITOR_STORE": tmp_path / "monitor.db",
        }
        for name, value in values.items():
            monkeypatch.setenv(name, str(value))
        work = tmp_path / "work"
        work.mkdir()
        (work / ".env").write_text(f"OPENROUTER_API_KEY={KEY}\n")
        (work / "app.js").write_text("console.log(process.env.OPENAI_BASE_URL)\n")
        monkeypatch.chdir(work)
        yield sim


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_of_a_known_kind(page):
    """A block that nobody runs is one of those that are listed, with a reason."""
    unknown = {block.language for block in blocks(ROOT / page)} - {"python", "sh", "toml", *SHOWN}
    assert not unknown


@pytest.mark.sdk
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(ROOT / page, "python")])
def test_python_runs(page, place, capsys):
    """Statement by statement, in one go through the page: each raises what the comment beside it says, or nothing."""
    import httpx
    import httpx2

    names: dict[str, object] = {"httpx": httpx, "httpx2": httpx2, "my_transport": httpx.HTTPTransport()}
    made: list[object] = []
    try:
        for block in blocks(ROOT / page, "python"):
            capsys.readouterr()
            for code, raises in statements(block):
                run(code.replace(OPENROUTER, place.base_url), names, raises, f"{page}")
            made += names.values()  # a block below may give another thing its name
            printed = capsys.readouterr().out
            if block.follows is not None and "print(" in block.text:
                assert matches(block.follows, printed), f"{page}:{block.line} prints\n{printed}"
    finally:
        for value in (*made, *names.values()):
            if hasattr(value, "close") and not isinstance(value, type):
                value.close()
    assert place.books.cost_usd == 0


def run(code: str, names: dict[str, object], raises: str | None, page: str) -> None:
    try:
        exec(compile(code, page, "exec"), names)
    except Exception as exc:
        if type(exc).__name__ != raises:
            raise
    else:
        assert raises is None, f"{page}: {code.strip()} was to raise {raises}"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(ROOT / page, "toml")])
def test_settings_are_right(page):
    """Each block of TOML is a settings file."""
    for block in blocks(ROOT / page, "toml"):
        assert Settings.build(tomllib.loads(block.text))


class Shell:
    """Runs commands as a user would; a daemon is started for the first that needs one."""

    def __init__(self, stack: ExitStack, sim: Simulator) -> None:
        self._stack = stack
        self._sim = sim
        self._daemon: str | None = None
        programs = Path("programs").absolute()
        programs.mkdir()
        program = programs / "openrouter-monitor"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m monitor "$@"\n')
        program.chmod(0o755)
        self._environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "NO_PROXY": "*"}
        self._environment["PYTHONPATH"] = str(ROOT)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        if DAEMON in command or command.startswith("openrouter-monitor run "):
            command = command.replace(DAEMON, self._served())
        return subprocess.run(
            ["sh", "-c", command],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def _served(self) -> str:
        if self._daemon is None:
            settings = {"BASE_URL": self._sim.base_url, "STORE": self._environment["OPENROUTER_MONITOR_STORE"]}
            daemon = self._stack.enter_context(DaemonProcess(Path.cwd(), **settings))
            self._daemon = daemon.url().rstrip("/")
            self._environment["OPENROUTER_MONITOR_LISTEN"] = self._daemon.removeprefix("http://")
        return self._daemon


def is_run(command: str) -> bool:
    return not command.startswith(tuple(NOT_RUN))


def can_run(command: str) -> bool:
    words = command.replace("|", " ").split()
    return all(shutil.which(name) for name in NEEDS if name in words)


@pytest.mark.processes
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(ROOT / page, "sh")])
def test_commands_run(page, place):
    """Each ends with code 0, and says what can be read."""
    questions = "".join(block.text for block in blocks(ROOT / page, "json"))
    assert all(json.loads(line) for line in questions.splitlines())
    Path("questions.jsonl").write_text(questions)
    with ExitStack() as stack:
        shell = Shell(stack, place)
        for command in filter(can_run, filter(is_run, all_commands(page))):
            done = shell.run(command)
            assert done.returncode == 0, f"{page}: {command}\n{done.stdout}{done.stderr}"
            assert '"error":{' not in done.stdout.replace(" ", ""), done.stdout
    assert place.books.cost_usd == 0


def all_commands(page: str) -> list[str]:
    return [command for block in blocks(ROOT / page, "sh") for command in commands(block)]


def test_what_is_not_run_is_still_there():
    """Each exception is for a command that some page has."""
    every = [command for page in PAGES for command in all_commands(page)]
    assert [begin for begin in NOT_RUN if not any(command.startswith(begin) for command in every)] == []


def test_the_table_of_commands_is_whole():
    """The README names every command, and none that is not there; `resume` stands beside `pause`."""
    block = next(block for block in blocks(ROOT / "README.md", "text") if "openrouter-monitor status " in block.text)
    named = [line.split()[1] for line in block.text.splitlines()]
    assert sorted([*named, "resume"]) == sorted(COMMANDS)


def test_examples_are_read_as_they_stand():
    """The reader itself: errors in comments, commands over several lines, what stands below, and `…`."""
    raising = Block("python", "x = 1\ny = {\n}['a']  # KeyError: not there\n", 1)
    assert [raises for _, raises in statements(raising)] == [None, "KeyError"]
    run("\n\n{}['a']", {}, "KeyError", "page")
    with pytest.raises(KeyError):
        run("{}['a']", {}, None, "page")
    with pytest.raises(AssertionError, match="was to raise"):
        run("1", {}, "KeyError", "page")
    shell = Block("sh", "a 'b\nc' # d\n\n# e\nf  # it is\n", 1)
    assert commands(shell) == ["a 'b\nc' # d", "f  # it is"]
    assert matches("a … c\n", "a b\nb c\n")
    assert not matches("a … c", "a b d")
