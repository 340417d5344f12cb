"""Labels are bounded, and no counter ever goes back."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlite_utils

from monitor.clock import DAY, FakeClock
from monitor.ledger import LEASE_SECONDS
from monitor.metrics.collector import name_apps
from monitor.metrics.families import BY_NAME
from monitor.metrics.family import Type
from monitor.model import Ending, LimitKind, Outcome
from monitor.store import SQLiteStore
from monitor.store.sqlite.names import APP, APP_MODEL, MODEL
from monitor.store.sqlite.opening import PAGE_BYTES
from monitor.store.sqlite.pruning import prune
from monitor.store.sqlite.schema import APPLICATION_ID, build_migrations
from monitor.store.sqlite.scrape import CAPS
from tests.fakes.builders import FREE, PAID, ask, refused_by, success, take
from tests.metrics.metrics_kit import PLENTY, Scene

OFF = {"mode": "off"}


@pytest.fixture
def open_scene(tmp_path: Path, clock: FakeClock) -> Scene:
    """Nothing is refused, so that any model may be called."""
    return Scene(tmp_path, clock, guard=OFF, quota=PLENTY)


def overflow(scene: Scene) -> dict[str, float]:
    return {label: n for (label,), n in scene.all("openrouter_monitor_label_overflow_total").items()}


def test_the_app_after_the_last_place_is_other_from_its_first_call(open_scene: Scene) -> None:
    """Twenty have names; the twenty-first is told with all who follow it."""
    scene = open_scene
    for n in range(CAPS.apps):
        scene.call(app=f"app-{n}")
    assert scene.value("openrouter_tier_requests_total", app=f"app-{CAPS.apps - 1}", tier="free") == 1
    assert scene.value("openrouter_tier_requests_total", app="other", tier="free") == 0
    assert overflow(scene) == {APP: 0, MODEL: 0, APP_MODEL: 0}
    for n in range(CAPS.apps, CAPS.apps + 2):
        scene.call(app=f"app-{n}")
    assert scene.value("openrouter_tier_requests_total", app="other", tier="free") == 2
    assert scene.value("openrouter_tier_requests_total", app=f"app-{CAPS.apps}", tier="free") is None
    assert overflow(scene)[APP] == 2


def test_the_sums_of_all_labels_are_those_of_the_ledger(open_scene: Scene) -> None:
    """Folding loses nothing."""
    scene = open_scene
    for n in range(200):
        scene.call(f"lab/m{n % 70}:free", app=f"app-{n % 30}")
    assert sum(scene.all("openrouter_requests_total").values()) == 200
    assert sum(scene.all("openrouter_tier_requests_total").values()) == 200
    assert sum(scene.all("openrouter_request_duration_seconds_count").values()) == 200
    assert sum(scene.all("openrouter_tokens_total").values()) == 200 * 12


def test_a_pair_without_a_place_keeps_its_app_and_the_models_own_series(open_scene: Scene) -> None:
    """Where app and model stand together the pair needs a place as well; where the model stands alone it does not."""
    scene = open_scene
    for n in range(CAPS.pairs + 1):
        scene.call(f"lab/m{n % 40}:free", app=f"app-{n // 40}")
    last = f"lab/m{CAPS.pairs % 40}:free"
    assert scene.value("openrouter_cost_usd_total", app="app-3", model=last) is None
    assert scene.value("openrouter_cost_usd_total", app="app-3", model="other") == 0
    assert scene.value("openrouter_request_duration_seconds_count", model=last, outcome="success") == 4
    assert overflow(scene) == {APP: 0, MODEL: 0, APP_MODEL: 1}


def test_apps_of_the_settings_come_first_when_the_daemon_names_them(tmp_path: Path, clock: FakeClock) -> None:
    """A crowd that calls before them does not take their places."""
    scene = Scene(tmp_path, clock, guard=OFF, quota=PLENTY, apps={"billing": {}, "search": {}})
    name_apps(scene.book.store, scene.book.settings)
    for n in range(CAPS.apps):
        scene.call(app=f"crowd-{n}")
    scene.call(app="billing")
    assert scene.value("openrouter_tier_requests_total", app="billing", tier="free") == 1
    assert scene.value("openrouter_tier_requests_total", app="search", tier="free") == 0
    assert scene.value("openrouter_tier_requests_total", app="other", tier="free") == 2


def test_naming_apps_again_changes_nothing(tmp_path: Path, clock: FakeClock) -> None:
    """A place is kept; an app that is configured when it is `other` already stays so, for its sums are in there."""
    scene = Scene(tmp_path, clock, guard=OFF, quota=PLENTY)
    for n in range(CAPS.apps + 1):
        scene.call(app=f"app-{n}")
    before = scene.counters()
    late = scene.book.settings.with_changes(apps={f"app-{CAPS.apps}": {}, "app-0": {}})
    name_apps(scene.book.store, late)
    scene.collector.settings = late
    assert {key: value for key, value in scene.counters().items() if key in before} == before


def test_an_app_that_was_only_refused_has_its_place(scene: Scene) -> None:
    """It has series of its own before anything of it leaves."""
    scene.book.reserve(ask("lab/none", app="refused"))
    assert scene.value("openrouter_refusals_total", app="refused", reason="model_unknown") == 1
    assert scene.value("openrouter_tier_requests_total", app="refused", tier="paid") == 0


def endings() -> Iterator[Ending]:
    while True:
        yield success(0.001, ttft=0.4)
        yield refused_by(LimitKind.UPSTREAM)
        yield Ending(Outcome.SERVER_ERROR, status=502)


def test_no_counter_goes_back_over_overflow_restart_and_pruning(open_scene: Scene) -> None:
    """At every step each series has what it had, or more; one that was told once is told for good."""
    scene, dice, ends = open_scene, random.Random(7), endings()
    before = scene.counters()
    for step in range(15):
        for n in range(40):
            app, model = int(dice.expovariate(0.05)), int(dice.expovariate(0.02))
            scene.call(f"lab/m{model}:free", next(ends), app=f"app-{app}", call_id=f"{step}-{n}", seconds=0.1)
        if step % 5 == 1:
            scene.restart()
        if step % 5 == 3:
            scene.clock.advance(2 * DAY)
            assert prune(scene.path, scene.clock, before=scene.clock.now() - DAY).calls > 0
        now = scene.counters()
        assert {key: value for key, value in before.items() if now.get(key, -1.0) < value} == {}
        before = now
    assert min(overflow(scene).values()) > 0


def test_the_late_truth_of_a_lost_attempt_takes_nothing_back(tmp_path: Path, clock: FakeClock) -> None:
    """A sweep counts what is lost, at its estimate; an answer that comes after all can only add to that."""
    scene = Scene(tmp_path, clock, guard={"allow": "any"})
    hold = take(scene.book, PAID)
    clock.advance(LEASE_SECONDS + 1)
    assert scene.book.sweep() == 1
    before = scene.counters()
    assert scene.value("openrouter_cost_usd_total", app="app", model=PAID) == hold.call.estimate_usd > 0
    scene.book.settle(hold, success(hold.call.estimate_usd / 2))
    now = scene.counters()
    assert {key: value for key, value in before.items() if now[key] < value} == {}
    assert scene.value("openrouter_tier_requests_total", app="app", tier="paid") == 1


def test_series_stay_under_their_bounds(open_scene: Scene) -> None:
    """Forty apps with two hundred models, in three outcomes, stay under the bound of each family and under 6 000."""
    scene, ends = open_scene, endings()
    for n in range(3 * 600):
        # Pairs enough to fill every place, each in every outcome; all of the 8 000 would only take longer.
        pair = n // 3
        scene.call(f"lab/m{pair * 7 % 200}:free", next(ends), app=f"app-{pair % 40}", call_id=str(n))
    assert [n > 0 for n in overflow(scene).values()] == [True] * 3
    total = 0
    for metric in scene.metrics():
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        assert len(metric.samples) <= BY_NAME[name].series, name
        total += len(metric.samples)
    assert total < 6_000
    usual = [f for f in BY_NAME.values() if f.type is Type.HISTOGRAM and not f.setting]
    assert [family.name for family in usual if family.bound > 102] == []


def test_a_store_from_before_there_were_places_gives_them_by_volume(tmp_path: Path, clock: FakeClock) -> None:
    """The busiest have names; nothing that was counted is lost, nor are events that were told."""
    path = tmp_path / "monitor.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    build_migrations().apply(sqlite_utils.Database(connection), stop_before="m003_names_and_event_totals")
    connection.execute("PRAGMA user_version=2")
    insert = (
        "INSERT INTO totals (app, model, tier, code, outcome, kind, n) VALUES (?, ?, 'free', '200', 'success', '', ?)"
    )
    connection.executemany(insert, [(f"app-{n}", FREE, n + 1) for n in range(CAPS.apps + 5)])
    connection.execute("INSERT INTO refusals VALUES ('refused', 'paused', 0, 1000)")
    connection.execute("INSERT INTO events (at, kind, subject) VALUES (0, 'model_removed', 'lab/gone')")
    connection.close()
    scene = Scene(tmp_path, clock)
    tiers = scene.all("openrouter_tier_requests_total")
    assert tiers[("refused", "free")] == 0
    assert tiers[(f"app-{CAPS.apps + 4}", "free")] == CAPS.apps + 5
    assert tiers[("other", "free")] == sum(range(1, 7))
    assert scene.value("openrouter_model_changes_total", change="removed") == 1


def test_places_are_one_after_the_other_however_many_processes_give_them(tmp_path: Path, clock: FakeClock) -> None:
    """A value has one place, and no place two values."""
    scene = Scene(tmp_path, clock, guard=OFF, quota=PLENTY)
    other = SQLiteStore(scene.path)
    for n in range(5):
        scene.call(app=f"app-{n}")
        with other.transaction() as tx:
            tx.give_places(APP, [f"app-{n}", f"app-{n + 1}"])
    with other.connection.reading() as connection:
        rows = connection.execute("SELECT place, value FROM label_names WHERE label = 'app' ORDER BY place").fetchall()
    assert rows == [(n + 1, f"app-{n}") for n in range(6)]
    other.close()
