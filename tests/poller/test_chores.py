"""Chores: what is looked after in the store, beside whoever writes."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from monitor.clock import DAY, day_of
from monitor.errors import StoreUnreachable
from monitor.ledger import LEASE_SECONDS
from monitor.store.sqlite.connection import WAL_LIMIT_BYTES
from tests.fakes.builders import MIDNIGHT, NOON, fill, one, rows, success, take
from tests.fakes.processes import Worker

PLENTY = {"per_minute": 10**6, "per_day": 10**6}


def attempts(watch, day: int) -> int:
    with watch.store.transaction() as tx:
        return tx.day_windows("default", day).get("", (0, 0))[0]


def test_what_outlived_its_lease_is_settled(daemon, caplog):
    """A call whose process died does not stay open, though no app calls any more."""
    watch = daemon()
    fill(watch.store, watch.settings, NOON)
    take(watch.ledger)
    watch.clock.advance(LEASE_SECONDS + 1)
    assert watch.run("sweep") is True
    assert rows(watch.store, "SELECT outcome FROM calls") == [("abandoned",)]


@pytest.mark.processes
def test_what_could_not_be_booked_is_booked_later(daemon):
    """An end that met a locked store is written by the next sweep."""
    watch = daemon()
    fill(watch.store, watch.settings, NOON)
    hold = take(watch.ledger)
    watch.store.close()
    with Worker("lock", watch.path) as worker:
        assert worker.hear() == "ready"
        worker.ask("lock")
        watch.ledger.settle(hold, success())
        worker.ask("free")
    assert watch.run("sweep") is True
    assert rows(watch.store, "SELECT outcome FROM calls") == [("success",)]


def test_the_hours_are_counted_once_by_however_many(daemon):
    """The charts' sums are the log's, whichever daemon gets to them."""
    first, second = daemon(quota=PLENTY), daemon(quota=PLENTY)
    fill(first.store, first.settings, NOON)
    for _ in range(3):
        first.ledger.settle(take(first.ledger), success())
        assert first.run("hours")
        assert second.run("hours")
    assert rows(first.store, "SELECT width, sum(n) FROM hours GROUP BY 1") == [(1, 3), (24, 3)]


def test_the_pace_is_noted_by_one_daemon_a_minute(daemon):
    """Two daemons leave one note a minute, of what is used by then."""
    first, second = daemon(quota=PLENTY), daemon(quota=PLENTY)
    fill(first.store, first.settings, NOON)
    for _ in range(5):
        first.ledger.settle(take(first.ledger), success())
        assert first.run("pace")
        assert second.run("pace")
        first.clock.advance(61)
    notes = rows(first.store, "SELECT at, summary FROM snapshots WHERE poller = 'ledger' ORDER BY id")
    assert [json.loads(summary)["used"] for _, summary in notes] == [1, 2, 3, 4, 5]


def test_the_log_is_kept_as_long_as_set_and_no_sum_changes(daemon):
    """What is older than the retention goes; totals and the day's windows stay as they were."""
    watch = daemon(quota=PLENTY, retention={"days": 2, "max_rows": 1000}, guard={"catalogue_max_age": 10 * DAY})
    fill(watch.store, watch.settings, NOON)
    for _ in range(6):
        watch.ledger.settle(take(watch.ledger), success())
        watch.clock.advance(DAY / 2)
    sums = rows(watch.store, "SELECT n, calls, prompt_tokens FROM totals")
    assert watch.run("prune")
    assert one(watch.store, "SELECT count(*) FROM calls") == 4
    assert rows(watch.store, "SELECT n, calls, prompt_tokens FROM totals") == sums
    assert attempts(watch, day_of(NOON)) == 1


def test_a_batch_that_nobody_works_on_is_forgotten(daemon):
    """Its answers are kept for as long as calls are; those of one that is still worked on stay."""
    watch = daemon(retention={"days": 2})
    fill(watch.store, watch.settings, NOON)
    with watch.store.transaction() as tx:
        for name, used_at in (("old", NOON), ("young", NOON + 1)):
            tx.use_batch(name, used_at)
            tx.save_batch_item(name, "q1", "done", used_at, "{}")
    watch.clock.advance(2 * DAY + 1)
    assert watch.run("prune")
    assert rows(watch.store, "SELECT name FROM batches") == [("young",)]
    assert rows(watch.store, "SELECT batch FROM batch_items") == [("young",)]


def test_two_daemons_prune_once(daemon):
    """Who comes second within the hour leaves it."""
    first, second = daemon(retention={"days": 0}), daemon(retention={"days": 0})
    fill(first.store, first.settings, NOON)
    first.run("prune")
    for _ in range(2):
        first.ledger.settle(take(first.ledger), success())
    first.clock.advance(1)
    second.run("prune")
    assert one(first.store, "SELECT count(*) FROM calls") == 2
    first.clock.advance(3600)
    second.run("prune")
    assert one(first.store, "SELECT count(*) FROM calls") == 1  # the newest keeps its id from being given out twice


@pytest.mark.processes
def test_pruning_beside_a_writer_changes_no_sum(daemon):
    """Another process books calls all the while: each is in the totals once, whatever is forgotten meanwhile."""
    watch = daemon(quota=PLENTY, retention={"days": 0})
    fill(watch.store, watch.settings, NOON)
    watch.clock.advance(1)
    with Worker("write", watch.path, json.dumps({"quota": PLENTY})) as worker:
        assert worker.hear() == "ready"
        worker.tell("go")
        said = [worker.hear() for _ in range(50)]
        for _ in range(20):
            watch.clock.advance(3601)
            assert watch.run("prune")
            said += [worker.hear() for _ in range(20)]
        worker.kill()
        said += [line for line in worker.hear_all() if line]
    counted = one(watch.store, "SELECT sum(n) FROM totals")
    settled = sum(not line.endswith("born") for line in said)
    assert settled <= counted <= settled + 1
    assert one(watch.store, "SELECT count(*) FROM calls") < counted


def test_the_write_ahead_log_is_emptied(daemon):
    """A checkpoint leaves nothing in the log beside the store."""
    watch = daemon(quota=PLENTY)
    fill(watch.store, watch.settings, NOON)
    wal = Path(f"{watch.path}-wal")
    assert wal.stat().st_size > 0
    assert watch.run("checkpoint") is True
    assert wal.stat().st_size == 0


def test_the_write_ahead_log_stays_bounded(daemon):
    """Whatever is written between two checkpoints of the daemon, the log beside the store does not grow for ever."""
    watch = daemon(quota=PLENTY)
    fill(watch.store, watch.settings, NOON)
    wal, largest = Path(f"{watch.path}-wal"), 0
    for _ in range(3000):
        watch.ledger.settle(take(watch.ledger), success())
        largest = max(largest, wal.stat().st_size)
    assert largest < WAL_LIMIT_BYTES * 2


def test_a_reader_in_the_way_of_a_checkpoint_is_no_failure(daemon):
    """A long report only postpones it."""
    watch = daemon()
    fill(watch.store, watch.settings, NOON)
    other = daemon()
    with other.store.connection.reading() as reading:
        reading.execute("SELECT count(*) FROM models").fetchall()
        assert watch.run("checkpoint") is True
    assert watch.run("checkpoint") is True


def test_a_store_that_fails_is_told_of_once(daemon, caplog):
    """Chores on a store that is gone fail quietly but for one line each."""
    watch = daemon()
    watch.store.connection.path = watch.path / "below" / "a" / "file.db"
    watch.path.write_bytes(b"")
    with pytest.raises(StoreUnreachable), watch.store.transaction():
        pass
    assert [watch.run("pace") for _ in range(3)] == [False] * 3
    assert len([record for record in caplog.records if "pace" in record.message]) == 1


# The end of the UTC day


def test_a_call_of_the_old_day_settled_in_the_new_counts_for_the_old(daemon):
    """An attempt that left at 23:59:59.9 is counted on the day that it was sent, whenever its end is known."""
    watch = daemon()
    watch.clock.set(MIDNIGHT + DAY - 0.1)
    fill(watch.store, watch.settings, watch.clock.now())
    today = day_of(watch.clock.now())
    hold = take(watch.ledger)
    watch.clock.advance(0.2)
    assert day_of(watch.clock.now()) == today + 1
    watch.ledger.settle(hold, success())
    assert (attempts(watch, today), attempts(watch, today + 1)) == (1, 0)


@pytest.mark.parametrize("seconds", [0.2, DAY, 40 * DAY])
def test_a_leap_of_the_clock_with_calls_in_flight_moves_no_count(daemon, seconds):
    """Asleep over midnight, or with a clock set forward: what was sent before stays with its day."""
    watch = daemon(guard={"catalogue_max_age": 60 * DAY})
    watch.clock.set(MIDNIGHT + DAY - 0.1)
    fill(watch.store, watch.settings, watch.clock.now())
    today = day_of(watch.clock.now())
    holds = [take(watch.ledger, call_id=f"call-{i}") for i in range(3)]
    watch.clock.set(watch.clock.now() + seconds)
    watch.ledger.settle(holds[0], success())
    assert watch.run("sweep")
    assert watch.run("pace")
    new = day_of(watch.clock.now())
    assert (attempts(watch, today), attempts(watch, new)) == (3, 0)
    take(watch.ledger, call_id="call-new")
    assert attempts(watch, new) == 1


def test_a_clock_set_back_over_midnight_goes_on_counting_where_it_was(daemon):
    """The old day's count is still there when the clock returns to it, so its quota cannot be used twice."""
    watch = daemon(quota={"per_day": 3})
    watch.clock.set(MIDNIGHT + DAY - 10)
    fill(watch.store, watch.settings, watch.clock.now())
    holds = [take(watch.ledger, call_id=f"call-{i}") for i in range(2)]
    watch.clock.advance(20)
    holds.append(take(watch.ledger, call_id="call-of-tomorrow"))
    watch.clock.set(MIDNIGHT + DAY - 5)
    holds.append(take(watch.ledger, call_id="call-back"))
    for hold, _ in zip(holds, itertools.count(), strict=False):
        watch.ledger.settle(hold, success())
    today = day_of(watch.clock.now())
    assert (attempts(watch, today), attempts(watch, today + 1)) == (3, 1)
