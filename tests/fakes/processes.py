"""Processes that a test starts, speaks to by lines, and ends by their id."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Worker:
    """`python -m tests.fakes.worker …`: says `ready` once it has imported everything, then obeys line by line."""

    def __init__(self, *args: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.worker", *map(str, args)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        """The next line; empty at the end."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, line: str) -> str:
        self.tell(line)
        return self.hear()

    def hear_all(self) -> list[str]:
        """Every line up to the end."""
        assert self.process.stdout is not None
        return [line.strip() for line in self.process.stdout]

    def kill(self) -> None:
        """SIGKILL, if it is still there."""
        self.process.kill()
        self.process.wait()


@contextmanager
def workers(count: int, *args: object) -> Iterator[list[Worker]]:
    """`count` workers, all of them ready; `{i}` in an argument becomes the worker's number."""
    with ExitStack() as stack:
        started = [
            stack.enter_context(Worker(*(str(arg).replace("{i}", str(i)) for arg in args))) for i in range(count)
        ]
        for one in started:
            assert one.hear() == "ready"
        yield started
