"""The text of a scrape."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from monitor.clock import FakeClock
from monitor.metrics.exposition import OPENMETRICS, TEXT, prefers_openmetrics, render
from monitor.metrics.polls import Polls
from tests.fakes.builders import PAID, key_facts, success
from tests.metrics.metrics_kit import Scene

PROMETHEUS_2 = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;"
    "q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.fixture
def filled(tmp_path: Path, clock: FakeClock) -> Scene:
    scene = Scene(tmp_path, clock, guard={"mode": "shadow"})
    scene.polls = Polls({"models": 600, "key": 60})
    scene.restart()
    scene.call(ending=success(ttft=0.1), seconds=0.3)
    scene.call('strange "model"\\\n', success(0.1))
    scene.call(PAID, success(0.1))
    scene.book.note_key(key_facts(used=7, usage_usd=1.0, usage_daily_usd=1.0), asked_at=clock.now())
    return scene


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        (PROMETHEUS_2, True),
        (PROMETHEUS_3, True),
        ("application/openmetrics-text;q=0.4,text/plain;q=0.5", False),
        ("text/plain;q=0.5, Application/OpenMetrics-Text; q=0.5", True),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=none", False),
    ],
)
def test_openmetrics_is_given_to_who_asks_for_it(accept: str, openmetrics: bool) -> None:
    """By the weights of the header, not by the order of its words."""
    assert prefers_openmetrics(accept) is openmetrics


def test_both_formats_say_the_same(filled: Scene) -> None:
    """Each parses by its own grammar, without a series for when a counter was made."""
    text, openmetrics = render(filled.registry), render(filled.registry, PROMETHEUS_3)
    assert (text.content_type, openmetrics.content_type) == (TEXT, OPENMETRICS)
    assert openmetrics.body.endswith(b"# EOF\n")
    told = [
        {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in parse(answer.body.decode())
            for sample in family.samples
            if sample.name.startswith("openrouter_")
        }
        for parse, answer in ((parse_text, text), (parse_openmetrics, openmetrics))
    ]
    assert told[0] == told[1]
    assert b"_created" not in text.body + openmetrics.body
    assert any('strange "model"' in dict(labels).get("model", "") for _, labels in told[0])


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [("", False), ("gzip", True), ("deflate, GZIP;q=0.5", True), ("gzip;q=0", False), ("br", False)],
)
def test_the_text_is_compressed_for_who_takes_it(filled: Scene, accepted: str, compressed: bool) -> None:
    """A few series shrink to a seventh, many to a twentieth."""
    answer = render(filled.registry, "", accepted)
    assert answer.encoding == ("gzip" if compressed else "")
    body = gzip.decompress(answer.body) if compressed else answer.body
    assert b"openrouter_monitor_scrape_ok 1.0" in body
    assert not compressed or len(answer.body) < len(body) / 5


def test_the_process_is_told_beside_the_store(filled: Scene) -> None:
    """A restart of the daemon shows in its start time."""
    body = render(filled.registry).body
    assert b"process_start_time_seconds " in body
    assert b"python_info{" in body


def test_promtool_finds_nothing_to_complain_of(filled: Scene) -> None:
    """Names, helps and types keep Prometheus' own rules."""
    promtool = shutil.which("promtool")
    if promtool is None:
        advice = "promtool is not installed: `apt-get install --no-install-recommends prometheus` brings it"
        if os.environ.get("CI"):
            pytest.fail(advice)
        pytest.skip(advice)
    done = subprocess.run([promtool, "check", "metrics"], input=render(filled.registry).body, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
