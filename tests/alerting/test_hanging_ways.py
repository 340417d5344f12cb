"""The real daemon, while the webhook and the mail server that it tells take its connections and never say a word."""

from __future__ import annotations

import json
import socket

import httpx
import pytest
from test_alerts_live import CREDITS, KEY, leave, looks, state, status, until

from monitor.policy.alert_states import Phase
from monitor.simulator.server import Simulator
from tests.fakes.daemon import WAIT, DaemonProcess, fetch

pytestmark = pytest.mark.processes


def test_ways_that_hang_hold_up_neither_calls_nor_polls_nor_looks(tmp_path):
    """Meanwhile calls are let through, models polled, alerts judged and pages shown; and the daemon ends in order."""
    store = tmp_path / "monitor.db"
    leave(store, state(CREDITS, "critical", Phase.FIRING, component="spend"), told=("webhook", "mail"))
    with Simulator() as sim, socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.settimeout(WAIT)
        port = deaf.getsockname()[1]
        settings = {
            "STORE": store,
            "BASE_URL": sim.base_url,
            "POLL__MODELS_SECONDS": 1,
            "ALERTS__EVALUATE_SECONDS": 1,
            "ALERTS__WEBHOOK_URL": f"http://127.0.0.1:{port}/",
            "ALERTS__SMTP_URL": f"smtp://127.0.0.1:{port}",
            "ALERTS__MAIL_TO": "you@example.org",
        }
        with DaemonProcess(tmp_path, **settings) as daemon:
            url = daemon.url()
            hanging = [deaf.accept()[0], deaf.accept()[0]]
            before = status(url)["catalogue"]["fetched_at"]
            model = next(
                row["id"] for row in json.loads(fetch(f"{sim.base_url}/models"))["data"] if ":free" in row["id"]
            )
            answer = httpx.post(
                f"{url}/api/v1/chat/completions",
                json={"model": model, "messages": [{"role": "user", "content": "hello"}]},
                headers={"authorization": f"Bearer {KEY}"},
                trust_env=False,
                timeout=WAIT,
            )
            assert answer.status_code == 200, answer.text
            looks(url, 2)
            until(url, lambda told: told["catalogue"]["fetched_at"] > before)
            assert b"<h1" in fetch(f"{url}/")
            assert [way["sent_at"] for way in status(url)["alerts"]["ways"]] == [None, None]
            assert daemon.end() == 0
        for connection in hanging:
            connection.close()
