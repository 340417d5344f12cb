"""The command itself: which sub-commands there are, and what becomes of an error.

A sub-command's module is imported when it is asked for; the list carries their summaries, so that `--help` imports
none of them. A test holds the summaries to the commands.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from monitor.cli.context import Group, Invocation
from monitor.errors import ConfigError, GuardRefused, MonitorError
from monitor.redact import redact

COMMANDS = {
    "serve": "Run the daemon: the guarding proxy, polls, metrics and status.",
    "ask": "Ask a free model, the best for the task.",
    "compare": "Ask several models the same, side by side.",
    "batch": "Ask many questions, at the pace that the quota allows.",
    "run": "Run a command with its SDKs pointed at the daemon's proxy.",
    "status": "How things stand: quota, apps, key, spend, catalogue.",
    "calls": "The log of calls, newest first.",
    "models": "The catalogue: which models are free.",
    "events": "What changed in the world, newest first.",
    "doctor": "Check the installation, and say what to do.",
    "alerts": "List the alerts, write them for Prometheus, try them out.",
    "dashboards": "List the dashboards, or write them for Grafana.",
    "pause": "Refuse every call, or those of one app, until resumed.",
    "resume": "Let calls through again.",
    "config": "Show the settings, or write a settings file.",
    "db": "Look after the store: backup, verify, prune, export.",
    "simulate": "Run a local OpenRouter to try things on.",
    "demo": "Watch the guard at work for a few seconds.",
}
NAME = "openrouter-monitor"
FINE, PROBLEM, USAGE, REFUSED = 0, 1, 2, 3
INTERRUPTED, PIPE_CLOSED = 130, 141


class Root(Group):
    """Imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"monitor.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(COMMANDS)}."
            raise click.UsageError(f"There is no command {args[0]!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.command(cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def root() -> None:
    """The guard, the ledger and the watchtower for OpenRouter's free models.

    Nothing leaves that could cost money or break a quota; everything that leaves is on record.

    Exit codes: 0 fine, 1 found a problem, 2 usage or settings, 3 refused by the guard.
    """


def run(arguments: list[str] | None = None, invocation: Invocation | None = None) -> int:
    """Run one command and return its exit code. Errors are told on stderr, each on one line."""
    try:
        given = sys.argv[1:] if arguments is None else arguments
        if "_OPENROUTER_MONITOR_COMPLETE" in os.environ:
            root.main(given, prog_name=NAME)  # a shell asks how to complete the line
        # Not by `main`, which would end the process itself when a pipe is closed.
        with root.make_context(NAME, list(given), obj=invocation) as ctx:
            root.invoke(ctx)
        sys.stdout.flush()
        return FINE
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return PIPE_CLOSED
    except MonitorError as exc:
        return _tell(str(exc), _code(exc))
    except OSError as exc:
        what = exc.strerror or type(exc).__name__
        if not _stdout_works():
            return _tell(f"the output cannot be written: {what}.", PROBLEM)
        return _tell(f"{what}: {exc.filename}." if exc.filename else f"{what}.", PROBLEM)


def _code(exc: MonitorError) -> int:
    if isinstance(exc, ConfigError):
        return USAGE
    return REFUSED if isinstance(exc, GuardRefused) else PROBLEM


def _tell(message: str, code: int) -> int:
    click.echo(f"Error: {redact(message, limit=1000)}", err=True)
    return code


def _stdout_works() -> bool:
    try:
        sys.stdout.flush()
    except OSError:
        _forget_stdout()
        return False
    return True


def _forget_stdout() -> None:
    # Python flushes stdout once more at exit, and would complain there: nobody is left to write to.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    except OSError:
        pass
    finally:
        os.close(nowhere)
