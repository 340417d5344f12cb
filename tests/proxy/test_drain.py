"""The end: streams may finish for a while, are then cut and settled; pages are answered meanwhile."""

from __future__ import annotations

import json
import signal
import sqlite3
import threading
from pathlib import Path

import pytest
import requests
from guard_kit import FREE, World, chat, eventually
from wire_kit import ask, connect, get, hear, is_closed, post

from monitor.config import Settings
from monitor.errors import ConfigError
from monitor.proxy.doors import certificate
from monitor.serving import server
from monitor.simulator.options import SimulatorOptions
from monitor.simulator.server import Simulator
from tests.fakes.certificates import make_certificate
from tests.fakes.daemon import WAIT, DaemonProcess, fetch

STREAM = json.dumps(chat(stream=True)).encode()


def test_a_stream_under_way_finishes_and_nothing_new_begins(serve, worlds):
    """While it drains, a new call is told to come again, pages are answered, and the stream gets its last chunk."""
    world = worlds(chunk_delay_seconds=0.05, chunks=20)
    proxy = serve(world, drain=60.0)
    with connect(proxy) as connection:
        connection.sendall(post(STREAM))
        first = connection.recv(65536)
        assert b"200 OK" in first
        ended = threading.Thread(target=lambda: proxy.do(lambda: proxy.proxy.drain(60.0)))
        ended.start()
        eventually(lambda: proxy.proxy._draining)
        heard = ask(proxy, post())
        assert (heard.status, heard.all("retry-after"), heard.all("connection")) == (503, ["5"], ["close"])
        assert ask(proxy, get("/nothing")).status == 404  # the pages' own answer
        raw = first
        while not raw.endswith(b"0\r\n\r\n"):
            raw += connection.recv(65536)
        ended.join(WAIT)
    assert b"[DONE]" in raw
    assert [row["outcome"] for row in world.settled()] == ["success"]


def test_what_does_not_finish_is_cut_and_settled(serve, worlds):
    """After the stated time the stream ends without an ending, and its row is closed before the process is."""
    world = worlds({"do": {"kind": "hang", "after_chunks": 1}})
    proxy = serve(world)
    with connect(proxy) as connection:
        connection.sendall(post(STREAM))
        while b"data: " not in connection.recv(65536):
            pass
        proxy.do(lambda: proxy.proxy.drain(0.0))
        assert not hear(connection).raw.endswith(b"0\r\n\r\n")
        assert world.row()["outcome"] == "cancelled"
        assert world.open_holds() == 0


def test_calls_in_line_are_let_go_at_the_end(serve, world: World):
    """Who waits for a slot has sent nothing yet: a clean 503 at once, and no row, however long the rest may take."""
    proxy = serve(world, quota={"per_minute": 1}, guard={"wait": 600})
    assert ask(proxy, post()).status == 200
    with connect(proxy) as connection:
        connection.sendall(post())

        async def waiting() -> int:
            return proxy.proxy._means.turns.waiting

        eventually(lambda: proxy.do(waiting) == 1)
        proxy.do(lambda: proxy.proxy.drain(3600.0))
        heard = hear(connection)
        assert (heard.status, heard.error()["metadata"]["reason"], heard.all("retry-after")) == (503, "stopping", ["5"])
    assert [row["outcome"] for row in world.settled()] == ["success"]
    assert world.sim.books.requests == 1


def test_a_call_that_ends_as_the_time_does_spoils_no_drain(serve, world: World):
    """There is nobody left to cut off: what waits is booked all the same."""
    proxy = serve(world)

    async def drain() -> None:
        proxy.proxy._idle.clear()
        await proxy.proxy.drain(0.0)

    proxy.do(drain)
    assert proxy.desk._loop is None


# ---- the daemon as a process ----

pytestmark = pytest.mark.processes


def _daemon(folder: Path, sim: Simulator, **settings: object) -> DaemonProcess:
    return DaemonProcess(folder, STORE=folder / "monitor.db", BASE_URL=sim.base_url, **settings)


def _rows(folder: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(folder / "monitor.db") as connection:
        return connection.execute("SELECT app, outcome FROM calls ORDER BY id").fetchall()


def test_the_daemon_drains_on_sigterm(tmp_path):
    """A stream that began before the signal ends after it, metrics are told meanwhile, and the exit is in order."""
    options = SimulatorOptions(chunks=400, chunk_delay_seconds=0.005, per_minute=1000, per_day=1000)
    with Simulator(options) as sim, _daemon(tmp_path, sim) as daemon:
        url = daemon.url()
        answer = requests.post(f"{url}/api/v1/chat/completions", json=chat(stream=True), stream=True, timeout=60)
        chunks = answer.iter_lines()
        next(chunks)
        daemon.process.send_signal(signal.SIGTERM)
        eventually(lambda: "stopping" in daemon.said())
        told = fetch(f"{url}/metrics")
        assert b"openrouter_monitor_proxy_in_flight 1.0" in told
        assert requests.post(f"{url}/api/v1/chat/completions", json=chat(), timeout=60).status_code == 503
        assert b"data: [DONE]" in list(chunks)
        assert daemon.process.wait(WAIT) == 0
        assert not any(word in daemon.said() for word in ("Traceback", "ERROR", "WARNING", "sk-or-v1"))
    assert _rows(tmp_path) == [("default", "success")]
    assert sim.books.cost_usd == 0


def test_the_daemon_cuts_what_takes_too_long(tmp_path):
    """`proxy.drain_seconds` is kept to, and the row is settled before the process ends."""
    options = SimulatorOptions(faults=[{"do": {"kind": "hang", "after_chunks": 1}}])
    with Simulator(options) as sim, _daemon(tmp_path, sim, PROXY__DRAIN_SECONDS=0.1) as daemon:
        url = daemon.url()
        answer = requests.post(f"{url}/api/v1/chat/completions", json=chat(stream=True), stream=True, timeout=60)
        lines = answer.iter_lines()  # dropped, it would close the answer
        next(lines)
        assert daemon.end() == 0
        assert "cut off" in daemon.said()
        assert "Traceback" not in daemon.said()
    assert _rows(tmp_path) == [("default", "cancelled")]


def test_a_killed_daemon_forgets_nothing_that_left(tmp_path):
    """SIGKILL in the midst of a stream: the next daemon finds the row still open, and its quota taken."""
    options = SimulatorOptions(faults=[{"do": {"kind": "hang", "after_chunks": 1}}], per_day=50)
    with Simulator(options) as sim:
        with _daemon(tmp_path, sim) as daemon:
            answer = requests.post(
                f"{daemon.url()}/api/v1/chat/completions", json=chat(stream=True), stream=True, timeout=60
            )
            lines = answer.iter_lines()
            next(lines)
            daemon.kill()
        assert _rows(tmp_path) == [("default", "in_flight")]
        with _daemon(tmp_path, sim) as daemon:
            status = json.loads(fetch(f"{daemon.url()}/api/status"))
            assert (status["day"]["used"], status["in_flight"]["attempts"]) == (1, 1)
            assert daemon.end() == 0


def test_a_second_daemon_on_the_same_address_says_so_and_touches_nothing(tmp_path):
    """It ends with an error that names the address; the first goes on as if nothing had been."""
    with Simulator() as sim, _daemon(tmp_path, sim) as first:
        url = first.url()
        same = {"STORE": tmp_path / "monitor.db", "BASE_URL": sim.base_url}
        with DaemonProcess(tmp_path, "--listen", url.removeprefix("http://"), **same) as second:
            assert second.process.wait(WAIT) == 1
            assert "cannot listen" in second.said()
        assert requests.post(f"{url}/api/v1/chat/completions", json=chat(), timeout=60).status_code == 200
        assert first.end() == 0
    assert _rows(tmp_path) == [("default", "success")]


def test_two_daemons_on_one_store_share_its_windows(tmp_path):
    """Each on an address of its own: the one's call takes the other's slot, and each call is on record once."""
    quota = {"QUOTA__PER_MINUTE": 1}
    with Simulator() as sim, _daemon(tmp_path, sim, **quota) as one, _daemon(tmp_path, sim, **quota) as other:
        here, there = one.url(), other.url()
        told = [
            requests.post(f"{url}/api/v1/chat/completions", json=chat(), timeout=60).status_code
            for url in (here, there, here)
        ]
        assert told == [200, 429, 429]
        assert (one.end(), other.end()) == (0, 0)
    assert [outcome for _, outcome in _rows(tmp_path)] == ["success", "refused", "refused"]


def test_it_serves_https_by_files(tmp_path):
    """With a certificate it speaks TLS, and says so."""
    cert, key = make_certificate(tmp_path, "IP:127.0.0.1")
    files = {"PROXY__TLS_CERT": cert, "PROXY__TLS_KEY": key}
    with Simulator() as sim, _daemon(tmp_path, sim, **files) as daemon:
        url = daemon.url()
        assert url.startswith("https://127.0.0.1:")
        trusting = {"verify": str(cert), "timeout": 60}
        assert requests.get(f"{url}/-/healthy", **trusting).json()["healthy"] is True
        answer = requests.post(f"{url}/api/v1/chat/completions", json=chat(), **trusting)
        assert answer.json()["model"] == FREE
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{url.replace('https', 'http')}/-/healthy", timeout=60)
        assert daemon.end() == 0


def test_a_handshake_that_never_comes_is_cut_off(serve, world: World, tmp_path, monkeypatch):
    """Before a TLS connection stands nothing else counts it, so it has the time of a head, and no more."""
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.05)
    cert, key = make_certificate(tmp_path, "IP:127.0.0.1")
    proxy = serve(world, proxy={"tls_cert": str(cert), "tls_key": str(key)})
    with connect(proxy) as silent, connect(proxy) as half:
        half.sendall(b"\x16\x03\x01\x02\x00\x01")
        for waiting in (silent, half):
            waiting.settimeout(20)  # by itself the library would wait for a minute
        assert is_closed(silent)
        assert is_closed(half)


@pytest.mark.parametrize("files", [{"tls_cert": "/nowhere.pem"}, {"tls_key": "/nowhere.pem"}, {"tls_cert": __file__}])
def test_a_certificate_that_cannot_be_used_is_told_at_the_start(files):
    """Missing, half, or no certificate at all: an error that names the setting, before anything begins."""
    with pytest.raises(ConfigError, match=r"proxy\.tls_"):
        certificate(Settings(proxy=files))
