"""`config`: what is set, from where, and a file to begin with."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from monitor.cli.context import JSON, Group, Invocation, invocation, passes_invocation
from monitor.cli.output import Cell, Column, Styled

MASK = "(set, not shown)"


@click.group(cls=Group)
def config() -> None:
    """Show the settings, or write a settings file."""


@config.command()
@JSON
@passes_invocation
def show(run: Invocation, as_json: bool) -> None:
    """The settings that hold, and where each comes from. Secrets are not shown."""
    values = list(_flat(run.settings))
    sources = _Sources(run)
    rows = [{"name": name, "value": _plain(value), "source": sources.of(name)} for name, value in values]
    for row in rows:
        if row["name"] == "store":
            row["value"] = str(run.store_path())
    if as_json:
        run.out.json(rows)
        return
    styles = {"default": "dim", "file": "green", "environment": "cyan", "option": "magenta"}
    table: list[list[Cell]] = [
        [Styled(row["name"], styles[row["source"]]), _shown(row["value"]), Styled(row["source"], styles[row["source"]])]
        for row in rows
    ]
    run.out.table([Column("setting"), Column("value", fold=True), Column("from")], table)
    file = _file(run)
    run.out.note(f"Settings file: {file}" + ("" if file.exists() else " (there is none)"))


@config.command()
@click.option("--path", "target", type=click.Path(path_type=Path), help="Where to write it.")
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@passes_invocation
def init(run: Invocation, target: Path | None, force: bool) -> None:
    """Write a settings file in which every setting is explained."""
    from monitor.cli.config_file import text
    from monitor.errors import MonitorError

    file = target or _file(run)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if force:
            _replace(file, text())
        else:
            _create(file, text())
    except FileExistsError:
        raise MonitorError(f"{file} exists already.", hint="It was left as it is; --force overwrites it.") from None
    except OSError as exc:
        raise MonitorError(f"{file} cannot be written: {exc.strerror or exc}.") from None
    run.out.line(Styled("Wrote", "green"), f" {file}")


@config.command()
@click.pass_context
def path(ctx: click.Context) -> None:
    """Where the settings file is, or would be."""
    click.echo(str(_file(invocation(ctx))))


def _create(file: Path, text: str) -> None:
    handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with open(handle, "w", encoding="utf-8") as out:
        out.write(text)


def _replace(file: Path, text: str) -> None:
    beside = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        _create(beside, text)
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def _file(run: Invocation) -> Path:
    from monitor.config import ENV_PREFIX, default_config_path

    named = run.config or os.environ.get(ENV_PREFIX + "CONFIG")
    return Path(named).expanduser() if named else default_config_path()


def _flat(section: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for item in dataclasses.fields(section):
        name, value = f"{prefix}{item.name}", getattr(section, item.name)
        if dataclasses.is_dataclass(value):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, Mapping):
            for key, each in value.items():
                nested = dataclasses.is_dataclass(each)
                yield from _flat(each, f"{name}.{key}.") if nested else [(f"{name}.{key}", each)]
        else:
            yield name, value


def _plain(value: Any) -> Any:
    """A value as JSON can hold it, without secrets."""
    from monitor.redact import Secret, redact

    if isinstance(value, Secret):
        return MASK
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return redact(value) if isinstance(value, str) else value


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) or "-" if isinstance(value, list) else str(value)


class _Sources:
    """Where a setting was read from: an option, the environment, the file, or nowhere."""

    def __init__(self, run: Invocation) -> None:
        self._options = {"store"} if run.store is not None else set()
        file = _file(run)
        self._file: dict[str, Any] = tomllib.loads(file.read_text("utf-8")) if file.exists() else {}

    def of(self, name: str) -> str:
        from monitor.config import ENV_PREFIX

        if name in self._options:
            return "option"
        wanted = ENV_PREFIX + name.upper().replace(".", "__")
        in_environment = any(key.upper() == wanted and value for key, value in os.environ.items())
        if in_environment or (name == "api_key" and os.environ.get("OPENROUTER_API_KEY")):
            return "environment"
        place: Any = self._file
        for part in name.split("."):
            if not isinstance(place, dict) or part not in place:
                return "default"
            place = place[part]
        return "file"
