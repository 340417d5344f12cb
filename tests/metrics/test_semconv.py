"""OpenTelemetry's GenAI histograms: off unless asked for, counted once from the log, in the conventions' buckets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from monitor.clock import FakeClock
from monitor.metrics.exposition import render
from monitor.model import Ending, Endpoint, LimitKind, Outcome, Usage
from monitor.store.sqlite import onward
from monitor.store.sqlite.pruning import prune
from monitor.store.sqlite.reader import open_read_only
from monitor.store.sqlite.reports import Reports
from monitor.store.sqlite.semconv import SETS, count_onward
from tests.fakes.builders import FREE, FREE2, NOON, PAID, ask, one, refused_by, success, take
from tests.fakes.processes import Worker
from tests.metrics.metrics_kit import PLENTY, Scene

DURATION, TOKENS = "gen_ai_client_operation_duration_seconds", "gen_ai_client_token_usage"
ON = {"metrics": {"genai_semconv": True}, "quota": PLENTY}


@pytest.fixture
def scene(tmp_path: Path, clock: FakeClock) -> Scene:
    """The setting is on, and the daemon has looked for the first time."""
    scene = Scene(tmp_path, clock, **ON)
    count_onward(scene.path, clock)
    return scene


def labels(error: str | None = "", kind: str | None = None, **more: str) -> dict[str, str]:
    given = {
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "openrouter",
        "gen_ai_request_model": FREE,
        "gen_ai_response_model": FREE,
    }
    given |= {"gen_ai_token_type": kind} if kind else {"error_type": error or ""}
    return given | more


def served(prompt: int = 7, completion: int = 5, **more: object) -> Ending:
    usage = Usage(prompt_tokens=prompt, completion_tokens=completion, cost_usd=0.0)
    return success(model_served=FREE, usage=usage, **more)


def counted(scene: Scene) -> float:
    """Attempts in the histogram of durations, whatever their labels."""
    return sum(scene.all(f"{DURATION}_count").values())


def test_off_by_default(tmp_path: Path, clock: FakeClock) -> None:
    """Without the setting there is no such family, and a scrape does not look for it."""
    scene = Scene(tmp_path, clock)
    scene.call(ending=served())
    count_onward(scene.path, clock)
    assert not [metric for metric in scene.metrics() if metric.name.startswith("gen_ai")]


def test_a_duration_falls_into_the_conventions_buckets(scene: Scene) -> None:
    """0.01 to 81.92 s by doubling, and what is longer."""
    for seconds in (0.009, 0.011, 81.9, 100.0):
        scene.call(ending=served(), seconds=seconds)
    count_onward(scene.path, scene.clock)
    told = [scene.value(f"{DURATION}_bucket", **labels(), le=le) for le in ("0.01", "0.02", "40.96", "81.92", "+Inf")]
    assert told == [1, 2, 2, 3, 4]
    assert scene.value(f"{DURATION}_sum", **labels()) == pytest.approx(181.92)
    bounds = {sample.labels["le"] for m in scene.metrics() if m.name == DURATION for sample in m.samples[:15]}
    assert bounds == {*(f"{0.01 * 2**n:g}" for n in range(14)), "+Inf"}


def test_tokens_fall_into_the_conventions_buckets(scene: Scene) -> None:
    """1 to 67108864 by fours, input and output apart; an attempt without usage is none of them."""
    for prompt, completion in ((1, 4), (2, 5), (67_108_865, 0)):
        scene.call(ending=served(prompt, completion))
    scene.call(ending=Ending(Outcome.SUCCESS, status=200, model_served=FREE))
    count_onward(scene.path, scene.clock)
    read = [scene.value(f"{TOKENS}_bucket", **labels(kind="input"), le=le) for le in ("1.0", "4.0", "6.7108864e+07")]
    assert read == [1, 2, 2]
    assert scene.value(f"{TOKENS}_count", **labels(kind="input")) == 3
    written = [scene.value(f"{TOKENS}_bucket", **labels(kind="output"), le=le) for le in ("1.0", "4.0", "16.0")]
    assert written == [1, 2, 3]
    assert scene.value(f"{TOKENS}_sum", **labels(kind="output")) == 9
    assert counted(scene) == 4


@pytest.mark.parametrize(
    ("ending", "error"),
    [
        (refused_by(LimitKind.UPSTREAM), "429"),
        (Ending(Outcome.SERVER_ERROR, status=502), "502"),
        (Ending(Outcome.SERVER_ERROR, status=200), "server_error"),
        (Ending(Outcome.NETWORK_ERROR), "network_error"),
        (Ending(Outcome.CANCELLED, status=200), "cancelled"),
    ],
)
def test_an_error_has_a_type(scene: Scene, ending: Ending, error: str) -> None:
    """The HTTP status, or how it ended where that tells nothing."""
    scene.call(ending=ending)
    count_onward(scene.path, scene.clock)
    assert scene.value(f"{DURATION}_count", **labels(error, gen_ai_response_model="")) == 1


@pytest.mark.parametrize(
    ("endpoint", "operation"),
    [
        (Endpoint.CHAT, "chat"),
        (Endpoint.RESPONSES, "chat"),
        (Endpoint.MESSAGES, "chat"),
        (Endpoint.COMPLETIONS, "text_completion"),
        (Endpoint.EMBEDDINGS, "embeddings"),
        (Endpoint.RERANK, "rerank"),
    ],
)
def test_an_operation_has_the_conventions_name(scene: Scene, endpoint: Endpoint, operation: str) -> None:
    """Where they have one; else OpenRouter's."""
    scene.call(ending=served(), endpoint=endpoint)
    count_onward(scene.path, scene.clock)
    assert scene.value(f"{DURATION}_count", **labels(gen_ai_operation_name=operation)) == 1


def test_what_never_left_or_has_no_end_is_no_operation(scene: Scene) -> None:
    """A refusal, and an attempt that a sweep gave up."""
    scene.book.reserve(ask(PAID))
    take(scene.book)
    scene.clock.advance(3600)
    scene.book.sweep()
    count_onward(scene.path, scene.clock)
    assert counted(scene) == 0
    assert one(scene.book, "SELECT count(*) FROM semconv_open") == 0


def test_an_attempt_in_flight_is_counted_when_it_has_ended(scene: Scene) -> None:
    """Also when later ones ended before it; and nothing is counted twice."""
    slow, quick = take(scene.book, call_id="slow"), take(scene.book, call_id="quick")
    scene.book.settle(quick, served())
    count_onward(scene.path, scene.clock)
    count_onward(scene.path, scene.clock)
    assert counted(scene) == 1
    scene.book.settle(slow, served())
    for _ in range(3):
        count_onward(scene.path, scene.clock)
    assert counted(scene) == 2


def test_the_log_is_read_in_small_parts(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much there is to catch up with, no transaction is long, and none of it is lost at the seams."""
    monkeypatch.setattr(onward, "BATCH", 7)
    for n in range(30):
        scene.call(ending=served(), call_id=str(n))
    count_onward(scene.path, scene.clock)
    assert counted(scene) == 30


def test_counting_begins_when_it_is_turned_on(tmp_path: Path, clock: FakeClock) -> None:
    """A long log is not read from its beginning."""
    scene = Scene(tmp_path, clock, **ON)
    scene.call(ending=served())
    count_onward(scene.path, clock)
    scene.call(ending=served())
    count_onward(scene.path, clock)
    assert counted(scene) == 1


def test_counters_survive_restart_and_prune(scene: Scene) -> None:
    """They are sums in the store; rows that went before they were seen are not missed twice."""
    slow = take(scene.book, call_id="slow")
    for n in range(5):
        scene.call(ending=served(), call_id=str(n))
    count_onward(scene.path, scene.clock)
    scene.book.settle(slow, served())
    before = counted(scene)
    scene.clock.advance(10)
    prune(scene.path, scene.clock, before=scene.clock.now())
    scene.restart()
    count_onward(scene.path, scene.clock)
    assert counted(scene) == before == 5
    assert one(scene.book, "SELECT count(*) FROM semconv_open") == 0
    scene.call(ending=served(), call_id="later")
    count_onward(scene.path, scene.clock)
    assert counted(scene) == 6


@pytest.mark.processes
def test_two_daemons_count_each_attempt_once_beside_a_writer(tmp_path: Path, clock: FakeClock) -> None:
    """The mark moves in the transaction that counts."""
    scene = Scene(tmp_path, clock, **ON)
    count_onward(scene.path, clock)
    before = one(scene.book, "SELECT ifnull(sum(n), 0) FROM totals")
    with Worker("write", scene.path, json.dumps(ON)) as worker:
        assert worker.hear() == "ready"
        worker.tell("go")
        for _ in range(40):
            for _ in range(4):
                worker.hear()
            count_onward(scene.path, clock)
            count_onward(scene.path, clock)
        worker.kill()
        worker.hear_all()
    count_onward(scene.path, clock)
    count_onward(scene.path, clock)
    settled = one(scene.book, "SELECT ifnull(sum(n), 0) FROM totals") - before
    assert settled > 50
    assert counted(scene) == settled


def test_label_sets_are_bounded_and_never_move(scene: Scene) -> None:
    """The first have names of their own, whatever came later is `other`; a second look changes no place."""
    for n in range(SETS + 10):
        ending = success(model_served=f"lab/m{n}")
        scene.call(ending=ending, call_id=str(n))
    count_onward(scene.path, scene.clock)
    first = scene.all(f"{DURATION}_count")
    assert len(first) == SETS + 1
    assert sum(first.values()) == SETS + 10
    other = dict.fromkeys(labels(), "other") | {"gen_ai_provider_name": "openrouter"}
    assert scene.value(f"{DURATION}_count", **other) == 10
    scene.call(FREE2, success(model_served="lab/late"), call_id="late")
    count_onward(scene.path, scene.clock)
    assert scene.value(f"{DURATION}_count", **other) == 11
    assert one(scene.book, "SELECT count(*) FROM semconv") == SETS + 1


def test_the_newest_attempt_is_an_example_in_openmetrics_only(scene: Scene) -> None:
    """By its generation id, beside the bucket it fell into; the text format has no place for it."""
    scene.call(ending=served(generation_id="gen-1"), seconds=0.5)
    scene.call(ending=served(generation_id="gen-2"), seconds=3.0)
    scene.call(ending=served(generation_id="x" * 200), seconds=9.0)
    count_onward(scene.path, scene.clock)
    text = render(scene.registry, "application/openmetrics-text").body.decode()
    found = [
        (sample.labels["le"], sample.exemplar.labels, sample.exemplar.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.exemplar
    ]
    assert found == [("5.12", {"generation_id": "gen-2"}, 3.0)]
    assert "gen-2" not in render(scene.registry).body.decode()


def test_an_idle_daemon_writes_nothing(scene: Scene) -> None:
    """A look that finds nothing new takes no writer's lock."""
    scene.call(ending=served())
    count_onward(scene.path, scene.clock)
    with Worker("lock", scene.path) as worker:
        assert worker.hear() == "ready"
        assert worker.ask("lock") == "done"
        count_onward(scene.path, scene.clock)
        assert worker.ask("free") == "done"


def test_a_scrape_does_not_read_the_log_for_it(scene: Scene) -> None:
    """It reads as many rows as there are label sets."""
    scene.call(ending=served())
    count_onward(scene.path, scene.clock)
    reading = open_read_only(scene.path)
    statements: list[str] = []
    reading.set_trace_callback(statements.append)
    Reports(reading).scrape("default", NOON, semconv=True)
    reading.set_trace_callback(None)
    plans = [row[3] for s in statements for row in reading.execute(f"EXPLAIN QUERY PLAN {s}").fetchall()]
    reading.close()
    assert [plan for plan in plans if " calls" in plan] == ["SEARCH calls USING INTEGER PRIMARY KEY (rowid>?)"]
    assert "SCAN semconv" in plans


def test_a_restored_backup_goes_on_where_it_was(scene: Scene, tmp_path: Path) -> None:
    """Its log is shorter than what was seen: nothing stops, and what comes is counted."""
    scene.call(ending=served())
    count_onward(scene.path, scene.clock)
    with scene.book.store.transaction() as tx:
        tx._db.execute("UPDATE marks SET value = 1000 WHERE name = 'semconv_from'")  # type: ignore[attr-defined]
    count_onward(scene.path, scene.clock)
    scene.call(ending=served())
    count_onward(scene.path, scene.clock)
    assert counted(scene) == 2
