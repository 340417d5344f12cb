"""Names and helpers of the command line's tests."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CANARY = "sk-or-v1-canary0123456789abcdef"

READING = (
    ("status",),
    ("calls",),
    ("models",),
    ("events",),
    ("doctor",),
    ("config", "show"),
    ("db", "verify"),
    ("alerts", "list"),
    ("dashboards", "list"),
)
"""Commands that read, all of which speak JSON."""


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, whole, but for the index that SQLite keeps in shared memory."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.endswith("-shm"))
    return {str(file): content for file in files if (content := file.read_bytes()) or not file.name.endswith("-wal")}


def one_line(text: str) -> bool:
    return len(text.strip().splitlines()) == 1 and text.startswith("Error: ")


def command(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "monitor", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=dict(os.environ),
        **options,
    )


def in_terminal(*arguments: str) -> tuple[int, str]:
    """Run the command in a terminal; its exit code and all that stood there."""
    main, other = pty.openpty()
    try:
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
        process = subprocess.Popen(
            [sys.executable, "-m", "monitor", *arguments], stdin=other, stdout=other, stderr=other, env=environment
        )
        os.close(other)
        said = b""
        while True:
            try:
                more = os.read(main, 65536)
            except OSError:  # how Linux tells that nobody has the other end any more
                break
            if not more:
                break
            said += more
        return process.wait(60), said.decode().replace("\r\n", "\n")
    finally:
        os.close(main)


@contextmanager
def started(*arguments: Any) -> Iterator[subprocess.Popen[str]]:
    """The command as a process of its own that is under way; it is ended if it is still there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    with process:
        try:
            yield process
        finally:
            process.kill()
