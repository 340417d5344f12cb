"""A batch whose process is killed, three times over: no finished item is asked again, and the quota holds."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from client_kit import NOON

from monitor.policy.windows import SLOT
from monitor.simulator.options import SimulatorOptions
from monitor.simulator.server import Simulator
from tests.fakes.processes import Worker
from tests.fakes.shared_clock import SharedClock

pytestmark = pytest.mark.processes

ITEMS, A_DAY, AT_ONCE = 500, 50, 8


class BatchWorker(Worker):
    module = "tests.fakes.batch_worker"


class Runs:
    """A simulator with quotas on, and the processes that work on one batch against it, one after the other."""

    def __init__(self, folder: Path, sim: Simulator) -> None:
        self.folder = folder
        self.sim = sim

    def start(self, manner: str) -> BatchWorker:
        worker = BatchWorker(self.folder, self.sim.base_url, ITEMS, AT_ONCE, manner)
        assert worker.hear() == "ready"
        return worker

    def finished(self) -> set[str]:
        """Items with an answer on record."""
        with contextlib.closing(sqlite3.connect(self.folder / "monitor.db", timeout=5)) as connection:
            rows = connection.execute("SELECT item FROM batch_items WHERE state = 'done'").fetchall()
        return {row[0] for row in rows}

    def asked(self) -> list[str]:
        """The items of the requests that arrived, in their order."""
        prompts = [json.loads(post.body)["messages"][0]["content"] for post in self.sim.books.posts]
        return [f"q{prompt.removeprefix('question ')}" for prompt in prompts]


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    clock = SharedClock(tmp_path / "clock", NOON)
    with Simulator(SimulatorOptions(per_day=A_DAY, per_minute=20), clock=clock) as sim:
        yield Runs(tmp_path, sim)
    clock.close()


def test_killed_while_it_waits_for_a_minute(runs):
    """Fifty answers, 450 left for later, no 429 of the platform's, and no item asked twice."""
    for wanted in (20, 40, 40):
        with runs.start("asking") as worker:
            for line in iter(worker.hear, ""):
                if line == "waits" and runs.sim.books.requests >= wanted:
                    break
                if line == "waits":
                    worker.tell("go")
            assert len(runs.finished()) == runs.sim.books.requests == wanted
            worker.kill()
    with runs.start("asking") as worker:
        for line in iter(worker.hear, ""):
            if line == "waits":
                worker.tell("go")
            if line.startswith("ended"):
                break
    assert line == "ended 50 0 450"
    assert len(runs.asked()) == len(set(runs.asked())) == A_DAY
    # Nor is time lost by it: twenty, twenty and ten, each as soon as the slots of those before are free.
    at = [post.at for post in runs.sim.books.posts]
    assert at[-1] - at[0] == pytest.approx(2 * SLOT, rel=0.02)
    assert runs.sim.books.overshoots == 0
    assert runs.sim.books.cost_usd == 0


def test_killed_in_the_midst(runs):
    """Wherever it was: what was finished stays so; only what was under way, whose answer died with it, is lost."""
    known: list[tuple[set[str], int]] = []
    for wanted in (5, 15):
        with runs.start("free") as worker:
            for line in iter(worker.hear, ""):
                if line.startswith("done") and int(line.split()[1]) >= wanted:
                    break
            worker.kill()
        known.append((runs.finished(), len(runs.asked())))
    with runs.start("free") as worker:
        last = worker.hear_all()[-1]
    for finished, before in known:
        assert finished
        assert not finished & set(runs.asked()[before:])
    answered, arrived = len(runs.finished()), runs.sim.books.requests
    # Of each process, what it had reserved and not sent is lost too: nobody knows that it did not arrive.
    assert A_DAY - len(known) * AT_ONCE <= answered <= arrived <= A_DAY
    assert runs.sim.books.overshoots == 0
    assert last == f"ended {answered} 0 {ITEMS - answered}"
