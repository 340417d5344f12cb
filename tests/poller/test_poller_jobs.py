"""Polls: how often OpenRouter is asked, by how many, and what becomes of a failure."""

from __future__ import annotations

import itertools
import logging

import pytest

from monitor.errors import ConfigError
from monitor.metrics.families import JOBS
from monitor.poller.alerts import AlertsJob
from monitor.poller.polls import CACHED_SECONDS, RETRY_AT_MOST
from monitor.refresh import Stopped
from tests.fakes.builders import FREE, NOON, fill, one, rows, success, take
from tests.fakes.processes import Worker
from tests.poller.poller_kit import KEY, KEY_FIGURES, MODELS

LOOPBACK = "http://127.0.0.1:9/api/v1"
MANAGEMENT = {"data": {"is_management_key": True}}


def test_a_poll_puts_what_it_was_told_into_the_store(daemon, upstream):
    """What one daemon polls is there for every process that uses the store."""
    watch = daemon()
    assert all([watch.run("models"), watch.run("key")])
    assert rows(watch.store, "SELECT id FROM models") == [(FREE,)]
    assert one(watch.store, "SELECT server_used FROM accounts") == 3
    assert upstream.keys == [None, f"Bearer {KEY}"]


def test_every_job_has_its_figure(daemon):
    """A run of a job that the metrics do not know could not be counted."""
    assert {*daemon(metrics={"genai_semconv": True}).jobs, AlertsJob.name} == set(JOBS)


def test_the_catalogue_is_never_asked_for_faster_than_its_cache_changes(daemon, upstream):
    """Whatever is set, openrouter.ai is asked for its models at most every 120 seconds, also when it fails."""
    watch = daemon(poll={"models_seconds": 1})
    watch.go("models", 3600)
    assert 3600 / CACHED_SECONDS / 1.02 - 1 < upstream.count("models") <= 3600 / CACHED_SECONDS + 1
    assert watch.figure("openrouter_monitor_poll_interval_seconds", "models") == CACHED_SECONDS
    upstream.answers["models"] = (503, {})
    upstream.asked.clear()
    watch.go("models", 2 * CACHED_SECONDS - 1)
    assert upstream.count("models") == 2


@pytest.mark.parametrize("base_url", [LOOPBACK, "http://localhost:9/api/v1", "http://[::1]:9/api/v1"])
def test_a_local_upstream_may_be_asked_every_second(daemon, upstream, base_url):
    """A simulator has no cache to respect."""
    watch = daemon(base_url=base_url, poll={"models_seconds": 1, "key_seconds": 1})
    watch.go("models", 30)
    watch.go("key", 30)
    assert upstream.count("models") >= 29
    assert upstream.count("key") >= 29


@pytest.mark.parametrize("base_url", ["http://127.evil.example/api/v1", "https://localhost.example/api/v1"])
def test_a_name_that_only_looks_local_is_not(daemon, base_url):
    """The exception is for this machine, not for a name that begins like it."""
    assert daemon(base_url=base_url, poll={"models_seconds": 1}).delay("models") == CACHED_SECONDS


@pytest.mark.parametrize("name", ["models", "key"])
def test_a_failing_upstream_is_asked_less_and_less_often(daemon, upstream, name):
    """After each failure the pause doubles, up to 15 minutes; one success ends that."""
    watch = daemon(base_url=LOOPBACK, poll={"models_seconds": 60, "key_seconds": 60})
    upstream.answers[name] = ConnectionError("no route")
    asked_at = []
    while len(asked_at) < 8:
        before = upstream.count(name)
        assert watch.run(name) is False
        if upstream.count(name) > before:
            asked_at.append(watch.clock.monotonic())
        watch.clock.advance(watch.delay(name) * 1.01)
    pauses = [later - sooner for sooner, later in itertools.pairwise(asked_at)]
    assert pauses == [pytest.approx(wanted, abs=61) for wanted in (60, 120, 240, 480, 900, 900, 900)]
    assert max(pauses) <= RETRY_AT_MOST + 61

    good = {"models": MODELS, "key": KEY_FIGURES}[name]
    upstream.answers[name] = (200, good)
    watch.clock.advance(RETRY_AT_MOST)
    assert watch.run(name) is True
    assert watch.delay(name) == 60


def test_a_missing_catalogue_is_tried_again_sooner_than_at_the_usual_pace(daemon, upstream):
    """A daemon that starts before its network does not go without a catalogue for a whole interval."""
    watch = daemon(poll={"models_seconds": 7200})
    upstream.answers["models"] = ConnectionError("no route")
    watch.run("models")
    assert watch.delay("models") == CACHED_SECONDS


def test_two_daemons_on_one_store_poll_as_often_as_one(daemon, upstream):
    """What another has asked for within the interval is not asked for again."""
    first, second = daemon(), daemon()
    for _ in range(60):
        for watch in (first, second):
            watch.run("models")
            watch.run("key")
            watch.clock.advance(30.3)
    passed = first.clock.now() - NOON
    assert upstream.count("models") <= passed / 600 + 1
    assert upstream.count("key") <= passed / 60 + 1
    counted = [watch.figure("openrouter_monitor_polls_total", "key", "success") for watch in (first, second)]
    assert sum(n or 0 for n in counted) == upstream.count("key")


def test_a_poll_that_somebody_else_has_just_made_is_not_counted(daemon, upstream):
    """The figures tell of requests: a copy that an app fetched is none of this daemon's."""
    watch = daemon()
    fill(watch.store, watch.settings, watch.clock.now() - 1)
    assert watch.run("models") is True
    assert upstream.asked == []
    assert watch.figure("openrouter_monitor_polls_total", "models", "success") == 0


def test_a_refused_key_is_an_event_and_asked_about_ever_less_often(daemon, upstream):
    """A 401 is told once, stays told whatever else fails, and ends with an answer; it is not hammered at."""
    watch = daemon(base_url=LOOPBACK)
    upstream.answers["key"] = (401, {})
    watch.go("key", 4 * 3600)
    assert upstream.count("key") < 25
    assert rows(watch.store, "SELECT kind, subject FROM events") == [("key_invalid", "default")]
    upstream.answers["key"] = (500, {})
    watch.go("key", 2 * 3600)
    assert "answered 401" in one(watch.store, "SELECT key_error FROM accounts")
    upstream.answers["key"] = (200, KEY_FIGURES)
    watch.go("key", 3600)
    assert [kind for (kind,) in rows(watch.store, "SELECT kind FROM events")] == ["key_invalid", "key_valid"]
    assert one(watch.store, "SELECT key_error FROM accounts") is None


def test_another_key_is_tried_at_once(daemon, upstream, tmp_path):
    """Who replaces a refused key in its file does not wait for the end of a back-off."""
    file = tmp_path / "key"
    file.write_text("sk-or-v1-old-and-revoked")
    watch = daemon(api_key=None, api_key_file=str(file))
    upstream.answers["key"] = (401, {})
    watch.go("key", 3600)
    file.write_text("sk-or-v1-new-and-good")
    upstream.answers["key"] = (200, KEY_FIGURES)
    upstream.keys.clear()
    assert watch.run("key") is True
    assert upstream.keys == ["Bearer sk-or-v1-new-and-good"]


def test_without_a_key_nothing_is_asked_about_it(daemon, upstream):
    """A daemon without a key watches the catalogue, and that is no failure."""
    watch = daemon(api_key=None)
    assert watch.run("key") is True
    assert upstream.asked == []
    assert watch.figure("openrouter_monitor_poll_interval_seconds", "key") is None


def test_an_unreadable_key_file_is_told_of_once(daemon, upstream, tmp_path, caplog):
    """A wrong setting is one line in the log, not one a minute."""
    watch = daemon(api_key=None, api_key_file=str(tmp_path / "missing"))
    with pytest.raises(ConfigError):
        watch.settings.key()
    with caplog.at_level(logging.WARNING, "monitor"):
        assert [watch.run("key") for _ in range(3)] == [False] * 3
    assert len(caplog.records) == 1


def test_a_trouble_is_told_once_and_its_end_once(daemon, upstream, caplog):
    """An outage of hours is two lines of the log, without the key."""
    watch = daemon(base_url=LOOPBACK)
    with caplog.at_level(logging.INFO, "monitor"):
        upstream.answers["key"] = ConnectionError(f"refused {KEY}")
        watch.go("key", 6 * 3600)
        upstream.answers["key"] = (200, KEY_FIGURES)
        watch.go("key", 3600)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert KEY not in caplog.text


def test_credits_are_asked_for_with_a_management_key_only(daemon, upstream):
    """An ordinary key would be refused: OpenRouter is not bothered with it."""
    watch = daemon()
    watch.run("key")
    assert watch.run("credits") is True
    assert upstream.count("credits") == 0
    watch.clock.advance(61)
    upstream.answers["key"] = (200, MANAGEMENT)
    watch.run("key")
    watch.run("credits")
    told = one(watch.store, "SELECT summary FROM snapshots WHERE poller = 'credits'")
    assert "12.5" in told
    assert watch.figure("openrouter_monitor_polls_total", "credits", "success") == 1


def test_two_daemons_ask_for_credits_as_often_as_one(daemon, upstream):
    """The lease on credits stands for the whole interval."""
    first, second = daemon(), daemon()
    upstream.answers["key"] = (200, MANAGEMENT)
    first.run("key")
    for watch in (first, second, first, second):
        watch.run("credits")
        watch.clock.advance(100)
    assert upstream.count("credits") == 1
    first.clock.advance(600)
    assert second.run("credits")
    assert upstream.count("credits") == 2


def test_refused_credits_are_a_failure_that_backs_off(daemon, upstream):
    """A 403 is counted as a failed poll, and the lease does not pass for a success."""
    watch = daemon()
    upstream.answers |= {"key": (200, MANAGEMENT), "credits": (403, {})}
    watch.run("key")
    delays = []
    for _ in range(3):
        assert watch.run("credits") is False
        delays.append(watch.delay("credits"))
        watch.clock.advance(watch.delay("credits"))
    assert delays == [120, 240, 480]
    assert watch.figure("openrouter_monitor_polls_total", "credits", "failure") == 3


@pytest.mark.parametrize("name", ["models", "key", "endpoints"])
def test_a_poll_that_the_end_cuts_off_is_no_trouble(daemon, upstream, caplog, name):
    """Nothing failed but our own patience: no warning, no failed poll, and the key's figures stay without an error."""
    watch = daemon()
    fill(watch.store, watch.settings, NOON)
    watch.ledger.settle(take(watch.ledger), success())
    watch.clock.advance(601)
    upstream.answers[name] = Stopped("the daemon is stopping")
    with caplog.at_level(logging.INFO, "monitor"):
        assert watch.run(name) is False
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert watch.figure("openrouter_monitor_polls_total", name, "failure") == 0
    assert rows(watch.store, "SELECT key_error FROM accounts WHERE key_error IS NOT NULL") == []


def test_a_clock_set_back_does_not_stop_polls(daemon, upstream):
    """Stamps that lie in the future are not believed, so the next poll asks."""
    watch = daemon()
    watch.run("models")
    watch.run("key")
    watch.clock.set(NOON - 3600)
    watch.run("models")
    watch.run("key")
    assert upstream.asked == ["models", "key"] * 2


@pytest.mark.processes
def test_a_locked_store_is_no_reason_to_ask_less_often(daemon, upstream):
    """A store that fails is our own trouble: the poll is due again at its usual pace, and is made once it works."""
    watch = daemon(base_url=LOOPBACK)
    watch.run("models")
    watch.clock.advance(600)
    watch.store.close()
    with Worker("lock", watch.path) as worker:
        assert worker.hear() == "ready"
        assert worker.ask("lock") == "done"
        assert watch.run("models") is False
        assert watch.delay("models") == 600
        assert worker.ask("free") == "done"
    assert watch.run("models") is True
    assert upstream.count("models") == 2
