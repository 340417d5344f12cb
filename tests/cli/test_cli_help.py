"""Help is there for everything, is quick, and costs no library."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from monitor.cli.root import COMMANDS, root
from monitor.version import __version__
from tests.cli.cli_kit import command

HEAVY = ("httpx", "httpx2", "aiohttp", "sqlite_utils", "rich", "sqlite3", "platformdirs", "anyio")


def everything(group: click.Group = root, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    context = click.Context(group)
    for name in group.list_commands(context):
        each = group.get_command(context, name)
        found.append((*above, name))
        if isinstance(each, click.Group):
            found += everything(each, (*above, name))
    return found


def find(names: tuple[str, ...]) -> click.Command:
    found: click.Command = root
    for name in names:
        assert isinstance(found, click.Group)
        each = found.get_command(click.Context(found), name)
        assert each is not None
        found = each
    return found


@pytest.mark.parametrize("names", everything(), ids=" ".join)
def test_every_command_says_what_it_does(cli, names):
    """Each command has a summary, and each of its options a word about it."""
    said = cli(*names, "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: openrouter-monitor {' '.join(names)}")
    assert find(names).help
    assert all(option.help for option in find(names).params if isinstance(option, click.Option))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_the_commands_say(name):
    """The summaries that `--help` shows without importing a command are the commands' own first lines."""
    assert (find((name,)).help or "").splitlines()[0] == COMMANDS[name]


@pytest.mark.parametrize("arguments", [["--help"], ["status", "--help"], ["db", "prune", "--help"], ["demo", "--help"]])
def test_help_imports_no_library(arguments):
    """Help of any command imports neither HTTP nor SQL nor drawing: it is quick on any machine."""
    program = (
        "import sys; from monitor.cli.root import run; code = run(sys.argv[2:]);"
        " print(*(name for name in sys.argv[1].split(',') if name in sys.modules), file=sys.stderr); sys.exit(code)"
    )
    process = subprocess.run(
        [sys.executable, "-c", program, ",".join(HEAVY), *arguments], capture_output=True, text=True, check=False
    )
    assert (process.returncode, process.stderr.strip()) == (0, "")
    assert "Usage:" in process.stdout


@pytest.mark.parametrize("arguments", [["--version"], ["status", "--version"], ["db", "path", "--version"]])
def test_the_version_is_told_anywhere(cli, arguments):
    """`--version` works before a command and after it."""
    said = cli(*arguments)
    assert (said.code, said.out) == (0, f"openrouter-monitor {__version__}\n")


def test_global_options_stand_before_or_after(cli, home):
    """`--store` means the same on either side of the command's name, and of a sub-command's."""
    wanted = f"{home}/elsewhere.db\n"
    assert cli("--store", home / "elsewhere.db", "db", "path").out == wanted
    assert cli("db", "--store", home / "elsewhere.db", "path").out == wanted
    assert cli("db", "path", "--store", home / "elsewhere.db").out == wanted


def test_a_misspelled_command_is_guessed(cli):
    """A word that is no command is a usage error that names the nearest one."""
    said = cli("stauts")
    assert said.code == 2
    assert "Did you mean status?" in said.err


def test_the_module_is_the_command():
    """`python -m monitor` is the same as `openrouter-monitor`."""
    process = command("--version")
    assert (process.returncode, process.stdout) == (0, f"openrouter-monitor {__version__}\n")
