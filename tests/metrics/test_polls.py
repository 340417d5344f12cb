"""The daemon's own polls."""

from __future__ import annotations

import pytest

from monitor.metrics.polls import Polls
from tests.metrics.metrics_kit import Scene


def test_a_poller_that_runs_is_told_from_the_start(scene: Scene) -> None:
    """Its first failure is a step from zero; a poller that does not run has no series."""
    scene.polls = Polls({"models": 600, "key": 60})
    scene.restart()
    assert scene.all("openrouter_monitor_poll_interval_seconds") == {("models",): 600, ("key",): 60}
    assert scene.all("openrouter_monitor_polls_total") == {
        (poller, result): 0 for poller in ("models", "key") for result in ("success", "failure")
    }
    assert scene.value("openrouter_monitor_poll_duration_seconds_count", poller="key") == 0


def test_polls_are_counted_with_their_time(scene: Scene) -> None:
    """By result, and in buckets."""
    scene.polls = Polls({"key": 60})
    scene.restart()
    scene.polls.record("key", ok=True, seconds=0.2)
    scene.polls.record("key", ok=False, seconds=30)
    assert scene.value("openrouter_monitor_polls_total", poller="key", result="failure") == 1
    bucket = "openrouter_monitor_poll_duration_seconds_bucket"
    told = [scene.value(bucket, poller="key", le=le) for le in ("0.1", "0.25", "20.0", "+Inf")]
    assert told == [0, 1, 1, 2]
    assert scene.value("openrouter_monitor_poll_duration_seconds_sum", poller="key") == 30.2


def test_polls_go_on_being_told_while_the_store_fails(scene: Scene) -> None:
    """They are the daemon's own."""
    scene.polls = Polls({"key": 60})
    scene.restart()
    scene.book.store.close()
    scene.path.unlink()
    scene.polls.record("key", ok=True, seconds=0.2)
    assert scene.value("openrouter_monitor_polls_total", poller="key", result="success") == 1


def test_a_poller_nobody_knows_is_an_error() -> None:
    """Labels are a closed list."""
    with pytest.raises(ValueError, match="not a poller: weather"):
        Polls({"weather": 1})
