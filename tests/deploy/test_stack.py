"""The native stack: up, all of it sees the rest; what died is started again; down, nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.simulator.server import Simulator
from tests.e2e.conftest import Prometheus
from tests.fakes.processes import ROOT
from tests.fakes.programs import free_port, need

pytestmark = [pytest.mark.e2e, pytest.mark.processes]

SCRIPT = ROOT / "deploy" / "stack.sh"
PARTS = ("daemon", "prometheus", "alertmanager")


class Stack:
    """The script, with a home and ports of its own."""

    def __init__(self, home: Path, simulator: Simulator) -> None:
        self.home, self.prometheus_port = home, free_port()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("OPENROUTER")}
        self.environment = clean | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "STACK_HOME": str(home),
            "STACK_DAEMON": f"127.0.0.1:{free_port()}",
            "STACK_PROMETHEUS": f"127.0.0.1:{self.prometheus_port}",
            "STACK_ALERTMANAGER": f"127.0.0.1:{free_port()}",
            "STACK_SCRAPE_INTERVAL": "1s",
            "OPENROUTER_MONITOR_STORE": str(home / "monitor.db"),
            "OPENROUTER_MONITOR_BASE_URL": simulator.base_url,
            "OPENROUTER_API_KEY": "sk-or-v1-of-a-test",
        }

    def do(self, verb: str) -> tuple[int, str]:
        # A file, not a pipe: what the script starts would hold a pipe open.
        with (self.home / "said").open("w+", encoding="utf-8") as said:
            told = subprocess.run(
                [SCRIPT, verb], env=self.environment, stdout=said, stderr=said, check=False, timeout=120
            )
            said.seek(0)
            return told.returncode, said.read()

    def process(self, part: str) -> int:
        return int((self.home / f"{part}.pid").read_text())


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Not started yet; ended after the test, whatever became of it."""
    need("prometheus")
    need("prometheus-alertmanager")
    with Simulator() as simulator:
        made = Stack(tmp_path, simulator)
        yield made
        assert made.do("down")[0] == 0


def lives(process: int) -> bool:
    """Whether it is more than an entry that nobody has read yet."""
    there = Path(f"/proc/{process}/cmdline")
    return there.exists() and there.read_bytes() != b""


def test_the_stack_starts_stays_whole_and_ends(stack: Stack) -> None:
    """Prometheus scrapes all three and has our rules; a part that was killed comes back alone; down ends every one."""
    code, said = stack.do("up")
    assert code == 0, said
    server = Prometheus(stack.prometheus_port)
    assert server.becomes("count(up == 1)", 3) == 3
    assert server.reaches("sum(prometheus_rule_group_rules)", 30)
    assert server.reaches("prometheus_notifications_alertmanagers_discovered", 1) == 1

    before = {part: stack.process(part) for part in PARTS}
    os.kill(before["daemon"], 9)
    assert server.becomes('up{job="openrouter-monitor"}', 0) == 0
    code, said = stack.do("status")
    assert (code, "daemon does not run" in said) == (1, True)
    assert stack.do("up")[0] == 0
    after = {part: stack.process(part) for part in PARTS}
    assert {part for part in PARTS if before[part] != after[part]} == {"daemon"}
    assert server.becomes('up{job="openrouter-monitor"}', 1) == 1

    code, said = stack.do("down")
    assert (code, said.splitlines()) == (0, ["prometheus ended", "alertmanager ended", "daemon ended"])
    assert not list(stack.home.glob("*.pid"))
    assert not any(lives(process) for process in after.values())


def test_a_verb_that_there_is_not_is_said(stack: Stack) -> None:
    """With those that there are."""
    code, said = stack.do("restart")
    assert (code, said) == (1, "stack.sh: say up, down or status\n")
