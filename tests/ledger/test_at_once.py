"""Reserving and settling on an event loop: at once or not at all, never by waiting."""

from __future__ import annotations

import pytest

from monitor.errors import StoreUnreachable
from monitor.model import Action
from monitor.store.sqlite.connection import CHECK_EVERY
from tests.fakes.builders import ask, ledger, one, success
from tests.fakes.processes import Worker


@pytest.fixture
def book(tmp_path, clock):
    made = ledger(tmp_path / "monitor.db", clock, quota={"per_minute": 1000, "per_day": 1000})
    yield made
    made.store.close()


def test_a_ledger_is_ready_once_its_first_transaction_is_over(book):
    """The first use opens the file and sweeps, which takes time: it is not for an event loop."""
    book.store.close()
    assert not book.ready
    book.reserve(ask())
    assert book.ready


def test_at_once_does_the_same(book):
    """A call that is reserved and settled without waiting is on record like any other."""
    book.reserve(ask())
    decision = book.reserve(ask(call_id="call-2"), block=False)
    assert decision.verdict.action is Action.ADMIT
    assert book.settle_at_once(decision.hold, success())
    assert one(book, "SELECT outcome FROM calls WHERE call_id = 'call-2'") == "success"


def test_at_once_waits_for_nobody_and_takes_nothing(book):
    """While another process writes, both say so at once; afterwards a transaction that may wait waits again."""
    hold = book.reserve(ask()).hold
    with Worker("lock", book.store.path) as holder:
        assert holder.hear() == "ready"
        holder.ask("lock")
        with pytest.raises(StoreUnreachable):
            book.reserve(ask(call_id="call-2"), block=False)
        assert not book.settle_at_once(hold, success())
        holder.ask("free")
    assert one(book, "SELECT count(*) FROM calls") == 1
    with book.store.transaction() as tx:
        ((milliseconds,),) = tx._db.execute("PRAGMA busy_timeout").fetchall()
    assert milliseconds > 0
    book.settle(hold, success())
    assert one(book, "SELECT outcome FROM calls") == "success"


def test_looking_after_the_files_is_left_to_who_may_wait(book):
    """Every so many commits a ledger is not ready, until a transaction that may wait has looked after the files."""
    book.reserve(ask())
    for number in range(CHECK_EVERY):
        if not book.ready:
            break
        book.reserve(ask(call_id=f"call-{number}"), block=False)
    assert not book.ready
    book.reserve(ask(call_id="last"))
    assert book.ready


def test_chores_are_left_to_who_may_wait(book, clock):
    """A sweep that is due makes a ledger not ready: sweeping can take long."""
    book.reserve(ask())
    clock.advance(31)
    assert not book.ready
    book.reserve(ask(call_id="call-2"))
    assert book.ready
