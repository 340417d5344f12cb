"""The daemon under load for a long time; `make soak`, an hour unless SOAK_SECONDS says otherwise."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from monitor import Settings, guarded_client
from monitor.clock import SystemClock
from monitor.simulator.options import SimulatorOptions
from monitor.simulator.server import Simulator
from monitor.store import SQLiteStore
from tests.fakes.builders import one
from tests.fakes.daemon import DaemonProcess, fetch

MODELS = ("meta-llama/llama-3.3-70b-instruct:free", "qwen/qwen3-coder:free", "openrouter/free")
MEGABYTE = 1024 * 1024


def resident(process_id: int) -> float:
    """Resident memory in MB."""
    pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE


def call_on(settings: Settings, app: str, stop: threading.Event) -> None:
    with guarded_client(app, settings, headers={"authorization": "Bearer sk-or-v1-soak"}) as client:
        number = 0
        while not stop.wait(0.05):
            number += 1
            body = {"model": MODELS[number % 3], "messages": [{"role": "user", "content": f"question {number}"}]}
            body |= {"stream": number % 4 == 0}
            client.post(f"{settings.base_url}/chat/completions", json=body).raise_for_status()


@pytest.mark.soak
def test_the_daemon_stays_small_and_true(tmp_path):
    """Under 60 MB at every minute, alive, and the simulator's books equal ours at the end."""
    clock, seconds = SystemClock(), float(os.environ.get("SOAK_SECONDS", "3600"))
    with Simulator(SimulatorOptions(per_minute=10**6, per_day=10**8)) as sim:
        store = tmp_path / "monitor.db"
        quota = {"per_minute": 10**6, "per_day": 10**8}
        settings = Settings(store=str(store), base_url=sim.base_url, quota=quota)
        with DaemonProcess(
            tmp_path,
            STORE=store,
            BASE_URL=sim.base_url,
            POLL__MODELS_SECONDS=5,
            POLL__KEY_SECONDS=5,
            QUOTA__PER_MINUTE=10**6,
            QUOTA__PER_DAY=10**8,
        ) as daemon:
            url, stop = daemon.url(), threading.Event()
            callers = [threading.Thread(target=call_on, args=(settings, f"app-{i}", stop)) for i in range(8)]
            for caller in callers:
                caller.start()
            largest, until = 0.0, clock.monotonic() + seconds
            while clock.monotonic() < until:
                clock.sleep(min(15.0, seconds / 4))
                assert b"openrouter_monitor_scrape_ok 1.0" in fetch(f"{url}/metrics")
                largest = max(largest, resident(daemon.process.pid))
                print(f"{until - clock.monotonic():6.0f} s left, {sim.books.requests} calls, {largest:.1f} MB at most")
            stop.set()
            for caller in callers:
                caller.join()
            assert largest < 60

        books = SQLiteStore(store)
        assert one(books, "SELECT count(*) FROM calls WHERE outcome = 'success'") == sim.books.free_served
        assert one(books, "PRAGMA integrity_check") == "ok"
        books.close()
