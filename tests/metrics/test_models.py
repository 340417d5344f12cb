"""The catalogue, as a scrape tells it."""

from __future__ import annotations

from pathlib import Path

from monitor.clock import FakeClock
from monitor.model import Event, PriceClass
from monitor.policy.changes import Kind, plural
from tests.fakes.builders import CATALOGUE, COMPLETION_USD, FREE, FREE2, HOUR, PAID, PROMPT_USD, ROUTED, ZERO, facts
from tests.metrics.metrics_kit import Scene

OFF = {"mode": "off"}


def test_the_catalogue_is_told_by_tier(scene: Scene) -> None:
    """A zero-priced preview is free as long as it lasts; a router's price depends."""
    assert scene.all("openrouter_models") == {("free",): 4, ("paid",): 3, ("unknown",): 0}


def test_only_models_that_matter_here_are_told_one_by_one(tmp_path: Path, clock: FakeClock) -> None:
    """Those that apps used and those that the settings name; not what a glob might mean, nor a misspelt id."""
    scene = Scene(tmp_path, clock, guard={"mode": "off", "models": (ZERO, "lab/gone:free", "lab/c*")})
    scene.call(FREE)
    scene.call("lab/misspelt:free")
    assert scene.all("openrouter_model_available") == {(ZERO,): 1, ("lab/gone:free",): 0, (FREE,): 1}
    assert scene.all("openrouter_model_free") == {(ZERO,): 1, ("lab/gone:free",): 0, (FREE,): 1}


def test_prices_are_those_of_one_token(tmp_path: Path, clock: FakeClock) -> None:
    """The unit is one token, not a million; where the price depends there is none."""
    scene = Scene(tmp_path, clock, guard=OFF)
    for model in (FREE, PAID, ROUTED):
        scene.call(model)
    told = scene.all("openrouter_model_price_usd_per_token")
    assert {row: value for row, value in told.items() if row[1] in ("input", "output")} == {
        (FREE, "input"): 0,
        (FREE, "output"): 0,
        (PAID, "input"): PROMPT_USD,
        (PAID, "output"): COMPLETION_USD,
    }
    assert scene.value("openrouter_model_free", model=PAID) == 0
    assert scene.value("openrouter_model_free", model=ROUTED) == 0


def test_the_prices_of_a_request_and_of_an_image_are_told_where_they_are_listed(scene: Scene) -> None:
    """They come out of the store as they went in; a catalogue of before images were read has none."""
    scene.call(FREE)
    scene.poll({**CATALOGUE, FREE: facts(FREE, PriceClass.FREE, request_usd=0.5, image_usd=0.25)})
    name = "openrouter_model_price_usd_per_token"
    assert [scene.value(name, model=FREE, type=kind) for kind in ("request", "image")] == [0.5, 0.25]
    scene.poll()
    assert scene.value(name, model=FREE, type="image") is None


def test_a_model_that_vanishes_or_turns_paid_is_told_at_once(scene: Scene) -> None:
    """The gauges show the newest catalogue, whatever the events conclude later."""
    scene.call(FREE)
    scene.call(FREE2)
    scene.clock.advance(60)
    changed = {**CATALOGUE, FREE2: facts(FREE2, PriceClass.PAID)}
    del changed[FREE]
    scene.poll(changed)
    assert scene.all("openrouter_model_available") == {(FREE,): 0, (FREE2,): 1}
    assert scene.all("openrouter_model_free") == {(FREE,): 0, (FREE2,): 0}
    assert scene.value("openrouter_model_price_usd_per_token", model=FREE, type="input") is None
    assert scene.value("openrouter_model_price_usd_per_token", model=FREE2, type="input") == PROMPT_USD


def test_a_date_of_withdrawal_is_told_in_epoch_seconds(scene: Scene) -> None:
    """`2026-10-01` is its first second, UTC; a date that is none is left out."""
    scene.call(FREE)
    scene.call(FREE2)
    dated = {
        FREE: facts(FREE, PriceClass.FREE, expires="2026-10-01"),
        FREE2: facts(FREE2, PriceClass.FREE, expires="x"),
    }
    scene.poll({**CATALOGUE, **dated})
    assert scene.all("openrouter_model_deprecation_timestamp_seconds") == {(FREE,): 20_727 * 86_400.0}


def test_the_catalogue_of_another_upstream_is_not_told(tmp_path: Path, clock: FakeClock) -> None:
    """What a simulator lists is not true of OpenRouter."""
    scene = Scene(tmp_path, clock, base_url="http://127.0.0.1:1/api/v1")
    scene.call(FREE)
    scene.collector.settings = scene.book.settings.with_changes(base_url="https://openrouter.ai/api/v1")
    assert scene.all("openrouter_models") == {}
    assert scene.all("openrouter_model_available") == {}
    assert scene.value("openrouter_monitor_poll_last_success_timestamp_seconds", poller="models") is None


def test_every_change_exists_at_zero(scene: Scene) -> None:
    """The first one is a step."""
    told = scene.all("openrouter_model_changes_total")
    assert len(told) == len(Kind)
    assert set(told.values()) == {0}


def test_a_change_is_counted_by_models_however_it_was_grouped(scene: Scene) -> None:
    """Six models that turn paid at one poll are one event, and six changes."""
    many = {f"lab/m{n}:free": facts(f"lab/m{n}:free", PriceClass.FREE) for n in range(6)}
    scene.poll({**CATALOGUE, **many})
    scene.clock.advance(2 * HOUR)
    scene.poll({**CATALOGUE, **many})
    scene.clock.advance(600)
    paid = {name: facts(name, PriceClass.PAID) for name in many}
    scene.poll({**CATALOGUE, **paid})
    assert scene.value("openrouter_model_changes_total", change="free_removed") == 6
    scene.clock.advance(600)
    scene.poll({**CATALOGUE, **paid, FREE: facts(FREE, PriceClass.PAID)})
    assert scene.value("openrouter_model_changes_total", change="free_removed") == 7


def test_changes_are_counted_for_good(scene: Scene) -> None:
    """Events are deleted after a year; their count is a counter and stays."""
    with scene.book.store.transaction() as tx:
        tx.add_event(Event(0.0, Kind.ADDED, "lab/old"))
        tx.add_event(Event(0.0, plural(Kind.ADDED), "7 models"), 7)
    before = scene.value("openrouter_model_changes_total", change="added")
    from monitor.store.sqlite.pruning import prune

    assert prune(scene.path, scene.clock, before=0.0).events == 2
    assert before == 8
    assert scene.value("openrouter_model_changes_total", change="added") == before
