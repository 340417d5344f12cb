"""What every command is given: its settings, the time, and a way to the store; each made when it is first asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from monitor.version import __version__

if TYPE_CHECKING:
    from monitor.cli.output import Output
    from monitor.clock import Clock
    from monitor.config import Settings
    from monitor.store.sqlite import SQLiteStore
    from monitor.store.sqlite.reader import Reader

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Invocation:
    """One run of the command. `config`, `store` and `env_file` are the global options; `time` is for tests."""

    config: str | None = None
    store: str | None = None
    env_file: str | None = None
    time: Clock | None = None
    _settings: Settings | None = field(default=None, init=False, repr=False)
    _output: Output | None = field(default=None, init=False, repr=False)

    @property
    def settings(self) -> Settings:
        """Raises ConfigError."""
        if self._settings is None:
            from monitor.config import Settings

            flags = {} if self.store is None else {"store": os.path.abspath(os.path.expanduser(self.store))}
            if self.store is not None and "://" in self.store:
                flags = {"store": self.store}
            self._settings = Settings.load(self.config, flags=flags, env_file=self.env_file)
        return self._settings

    @property
    def clock(self) -> Clock:
        if self.time is None:
            from monitor.clock import SystemClock

            self.time = SystemClock()
        return self.time

    @property
    def out(self) -> Output:
        if self._output is None:
            from monitor.cli.output import Output

            self._output = Output()
        return self._output

    def store_to_write(self) -> SQLiteStore:
        """The store; made when it is first used. Raises ConfigError."""
        from monitor.store import open_store

        return open_store(self.settings.store_path)

    def store_path(self) -> Path:
        """Where the store is, or would be. Raises ConfigError."""
        return self.store_to_write().path

    def reader(self) -> Reader:
        """A way to read the store, which is not made if there is none. Raises ConfigError."""
        from monitor.store.sqlite.reader import Reader

        return Reader(self.store_path())


def invocation(ctx: click.Context) -> Invocation:
    """The run that a context belongs to."""
    root = ctx.find_root()
    if not isinstance(root.obj, Invocation):
        root.obj = Invocation()
    return root.obj


def passes_invocation(function: F) -> F:
    """Give a command the `Invocation` as its first argument."""

    def with_invocation(*args: Any, **kwargs: Any) -> Any:
        return function(invocation(click.get_current_context()), *args, **kwargs)

    with_invocation.__name__ = function.__name__
    with_invocation.__doc__ = function.__doc__
    # click keeps the options that decorators below this one have declared here.
    with_invocation.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    return with_invocation  # type: ignore[return-value]


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value is not None:
            setattr(invocation(ctx), name, value)

    return callback


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"openrouter-monitor {__version__}")
        ctx.exit()


def global_options() -> list[click.Parameter]:
    """The options that every command understands, before its name or after it."""
    return [
        click.Option(
            ["--config"],
            metavar="FILE",
            expose_value=False,
            callback=_keep("config"),
            help="Settings file, instead of the one in the user's configuration folder.",
        ),
        click.Option(
            ["--store"],
            metavar="PATH",
            expose_value=False,
            callback=_keep("store"),
            help="Store, instead of the one that the settings name.",
        ),
        click.Option(
            ["--env-file"],
            metavar="FILE",
            expose_value=False,
            callback=_keep("env_file"),
            help="Take the key and settings that this file sets, such as .env, for a part of the environment.",
        ),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version,
            help="Show the version and exit.",
        ),
    ]


class Command(click.Command):
    """A command that takes the global options too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += global_options()


class Group(click.Group):
    """A group of commands that take the global options too."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += global_options()


JSON = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
