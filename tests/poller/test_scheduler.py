"""The scheduler: when jobs run, whatever becomes of the clock, and what is told of their runs."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from monitor.clock import FakeClock, SystemClock
from monitor.metrics.polls import Polls
from monitor.metrics.sheet import Sheet
from monitor.poller.scheduler import JITTER, TOO_FAR, Paced, Scheduler

WAIT = 20.0
"""Seconds after which an event that does not come fails a test; it is never waited for in vain otherwise."""


class Bell:
    """A job that counts its runs, can be held up, and fails or raises when told to. Named as one that exists."""

    def __init__(self, name: str = "models", seconds: float = 3600.0, first: float = 0.0) -> None:
        self.name, self.seconds, self.first = name, seconds, first
        self.runs = 0
        self.result: bool | Exception = True
        self.wanted: float | None = None
        self.may_end = threading.Event()
        self.may_end.set()
        self._changed = threading.Condition()

    def delay(self) -> float:
        return self.seconds if self.wanted is None else self.wanted

    def run(self) -> bool:
        with self._changed:
            self.runs += 1
            self._changed.notify_all()
        assert self.may_end.wait(WAIT)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def wait_for(self, runs: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.runs >= runs, WAIT)


class Heard(Polls):
    """Figures that can be waited for."""

    def __init__(self) -> None:
        super().__init__({})
        self.changed = threading.Condition()
        self.told: list[tuple[str, str]] = []

    def ran(self, job: str, result: str) -> None:
        super().ran(job, result)
        with self.changed:
            self.told.append((job, result))
            self.changed.notify_all()

    def wait_for(self, told: tuple[str, str]) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: told in self.told, WAIT)


@contextmanager
def running(*jobs: Bell, clock: FakeClock | SystemClock | None = None) -> Iterator[tuple[Scheduler, Heard]]:
    heard = Heard()
    scheduler = Scheduler(jobs, clock if clock is not None else SystemClock(), heard, random.Random(1))
    scheduler.start()
    try:
        yield scheduler, heard
    finally:
        for job in jobs:
            job.may_end.set()
        scheduler.stop()


def next_run(scheduler: Scheduler, name: str = "models") -> datetime:
    found = scheduler.inner.get_job(name).next_run_time
    assert isinstance(found, datetime)
    return found


def paused(clock: FakeClock, *jobs: Bell) -> Scheduler:
    """A scheduler whose clock is the test's: APScheduler plans for it and runs nothing."""
    scheduler = Scheduler(jobs, clock, Heard(), random.Random(1))
    scheduler.inner.start(paused=True)
    now = datetime.fromtimestamp(clock.now(), UTC)
    for job in jobs:
        trigger = scheduler._triggers[job.name]
        when = trigger.get_next_fire_time(None, now)
        scheduler.inner.add_job(job.run, trigger, id=job.name, next_run_time=when)
    return scheduler


def test_the_first_run_is_at_once():
    """Who starts the daemon does not wait an interval for the first catalogue."""
    bell = Bell()
    with running(bell):
        assert bell.wait_for(1)


def test_a_run_comes_a_little_after_its_interval_and_never_before():
    """Jitter spreads what many daemons ask, and never asks a cache before its age."""
    bell, now = Bell(seconds=100.0), datetime(2026, 11, 24, tzinfo=UTC)
    trigger = Paced(bell, random.Random(7))
    later = [(trigger.get_next_fire_time(None, now) - now).total_seconds() for _ in range(200)]
    assert 100 * (1 + JITTER[0]) <= min(later) < max(later) <= 100 * (1 + JITTER[1])
    assert len(set(later)) > 100


def test_a_leap_of_a_day_is_one_run_and_not_as_many_as_were_missed():
    """The next run is counted from now, so there is nothing to catch up with."""
    trigger, now = Paced(Bell(seconds=1.0), random.Random(7)), datetime(2026, 11, 24, tzinfo=UTC)
    assert trigger.get_next_fire_time(now, now + timedelta(days=1)) > now + timedelta(days=1)


def test_a_run_that_is_late_is_run_all_the_same():
    """No grace runs out: a machine that slept for a day polls when it wakes, once."""
    bell = Bell()
    with running(bell) as (scheduler, heard):
        assert bell.wait_for(1)
        scheduler.inner.modify_job("models", next_run_time=datetime.now(UTC) - timedelta(days=1))
        assert bell.wait_for(2)
        assert ("models", "missed") not in heard.told
    assert bell.runs == 2


def test_a_run_that_goes_on_is_not_joined_by_another(caplog):
    """What hangs is told of as missed, and never runs twice at a time."""
    bell = Bell()
    bell.may_end.clear()
    with running(bell) as (scheduler, heard):
        assert bell.wait_for(1)
        scheduler.inner.modify_job("models", next_run_time=datetime.now(UTC))
        assert heard.wait_for(("models", "missed"))
        assert bell.runs == 1


def test_a_job_that_raises_is_counted_and_runs_again(caplog):
    """A defect in one job stops neither it nor the others, and its line in the log says what it was."""
    bell, other = Bell(), Bell("key")
    bell.result = ZeroDivisionError("a defect")
    with caplog.at_level(logging.ERROR, "monitor"), running(bell, other) as (scheduler, heard):
        assert heard.wait_for(("models", "failure"))
        scheduler.inner.modify_job("models", next_run_time=datetime.now(UTC))
        assert bell.wait_for(2)
        assert other.wait_for(1)
    ours = [record for record in caplog.records if record.name == "monitor.poller"]
    assert isinstance(ours[0].exc_info, tuple)
    assert isinstance(ours[0].exc_info[1], ZeroDivisionError)


@pytest.mark.parametrize(("result", "told"), [(True, "success"), (False, "failure")])
def test_how_a_run_ended_is_counted(result, told):
    """Each run is one of the daemon's own figures."""
    bell = Bell("key")
    bell.result = result
    with running(bell) as (_, heard):
        assert heard.wait_for(("key", told))
    sheet = Sheet()
    heard.fill(sheet)
    (family,) = [each for each in sheet.metrics() if each.name == "openrouter_monitor_job_runs"]
    assert {"task": "key", "result": told} in [sample.labels for sample in family.samples if sample.value == 1]


def test_a_job_that_fails_may_want_to_run_sooner():
    """What a run learns changes its next: a missing catalogue does not wait for the usual interval."""
    bell = Bell(seconds=86_400.0)
    bell.may_end.clear()
    with running(bell) as (scheduler, heard):
        assert bell.wait_for(1)
        bell.result, bell.wanted = False, 60.0
        bell.may_end.set()
        assert heard.wait_for(("models", "failure"))
        settled = _eventually(lambda: next_run(scheduler) - datetime.now(UTC) < timedelta(seconds=70))
        assert settled


def _eventually(true: Callable[[], bool]) -> bool:
    """Whether it becomes true: the figure is told just before the next run is planned anew."""
    tick = threading.Event()
    return any(true() or tick.wait(0.01) for _ in range(int(WAIT / 0.01)))


# The watchdog


def test_after_a_clock_is_set_back_an_hour_nothing_waits_for_an_hour(clock, caplog):
    """Each job is pulled back to now, and what is not too far ahead is left alone."""
    jobs = [Bell("models", 600.0), Bell("key", 60.0), Bell("prune", 10_800.0)]
    scheduler = paused(clock, *jobs)
    assert scheduler.look() == []
    clock.set(clock.now() - 3600)
    with caplog.at_level(logging.WARNING, "monitor"):
        assert scheduler.look() == ["models", "key"]
    assert next_run(scheduler, "key").timestamp() == clock.now()
    assert next_run(scheduler, "prune").timestamp() > clock.now() + 10_800
    assert "set back by 3600 s" in caplog.text
    assert scheduler.look() == []
    scheduler.inner.shutdown()


@pytest.mark.parametrize("beyond", [-1.0, 1.0])
def test_how_far_ahead_a_run_may_lie(clock, beyond):
    """One and a half of its own intervals, and not a second more."""
    scheduler = paused(clock, Bell(seconds=600.0))
    ahead = datetime.fromtimestamp(clock.now() + 600 * TOO_FAR + beyond, UTC)
    scheduler.inner.modify_job("models", next_run_time=ahead)
    assert scheduler.look() == (["models"] if beyond > 0 else [])
    scheduler.inner.shutdown()


def test_a_job_that_backs_off_is_not_pulled_back(clock):
    """A run that lies far ahead because the job wants it so is no mistake."""
    bell = Bell(seconds=60.0)
    bell.wanted = 900.0
    scheduler = paused(clock, bell)
    assert scheduler.look() == []
    scheduler.inner.shutdown()


def test_a_clock_set_forward_a_day_is_told_and_nothing_is_pulled_back(clock, caplog):
    """What became due by the leap runs at once by itself."""
    scheduler = paused(clock, Bell())
    clock.set(clock.now() + 86_400)
    with caplog.at_level(logging.WARNING, "monitor"):
        assert scheduler.look() == []
    assert "set forward by 86400 s" in caplog.text
    scheduler.inner.shutdown()


def test_a_leap_of_the_clock_wakes_the_scheduler(monkeypatch):
    """It sleeps for as long as it reckoned before the leap: a laptop that wakes polls within seconds."""
    clock, woken = FakeClock(SystemClock().now()), []
    with running(Bell(), clock=clock) as (scheduler, _):
        monkeypatch.setattr(scheduler.inner, "wakeup", lambda: woken.append(True))
        scheduler.look()
        assert woken == []
        clock.set(clock.now() + 86_400)
        scheduler.look()
        monkeypatch.undo()
    assert woken == [True]


def test_a_job_that_would_wait_for_hours_runs_when_the_watchdog_has_looked():
    """On the machine's own clock: a next run hours ahead is run now."""
    bell = Bell(seconds=60.0)
    with running(bell) as (scheduler, _):
        assert bell.wait_for(1)
        scheduler.inner.modify_job("models", next_run_time=datetime.now(UTC) + timedelta(hours=1))
        scheduler.look()
        assert bell.wait_for(2)


def test_the_watchdog_looks_by_itself(monkeypatch):
    """Nobody has to call it, and one that fails looks again."""
    monkeypatch.setattr("monitor.poller.scheduler.WATCH_SECONDS", 0.01)
    looked = threading.Semaphore(0)

    class Failing(Scheduler):
        def look(self) -> list[str]:
            looked.release()
            raise ZeroDivisionError

    scheduler = Failing([Bell()], SystemClock(), Heard())
    scheduler.start()
    assert looked.acquire(timeout=WAIT)
    assert looked.acquire(timeout=WAIT)
    scheduler.stop()


# The end


def test_stopping_waits_for_what_runs_and_begins_nothing():
    """A run under way is ended in order, so the store can be closed after it."""
    bell = Bell()
    bell.may_end.clear()
    with running(bell) as (scheduler, _):
        assert bell.wait_for(1)
        stopping = threading.Thread(target=scheduler.stop)
        stopping.start()
        stopping.join(0.05)
        assert stopping.is_alive()
        bell.may_end.set()
        stopping.join(WAIT)
        assert not stopping.is_alive()
    assert bell.runs == 1
    assert not scheduler.inner.running


def test_a_run_that_changes_its_pace_while_it_is_stopped_holds_nothing_up():
    """A poll that fails because the daemon ends wants to be planned anew: that must not wait for the end itself."""
    bell = Bell(seconds=86_400.0)
    bell.may_end.clear()
    with running(bell) as (scheduler, heard):
        assert bell.wait_for(1)
        bell.result, bell.wanted = False, 60.0
        stopping = threading.Thread(target=scheduler.stop, daemon=True)
        stopping.start()
        assert _eventually(lambda: not scheduler.inner.running)
        bell.may_end.set()
        stopping.join(WAIT)
        assert not stopping.is_alive()
        assert heard.told == [("models", "failure")]


def test_a_scheduler_that_never_began_stops():
    """A daemon that fails on its way up can be ended like any other."""
    Scheduler([Bell()], SystemClock(), Heard()).stop()
