"""Many processes, one account: exactly what the windows hold leaves, whoever is killed on the way."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sqlite3
from collections.abc import Callable

import pytest

from monitor.ledger import LEASE_SECONDS
from tests.fakes.builders import NOON, ledger, one, rows
from tests.fakes.processes import Worker, workers

pytestmark = pytest.mark.processes

DAY = {"quota": {"per_minute": 10_000, "per_day": 50}}
MINUTE = {"quota": {"per_minute": 20, "per_day": 50}}


@pytest.fixture
def book(tmp_path, clock):
    """A ledger at noon over the store that the workers share."""
    opened = ledger(tmp_path / "m.db", clock, **DAY)
    yield opened
    opened.store.close()


def left(book) -> int:
    """Attempts that may have left, by the log."""
    return one(book, "SELECT count(*) FROM calls WHERE outcome != 'refused'")


@pytest.mark.parametrize(("limits", "most", "reason"), [(DAY, 50, "day_limit"), (MINUTE, 20, "minute_limit")])
def test_exactly_the_limit_leaves(book, limits, most, reason):
    """Eight processes that ask until they are refused are let through exactly as often as the limit says."""
    with workers(8, "spend", book.store.path, json.dumps(limits), "app{i}") as started:
        for worker in started:
            worker.tell("all")
        for worker in started:
            worker.process.stdin.close()
        said = [line for worker in started for line in worker.hear_all()]
    assert said.count("in") == most
    assert said.count(reason) == 8
    assert left(book) == most
    assert one(book, "SELECT attempts FROM windows WHERE app = ''") == most
    assert one(book, "SELECT sum(attempts) FROM windows WHERE app != ''") == most
    assert one(book, "SELECT sum(n) FROM refusals") == 8


def test_the_killed_keep_what_they_took(book, clock):
    """Two of the eight are killed amid their reservations: never more than fifty leave, what the dead took stays
    counted, and the sweep settles it when their leases end."""
    with workers(8, "spend", book.store.path, json.dumps(DAY), "app{i}") as started:
        acknowledged = 0
        for _ in range(3):
            for worker in started:
                assert worker.ask("one") == "in"
                acknowledged += 1
        victims, others = started[:2], started[2:]
        for victim in victims:
            victim.tell("all")
        for victim in victims:
            acknowledged += victim.hear() == "in"
            victim.kill()
            acknowledged += victim.hear_all().count("in")
        for worker in others:
            worker.tell("all")
            worker.tell("settle")
        for worker in others:
            worker.process.stdin.close()
            acknowledged += worker.hear_all().count("in")
    lost = left(book) - acknowledged
    assert acknowledged + lost == 50
    # A killed process may have reserved once without having said so.
    assert 0 <= lost <= len(victims)
    dead = one(book, "SELECT count(*) FROM holds")
    assert dead == one(book, "SELECT count(*) FROM calls WHERE app IN ('app0', 'app1') AND outcome = 'in_flight'") > 0
    clock.advance(LEASE_SECONDS + 1)
    assert book.sweep() == dead
    assert one(book, "SELECT attempts FROM windows WHERE app = ''") == 50
    assert rows(book, "SELECT outcome, sum(n) FROM totals GROUP BY 1 ORDER BY 1") == [
        ("abandoned", dead),
        ("success", 50 - dead),
    ]


def test_a_writer_killed_a_hundred_times_loses_no_acknowledged_row(book):
    """Killed at random moments while another writes: the file stays sound and has every row whose end was told."""
    chance = random.Random(20_261_125)
    endless = json.dumps({"quota": {"per_minute": 1_000_000, "per_day": 1_000_000}})
    with book.store.transaction() as tx:
        tx.save_account("default", {"server_limit": 1_000_000})
    book.store.close()
    told: list[int] = []
    with Worker("brood", book.store.path, endless) as nurse:
        assert nurse.hear() == "ready"
        alive: list[int] = []

        def listen(until: Callable[[int, str], bool]) -> None:
            """Hear everybody, up to such a word."""
            while True:
                child, said = nurse.hear().split()
                if said == "born":
                    alive.append(int(child))
                elif said != "dead":
                    told.append(int(said))
                if until(int(child), said):
                    return

        def kill(child: int) -> None:
            os.kill(child, signal.SIGKILL)
            nurse.tell(f"reap {child}")
            listen(lambda who, said: (who, said) == (child, "dead"))

        for _ in range(100):
            while len(alive) < 2:
                nurse.tell("hatch")
                listen(lambda _, said: said == "born")
            victim = alive.pop(0)
            for _ in range(chance.randrange(20)):
                listen(lambda who, _: who == victim)  # noqa: B023 - used up within the round
            # At any point of whatever it is doing by now.
            select.select([], [], [], chance.random() * 0.005)
            kill(victim)
        kill(alive.pop())
    assert len(told) > 500
    assert len(set(told)) == len(told)
    check = sqlite3.connect(book.store.path)
    assert check.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    settled = {row for (row,) in check.execute("SELECT id FROM calls WHERE outcome = 'success'").fetchall()}
    ((open_rows,),) = check.execute("SELECT count(*) FROM calls WHERE outcome = 'in_flight'").fetchall()
    ((counted,),) = check.execute("SELECT sum(n) FROM totals").fetchall()
    ((attempts,),) = check.execute("SELECT attempts FROM windows WHERE app = ''").fetchall()
    check.close()
    assert settled.issuperset(told)
    assert counted == len(settled)
    assert attempts == len(settled) + open_rows
    assert open_rows <= 101


def test_processes_settle_each_others_dead(book, clock):
    """What one process left open, another settles, without being told of it."""
    with workers(1, "spend", book.store.path, json.dumps(DAY), "dead") as (victim,):
        assert victim.ask("one") == "in"
        victim.kill()
    assert one(book, "SELECT count(*) FROM holds") == 1
    clock.set(NOON + LEASE_SECONDS + 1)
    assert book.sweep() == 1
    assert one(book, "SELECT outcome FROM calls WHERE app = 'dead'") == "abandoned"
