"""No panel is empty: each query of each dashboard, on a real Prometheus that scraped the real daemon under load."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from monitor.alerting.render import data
from monitor.alerting.rule import Options
from monitor.alerting.rules import groups
from monitor.clock import DAY, SystemClock
from monitor.config import Settings
from monitor.simulator.options import SimulatorOptions
from monitor.simulator.server import Simulator
from monitor.transport.clients import guarded_client
from tests.e2e.conftest import Prometheus
from tests.fakes.daemon import WAIT, DaemonProcess
from tests.grafana.dashboards_kit import MADE, asked, filled

pytestmark = [pytest.mark.e2e, pytest.mark.processes]

KEY = "sk-or-v1-of-a-test"
LLAMA, R1 = "meta-llama/llama-3.3-70b-instruct:free", "deepseek/deepseek-r1:free"
WITHDRAWN_SOON = "mistralai/mistral-small-3.2-24b-instruct:free"
PAID = "openai/gpt-5-mini"
FAULTS: tuple[dict[str, str], ...] = (
    {"502": "z-ai/glm-4.5-air:free"},
    {"502": "z-ai/glm-4.5-air:free"},
    {"upstream_429": LLAMA},
)
"""What goes wrong in each round. A series that came into being with its first call grows only with the next."""

RECORDED = "openrouter_monitor_call_log_records_total"
PAID_ALERT = 'count(ALERTS{alertname="OpenRouterNonFreeModelUsed", alertstate="firing"})'


class SteppedClock(SystemClock):
    """The machine's clock, some days aside."""

    days = 0

    def now(self) -> float:
        return super().now() + self.days * DAY


def ask(client: httpx.Client, url: str, model: str, **more: Any) -> int:
    body = {"model": model, "messages": [{"role": "user", "content": "hello " * 50}], "max_tokens": 40, **more}
    headers = {"authorization": f"Bearer {KEY}"}
    return client.post(f"{url}/chat/completions", json=body, headers=headers).status_code


@contextmanager
def apps(simulator: Simulator, store: Path) -> Iterator[dict[str, httpx.Client]]:
    """Two apps that may use free models only, and one that may use any."""
    common = {"store": str(store), "base_url": simulator.base_url, "api_key": KEY, "quota": {"per_minute": 500}}
    allowed = {"bot": "free", "notebook": "free", "research": "any"}
    clients = {
        app: guarded_client(app, Settings(**common, guard={"allow": allow}), trust_env=False, timeout=30)
        for app, allow in allowed.items()
    }
    try:
        yield clients
    finally:
        for client in clients.values():
            client.close()


def be_busy(number: int, simulator: Simulator, clients: dict[str, httpx.Client], proxy: str) -> None:
    """One round of everything that can become of a call."""
    url, bot = simulator.base_url, clients["bot"]
    for model in (LLAMA, R1, WITHDRAWN_SOON):
        assert ask(bot, url, model) == 200
        assert ask(clients["notebook"], url, model, stream=True) == 200
    assert ask(clients["research"], url, PAID) == 200
    assert ask(bot, url, PAID) == 403
    with httpx.Client(trust_env=False) as plain:
        assert ask(plain, f"{proxy}/api/v1", LLAMA) == 200
        wrong = {"x-openrouter-monitor-app": "no name!", "authorization": f"Bearer {KEY}"}
        assert plain.post(f"{proxy}/api/v1/chat/completions", json={}, headers=wrong).status_code == 400
    for fault, model in FAULTS[number].items():
        simulator.faults.add({"match": {"times": 1}, "do": fault})
        assert ask(bot, url, model) != 200
        simulator.faults.clear()


def empty(server: Prometheus) -> list[str]:
    """The queries without a single number, even after a while: some look at every half minute only."""
    left = [each for each in asked(MADE) if each.panel != "annotation"]
    tick = threading.Event()
    for _ in range(int(WAIT)):
        left = [each for each in left if not any(map(math.isfinite, server.values(filled(each.expr))))]
        if not left:
            break
        tick.wait(1)
    return [str(each) for each in left]


def test_no_panel_is_empty(tmp_path: Path, prometheus: Callable[..., Prometheus]) -> None:
    """After some rounds of calls, polls and refusals every query of every panel has a value."""
    clock, store = SteppedClock(), tmp_path / "monitor.db"
    options = SimulatorOptions(
        per_minute=500, per_day=1000, is_free_tier=False, credits_usd=10.0, management_keys=frozenset({KEY}),
        key_limit_usd=5.0, key_limit_reset="monthly",
    )  # fmt: skip
    rules = json.dumps(data(groups(Options(interval="1s")), Options(interval="1s")))
    polls = {f"POLL__{name}_SECONDS": 1 for name in ("MODELS", "KEY", "ENDPOINTS", "ACTIVITY")}
    with Simulator(options, clock=clock) as simulator, httpx.Client(trust_env=False) as plain:
        clock.days = -1
        assert ask(plain, simulator.base_url, LLAMA) == 200  # activity tells of whole days only
        clock.days = 0
        settings = {
            "STORE": store,
            "BASE_URL": simulator.base_url,
            "MANAGEMENT_KEY": KEY,
            "QUOTA__PER_MINUTE": 500,
            "ALERTS__WEBHOOK_URL": f"{simulator.root_url}/nobody",
        }
        with DaemonProcess(tmp_path, **settings, **polls) as daemon, apps(simulator, store) as clients:
            url = daemon.url()
            server = prometheus(url.removeprefix("http://"), rules)
            assert server.becomes("up", 1) == 1
            for number in range(len(FAULTS)):
                be_busy(number, simulator, clients, url)
                written = len(simulator.books.posts)
                assert server.reaches(RECORDED, written)
            assert server.becomes(PAID_ALERT, 1) == 1
            assert empty(server) == []
            assert daemon.end() == 0
