"""When jobs run: APScheduler in UTC, each job at its own pace, and a watchdog against clocks that are set.

APScheduler reads the machine's clock. When that is set back an hour, the next run of every job lies an hour ahead, and
all polls would stop for so long; the watchdog, which counts in monotonic time, pulls them back.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    JobExecutionEvent,
    JobSubmissionEvent,
)
from apscheduler.executors.pool import BasePoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from monitor.clock import Clock
from monitor.metrics.polls import FAILURE, MISSED, SUCCESS, Polls
from monitor.poller.job import Job

JITTER = (0.01, 0.06)
"""By which part of its interval a run comes later, at least and at most; never sooner, for caches have their age."""

WATCH_SECONDS = 10.0
TOO_FAR = 1.5
"""Intervals that a next run may lie ahead."""

LEAP_SECONDS = 5.0
WORKERS = 4

log = logging.getLogger("monitor.poller")


class Paced(BaseTrigger):  # type: ignore[misc]
    """Fires when its job wants to, counted from now: after a leap of the clock there is nothing to catch up with."""

    def __init__(self, job: Job, chance: random.Random) -> None:
        self.job = job
        self.promised = job.delay()
        self._chance = chance

    def __repr__(self) -> str:
        return f"<Paced {self.job!r}>"

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        self.promised = self.job.delay()
        return self.after(now)

    def after(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self.promised * (1 + self._chance.uniform(*JITTER)))


class Threads(BasePoolExecutor):  # type: ignore[misc]
    """APScheduler's executor over a pool of our own, which can be waited for without its locks."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        super().__init__(pool)


class Scheduler:
    """Runs jobs on threads of its own until it is stopped. It may be started once."""

    def __init__(self, jobs: Sequence[Job], clock: Clock, polls: Polls, chance: random.Random | None = None) -> None:
        self.jobs = {job.name: job for job in jobs}
        self._clock = clock
        self._polls = polls
        chance = chance if chance is not None else random.Random()
        self._triggers = {name: Paced(job, chance) for name, job in self.jobs.items()}
        # Late is better than never, once is enough, and never twice at a time.
        rules = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="monitor-job")
        self.inner = BackgroundScheduler(
            timezone=UTC, executors={"default": Threads(self._threads)}, job_defaults=rules
        )
        self.inner.add_listener(
            self._heard, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES
        )
        self._offset = self._clock.now() - self._clock.monotonic()
        self._stopping = threading.Event()
        self._watchdog = threading.Thread(target=self._watch, name="monitor-watchdog", daemon=True)

    def __repr__(self) -> str:
        return f"<Scheduler of {', '.join(self.jobs)}>"

    def start(self) -> None:
        """Begin; jobs whose `first` is 0 run at once."""
        now = self._wall()
        for name, job in self.jobs.items():
            first = now + timedelta(seconds=job.first)
            self.inner.add_job(job.run, self._triggers[name], id=name, name=name, next_run_time=first)
        self.inner.start()
        self._watchdog.start()

    def stop(self) -> None:
        """No job begins any more; returns when those that run have ended."""
        self._stopping.set()
        if self.inner.running:
            # Not with `wait`, which waits while it holds the lock that `_move` needs to end a job: for ever.
            self.inner.shutdown(wait=False)
        self._threads.shutdown()
        if self._watchdog.is_alive():
            self._watchdog.join()

    def look(self) -> list[str]:
        """Pull back the jobs whose next run lies too far ahead, and return their names.

        The watchdog does so every few seconds; `start` need not have been called.
        """
        offset = self._clock.now() - self._clock.monotonic()
        leapt, self._offset = offset - self._offset, offset
        now, pulled = self._wall(), []
        for name, trigger in self._triggers.items():
            planned = self.inner.get_job(name)
            limit = TOO_FAR * max(trigger.promised, self.jobs[name].first)
            if planned is None or planned.next_run_time is None:
                continue
            if (planned.next_run_time - now).total_seconds() > limit:
                self._move(name, now)
                pulled.append(name)
        if abs(leapt) > LEAP_SECONDS:
            log.warning("the clock was set %s by %.0f s", "back" if leapt < 0 else "forward", abs(leapt))
            # What has become due by it should not wait for the end of the sleep that was reckoned before.
            if self.inner.running:
                self.inner.wakeup()
        if pulled:
            log.warning("watchdog: %s would have waited too long, so now it is", ", ".join(pulled))
        return pulled

    def _watch(self) -> None:
        while not self._stopping.wait(WATCH_SECONDS):
            try:
                self.look()
            except Exception:
                log.exception("the watchdog failed")

    def _heard(self, event: JobExecutionEvent | JobSubmissionEvent) -> None:
        name = event.job_id
        if event.code in (EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED):
            self._polls.ran(name, MISSED)
            log.warning("%s: not run, for the last run still goes on", name)
            return
        if event.code == EVENT_JOB_ERROR:
            self._polls.ran(name, FAILURE)
            log.error("%s: failed", name, exc_info=event.exception)
            return
        self._polls.ran(name, SUCCESS if event.retval else FAILURE)
        trigger, wanted = self._triggers[name], self.jobs[name].delay()
        if wanted != trigger.promised:
            # The run changed its pace: a failure wants to be tried again, a success need not be.
            trigger.promised = wanted
            self._move(name, trigger.after(self._wall()))

    def _move(self, name: str, when: datetime) -> None:
        with contextlib.suppress(JobLookupError):
            self.inner.modify_job(name, next_run_time=when)

    def _wall(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)
