"""The desk: bookings of one turn share a transaction; each has its own end."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.bookings import Hold
from monitor.clock import FakeClock
from monitor.errors import StoreUnreachable
from monitor.ledger import Ledger
from monitor.model import Ending, LimitKind, Outcome
from monitor.openrouter.answer import AnswerReader
from monitor.proxy import desk as desk_module
from monitor.proxy.desk import Desk
from monitor.transport.watch import Watch
from tests.fakes.builders import FREE, ask, ledger, one, refused_by, rows, success
from tests.fakes.processes import Worker


@pytest.fixture
async def desk(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Desk]:
    book = ledger(tmp_path / "monitor.db", clock, quota={"per_minute": 50})
    made = Desk(book.store, book.settings, clock)
    made.housekeep()
    made.open()
    yield made
    await made.close()
    book.store.close()


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bookings each transaction held."""
    seen: list[int] = []
    together = desk_module._together

    def counting(tx, jobs):
        seen.append(len(jobs))
        return together(tx, jobs)

    monkeypatch.setattr(desk_module, "_together", counting)
    return seen


def reserve(desk: Desk, number: int = 0):
    """Ask as a course does."""
    asked = ask(FREE, call_id=f"call-{number}")
    return desk.book(lambda tx: desk.reserve_within(asked, None, tx), lambda decision: _undo(desk, decision))


def _undo(desk: Desk, decision) -> None:
    if decision.hold is not None:
        desk.release(decision.hold, Ending(Outcome.CANCELLED))


async def holds(desk: Desk, count: int) -> list[Hold]:
    decisions = await asyncio.gather(*(reserve(desk, number) for number in range(count)))
    return [decision.hold for decision in decisions if decision.hold is not None]


async def booked(desk: Desk) -> None:
    """Until nothing is waiting."""
    while desk._jobs or desk._away is not None:
        await asyncio.sleep(0)


async def test_what_comes_together_is_booked_together_and_exactly(desk, transactions):
    """Sixty-four at once in three transactions, of which exactly fifty get in: each sees what the one before took."""
    taken = await holds(desk, 64)
    assert (len(taken), transactions) == (50, [32, 32])
    assert one(desk, "SELECT count(*) FROM calls WHERE outcome = 'refused'") == 14
    for hold in taken:
        desk.settle(hold, success())
    await booked(desk)
    assert one(desk, "SELECT count(*) FROM calls WHERE outcome = 'success'") == 50
    assert one(desk, "SELECT count(*) FROM holds") == 0


async def test_the_end_of_a_call_is_booked_with_the_beginning_of_the_next(desk, transactions):
    """One transaction a call, where one follows another; the end comes first, so the next verdict knows of it."""
    (hold,) = await holds(desk, 1)
    desk.settle(hold, success())
    await asyncio.gather(reserve(desk, 1))
    assert transactions == [1, 2]
    assert rows(desk, "SELECT outcome FROM calls ORDER BY id") == [("success",), ("in_flight",)]


async def test_the_end_of_the_last_call_is_booked_by_itself(desk, transactions):
    """It waits for nobody who may never come."""
    (hold,) = await holds(desk, 1)
    desk.settle(hold, success())
    await booked(desk)
    assert transactions == [1, 1]
    assert rows(desk, "SELECT outcome FROM calls") == [("success",)]


async def test_what_another_thread_hands_in_at_the_very_end_is_booked(desk):
    """It was on its way to the loop when the desk closed."""
    (hold,) = await holds(desk, 1)
    other = threading.Thread(target=desk.settle, args=(hold, success()))
    other.start()
    other.join()  # on the loop, which so has not come to it yet
    await desk.close()
    await asyncio.sleep(0)
    assert one(desk, "SELECT outcome FROM calls") == "success"


async def test_one_that_fails_takes_nobody_with_it(desk):
    """An error in one booking undoes the shared transaction; the others are booked again, each by itself."""

    def broken(tx):
        raise ZeroDivisionError

    results = await asyncio.gather(reserve(desk), desk.book(broken), reserve(desk, 1), return_exceptions=True)
    assert isinstance(results[1], ZeroDivisionError)
    assert [results[0].hold is not None, results[2].hold is not None] == [True, True]
    assert one(desk, "SELECT count(*) FROM calls") == 2


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_who_goes_away_leaves_nothing_behind(desk, turns):
    """However far a reservation has come when its task is cancelled: it is not made, or given back."""
    task = asyncio.create_task(reserve(desk))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await booked(desk)
    assert one(desk, "SELECT count(*) FROM holds") == 0
    assert rows(desk, "SELECT sum(attempts) FROM windows WHERE app = ''") in ([(0,)], [(None,)])


@pytest.mark.processes
async def test_another_writer_holds_up_the_booking_and_nobody_else(desk, transactions):
    """While another process writes, bookings wait in a thread, the loop turns on, and all share what comes next."""
    with Worker("lock", desk.store.path) as worker:
        assert worker.hear() == "ready"
        worker.ask("lock")
        first = asyncio.create_task(reserve(desk))
        while desk._away is None:
            await asyncio.sleep(0)
        rest = [asyncio.create_task(reserve(desk, number)) for number in range(1, 9)]
        for _ in range(100):
            await asyncio.sleep(0)  # the loop is free
        assert not first.done()
        worker.ask("free")
        decisions = await asyncio.gather(first, *rest)
    assert all(decision.hold for decision in decisions)
    assert transactions[-1] == 8


async def test_a_store_that_is_gone_fails_reservations_and_keeps_settlements(desk, tmp_path):
    """Nothing leaves unrecorded; an end that cannot be written is written once the store is back."""
    (hold,) = await holds(desk, 1)
    path = tmp_path / "monitor.db"
    aside = path.rename(tmp_path / "aside.db")
    path.write_bytes(b"")
    results = await asyncio.gather(reserve(desk), reserve(desk, 1), return_exceptions=True)
    assert all(isinstance(result, Exception) for result in results)
    desk.settle(hold, success())
    await booked(desk)
    path.unlink()
    aside.rename(path)
    assert desk.write_left_over() == 0
    assert one(desk, "SELECT outcome FROM calls") == "success"


async def test_an_answer_dropped_without_a_word_is_booked(desk, clock):
    """A watch that is collected tells the desk, from whichever thread the collector runs in."""
    (hold,) = await holds(desk, 1)
    watch = [Watch(desk, hold, AnswerReader(hold.call.endpoint, 200, {}), clock.monotonic())]

    def drop() -> None:
        watch.clear()
        gc.collect()

    await asyncio.to_thread(drop)
    await asyncio.sleep(0)
    await booked(desk)
    assert one(desk, "SELECT outcome FROM calls") == "abandoned"


async def test_what_comes_after_the_end_is_booked_by_who_brings_it(desk):
    """A settlement after `close` is not lost."""
    (hold,) = await holds(desk, 1)
    await desk.close()
    desk.settle(hold, success())
    assert one(desk, "SELECT outcome FROM calls") == "success"


async def test_a_hold_is_renewed(desk, clock):
    """A long stream keeps its hold."""
    (hold,) = await holds(desk, 1)
    clock.advance(600)
    desk.renew(hold)
    await booked(desk)
    assert one(desk, "SELECT lease_until FROM calls") == clock.now() + 900


def alone(desk: Desk, number: int = 1):
    """Ask as the only call of the daemon does."""
    asked = ask(FREE, call_id=f"call-{number}")
    return desk.book_alone(lambda tx: desk.reserve_within(asked, None, tx))


async def test_who_is_alone_is_booked_at_once_and_does_not_wait_for_what_can_lie(desk):
    """An ordinary end changes no verdict: it is booked a moment later."""
    (hold,) = await holds(desk, 1)
    desk.settle(hold, success())
    (decision,) = alone(desk)
    assert decision.hold is not None
    assert rows(desk, "SELECT outcome FROM calls ORDER BY id") == [("in_flight",), ("in_flight",)]
    await booked(desk)
    assert rows(desk, "SELECT outcome FROM calls ORDER BY id") == [("success",), ("in_flight",)]


@pytest.mark.parametrize(
    "end",
    [
        lambda desk, hold: desk.settle(hold, refused_by(LimitKind.FREE_DAILY, limit=50)),
        lambda desk, hold: desk.settle(hold, refused_by(LimitKind.UPSTREAM)),
        lambda desk, hold: desk.settle(hold, success(0.5)),
        lambda desk, hold: desk.settle(replace(hold, cooled=True), success()),
        lambda desk, hold: desk.settle(replace(hold, call=replace(hold.call, estimate_usd=0.1)), success(None)),
        lambda desk, hold: desk.release(hold, Ending(Outcome.NETWORK_ERROR)),
    ],
    ids=[
        "the day is spent",
        "a model cools down",
        "it cost",
        "a model is warm again",
        "it was estimated",
        "given back",
    ],
)
async def test_no_verdict_overtakes_an_end_that_it_depends_on(desk, end):
    """Then there is no booking at once, and the usual one counts with what was learnt."""
    (hold,) = await holds(desk, 1)
    end(desk, hold)
    assert alone(desk) is None
    await reserve(desk, 1)
    assert rows(desk, "SELECT outcome FROM calls WHERE id = ?", hold.row) != [("in_flight",)]


@pytest.mark.processes
async def test_who_is_alone_does_not_wait_for_another_process(desk):
    """While it writes there is no booking at once, nor while one is on its way in the thread."""
    with Worker("lock", desk.store.path) as worker:
        assert worker.hear() == "ready"
        worker.ask("lock")
        assert alone(desk) is None
        waiting = asyncio.create_task(reserve(desk, 2))
        while desk._away is None:
            await asyncio.sleep(0)
        assert alone(desk) is None
        worker.ask("free")
        assert (await waiting).hold is not None


def test_it_is_a_ledger_for_everybody_else(tmp_path, clock):
    """Jobs that sweep and note figures use it as any other, and before it is opened nothing is lost."""
    book = ledger(tmp_path / "monitor.db", clock)
    desk = Desk(book.store, book.settings, clock)
    assert isinstance(desk, Ledger)
    decision = desk.reserve(ask(FREE))
    desk.settle(decision.hold, success())
    assert one(desk, "SELECT outcome FROM calls") == "success"
    with pytest.raises(StoreUnreachable), book.store.transaction():
        desk.reserve(ask(FREE))
