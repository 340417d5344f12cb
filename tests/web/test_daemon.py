"""The daemon as a process: it begins in order or with one clear line, and ends in order."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor import daemon
from monitor.simulator.server import Simulator
from tests.fakes.daemon import WAIT, DaemonProcess, fetch

pytestmark = pytest.mark.processes


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as sim:
        yield sim


def begin(folder: Path, simulator: Simulator, *arguments: str, **settings: object) -> DaemonProcess:
    given = {"STORE": folder / "monitor.db", "BASE_URL": simulator.base_url, **settings}
    return DaemonProcess(folder, *arguments, **given)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_begins_answers_and_ends_in_order(tmp_path, simulator, number):
    """It tells where it listens, knows the catalogue at once, and a signal ends it with code 0 and an empty log."""
    with begin(tmp_path, simulator) as daemon:
        url = daemon.url()
        assert json.loads(fetch(f"{url}/-/healthy"))["healthy"] is True
        _until_ready(url)
        status = json.loads(fetch(f"{url}/api/status"))
        assert status["catalogue"]["usable"]
        assert b"openrouter_monitor_scrape_ok 1.0" in fetch(f"{url}/metrics")
        assert daemon.end(number) == 0
        lines = daemon.said().splitlines()
    assert lines[-1].endswith("INFO monitor.daemon: stopped")
    assert not any(word in daemon.said() for word in ("Traceback", "ERROR", "WARNING", "sk-or-v1"))
    assert not Path(f"{tmp_path / 'monitor.db'}-wal").exists()


def test_its_log_can_be_json(tmp_path, simulator):
    """One object a line, for programs."""
    with begin(tmp_path, simulator, "--log-json") as daemon:
        daemon.url()
        assert daemon.end() == 0
        told = [json.loads(line) for line in daemon.said().splitlines()]
    assert {"at", "level", "logger", "message"} == set(told[0])
    assert told[-1]["message"] == "stopped"


def test_an_open_answer_is_finished(tmp_path):
    """A request that is being answered when the signal comes is answered to its end."""
    with Simulator() as sim, begin(tmp_path, sim) as daemon:
        url = daemon.url()
        _until_ready(url)
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), WAIT) as connection:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(1)
            assert daemon.end() == 0
            rest = b""
            while chunk := connection.recv(65536):
                rest += chunk
        assert b"openrouter_monitor_build_info" in rest


def test_a_poll_that_hangs_does_not_hold_up_the_end(tmp_path):
    """An upstream that never answers is left alone when the daemon ends."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        DaemonProcess(
            tmp_path,
            STORE=tmp_path / "monitor.db",
            BASE_URL=f"http://127.0.0.1:{silent.getsockname()[1]}/api/v1",
        ) as daemon,
    ):
        daemon.url()
        connection, _ = silent.accept()
        with connection:
            assert daemon.end() == 0
        # Cut off by the end, not by a timeout that came first.
        assert "the daemon is stopping" in daemon.said()
        assert "Traceback" not in daemon.said()


def test_a_taken_port_is_one_line(tmp_path, simulator):
    """The second daemon says what is wrong and what to do, with code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with begin(tmp_path, simulator, "--listen", address) as daemon:
            assert daemon.process.wait(WAIT) == 1
            _one_line(daemon, address, "--listen")


@pytest.mark.parametrize(
    ("settings", "code", "says"),
    [
        ({"LISTEN": "0.0.0.0:0"}, 2, "proxy.token"),
        ({"POLL__MODELS_SECONDS": "soon"}, 2, "poll.models_seconds"),
        ({"STORE": "/dev/null/monitor.db"}, 1, "/dev/null"),
        ({"ALERTS__WITHOUT": "OpenRouterKeyExpirin"}, 2, "OpenRouterKeyExpiring"),
        ({"ALERTS__THRESHOLDS": "quota_warning=much"}, 2, "quota_warning"),
        ({"ALERTS__SMTP_URL": "smtp://127.0.0.1:9"}, 2, "alerts.mail_to"),
        ({"STORE": "postgresql://host/db"}, 2, "postgresql"),
    ],
)
def test_what_cannot_work_is_one_line(tmp_path, simulator, settings, code, says):
    """Wrong settings are code 2, an unusable store code 1; nothing is begun."""
    arguments = ("--listen", "0.0.0.0:0") if "LISTEN" in settings else ()
    with begin(tmp_path, simulator, *arguments, **settings) as daemon:
        assert daemon.process.wait(WAIT) == code
        _one_line(daemon, says)


def test_a_token_opens_it_to_others(tmp_path, simulator):
    """With a token it may listen beyond this machine, and is asked for it."""
    with begin(tmp_path, simulator, "--listen", "0.0.0.0:0", PROXY__TOKEN="a-long-random-text") as daemon:
        url = daemon.url().replace("0.0.0.0", "127.0.0.1")
        assert fetch(f"{url}/metrics", Authorization="Bearer a-long-random-text")
        with pytest.raises(OSError, match="401"):
            fetch(f"{url}/metrics")
        assert daemon.end() == 0
        assert "a-long-random-text" not in daemon.said()


def _until_ready(url: str) -> None:
    """Until the first catalogue is there."""
    tick = threading.Event()
    for _ in range(int(WAIT / 0.05)):
        try:
            fetch(f"{url}/-/ready")
            return
        except OSError:
            tick.wait(0.05)
    raise AssertionError("the daemon did not become ready")


def _one_line(daemon: DaemonProcess, *words: str) -> None:
    said = daemon.said()
    assert said.startswith("Error: ")
    assert len(said.splitlines()) == 1, said
    assert all(word in said for word in words), said


async def test_a_second_signal_ends_it_at_once(monkeypatch):
    """Who cannot wait for the orderly end says so once more."""
    ended = asyncio.Event()
    monkeypatch.setattr(os, "_exit", lambda code: ended.set() if code == daemon.CUT_SHORT else None)
    stop = daemon._stop_signal()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        assert not ended.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        await ended.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)
