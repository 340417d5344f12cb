"""The real daemon at a simulated OpenRouter: what it polls besides models and key, and what comes of it."""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path

import httpx
import pytest

from monitor.clock import FakeClock
from monitor.config import Settings
from monitor.simulator.options import SimulatorOptions
from monitor.simulator.server import Simulator
from monitor.transport.clients import guarded_client
from tests.fakes.daemon import WAIT, DaemonProcess, fetch

pytestmark = pytest.mark.processes

KEY, MANAGER = "sk-or-v1-of-a-test", "sk-or-v1-of-a-manager"
DAY = 86_400.0


def ask(simulator: Simulator, store: Path) -> str:
    """One guarded call; the model that it went to."""
    listed = json.loads(fetch(f"{simulator.base_url}/models"))["data"]
    model: str = next(row["id"] for row in listed if row["id"].endswith(":free"))
    settings = Settings(store=str(store), base_url=simulator.base_url, api_key=KEY)
    with guarded_client("app", settings, trust_env=False, timeout=30) as client:
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
        url = f"{simulator.base_url}/chat/completions"
        answer = client.post(url, json=body, headers={"authorization": f"Bearer {KEY}"})
        assert answer.status_code == 200
    return model


def becomes(url: str, pattern: str) -> str:
    """What the first group of the pattern finds in the metrics, once it does."""
    tick = threading.Event()
    for _ in range(int(WAIT / 0.1)):
        text = fetch(f"{url}/metrics").decode()
        if found := re.search(pattern, text, re.MULTILINE):
            return found[1]
        tick.wait(0.1)
    raise AssertionError(text)


def test_the_daemon_looks_at_providers_activity_and_the_clock(tmp_path):
    """Uptimes of the model that an app used, yesterday's activity and credits with the management key, and a clock
    that is a day off: all of it as the simulator tells it, and none of it counted as a request."""
    clock = FakeClock(time.time())
    options = SimulatorOptions(management_keys=frozenset({MANAGER}), credits_usd=5.0)
    with Simulator(options, clock=clock) as sim:
        model = ask(sim, tmp_path / "monitor.db")
        posted = httpx.post(
            f"{sim.base_url}/chat/completions",
            json={"model": "openai/gpt-5-mini", "messages": [{"role": "user", "content": "past the guard"}]},
            headers={"authorization": f"Bearer {MANAGER}"},
            trust_env=False,
        )
        assert posted.status_code == 200
        clock.advance(DAY)
        used, requests = sim.used(), sim.books.requests
        settings = {"STORE": tmp_path / "monitor.db", "BASE_URL": sim.base_url, "MANAGEMENT_KEY": MANAGER}
        with DaemonProcess(tmp_path, **settings) as daemon:
            url = daemon.url()
            uptime = becomes(url, rf'^openrouter_model_endpoint_uptime_ratio{{model="{model}",provider=".+"}} (.+)$')
            assert float(uptime) == 0.987
            assert float(becomes(url, r"^openrouter_account_activity_requests{.*} (.+)$")) == 2
            bypassed = becomes(url, r"^openrouter_account_activity_unaccounted_usage_usd{.*} (.+)$")
            assert float(bypassed) == pytest.approx(sim.books.cost_usd)
            assert float(becomes(url, r"^openrouter_account_credits_usd{.*} (.+)$")) == 5.0 - sim.books.cost_usd
            offset = float(becomes(url, r"^openrouter_monitor_clock_offset_seconds (.+)$"))
            assert -DAY - 2 < offset < -DAY + WAIT * 2
            assert daemon.end() == 0
            assert MANAGER not in daemon.said()
        assert (sim.used(), sim.books.requests) == (used, requests)
