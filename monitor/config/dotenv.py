"""A `.env` file, which is read only when somebody asks for it: it may lie in a folder that anybody can write to.

Lines are `NAME=value`, with `export ` before it or not; quotes around a value are taken off; `#` begins a comment. Of
all that such files hold, only our own names are taken.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from monitor.errors import ConfigError

KEY_NAME = "OPENROUTER_API_KEY"


def read_env_file(file: str | os.PathLike[str], prefix: str) -> dict[str, str]:
    """`OPENROUTER_API_KEY` and the variables that begin with `prefix`. Raises ConfigError when it cannot be read."""
    path = Path(file).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:
        raise ConfigError(f"the file {path} cannot be read: {type(exc).__name__}.") from None
    found = dict(_read(line) for line in text.splitlines())
    return {name: value for name, value in found.items() if name == KEY_NAME or name.startswith(prefix)}


def with_env_file(environ: Mapping[str, str], file: str | os.PathLike[str], prefix: str) -> dict[str, str]:
    """The environment with what the file adds; what the environment sets itself is stronger."""
    return {**read_env_file(file, prefix), **environ}


def _read(line: str) -> tuple[str, str]:
    name, equals, value = line.strip().removeprefix("export ").partition("=")
    name, value = name.strip(), value.strip()
    if not equals or name.startswith("#"):
        return "", ""
    if value[:1] in ("'", '"'):
        quoted, end, _ = value[1:].partition(value[0])
        return name, quoted if end else value
    return name, value.partition(" #")[0].rstrip()
