"""An upstream that answers as it is told, and a daemon's jobs over a store of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monitor.clock import FakeClock
from monitor.config import Settings
from monitor.ledger import Ledger
from monitor.metrics.polls import Polls
from monitor.metrics.sheet import Sheet
from monitor.poller.job import Job
from monitor.poller.jobs import jobs
from monitor.refresh import Fetched
from monitor.store import SQLiteStore
from tests.fakes.builders import FREE

KEY = "sk-or-v1-of-a-test"
MODELS = {"data": [{"id": FREE, "pricing": {"prompt": "0", "completion": "0"}}]}
KEY_FIGURES = {"data": {"free_model_daily_requests": {"used": 3, "limit": 50, "remaining": 47}}}
CREDITS = {"data": {"total_credits": 12.5, "total_usage": 2.0}}
ACTIVITY = {"data": [{"date": "2026-09-20", "requests": 7, "usage": 0.5, "prompt_tokens": 90, "completion_tokens": 10}]}
ENDPOINTS = {"data": {"endpoints": [{"provider_name": "Chutes", "uptime_last_30m": 98.5}]}}


def usual_answers() -> dict[str, Any]:
    told = {"models": MODELS, "key": KEY_FIGURES, "credits": CREDITS, "activity": ACTIVITY, "endpoints": ENDPOINTS}
    return {name: (200, answer) for name, answer in told.items()}


@dataclass
class Upstream:
    """A `Fetch`: answers by the path, or by its last part, with (status, object), or raises what stands there.

    `takes` seconds pass meanwhile, and `sent_at` is when it says that it answered.
    """

    answers: dict[str, Any] = field(default_factory=usual_answers)
    asked: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    clock: FakeClock | None = None
    takes: float = 0.0
    sent_at: float | None = None

    def __call__(self, url: str, headers: Mapping[str, str]) -> Fetched:
        path = url.split("?")[0].split("/api/v1", 1)[1]
        name = path.rsplit("/", 1)[1]
        self.asked.append(name)
        self.urls.append(path)
        self.keys.append(headers.get("authorization"))
        if self.clock is not None:
            self.clock.advance(self.takes)
        answer = self.answers.get(path, self.answers[name])
        if isinstance(answer, Exception):
            raise answer
        return Fetched(answer[0], json.dumps(answer[1]).encode(), self.sent_at)

    def count(self, name: str) -> int:
        return self.asked.count(name)


class Watch:
    """One daemon's jobs, to be run by hand."""

    def __init__(self, path: Path, clock: FakeClock, upstream: Upstream, **sections: Any) -> None:
        self.clock = clock
        self.path = path
        self.store = SQLiteStore(path)
        self.settings = Settings(**({"store": str(path), "api_key": KEY} | sections))
        self.ledger = Ledger(self.store, self.settings, clock)
        self.polls = Polls({})
        self.jobs: dict[str, Job] = {job.name: job for job in jobs(self.ledger, self.store, upstream, self.polls)}

    def run(self, name: str) -> bool:
        return self.jobs[name].run()

    def delay(self, name: str) -> float:
        return self.jobs[name].delay()

    def figure(self, family: str, *labels: str) -> float | None:
        """What the figures of this process say."""
        sheet = Sheet()
        self.polls.fill(sheet)
        for metric in sheet.metrics():
            for sample in metric.samples:
                if sample.name == family and tuple(sample.labels.values()) == labels:
                    return sample.value
        return None

    def go(self, name: str, seconds: float) -> list[float]:
        """Run the job as a scheduler would for so long; returns the instants of its runs, from now."""
        began, runs = self.clock.monotonic(), []
        while self.clock.monotonic() - began <= seconds:
            runs.append(self.clock.monotonic() - began)
            self.run(name)
            self.clock.advance(self.delay(name) * 1.01)
        return runs
