"""What the tests of the command line share: a home of their own, a way to call, and a store with something in it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from monitor.cli.context import Invocation
from monitor.cli.root import run
from monitor.clock import FakeClock
from monitor.model import Event, LimitKind, Reason
from monitor.simulator.options import SimulatorOptions
from monitor.simulator.server import Simulator
from tests.cli.cli_kit import CANARY, in_terminal
from tests.fakes.builders import FREE, FREE2, NOON, PAID, key_facts, ledger, refused_by, success, take
from tests.fakes.builders import ask as an_ask


@dataclass(frozen=True)
class Said:
    """What a run answered."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """A home with nothing in it, and no setting in the environment."""
    for name in list(os.environ):
        if name.startswith("OPENROUTER"):
            monkeypatch.delenv(name)
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


@pytest.fixture
def cli(home, capsys, clock):
    """Run the command in this process, at the fake clock's time."""

    def call(*arguments: Any) -> Said:
        capsys.readouterr()
        code = run([str(each) for each in arguments], Invocation(time=clock))
        return Said(code, *capsys.readouterr())

    return call


@pytest.fixture
def path(home, monkeypatch) -> Path:
    """Where the settings say that the store is."""
    monkeypatch.setenv("OPENROUTER_MONITOR_STORE", str(home / "monitor.db"))
    return home / "monitor.db"


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory) -> tuple[Path, float]:
    """A closed store that has seen a bit of everything, and the time at its end; made once, for it takes a while."""
    file, clock = tmp_path_factory.mktemp("lived-in") / "monitor.db", FakeClock(NOON)
    book = ledger(file, clock, apps={"billing-bot": {"share": 0.4}})
    for app, model in (("billing-bot", FREE), ("summariser", FREE2)):
        hold = take(book, model, app=app, call_id=f"call-{app}")
        clock.advance(1.0)
        book.settle(hold, success())
    book.reserve(an_ask(PAID, app="billing-bot", call_id="call-paid"))
    book.reserve(an_ask(None, app="notebook", call_id="call-none"))
    hold = take(book, FREE2, app="notebook", call_id="call-limited")
    clock.advance(0.5)
    book.settle(hold, refused_by(LimitKind.UPSTREAM, resets_at=clock.now() + 30))
    take(book, FREE, app="notebook", call_id="call-open")
    book.note_key(key_facts(used=2, usage_usd=0.0, limit_usd=None, is_free_tier=True), asked_at=clock.now())
    with book.store.transaction() as tx:
        tx.add_event(Event(clock.now() - 7200, "model_removed", "lab/old:free", "free", None))
        tx.add_event(Event(clock.now() - 60, "model_free", "lab/new:free", None, "free", "[red]\x1b[31mnew"))
        tx.count_refusal("billing-bot", Reason.MODEL_NOT_FREE, shadow=True)
    book.store.close()
    return file, clock.now()


@pytest.fixture
def store(path, clock: FakeClock, lived_in, monkeypatch) -> Path:
    """A store that has seen two successes, two refusals, a 429, a call in flight, and some events."""
    file, now = lived_in
    monkeypatch.setenv("OPENROUTER_API_KEY", CANARY)
    shutil.copy(file, path)
    clock.set(now)
    return path


@pytest.fixture
def sims(path, clock, monkeypatch):
    """Starts a simulated OpenRouter at the tests' time, which the settings point to."""
    running = []

    def start(*faults, time=clock, **options) -> Simulator:
        sim = Simulator(SimulatorOptions(faults=faults, chunks=4, **options), clock=time)
        running.append(sim)
        sim.__enter__()
        monkeypatch.setenv("OPENROUTER_MONITOR_BASE_URL", sim.base_url)
        monkeypatch.setenv("OPENROUTER_API_KEY", CANARY)
        return sim

    yield start
    for sim in running:
        sim.__exit__(None, None, None)


@pytest.fixture
def on_terminal():
    """Run the command in a terminal; its exit code and all that stood there."""
    return in_terminal
