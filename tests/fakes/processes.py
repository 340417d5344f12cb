"""Processes that a test starts, speaks to by lines, and ends by their id."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Worker:
    """`python -m tests.fakes.worker …`: says `ready` once it has imported everything, then obeys line by line."""

    module = "tests.fakes.worker"

    def __init__(self, *args: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", self.module, *map(str, args)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._heard = b""

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def hear(self) -> str:
        """The next line; empty at the end. A worker that is silent for a minute fails the test."""
        assert self.process.stdout is not None
        pipe = self.process.stdout.fileno()
        while b"\n" not in self._heard:
            assert select.select([pipe], [], [], 60)[0], "a worker fell silent"
            more = os.read(pipe, 65536)
            if not more:
                break
            self._heard += more
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode().strip()

    def ask(self, line: str) -> str:
        self.tell(line)
        return self.hear()

    def hear_all(self) -> list[str]:
        """Every line up to the end."""
        return list(iter(self.hear, ""))

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
