"""simulate and demo: what a new user sees first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import httpx
import pytest

from monitor.simulator.server import Simulator
from tests.cli.cli_kit import CANARY, command


def test_simulate_serves_until_it_is_told_to_stop():
    """It says where it listens, answers there, and ends well at SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", "simulate", "--port", "0", "--per-day", "7"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    url = process.stdout.readline().split()[-1]
    answer = httpx.get(f"{url}/key", headers={"authorization": "Bearer sk-or-v1-anything"}, trust_env=False)
    assert answer.json()["data"]["free_model_daily_requests"]["limit"] == 7
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
    process.stdout.close()


def test_simulate_tells_of_a_port_that_is_taken(cli):
    """A port that somebody else has is one line, exit code 2."""
    with Simulator() as simulator:
        port = simulator.base_url.split(":")[2].split("/")[0]
        said = cli("simulate", "--port", port)
    assert said.code == 2
    assert "cannot listen" in said.err


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> subprocess.CompletedProcess[str]:
    """One run of the demo in a pipe."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENROUTER")}
    return subprocess.run(
        [sys.executable, "-m", "monitor", "demo"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**environment, "TMPDIR": str(tmp_path_factory.mktemp("demo"))},
    )


def test_the_demo_shows_everything_by_itself(shown):
    """It ends well, shows what passed and each kind of refusal, and that nothing was billed."""
    assert (shown.returncode, shown.stderr) == (0, "")
    for word in ("let through", "model_not_free", "fallback_not_free", "paid_plugin", "minute_limit", "network_error"):
        assert word in shown.stdout
    assert "\x1b" not in shown.stdout
    (billed,) = [line for line in shown.stdout.splitlines() if line.startswith("billed")]
    assert billed.split() == ["billed", "$0.00", "$0.00"]
    (over,) = [line for line in shown.stdout.splitlines() if line.startswith("over quota")]
    assert over.split() == ["over", "quota", "0", "0"]
    (arrived,) = [line for line in shown.stdout.splitlines() if line.startswith("requests that arrived")]
    assert arrived.split()[-1] == arrived.split()[-2]


def test_what_the_demo_leaves_can_be_looked_at(shown):
    """The commands that it names at the end work on what it left."""
    (line,) = [line for line in shown.stdout.splitlines() if line.startswith("export ")]
    file = line.partition("=")[2]
    for names in (("status",), ("calls", "--outcome", "refused"), ("models", "--free"), ("doctor",)):
        process = command("--config", file, *names)
        assert process.returncode == 0, process.stderr
        assert process.stdout


def test_the_demo_leaves_a_store_alone(cli, store):
    """Made-up calls are not written into a store that is there already."""
    before = store.read_bytes()
    os.environ.pop("OPENROUTER_API_KEY")
    said = cli("demo", "--store", store)
    assert said.code == 1
    assert "exists already" in said.err
    assert store.read_bytes() == before


def test_the_demo_spends_nothing_at_the_real_openrouter(cli, home, monkeypatch):
    """With a key it sends two free requests and no other, whatever the user's settings would allow."""
    with Simulator() as real:
        for name, value in (("BASE_URL", real.base_url), ("GUARD__ALLOW", "any"), ("GUARD__MODE", "shadow")):
            monkeypatch.setenv(f"OPENROUTER_MONITOR_{name}", value)
        monkeypatch.setenv("OPENROUTER_API_KEY", CANARY)
        monkeypatch.setenv("TMPDIR", str(home))
        process = command("demo", "--store", home / "demo.db")
        assert process.returncode == 0, process.stderr
        assert (real.books.requests, real.books.free_served, real.books.cost_usd) == (2, 2, 0.0)
    assert "model_not_free" in process.stdout
    assert not [file for file in home.rglob("*") if file.is_file() and CANARY.encode() in file.read_bytes()]
