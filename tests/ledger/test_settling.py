"""Settle, release, sweep: what an attempt cost in the end, once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from monitor.ledger import LEASE_SECONDS, SWEEP_SECONDS, Ledger
from monitor.model import Ending, Outcome, Reason, Usage
from tests.fakes.builders import (
    FREE,
    NOON,
    PAID,
    ask,
    ledger,
    one,
    rows,
    success,
    take,
)
from tests.fakes.processes import Worker

ANY = {"allow": "any"}
BUDGET = {"per_day_usd": 1.0, "per_month_usd": 2.0}
# 100 bytes of the body and 1000 tokens of the answer
WORST = 100e-6 + 1000 * 4e-6


@pytest.fixture
def make(tmp_path, clock):
    made: list[Ledger] = []

    def build(**sections: object) -> Ledger:
        made.append(ledger(tmp_path / "m.db", clock, **sections))
        return made[-1]

    yield build
    for book in made:
        book.store.close()


def money(book: Ledger) -> list[tuple[float, float]]:
    """(spent, reserved) of day and month."""
    found = rows(book, "SELECT usd, reserved_usd FROM spend ORDER BY period")
    return [(pytest.approx(usd, abs=1e-12), pytest.approx(reserved, abs=1e-12)) for usd, reserved in found]


def test_a_settlement_completes_the_row(make, clock):
    """All that was seen of the answer is written, and the lease is gone."""
    book = make()
    hold = take(book)
    clock.advance(1.5)
    book.settle(hold, success(model_served=FREE, provider="Gulls", generation_id="gen-1", ttft=0.25))
    ((*found,),) = rows(
        book,
        "SELECT ended_at, model_served, provider, generation_id, status, outcome, limit_kind, prompt_tokens,"
        " completion_tokens, cached_tokens, reasoning_tokens, cost_usd, duration_ms, ttft_ms, error, lease_until"
        " FROM calls",
    )
    assert found == [NOON + 1.5, FREE, "Gulls", "gen-1", 200, "success", None, 7, 5, 2, 1, 0.0, 1500, 250, None, None]


def test_settling_twice_counts_once(make):
    """The second ending of an attempt changes nothing, whatever it says."""
    book = make(guard=ANY, budget=BUDGET)
    hold = take(book, PAID)
    book.settle(hold, success(0.001))
    before = (rows(book, "SELECT * FROM calls"), rows(book, "SELECT * FROM totals"), rows(book, "SELECT * FROM spend"))
    book.settle(hold, success(0.5))
    book.settle(hold, Ending(Outcome.CANCELLED))
    book.release(hold, Ending(Outcome.NETWORK_ERROR))
    after = (rows(book, "SELECT * FROM calls"), rows(book, "SELECT * FROM totals"), rows(book, "SELECT * FROM spend"))
    assert after == before


def test_a_release_gives_everything_back(make):
    """A connection that was never made takes no free request, no minute slot and no dollar, but is on record."""
    book = make(guard=ANY, budget=BUDGET, quota={"per_minute": 1})
    free, paid = take(book), take(book, PAID)
    for hold in (free, paid, free):
        book.release(hold, Ending(Outcome.NETWORK_ERROR, error="ConnectError"))
    assert rows(book, "SELECT attempts FROM windows") == [(0,), (0,)]
    assert rows(book, "SELECT * FROM sends") == []
    assert money(book) == [(0, 0), (0, 0)]
    assert rows(book, "SELECT outcome, cost_usd FROM calls") == [("network_error", 0), ("network_error", 0)]
    take(book)


def test_a_slot_in_the_middle_does_not_return(make):
    """Only the newest send can leave the minute again: a slot too few is harmless, one too many is not."""
    book = make(quota={"per_minute": 2})
    first, second = take(book), take(book)
    book.release(first, Ending(Outcome.NETWORK_ERROR))
    assert book.reserve(ask()).verdict.reason is Reason.MINUTE_LIMIT
    book.release(second, Ending(Outcome.NETWORK_ERROR))
    take(book)
    assert book.reserve(ask()).verdict.reason is Reason.MINUTE_LIMIT
    assert one(book, "SELECT attempts FROM windows WHERE app = ''") == 1


# Money


def test_the_worst_case_is_reserved_and_the_truth_is_booked(make):
    """While a call runs its worst case is held in day and month; after it the true cost stands."""
    book = make(guard=ANY, budget=BUDGET)
    hold = take(book, PAID)
    assert one(book, "SELECT estimated_cost_usd FROM calls") == pytest.approx(WORST)
    assert money(book) == [(0, WORST), (0, WORST)]
    book.settle(hold, success(0.001))
    assert money(book) == [(0.001, 0), (0.001, 0)]
    assert one(book, "SELECT cost_usd FROM calls") == 0.001


def test_reservations_hold_the_budget(make):
    """As many calls are in flight as their worst cases fit, and no more; a settlement below it makes room."""
    book = make(guard=ANY, budget={"per_day_usd": 3 * WORST})
    holds = [take(book, PAID) for _ in range(3)]
    assert book.reserve(ask(PAID)).verdict.reason is Reason.BUDGET_DAY
    book.settle(holds[0], success(0.0))
    take(book, PAID)
    assert book.reserve(ask(PAID)).verdict.reason is Reason.BUDGET_DAY
    book.release(holds[1], Ending(Outcome.NETWORK_ERROR))
    take(book, PAID)


def test_a_call_that_ends_after_midnight_is_the_old_days(make, clock):
    """Money is booked in the day and month of its reservation."""
    book = make(guard=ANY | {"catalogue_max_age": 1e9}, budget=BUDGET)
    hold = take(book, PAID)
    clock.advance(86_400)
    book.settle(hold, success(0.5))
    assert money(book) == [(0.5, 0), (0.5, 0)]
    assert one(book, "SELECT count(*) FROM spend WHERE period = 'day'") == 1
    take(book, PAID)
    assert rows(book, "SELECT count(*) FROM spend WHERE period = 'day'") == [(2,)]


@pytest.mark.parametrize(
    ("outcome", "cost"),
    [
        (Outcome.SUCCESS, WORST),
        (Outcome.CANCELLED, WORST),
        (Outcome.NETWORK_ERROR, WORST),
        (Outcome.SERVER_ERROR, WORST),
        (Outcome.RATE_LIMITED, None),
        (Outcome.CLIENT_ERROR, None),
    ],
)
def test_without_a_reported_cost_what_may_have_billed_costs_its_estimate(make, outcome, cost):
    """A lost answer may have been billed; a clear refusal was not."""
    book = make(guard=ANY, budget=BUDGET)
    book.settle(take(book, PAID), Ending(outcome))
    assert one(book, "SELECT cost_usd FROM calls") == (None if cost is None else pytest.approx(cost))
    assert money(book) == [(cost or 0, 0)] * 2


def test_a_free_call_that_bills_raises_the_alarm(make):
    """Its tier becomes paid, its cost is booked, and an event says which call it was."""
    book = make()
    book.settle(take(book, call_id="c7"), success(0.02))
    assert rows(book, "SELECT tier, cost_usd FROM calls") == [("paid", 0.02)]
    assert rows(book, "SELECT tier, cost_usd FROM totals") == [("paid", 0.02)]
    assert money(book) == [(0.02, 0)] * 2
    ((kind, subject, after, note),) = rows(book, "SELECT kind, subject, after, note FROM events")
    assert (kind, subject, after) == ("spend_seen", FREE, "0.02")
    assert "c7" in note


def test_a_paid_call_that_bills_raises_none(make):
    """It was judged to."""
    book = make(guard=ANY)
    book.settle(take(book, PAID), success(0.02))
    assert rows(book, "SELECT * FROM events") == []


# Leases and the sweep


def test_a_dead_process_is_settled_when_its_lease_ends(make, clock):
    """A moment before the lease's end nothing happens; after it the row is abandoned, at its estimate."""
    book = make(guard=ANY, budget=BUDGET)
    take(book, PAID)
    clock.advance(LEASE_SECONDS)
    assert book.sweep() == 0
    clock.advance(0.001)
    assert book.sweep() == 1
    assert book.sweep() == 0
    assert rows(book, "SELECT outcome, cost_usd, lease_until FROM calls") == [("abandoned", pytest.approx(WORST), None)]
    assert money(book) == [(WORST, 0)] * 2


def test_a_sign_of_life_renews_the_lease(make, clock):
    """A stream that still runs is not swept; after its settlement a renewal opens nothing again."""
    book = make()
    hold = take(book)
    clock.advance(LEASE_SECONDS - 1)
    book.renew(hold)
    clock.advance(LEASE_SECONDS)
    assert book.sweep() == 0
    book.settle(hold, success())
    book.renew(hold)
    assert one(book, "SELECT lease_until FROM calls") is None


def test_reserving_sweeps_now_and_then(make, clock):
    """Nobody needs to run the sweep: a later call of any process does it, at most every half minute."""
    dead, alive = make(), make()
    take(dead)
    clock.advance(LEASE_SECONDS + 1)
    take(alive)
    assert rows(alive, "SELECT outcome FROM calls ORDER BY id") == [("abandoned",), ("in_flight",)]
    hold = take(dead)
    clock.advance(SWEEP_SECONDS - 1)
    with dead.store.transaction() as tx:
        tx.renew(hold.row, NOON)
    take(alive)
    assert one(alive, "SELECT outcome FROM calls WHERE id = ?", hold.row) == "in_flight"
    clock.advance(1)
    take(alive)
    assert one(alive, "SELECT outcome FROM calls WHERE id = ?", hold.row) == "abandoned"


def test_a_sweep_takes_them_all_and_only_them(make, clock):
    """More than one batch of dead rows are settled, those of the living between them are not."""
    book = make(quota={"per_minute": 10_000, "per_day": 10_000})
    book.note_key(None, asked_at=NOON)
    with book.store.transaction() as tx:
        tx.save_account("default", {"server_limit": 10_000})
    living = []
    for number in range(250):
        hold = take(book)
        if number % 50 == 7:
            living.append(hold)
    clock.advance(LEASE_SECONDS - 1)
    for hold in living:
        book.renew(hold)
    clock.advance(2)
    assert book.sweep() == 245
    assert one(book, "SELECT count(*) FROM holds") == 5
    for hold in living:
        book.settle(hold, success())
    take(book)
    clock.advance(LEASE_SECONDS + 1)
    assert book.sweep() == 1
    assert rows(book, "SELECT outcome, count(*) FROM calls GROUP BY 1 ORDER BY 1") == [
        ("abandoned", 246),
        ("success", 5),
    ]


@pytest.mark.parametrize("cost", [0.001, WORST, 0.5, 0.0, None])
def test_the_truth_amends_a_sweep_once(make, clock, cost):
    """A settlement that comes after the sweep replaces its guess in row and money; the attempt is counted once, and
    the sum of costs, which cannot go back, holds the larger of both."""
    book = make(guard=ANY, budget=BUDGET)
    hold = take(book, PAID)
    clock.advance(LEASE_SECONDS + 1)
    book.sweep()
    book.settle(hold, success(cost))
    truth = WORST if cost is None else cost
    for _ in range(2):
        assert rows(book, "SELECT outcome, cost_usd, prompt_tokens FROM calls") == [
            ("success", pytest.approx(truth), 7)
        ]
        assert money(book) == [(truth, 0)] * 2
        assert one(book, "SELECT sum(n) FROM totals") == 1
        assert one(book, "SELECT sum(calls) FROM totals") == 1
        assert one(book, "SELECT sum(cost_usd) FROM totals") == pytest.approx(max(truth, WORST))
        assert one(book, "SELECT sum(prompt_tokens) FROM totals") == 7
        book.settle(hold, success(9.9))  # and once only


def test_an_amended_free_call_costs_nothing_still(make, clock):
    """Without an estimate there is nothing to take back."""
    book = make()
    hold = take(book)
    clock.advance(LEASE_SECONDS + 1)
    book.sweep()
    book.settle(hold, success(0.0))
    assert rows(book, "SELECT outcome, cost_usd, tier FROM calls") == [("success", 0.0, "free")]
    assert rows(book, "SELECT * FROM spend") == []


# What cannot be written now


@pytest.mark.processes
def test_what_cannot_be_written_now_is_written_later(make, caplog):
    """While another holds the file a settlement does not raise; the next reservation writes it, with its own time."""
    book = make()
    hold, released = take(book), take(book)
    with Worker("lock", book.store.path) as holder:
        assert holder.hear() == "ready"
        holder.ask("lock")
        book.settle(hold, success())
        assert "could not be booked now" in caplog.text
        holder.ask("free")
    assert one(book, "SELECT outcome FROM calls WHERE id = ?", hold.row) == "in_flight"
    take(book)
    assert one(book, "SELECT outcome FROM calls WHERE id = ?", hold.row) == "success"
    assert book.write_left_over() == 0
    book.release(released, Ending(Outcome.NETWORK_ERROR))


def test_a_settlement_inside_a_transaction_is_left_over(make):
    """A finalizer that runs within this process's own transaction neither waits nor raises nor is lost."""
    book = make()
    hold = take(book)
    with book.store.transaction():
        book.settle(hold, success(), block=False)
    assert one(book, "SELECT outcome FROM calls") == "in_flight"
    assert book.write_left_over() == 0
    assert one(book, "SELECT outcome FROM calls") == "success"


def test_left_overs_keep_their_own_time(make, clock):
    """What is written late ended when it ended."""
    book = make()
    hold = take(book)
    clock.advance(2)
    with book.store.transaction():
        book.settle(hold, success(), block=False)
    clock.advance(50)
    book.write_left_over()
    assert rows(book, "SELECT ended_at, duration_ms FROM calls") == [(NOON + 2, 2000)]


def test_threads_that_write_left_overs_together_do_not_trip(make):
    """Eight threads that find the same left-overs write each once, and none of them raises."""
    book = make(quota={"per_minute": 1000})
    for _ in range(20):
        holds = [take(book) for _ in range(2)]
        with book.store.transaction():
            for hold in holds:
                book.settle(hold, success(), block=False)
        together = threading.Barrier(8)

        def write(_: int, together: threading.Barrier = together) -> int:
            together.wait()
            return book.write_left_over()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(8)))
        assert book.write_left_over() == 0
        with book.store.transaction() as tx:
            tx.save_account("default", {"server_limit": 1000})
    assert rows(book, "SELECT outcome, count(*) FROM calls GROUP BY 1") == [("success", 40)]


@pytest.mark.parametrize("where", ["error", "model_served", "provider", "generation_id"])
def test_text_that_is_no_text_does_not_stop_the_books(make, where):
    """Half a surrogate pair in an answer (JSON allows it) is written as something, and nothing is raised."""
    from monitor.redact import redact

    book = make()
    hold = take(book)
    book.settle(hold, success(**{where: redact("odd \ud83d text")}))
    assert one(book, f"SELECT {where} FROM calls").startswith("odd ")


# Totals


@pytest.mark.parametrize(
    ("seconds", "column"),
    [(0.0, "d00"), (0.01, "d00"), (0.0101, "d01"), (0.02, "d01"), (327.68, "d15"), (327.69, "d16"), (90_000, "d16")],
)
def test_durations_fall_into_their_bucket(make, clock, seconds, column):
    """A bound belongs to the bucket that it closes, and what exceeds the last has one too."""
    book = make()
    hold = take(book)
    with book.store.transaction() as tx:
        tx.add_totals(hold.call, success(), tier=hold.call.tier, cost_usd=0.0, seconds=seconds)
    names = [f"d{i:02}" for i in range(17)]
    ((*found,),) = rows(book, f"SELECT {', '.join(names)} FROM totals")
    assert dict(zip(names, found, strict=True)) == {name: int(name == column) for name in names}
    assert one(book, "SELECT duration_seconds FROM totals") == seconds


def test_time_to_first_token_has_buckets_of_its_own(make):
    """Only answers that had one are in them."""
    book = make()
    book.settle(take(book), success(ttft=0.5))
    book.settle(take(book), success())
    assert rows(book, "SELECT n, t06, ttft_seconds FROM totals") == [(2, 1, 0.5)]


def test_totals_tell_attempts_from_calls(make):
    """A retry is another attempt of the same call."""
    book = make()
    for attempt in (1, 2, 3):
        book.settle(take(book, attempt=attempt), success())
    assert rows(
        book, "SELECT n, calls, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens FROM totals"
    ) == [(3, 1, 21, 15, 6, 3)]


def test_totals_are_told_apart_by_what_people_ask_for(make):
    """App, model, tier, status, outcome and kind of limit each make a row of their own."""
    book = make(guard=ANY)
    book.settle(take(book, app="a"), success())
    book.settle(take(book, app="b"), success())
    book.settle(take(book, PAID, app="b"), success())
    book.settle(take(book, app="b"), Ending(Outcome.CLIENT_ERROR, status=404))
    book.settle(take(book, app="b"), Ending(Outcome.NETWORK_ERROR))
    found = rows(book, "SELECT app, model, tier, code, outcome, kind, n FROM totals ORDER BY app, model, tier, code")
    assert found == [
        ("a", FREE, "free", "200", "success", "", 1),
        ("b", FREE, "free", "200", "success", "", 1),
        ("b", FREE, "free", "404", "client_error", "", 1),
        ("b", FREE, "free", "none", "network_error", "", 1),
        ("b", PAID, "paid", "200", "success", "", 1),
    ]


def test_a_clock_that_steps_back_gives_no_negative_duration(make, clock):
    """An attempt that seems to end before it began took no time."""
    book = make()
    hold = take(book)
    clock.set(NOON - 100)
    book.settle(hold, success())
    assert one(book, "SELECT duration_ms FROM calls") == 0
    assert one(book, "SELECT duration_seconds FROM totals") == 0


def test_usage_that_was_not_reported_is_no_zero(make):
    """The row says that nothing is known."""
    book = make()
    book.settle(take(book), Ending(Outcome.SUCCESS, status=200, usage=Usage()))
    assert rows(book, "SELECT prompt_tokens, completion_tokens, cost_usd FROM calls") == [(None, None, None)]
