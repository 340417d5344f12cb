"""Programs of other people that tests run for real: Prometheus, Alertmanager, and their tools."""

from __future__ import annotations

import os
import shutil
import socket

import pytest

INSTALL = (
    "{} is not installed. On Debian: apt-get update && apt-get install -y --no-install-recommends prometheus"
    " prometheus-alertmanager (with an executable /usr/sbin/policy-rc.d that exits 101, nothing is started by it)."
)


def need(program: str) -> str:
    """The program's path. Without it the test is skipped, but in CI it fails: there it would be skipped for ever."""
    found = shutil.which(program)
    if found is not None:
        return found
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(INSTALL.format(program))
    pytest.skip(INSTALL.format(program))


def free_port() -> int:
    """A port of loopback that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
