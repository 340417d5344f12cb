"""The files of a batch: questions are read, answers are written, and neither is taken for the other."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.cli.asking import STDIN, stdin_text
from monitor.errors import ConfigError

if TYPE_CHECKING:
    from monitor.client.batching import BatchResult

_LONGEST_LINE = 1024 * 1024


def read(file: Path) -> list[Any]:
    """The questions, a JSON value a line. Raises ConfigError, which names the line, and OSError."""
    from monitor.client.items import read_lines

    if str(file) == STDIN:
        text = stdin_text()
    else:
        try:
            text = file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise ConfigError(f"{file} is no text in UTF-8.", hint="Each line is one JSON value.") from None
    # Not `splitlines`: JSON texts may hold signs that it takes for the end of a line.
    return list(read_lines(text.split("\n")))


def check(out: Path, file: Path) -> None:
    """Whether answers can be written there, before any is paid for. Raises ConfigError and OSError."""
    if out.exists():
        if str(file) != STDIN and out.samefile(file):
            raise ConfigError("the answers would overwrite the questions.", hint="Give --out another file.")
        if out.is_file() and not _is_ours(out):
            raise ConfigError(
                f"{out} exists, and was not written by a batch.", hint="It was left as it is: give --out another file."
            )
        with out.open("ab"):
            return
    with tempfile.TemporaryFile(dir=out.parent):
        return


def write(out: Path, found: BatchResult) -> None:
    """Every item in the order of the questions, a line each; a file is there whole or not at all."""
    lines = "".join(json.dumps(item.as_json(), ensure_ascii=False) + "\n" for item in found)
    content = lines.encode("utf-8", "replace")
    if out.exists() and not out.is_file():  # a pipe, say
        out.write_bytes(content)
        return
    place = Path(os.path.realpath(out))
    part = place.with_name(f".{place.name}.part")
    part.write_bytes(content)
    os.replace(part, place)


def _is_ours(out: Path) -> bool:
    with out.open("rb") as file:
        first = file.readline(_LONGEST_LINE)
    if not first.strip():
        return True
    if len(first) == _LONGEST_LINE:
        return first.startswith(b'{"index": ')
    try:
        found = json.loads(first)
    except ValueError:
        return False
    return isinstance(found, dict) and {"index", "state", "text"} <= found.keys()
