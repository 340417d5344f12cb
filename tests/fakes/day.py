"""A day of the daemon, lived in a minute: the real ledger, jobs, collector and simulator at a clock that runs ahead.

Made for looking at dashboards: `python -m tests.fakes.day history.txt` writes what a Prometheus that scrapes each
minute would have stored, as OpenMetrics with timestamps, for `promtool tsdb create-blocks-from openmetrics`. What the
daemon's process says of itself (`process_*`, `up`, `scrape_*`) is made up, for it is no process here.

The day has a provider that is busy in the morning, a bad quarter of an hour of 502s, two restarts, a model that is gone
for some hours, a price that rises, an app that may use a paid model, and a call past the guard. Two apps use the
friendly client: their models' circuits open, and some of their questions were answered before.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from monitor.client.choosing import Chooser
from monitor.clock import DAY, FakeClock
from monitor.config import Settings
from monitor.ledger import Ask, Ledger
from monitor.metrics.collector import StoreCollector, name_apps
from monitor.metrics.polls import FAILURE, SUCCESS, Polls
from monitor.metrics.proxied import Proxied
from monitor.model import Ending, Endpoint, Intent, LimitHit, LimitKind, Objection, Outcome, Reason, Tier, Usage
from monitor.poller.jobs import jobs
from monitor.refresh import Fetched
from monitor.simulator.options import SimulatorOptions
from monitor.simulator.server import Simulator
from monitor.store import open_store
from monitor.store.protocol import OpenCall
from monitor.transport.course import Guard

KEY = "sk-or-v1-of-a-made-up-day"
END = 20_781 * DAY + 16.6 * 3600
"""A Tuesday afternoon, UTC, epoch seconds."""
HOURS = 26
SCRAPE_SECONDS = 60.0
PLACE = {"job": "openrouter-monitor", "instance": "127.0.0.1:8377"}

LLAMA, CODER, R1, OSS, MISTRAL = (
    "meta-llama/llama-3.3-70b-instruct:free",
    "qwen/qwen3-coder:free",
    "deepseek/deepseek-r1:free",
    "openai/gpt-oss-20b:free",
    "mistralai/mistral-small-3.2-24b-instruct:free",
)
PAID = "openai/gpt-5-mini"
APPS: dict[str, tuple[float, dict[str, float]]] = {
    "billing-bot": (16.0, {LLAMA: 5, OSS: 2}),
    "summariser": (22.0, {LLAMA: 4, R1: 3, MISTRAL: 2}),
    "notebook": (9.0, {CODER: 5, R1: 2, "meta-llama/llama-3.3-70b-instruct": 0.5, "openrouter/auto": 0.2}),
    "research": (4.0, {R1: 3, PAID: 2}),
}
"""Calls an hour at the busiest time, and the models by weight."""

FRIENDLY = ("summariser", "notebook")

PACE = {LLAMA: 2.2, CODER: 4.5, R1: 9.0, OSS: 1.4, MISTRAL: 1.8, PAID: 3.0}
"""Median seconds of an answer."""


class Day:
    """The world of one day. `live` yields the time of each scrape, at which `metrics` may be read."""

    def __init__(self, folder: Path, ending: ExitStack) -> None:
        self.chance = random.Random(20_261_124)
        self.clock = FakeClock(END - HOURS * 3600)
        options = SimulatorOptions(
            per_day=1000, is_free_tier=False, credits_usd=25.0, management_keys=frozenset({KEY}), key_limit_usd=5.0,
            key_limit_reset="monthly", key_lag_seconds=20.0, per_minute=60,
        )  # fmt: skip
        self.simulator = ending.enter_context(Simulator(options, clock=self.clock))
        self.client = ending.enter_context(httpx.Client(trust_env=False, headers={"authorization": f"Bearer {KEY}"}))
        self.store = open_store(str(folder / "monitor.db"))
        ending.callback(self.store.close)
        settings = Settings(
            store=str(folder / "monitor.db"),
            base_url=self.simulator.base_url,
            api_key=KEY,
            management_key=KEY,
            account="team",
            apps={"billing-bot": {"share": 0.4}, "summariser": {}, "notebook": {}, "research": {}},
        )
        name_apps(self.store, settings)
        self.ledger = Ledger(self.store, settings, self.clock)
        self.paying = Ledger(self.store, settings.with_changes(guard={"allow": "any"}), self.clock)
        self.chooser = Chooser(Guard("summariser", settings, clock=self.clock, ledger=self.ledger))
        self.settings, self.started, self.restarts, self.cpu = settings, self.clock.now(), 0, 0.0
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._calls = itertools.count()
        self._begin_daemon()

    def _begin_daemon(self) -> None:
        """A process of its own, as far as it can tell: its counts of polls begin anew."""
        self.started, self.restarts, self.cpu = self.clock.now(), self.restarts + 1, 0.9
        self.polls, self.proxied = polls, proxied = Polls({}), Proxied()
        polls.tells_by("webhook")
        self.collector = StoreCollector(self.settings, self.clock, polls, proxied)
        run = self.restarts
        for job in jobs(self.ledger, self.store, self._fetch, polls):
            self.at(self.clock.now() + job.first, lambda job=job: self._run(job, polls, run))

    def _run(self, job: Any, polls: Polls, run: int) -> None:
        if run == self.restarts:
            polls.ran(job.name, SUCCESS if job.run() else FAILURE)
            self.at(
                self.clock.now() + job.delay() * self.chance.uniform(1.01, 1.06), lambda: self._run(job, polls, run)
            )

    def _fetch(self, url: str, headers: Any) -> Fetched:
        asked = self.clock.now()
        if url.endswith("/key") and 18.2 <= asked % DAY / 3600 < 18.5:
            return Fetched(502, b"{}")
        self.clock.advance(self.chance.lognormvariate(-1.6, 0.5))
        answer = self.client.get(url, headers=dict(headers))
        body = self._weather(url, answer.content) if url.endswith("/endpoints") else answer.content
        return Fetched(answer.status_code, body, sent_at=asked + self.chance.uniform(-0.4, 0.6))

    def _weather(self, url: str, body: bytes) -> bytes:
        """Uptimes that are not the same all day: the busy provider's is worst in the morning."""
        told, hour = json.loads(body), self.clock.now() % DAY / 3600
        for endpoint in told["data"]["endpoints"]:
            busy = 14.0 if "deepseek-r1" in url and 8 <= hour < 11 else 1.2
            endpoint["uptime_last_30m"] = max(0.0, 100 - abs(self.chance.gauss(0, busy)))
        return json.dumps(told).encode()

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (when, next(self._order), what))

    def live(self) -> Iterator[float]:
        """All of it; stops at each scrape."""
        self._plan()
        scrape = self.clock.now() + SCRAPE_SECONDS
        while scrape <= END:
            while self._agenda[0][0] <= scrape:
                when, _, what = heapq.heappop(self._agenda)
                self.clock.advance(max(0.0, when - self.clock.now()))
                what()
            # A poll or a call may have taken the clock a little further: the scrape is told at its own time.
            self.clock.advance(max(0.0, scrape - self.clock.now()))
            yield scrape
            scrape += SCRAPE_SECONDS

    def _plan(self) -> None:
        simulator, start = self.simulator, self.clock.now()
        late = next(row for row in simulator.catalogue.view.rows if row["id"] == MISTRAL)
        for hours, what in (
            (6.2, lambda: self._restart(40)),
            (13.0, lambda: simulator.remove_model(MISTRAL)),
            (17.5, lambda: simulator.add_model(late)),
            (20.3, lambda: simulator.update_model(PAID, pricing={"completion": "0.000004"})),
            (19.1, lambda: self.proxied.turned_away("token_wrong")),
            (21.0, self._past_the_guard),
            (21.1, lambda: self.polls.notified("webhook", ok=False)),
            (21.2, lambda: self.polls.notified("webhook", ok=True)),
            (21.5, lambda: self.proxied.turned_away("no_key")),
            (21.6, lambda: self.proxied.turned_away("token_wrong")),
            (22.4, lambda: self._restart(150)),
        ):
            self.at(start + hours * 3600, what)
        for app in APPS:
            self._next_call(app)

    def _restart(self, seconds: float) -> None:
        self.collector, self.restarts = None, self.restarts + 1  # type: ignore[assignment]
        self.at(self.clock.now() + seconds, self._begin_daemon)

    def _past_the_guard(self) -> None:
        for _ in range(6):
            self._post("anthropic/claude-sonnet-5", 3000)

    def _post(self, model: str, prompt_tokens: int) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "word " * prompt_tokens}], "max_tokens": 900}
        return self.client.post(f"{self.simulator.base_url}/chat/completions", json=body)

    def _next_call(self, app: str) -> None:
        most, _ = APPS[app]
        hour = self.clock.now() % DAY / 3600
        busy = 0.12 + 0.88 * max(0.0, 1 - min(abs(hour - 13.5), 24 - abs(hour - 13.5)) / 8)
        wait = self.chance.expovariate(most * 2.2 * busy / 3600)
        self.at(self.clock.now() + wait, lambda: self._calls_of(app))

    def _calls_of(self, app: str) -> None:
        burst = self.chance.choice((4, 9, 17)) if app == "summariser" and self.chance.random() < 0.025 else 1
        for _ in range(burst):
            self._call(app, f"{app}-{next(self._calls)}")
        self._next_call(app)

    def _call(self, app: str, call_id: str, model: str | None = None, attempt: int = 1) -> None:
        hour, models = self.clock.now() % DAY / 3600, dict(APPS[app][1])
        if not 11.5 <= hour < 15:
            models.pop(PAID, None)
        model = model or self.chance.choices(list(models), list(models.values()))[0]
        if app in FRIENDLY and attempt == 1 and self.chance.random() < 0.08:
            now = self.clock.now()
            row = OpenCall(now, app, "team", "chat", model, Tier.FREE, False, 1, call_id)
            self.store.transact(lambda tx: tx.record_cached(row, now, model))
            return
        tokens = int(self.chance.lognormvariate(6.3, 0.9))
        plugin = (Objection(Reason.PAID_PLUGIN, "web"),) if self.chance.random() < 0.01 else ()
        intent = Intent(
            Endpoint.CHAT, model, stream=self.chance.random() < 0.5, prompt_bytes=tokens * 5, max_output_tokens=900,
            objections=plugin,
        )  # fmt: skip
        book = self.paying if app == "research" else self.ledger
        hold = book.reserve(Ask(intent, app, call_id, attempt)).hold
        self.proxied.admission(self.chance.lognormvariate(-7.2, 0.4))
        if hold is None:
            return
        ending, seconds = self._answer(model, tokens, stream=intent.stream)

        proxied = self.proxied
        proxied.in_flight += 1

        def settle() -> None:
            book.settle(hold, ending)
            if app in FRIENDLY:
                self._remember(model, ending)
            proxied.in_flight -= 1
            proxied.added(self.chance.lognormvariate(-6.8, 0.4))
            if ending.outcome is not Outcome.SUCCESS and attempt < 3 and self.chance.random() < 0.6:
                wait = self.chance.uniform(5, 25)
                self.at(self.clock.now() + wait, lambda: self._call(app, call_id, model, attempt + 1))

        self.at(self.clock.now() + seconds, settle)

    def _remember(self, model: str, ending: Ending) -> None:
        if ending.outcome is Outcome.SUCCESS:
            self.chooser.note_success(model)
        else:
            self.chooser.note_failure(model, ending, never_sent=False)

    def _answer(self, model: str, tokens: int, *, stream: bool) -> tuple[Ending, float]:
        hour, luck = self.clock.now() % DAY / 3600, self.chance.random()
        if luck < (0.45 if model == R1 and 8 <= hour < 11 else 0.012):
            hit = LimitHit(LimitKind.UPSTREAM, retry_after=15.0, message="Provider returned error")
            return Ending(Outcome.RATE_LIMITED, status=429, limit=hit, error="429 of the provider"), 0.6
        if luck > (0.65 if 14.2 <= hour < 14.45 else 0.985):
            return Ending(Outcome.SERVER_ERROR, status=502, error="502: Provider returned error"), 4.0
        if luck > 0.981:
            self._post(model, tokens)  # it may have been billed all the same
            return Ending(Outcome.NETWORK_ERROR, error="ReadTimeout"), 60.0
        if luck > 0.978:
            return Ending(Outcome.CLIENT_ERROR, status=400, error="400: context length"), 0.4
        answer = self._post(model, tokens)
        if answer.status_code != 200:
            kind = LimitKind.FREE_MINUTE if answer.status_code == 429 else LimitKind.UNKNOWN
            limit = LimitHit(kind, retry_after=20.0) if answer.status_code == 429 else None
            outcome = Outcome.RATE_LIMITED if limit else Outcome.SERVER_ERROR
            return Ending(outcome, status=answer.status_code, limit=limit), 0.3
        return self._success(model, answer.json(), stream=stream)

    def _success(self, model: str, told: dict[str, Any], *, stream: bool) -> tuple[Ending, float]:
        used = told["usage"]
        seconds = PACE.get(model, 3.0) * self.chance.lognormvariate(0, 0.55)
        usage = Usage(
            prompt_tokens=used["prompt_tokens"],
            completion_tokens=used["completion_tokens"] * self.chance.randint(2, 9),
            cached_tokens=int(used["prompt_tokens"] * self.chance.choice((0, 0, 0.3, 0.8))),
            reasoning_tokens=int(used["completion_tokens"] * 1.5) if model == R1 else 0,
            cost_usd=used["cost"],
        )
        first = seconds * self.chance.uniform(0.1, 0.3) if stream else None
        provider, served = told.get("provider"), told["model"]
        return (
            Ending(Outcome.SUCCESS, status=200, usage=usage, model_served=served, provider=provider, ttft=first),
            seconds,
        )

    def samples(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """What this scrape brings, as Prometheus would store it."""
        if self.collector is None:
            yield "up", {}, 0
            return
        brought = 0
        for family in self.collector.collect():
            for sample in family.samples:
                brought += 1
                yield sample.name, dict(sample.labels), sample.value
        age = self.clock.now() - self.started
        yield "up", {}, 1
        yield "scrape_samples_scraped", {}, brought
        yield "scrape_duration_seconds", {}, self.chance.lognormvariate(-4.0, 0.2)
        yield "process_start_time_seconds", {}, self.started
        yield "process_resident_memory_bytes", {}, 58e6 + 4e6 * (1 - 1 / (1 + age / 7200)) + self.chance.gauss(0, 2e5)
        self.cpu += SCRAPE_SECONDS * self.chance.lognormvariate(-5.4, 0.15)
        yield "process_cpu_seconds_total", {}, self.cpu
        yield "process_open_fds", {}, 21 + self.chance.choice((0, 0, 1, 2))


def write(file: Path) -> None:
    """The whole day, as OpenMetrics."""
    with ExitStack() as ending, file.open("w", encoding="utf-8") as out:
        day = Day(Path(ending.enter_context(tempfile.TemporaryDirectory())), ending)
        for at in day.live():
            for name, labels, value in day.samples():
                told = ",".join(f"{label}={json.dumps(text)}" for label, text in {**PLACE, **labels}.items())
                out.write(f"{name}{{{told}}} {value!r} {at:.3f}\n")
        out.write("# EOF\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
    print(int(END))
