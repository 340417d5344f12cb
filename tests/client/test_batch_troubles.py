"""What goes wrong around a batch: other batches, other processes, disks, keys, models and midnights."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import CODER, KEY, NOON, QWEN, World, fault

from monitor import CallFailed, MonitorError
from monitor.client.batches import Manner, prepare
from monitor.client.batching import BatchResult, BatchRun
from monitor.client.items import State
from monitor.client.leases import LEASE_SECONDS
from monitor.client.workers import work_in_threads
from monitor.clock import DAY, Clock
from monitor.errors import StoreUnreachable
from monitor.simulator.options import SimulatorOptions
from monitor.simulator.server import Simulator
from tests.fakes.batch_worker import QuietClock
from tests.fakes.shared_clock import SharedClock

MIDNIGHT = NOON + DAY / 2


def questions(count: int, of: str = "question") -> list[str]:
    return [f"{of} {number}" for number in range(count)]


def asked(world: World) -> list[str]:
    """What was asked by the requests that arrived."""
    return [json.loads(post.body)["messages"][0]["content"] for post in world.sim.books.posts]


def a_run(world: World, count: int, **manner: Any) -> BatchRun:
    client = world.client()
    return prepare(client._base, client.fetch, questions(count), Manner("b", **manner))


# Time


def test_five_hundred_over_ten_days(worlds):
    """Fifty a day, day by day, evenly over each; all are answered, and no 429 of the platform's is met."""
    world = worlds(per_day=50, per_minute=20, now=MIDNIGHT)
    client = world.client(quota={"per_minute": 20})
    plan = client.batch(questions(500), spread="days", dry_run=True).plan
    found = client.batch(questions(500), concurrency=1, spread="days")
    assert (len(found.done), found.stopped) == (500, "")
    days = [int((post.at - MIDNIGHT) // DAY) for post in world.sim.books.posts]
    assert [days.count(day) for day in range(11)] == [50] * 10 + [0]
    assert [part.items for part in plan.days] == [50] * 10
    assert plan.ends_at == pytest.approx(world.sim.books.posts[-1].at, abs=60)
    assert (world.sim.books.overshoots, len(set(asked(world)))) == (0, 500)
    assert world.query("SELECT count(*) AS n FROM calls WHERE outcome = 'rate_limited'") == [{"n": 0}]


def test_a_midnight_in_its_midst(worlds):
    """The new day's requests are used as they come: a batch that waits for a minute at midnight simply goes on."""
    world = worlds(per_day=50, per_minute=20, now=MIDNIGHT - 30)
    found = world.client(quota={"per_minute": 20}).batch(questions(100), concurrency=1)
    assert (len(found.done), len(found.planned)) == (70, 30)
    assert found.stopped == "the day's requests are spent until 2026-11-26T00:00:00Z"
    assert sum(post.at < MIDNIGHT for post in world.sim.books.posts) == 20
    assert world.sim.books.overshoots == 0


def test_a_guard_before_openrouter_that_is_less_patient(worlds):
    """A proxy that refuses for its minute is asked again when the minute is over: the day is not spent by that."""
    error = {
        "message": "The 20 requests of this minute are used.",
        "metadata": {"reason": "minute_limit", "resets_at": "2026-11-24T12:00:40Z"},
    }
    headers = {"content-type": "application/json", "x-openrouter-monitor-reason": "minute_limit"}
    kind = {"kind": "status", "status": 429, "headers": headers, "body": json.dumps({"error": error})}
    world = worlds(fault(kind, nth=3))
    found = world.client().batch(questions(5), concurrency=1)
    assert (len(found.done), found.stopped) == (5, "")
    assert world.sim.books.posts[-1].at == pytest.approx(NOON + 40, abs=1)


# Networks


class Cable(httpx.HTTPTransport):
    """Pulled out until some time (epoch seconds)."""

    def __init__(self, clock: Clock, until: float) -> None:
        super().__init__()
        self.clock = clock
        self.until = until

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if NOON < self.clock.now() < self.until or (self.clock.now() == NOON and request.method == "POST"):
            raise httpx.ConnectError("Network is unreachable")
        return super().handle_request(request)


@pytest.mark.parametrize("catalogue", [86_400, 300])
def test_without_a_network_a_batch_waits(world, catalogue):
    """No item fails by it, and no retry of the hour is used: when the network is back, all of them are answered."""
    cable = Cable(world.clock, NOON + 600)
    client = world.client(options={"transport": cable}, guard={"catalogue_max_age": catalogue})
    found = client.batch(questions(30), concurrency=1)
    assert (len(found.done), found.stopped) == (30, "")
    assert world.sim.books.posts[0].at == pytest.approx(NOON + 600, abs=60)
    assert world.query("SELECT sum(retries) AS n FROM retry_spans") == [{"n": 0}]


def test_a_network_that_stays_away_ends_a_batch(world):
    """After an hour, by name; everything is left for the next run."""
    client = world.client()
    client.models()
    world.sim.stop()
    with pytest.raises(CallFailed, match="ConnectError"):
        client.batch(questions(30), name="b", concurrency=1)
    assert 3600 <= world.clock.now() - NOON < 4000
    assert len(client.batch(questions(30), name="b", dry_run=True).planned) == 30


# Others


def test_two_batches_at_once_share_the_quota(tmp_path):
    """Both on one store: together they stay within the minute and the day, and lose no request of it."""
    each, threads = 40, 3
    SharedClock(tmp_path / "clock", NOON).close()
    clock = QuietClock(tmp_path / "clock", asking=False)
    found: dict[str, BatchResult] = {}
    told: set[str] = set()
    with Simulator(SimulatorOptions(per_day=50, per_minute=20), clock=clock) as sim, contextlib.ExitStack() as stack:
        world = World(sim, tmp_path / "store.db", clock, stack)  # type: ignore[arg-type]
        clients = {name: world.client(name, clock=clock, quota={"per_minute": 20}) for name in ("one", "two")}
        clients["one"].models()  # else one of them would wait for the other's catalogue, by a clock that stands

        def work(name: str) -> None:
            def tell(_: object) -> None:
                told.add(name)
                clock.all_there = len(told) == len(clients)

            asks = questions(each, name)
            found[name] = clients[name].batch(asks, name=name, concurrency=threads, progress=tell)

        runs = [threading.Thread(target=work, args=(name,)) for name in clients]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        assert sum(len(one.done) for one in found.values()) == len(set(asked(world))) == sim.books.requests == 50
        assert sum(len(one.planned) for one in found.values()) == 2 * each - 50
        assert sim.books.overshoots == 0
    clock.close()


def test_a_lease_that_ran_out_ends_the_run(world):
    """A process that was away for long, and finds another one at its batch, asks nothing more."""
    mine, other = a_run(world, 5), a_run(world, 5)
    mine.begin()
    world.clock.advance(LEASE_SECONDS + 1)
    other.begin()
    assert mine.take() is None
    assert mine.stopped == "another process works on it now"
    assert len(mine.end().planned) == 5
    with pytest.raises(MonitorError, match="is being worked on"):
        a_run(world, 5).begin()


def test_the_lease_is_kept_however_long_an_item_takes(world):
    """Renewed while all workers wait for their answers: nobody else takes the batch, and asks the same."""
    run, told = a_run(world, 1), threading.Event()
    client = world.client()

    def slow(wish: Any) -> Any:
        for _ in range(3):
            world.clock.advance(LEASE_SECONDS * 0.75)
            told.clear()
            assert told.wait(60)
        with pytest.raises(MonitorError, match="is being worked on"):
            a_run(world, 1).begin()
        return client._ask(wish)

    # The second time that it is told, the lease was looked at after the clock had moved.
    assert len(work_in_threads(run, slow, world.clock, 1, lambda _: told.set()).done) == 1


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell when a process began")
def test_a_dead_process_of_the_same_number_is_not_waited_for(world):
    """In a container that was started anew, the process that died has our own number."""
    client = world.client()
    client.chat("x")
    with client._base.guard.ledger.store.transaction() as tx:
        assert tx.take_lease("batch:b", f"{socket.gethostname()}:{os.getpid()}:s1:0", NOON + 900, NOON)
    assert len(client.batch(["a"], name="b").done) == 1


def test_beginning_anew_forgets_nothing_before_it_begins(world):
    """A dry run tells what a fresh one would ask and touches nothing; while another process works on it, neither."""
    client = world.client()
    client.batch(questions(3), name="b")
    planned = client.batch(questions(3), name="b", fresh=True, dry_run=True)
    assert (len(planned.planned), planned.plan.items) == (3, 3)
    assert len(client.batch(questions(3), name="b", dry_run=True).done) == 3
    other = a_run(world, 3)
    other.begin()
    with pytest.raises(MonitorError, match="is being worked on"):
        client.batch(questions(3), name="b", fresh=True)
    assert len(other.end().done) == 3
    assert len(client.batch(questions(3), name="b", fresh=True).done) == 3
    assert world.sim.books.requests == 6


# Disks


@contextlib.contextmanager
def filling_disk() -> Iterator[Callable[[Path], None]]:
    """Gives a function after which no file may grow beyond what the log of the store is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(store: Path) -> None:
        # Python ignores SIGXFSZ, so a write beyond the limit fails with EFBIG.
        resource.setrlimit(resource.RLIMIT_FSIZE, (Path(f"{store}-wal").stat().st_size + 512, hard))

    try:
        yield fill
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_fills_loses_no_finished_item(world):
    """It ends the batch by name; with space again, what was answered is not asked for a second time."""
    client, filled = world.client(), threading.Event()

    def tell(_: object) -> None:
        if world.sim.books.requests >= 20 and not filled.is_set():
            filled.set()
            fill(world.path)

    with filling_disk() as fill, pytest.raises(StoreUnreachable):
        client.batch(questions(3000), name="b", concurrency=2, progress=tell)
    before = world.sim.books.requests
    finished = world.client().batch(questions(3000), name="b", dry_run=True)
    # Of each worker, one answer can have come that could not be written.
    assert before - 2 <= len(finished.done) <= before < 3000
    assert finished.failed == []
    world.client().batch(questions(3000)[:before], name="b", concurrency=1)
    again = asked(world)[before:]
    assert not {f"question {item.index}" for item in finished.done} & set(again)


def test_a_store_that_the_guard_cannot_write_is_told_alike(world):
    """Whoever of us meets it first: the exception is the store's, and no item failed by it."""
    client = world.client()
    client.models()
    with client._base.guard.ledger.store.transaction() as tx:
        tx._db.execute(
            "CREATE TRIGGER broken BEFORE INSERT ON calls BEGIN SELECT RAISE(ABORT, 'no room for a call'); END"
        )
    with pytest.raises(StoreUnreachable, match="no room for a call"):
        client.batch(questions(20), name="b", concurrency=2)
    assert len(client.batch(questions(20), name="b", dry_run=True).planned) == 20
    assert world.sim.books.requests == 0


def test_an_answer_that_could_not_be_written_is_tried_again(world):
    """When the store is back at the run's end, it is there, and not asked for again."""
    run, client = a_run(world, 1), world.client()
    run.begin()
    item = run.take()
    answer = client.chat(item.wish.body["messages"])  # type: ignore[union-attr]
    store = run._store
    with store.transaction() as tx:
        tx._db.execute("ALTER TABLE batch_items RENAME TO elsewhere")
    with pytest.raises(StoreUnreachable):
        run.answered(item, answer)  # type: ignore[arg-type]
    with store.transaction() as tx:
        tx._db.execute("ALTER TABLE elsewhere RENAME TO batch_items")
    assert run.end().done[0].text == answer.text


async def test_a_store_that_fails_is_told_by_itself(world):
    """Asynchronously too: the exception is the store's, and none of a group."""
    async with world.async_client() as client:
        await client.models()
        with client._base.guard.ledger.store.transaction() as tx:
            tx._db.execute(
                "CREATE TRIGGER broken BEFORE INSERT ON batch_items WHEN NEW.state = 'sent'"
                " BEGIN SELECT RAISE(ABORT, 'no room for this'); END"
            )
        with pytest.raises(StoreUnreachable, match="no room for this"):
            await client.batch(questions(20), concurrency=2)
    assert world.sim.books.requests == 0


# Keys and models


def test_a_wrong_key_is_no_items_failure(worlds):
    """It ends the run at once: nothing is marked as failed, and with the right key all of them are asked."""
    world = worlds(fault({"kind": "status", "status": 401, "message": "No cookie auth"}, times=1))
    client = world.client()
    with pytest.raises(CallFailed, match="Check the key"):
        client.batch(questions(30), concurrency=1)
    assert world.sim.books.requests == 1
    assert len(client.batch(questions(30), concurrency=1).done) == 30


def test_no_key_is_told(worlds):
    """A provider that echoes it: neither in the items, nor in why the run stopped, nor in the store."""
    world = worlds(fault({"kind": "status", "status": 400, "message": f"bad header Bearer {KEY}"}))
    found = world.client().batch(questions(25), concurrency=1)
    told = f"{found!r} {found.stopped} {[item.as_json() for item in found]}"
    assert "bad header" in told
    assert KEY not in told
    assert KEY not in str(world.query("SELECT * FROM batch_items")) + str(world.rows())


def test_a_model_that_vanishes_is_replaced(world):
    """By the next best, for whoever named none; for those who named it, the items fail without being sent."""
    client = world.client()

    def tell(progress: Any) -> None:
        if progress.done >= 10 and QWEN in {facts.id for facts in client.models()}:
            with contextlib.suppress(KeyError):
                world.sim.remove_model(QWEN)

    found = client.batch(questions(200), concurrency=2, progress=tell)
    assert len(found.done) == 200
    named = client.batch(questions(30, "named"), concurrency=1, model=QWEN)
    assert named.done == []
    assert world.sim.books.requests <= 203
    assert world.clock.now() - NOON < 60


def test_a_model_that_nobody_serves_is_not_asked_for_every_item(worlds):
    """One request shows it; the rest of the run fails without any, until it stops, and nothing is waited for."""
    world = worlds(fault("404_model", model=CODER))
    found = world.client().batch(questions(30), concurrency=1, model=CODER)
    assert (len(found.failed), len(found.planned)) == (20, 10)
    assert {item.state for item in found.failed} == {State.FAILED}
    assert (world.sim.books.requests, world.clock.now()) == (1, NOON)
