"""`demo --serve`: a past day through the real ledger, and a daemon to look at."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from monitor.cli.demo_past import replay
from monitor.clock import DAY, day_of
from monitor.config import Settings
from monitor.metrics.collector import metrics
from monitor.store import SQLiteStore
from monitor.store.sqlite.reader import Reader
from tests.fakes.builders import CATALOGUE, MIDNIGHT, NOON, facts, one, rows
from tests.fakes.daemon import WAIT, fetch

LIMIT = 1000
EVENING = MIDNIGHT + 22 * 3600


@pytest.fixture
def past(tmp_path) -> SQLiteStore:
    """A store that a day was replayed into, up to ten in the evening."""
    store = SQLiteStore(tmp_path / "monitor.db")
    free = {name: facts(name, CATALOGUE["lab/gull:free"].price) for name in ("lab/a:free", "lab/b:free", "lab/c:free")}
    twins = {
        name.removesuffix(":free"): facts(name.removesuffix(":free"), CATALOGUE["lab/heron"].price) for name in free
    }
    settings = Settings(store=str(store.path), apps={"billing-bot": {"share": 0.4}})
    used = replay(store, settings, {**free, **twins}, EVENING, LIMIT)
    with store.transaction() as tx:
        attempts, uncounted = tx.day_windows("default", day_of(EVENING))[""]
        assert attempts - uncounted == used
        assert tx.account("default").elsewhere == 0
    return store


def test_a_replayed_day_brings_every_figure_to_life(past):
    """Totals, refusals, 429s, windows, the pace, the catalogue's events: all of it by way of the ledger."""
    calls = one(past, "SELECT count(*) FROM calls")
    assert 200 < calls < 1000
    assert one(past, "SELECT sum(n) FROM totals") + one(past, "SELECT sum(n) FROM refusals") == calls
    assert {outcome for (outcome,) in rows(past, "SELECT DISTINCT outcome FROM calls")} >= {
        "success", "rate_limited", "server_error", "network_error", "cancelled", "refused",
    }  # fmt: skip
    kinds = {kind for (kind,) in rows(past, "SELECT DISTINCT limit_kind FROM calls WHERE limit_kind IS NOT NULL")}
    assert kinds == {"upstream", "free_minute", "free_daily"}
    reasons = {reason for (reason,) in rows(past, "SELECT DISTINCT reason FROM calls WHERE reason IS NOT NULL")}
    assert reasons >= {"model_not_free", "fallback_not_free", "paid_plugin", "day_limit"}
    assert one(past, "SELECT count(*) FROM events") >= 3
    assert one(past, "SELECT count(*) FROM holds") == 0
    settings = Settings(store=str(past.path))
    with Reader(past.path) as reader, reader.moment() as moment:
        told = {metric.name for metric in metrics(moment.scrape("default", EVENING), settings, EVENING)}
    assert {"openrouter_requests", "openrouter_refusals", "openrouter_free_daily_requests_used"} <= told


def test_nothing_of_a_replayed_day_lies_in_the_future_or_costs(past):
    """Made-up calls end before the demo begins, and none is billed."""
    assert one(past, "SELECT max(ended_at) FROM calls") <= EVENING
    assert one(past, "SELECT min(started_at) FROM calls") >= EVENING - DAY
    assert one(past, "SELECT sum(cost_usd) FROM totals") == 0


def test_a_replayed_day_is_the_same_each_time(tmp_path):
    """Chance has a seed: what a user sees can be looked into."""
    found = []
    for name in ("first", "second"):
        store = SQLiteStore(tmp_path / name)
        replay(store, Settings(store=str(store.path)), CATALOGUE, NOON, LIMIT)
        found.append(rows(store, "SELECT app, model_requested, started_at, outcome FROM calls ORDER BY id"))
    assert found[0] == found[1]


@pytest.mark.processes
def test_the_live_demo_serves_until_it_is_told_to_stop(tmp_path):
    """It says what its past day is, here traffic that lies beside the folder it is run in, and where it listens; it
    answers with a lived-in status, and ends with code 0."""
    traces = tmp_path / "shared" / "data" / "traces"
    traces.mkdir(parents=True)
    lines = [f"{n * 500},{100 + n},{10 + n % 40}" for n in range(300)]
    for name in ("code.csv", "talk.csv"):
        (traces / name).write_text("\n".join(["timestamp_ms,input_length,output_length", *lines]))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENROUTER")}
    environment |= {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", "demo", "--serve"],
        cwd=tmp_path / "work",
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = [next(process.stdout)]
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", said[-1])):
            said.append(next(process.stdout))
        url = found[0]
        assert said[0].startswith("Recorded traffic: the 600 requests of code.csv and talk.csv, stretched over a day")
        status = json.loads(fetch(f"{url}/api/status"))
        assert status["catalogue"]["free"] > 0
        text = fetch(f"{url}/metrics").decode()
        assert all(
            f'openrouter_calls_total{{app="{app}"}}' in text for app in ("billing-bot", "summariser", "notebook")
        )
        assert status["events"]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=WAIT)
        assert (process.returncode, errors) == (0, "")
    finally:
        process.kill()
        process.communicate()
