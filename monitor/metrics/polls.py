"""The daemon's own count of its polls, jobs and messages, kept in its process: a restart begins anew, as Prometheus
expects of it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor.metrics.families import JOBS, POLL_BOUNDS, POLLERS, RESULTS, RUNS
from monitor.metrics.sheet import Sheet
from monitor.store.buckets import bucket

SUCCESS, FAILURE, MISSED = RUNS


@dataclass(slots=True)
class _Tally:
    results: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RESULTS, 0))
    counts: list[int] = field(default_factory=lambda: [0] * (len(POLL_BOUNDS) + 1))
    seconds: float = 0.0


class Polls:
    """Counts polls by poller; `intervals` names those that run, with the seconds between two polls."""

    def __init__(self, intervals: Mapping[str, float]) -> None:
        unknown = intervals.keys() - set(POLLERS)
        if unknown:
            raise ValueError(f"not a poller: {', '.join(sorted(unknown))}")
        self.intervals = dict(intervals)
        self._tallies = {poller: _Tally() for poller in intervals}
        self._runs = {(job, result): 0 for job in JOBS for result in RUNS}
        self._notifications: dict[tuple[str, str], int] = {}
        self._clock_offset: float | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Polls of {', '.join(self.intervals)}>"

    def record(self, poller: str, *, ok: bool, seconds: float) -> None:
        """Count a poll that ended, and how long it took. Any thread may call it."""
        with self._lock:
            tally = self._tallies[poller]
            tally.results[RESULTS[0] if ok else RESULTS[1]] += 1
            tally.counts[bucket(seconds, POLL_BOUNDS)] += 1
            tally.seconds += seconds

    def runs(self, poller: str, seconds: float) -> None:
        """A poller that began only now: it is told from here on."""
        with self._lock:
            self.intervals[poller] = seconds
            self._tallies.setdefault(poller, _Tally())

    def compared_clocks(self, offset: float) -> None:
        """Our clock less OpenRouter's, in seconds, as an answer just told it. Any thread may call it."""
        with self._lock:
            self._clock_offset = offset

    def ran(self, job: str, result: str) -> None:
        """Count a run of a job. Any thread may call it."""
        with self._lock:
            self._runs[job, result] += 1

    def tells_by(self, channel: str) -> None:
        """A way of telling people that is set: it is counted from here on."""
        with self._lock:
            for result in RESULTS:
                self._notifications.setdefault((channel, result), 0)

    def notified(self, channel: str, *, ok: bool) -> None:
        """Count a message about alerts, or a try that failed. Any thread may call it."""
        with self._lock:
            self._notifications[channel, RESULTS[0] if ok else RESULTS[1]] += 1

    def fill(self, sheet: Sheet) -> None:
        with self._lock:
            sheet.set("openrouter_monitor_clock_offset_seconds", self._clock_offset)
            for poller, tally in self._tallies.items():
                sheet.set("openrouter_monitor_poll_interval_seconds", self.intervals[poller], poller)
                sheet.observe("openrouter_monitor_poll_duration_seconds", tally.counts, tally.seconds, poller)
                for result, n in tally.results.items():
                    sheet.set("openrouter_monitor_polls_total", n, poller, result)
            for (channel, result), n in self._notifications.items():
                sheet.set("openrouter_monitor_notifications_total", n, channel, result)
            for (job, result), n in self._runs.items():
                sheet.set("openrouter_monitor_job_runs_total", n, job, result)
