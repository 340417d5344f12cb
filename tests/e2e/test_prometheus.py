"""What Prometheus stores is what OpenRouter's own books say, whatever becomes of the daemon in between."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from monitor.config import Settings
from monitor.simulator.options import SimulatorOptions
from monitor.simulator.server import Simulator
from monitor.transport.clients import guarded_client
from tests.fakes.daemon import DaemonProcess, fetch
from tests.fakes.programs import need

pytestmark = [pytest.mark.e2e, pytest.mark.processes]

KEY = "sk-or-v1-of-a-test"
APPS = ("billing-bot", "summariser")
SERVED = 'sum(openrouter_requests_total{outcome="success",tier="free"})'
ARRIVED = "sum(openrouter_requests_total)"
LIMITED = "sum(openrouter_rate_limited_total)"
REFUSED = "sum(openrouter_refusals_total)"
USED = "openrouter_free_daily_requests_used"
RESETS = "sum(resets(openrouter_requests_total[10m])) + sum(resets(openrouter_tier_requests_total[10m]))"


@contextmanager
def apps(simulator: Simulator, store: Path) -> Iterator[dict[str, httpx.Client]]:
    """Two guarded apps of one account."""
    settings = Settings(
        store=str(store),
        base_url=simulator.base_url,
        api_key=KEY,
        quota={"per_minute": 1000},
        guard={"max_price": True},
    )
    clients = {app: guarded_client(app, settings, trust_env=False, timeout=30) for app in APPS}
    try:
        yield clients
    finally:
        for client in clients.values():
            client.close()


def ask(simulator: Simulator, client: httpx.Client, model: str, times: int = 1) -> list[int]:
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    url = f"{simulator.base_url}/chat/completions"
    return [client.post(url, json=body, headers={"authorization": f"Bearer {KEY}"}).status_code for _ in range(times)]


def free_models(simulator: Simulator) -> list[str]:
    listed = json.loads(fetch(f"{simulator.base_url}/models"))["data"]
    return [row["id"] for row in listed if row["id"].endswith(":free")]


def test_prometheus_agrees_with_openrouters_books(tmp_path, prometheus):
    """Free requests served and 429s are equal on both sides: in service, after SIGKILL, and after what happened while
    the daemon was dead. No counter goes back."""
    options = SimulatorOptions(per_minute=1000, per_day=1000)
    store = tmp_path / "monitor.db"
    with Simulator(options) as sim, apps(sim, store) as clients:
        settings = {"STORE": store, "BASE_URL": sim.base_url, "QUOTA__PER_MINUTE": 1000, "POLL__KEY_SECONDS": 1}
        good, unlucky = free_models(sim)[:2]

        def compare() -> None:
            books = sim.books
            assert server.becomes(SERVED, books.free_served) == books.free_served
            assert server.becomes(ARRIVED, books.requests) == books.requests
            assert server.becomes(LIMITED, books.statuses.get(429, 0)) == books.statuses.get(429, 0)
            # OpenRouter's counter lags by up to a minute: what was sent in it may be counted twice, never too little.
            assert sim.used() <= (server.value(USED) or 0) <= sim.used() + books.requests

        with DaemonProcess(tmp_path, **settings) as daemon:
            url = daemon.url()
            server = prometheus(url.removeprefix("http://"))
            assert server.becomes("up", 1) == 1

            assert ask(sim, clients["billing-bot"], good, 7) == [200] * 7
            sim.faults.add({"match": {"times": 2}, "do": "upstream_429"})
            assert ask(sim, clients["summariser"], unlucky) == [429]
            sim.faults.clear()
            assert ask(sim, clients["summariser"], unlucky) == [429]  # it cools down: our own, it never left
            assert ask(sim, clients["summariser"], "openrouter/auto") == [403]
            compare()
            assert server.becomes(REFUSED, 2) == 2
            daemon.kill()

        assert ask(sim, clients["summariser"], good, 5) == [200] * 5
        assert server.becomes("up", 0) == 0
        with DaemonProcess(tmp_path, "--listen", url.removeprefix("http://"), **settings) as daemon:
            assert daemon.url() == url
            assert server.becomes("up", 1) == 1
            assert ask(sim, clients["billing-bot"], good, 3) == [200] * 3
            compare()
            assert server.value(RESETS) == 0
            assert sim.books.cost_usd == 0
            assert daemon.end() == 0


def test_promtool_finds_nothing_to_complain_of(tmp_path):
    """Names, units and help are as Prometheus' own linter wants them, on the running daemon."""
    promtool = need("promtool")
    with Simulator() as sim, DaemonProcess(tmp_path, STORE=tmp_path / "monitor.db", BASE_URL=sim.base_url) as daemon:
        text = fetch(f"{daemon.url()}/metrics")
        found = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False, timeout=60)
        assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")
