"""The real daemon as a process of its own, which tests ask over HTTP and end by its id."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.fakes.processes import ROOT

WAIT = 60.0
"""Seconds after which something that does not happen fails a test."""

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks without the environment's proxies."""


def fetch(url: str, **headers: str) -> bytes:
    """The body of a GET; raises for anything but 200."""
    with _DIRECT.open(urllib.request.Request(url, headers=headers), timeout=WAIT) as answer:
        body: bytes = answer.read()
        return body


class DaemonProcess:
    """`openrouter-monitor serve` on any free port. `settings` are of the environment: `STORE`, `POLL__KEY_SECONDS`."""

    def __init__(self, folder: Path, *arguments: str, **settings: object) -> None:
        self.log = folder / "daemon.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENROUTER")}
        environment |= {f"OPENROUTER_MONITOR_{name}": str(value) for name, value in settings.items()}
        environment |= {"OPENROUTER_API_KEY": "sk-or-v1-of-a-test", "HOME": str(folder), "PYTHONWARNINGS": "error"}
        arguments = arguments if "--listen" in arguments else ("--listen", "127.0.0.1:0", *arguments)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "monitor", "serve", *arguments],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def __enter__(self) -> DaemonProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def url(self) -> str:
        """Where it listens; waits until it does."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert " listens at " in line, self.said()
        return line.rsplit(" ", 1)[1].strip()

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send the signal and wait; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(WAIT)

    def kill(self) -> None:
        """SIGKILL, if it is still there."""
        self.process.kill()
        self.process.wait()


def post(url: str, value: Any, headers: Mapping[str, str] | None = None) -> Any:
    """The JSON answer to a POST of JSON."""
    request = urllib.request.Request(
        url, data=json.dumps(value).encode(), headers={"content-type": "application/json", **(headers or {})}
    )
    with _DIRECT.open(request, timeout=WAIT) as answer:
        return json.loads(answer.read())
