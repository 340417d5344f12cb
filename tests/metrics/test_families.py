"""The table, what is exposed, and the page agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from monitor.clock import DAY, FakeClock
from monitor.metrics.families import BY_NAME, CHANGES, FAMILIES
from monitor.metrics.family import Family, Type
from monitor.metrics.polls import Polls
from monitor.metrics.proxied import Proxied
from monitor.metrics.reference import page
from monitor.metrics.sheet import Sheet
from monitor.model import KeyFacts, LimitKind, PriceClass
from monitor.policy.changes import Kind
from monitor.store.sqlite.semconv import count_onward
from tests.fakes.builders import CATALOGUE, FREE, NOON, PAID, ask, facts, refused_by, success
from tests.metrics.metrics_kit import Scene

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


@pytest.fixture
def full(tmp_path: Path, clock: FakeClock) -> Scene:
    """Everything that can be told is told."""
    scene = Scene(tmp_path, clock, guard={"mode": "shadow", "models": (FREE,)}, metrics={"genai_semconv": True})
    count_onward(scene.path, clock)
    scene.polls, scene.proxied = Polls({"models": 600, "key": 60}), Proxied()
    scene.restart()
    scene.call(ending=success(0.1, ttft=0.5), seconds=1)
    scene.call(PAID, success(0.1))
    for _ in range(40):
        scene.call(ending=refused_by(LimitKind.UPSTREAM))
    scene.book.note_key(
        KeyFacts(
            limit_usd=5, limit_remaining_usd=4, limit_reset="daily", usage_usd=9, usage_daily_usd=1, usage_weekly_usd=2,
            usage_monthly_usd=3, is_free_tier=True, expires_at=NOON + DAY, free_used=43, free_limit=50,
        ),
        asked_at=clock.now(),
    )  # fmt: skip
    with scene.book.store.transaction() as tx:
        tx.add_snapshot(clock.now(), "credits", "default", {"total_credits": 9, "total_usage": 1})
        day = {"day": 20_716, "requests": 7, "usage_usd": 0.5, "prompt_tokens": 90, "completion_tokens": 10}
        tx.add_snapshot(clock.now(), "activity", "default", day)
        told = {"source": scene.book.settings.base_url, "uptime": {FREE: {"Chutes": 0.98}}}
        tx.add_snapshot(clock.now(), "endpoints", "", told)
    scene.polls.compared_clocks(0.25)
    scene.polls.tells_by("mail")
    count_onward(scene.path, clock)
    scene.poll({**CATALOGUE, FREE: facts(FREE, PriceClass.FREE, expires="2026-12-24", request_usd=0.0)})
    scene.book.reserve(ask("lab/none"))
    return scene


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_no_label_is_one_of_prometheus_own(family: Family) -> None:
    """Prometheus says `job` and `instance` of whom it scrapes, and would move ours aside as `exported_…`."""
    assert not {"job", "instance"} & set(family.labels)


def test_every_family_is_exposed_and_every_exposed_family_is_in_the_table(full: Scene) -> None:
    """Both ways, with the same type, help and labels."""
    exposed = {f"{m.name}_total" if m.type == "counter" else m.name: m for m in full.metrics()}
    assert exposed.keys() == BY_NAME.keys()
    for name, metric in exposed.items():
        family = BY_NAME[name]
        assert (metric.type, metric.documentation) == (family.type, family.help)
        assert {frozenset(sample.labels) - {"le"} for sample in metric.samples} == {frozenset(family.labels)}, name


def test_a_name_stands_in_the_table_once() -> None:
    """A second entry would be told twice, which Prometheus refuses."""
    assert len(BY_NAME) == len(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_name_says_what_prometheus_expects_of_it(family: Family) -> None:
    """The prefix, `_total` for counters and for nothing else, base units; the help has its unit."""
    assert re.fullmatch(r"(openrouter|gen_ai_client)_[a-z_]+", family.name)
    assert family.name.startswith("gen_ai") is bool(family.setting)
    assert family.name.endswith("_total") is (family.type is Type.COUNTER)
    assert not re.search(r"_(ms|milliseconds|minutes|hours|kb|percent)(_|$)", family.name)
    assert re.search(r" Unit: .+\.$", family.help)
    assert family.about.endswith(".")
    for unit in ("seconds", "bytes", "usd"):
        if re.search(rf"_{unit}(_total)?$", family.name):
            assert unit in family.unit.lower()
    assert bool(family.buckets) is (family.type is Type.HISTOGRAM)
    assert family.bound >= 1
    assert family.labels or family.bound == 1


def test_every_kind_of_change_is_a_change_that_is_told() -> None:
    """A new kind of event needs a word here."""
    assert CHANGES.keys() == set(Kind)


def test_what_is_not_in_the_table_cannot_be_told() -> None:
    """Neither a name nor a number of labels."""
    sheet = Sheet()
    sheet.add("openrouter_surprise_total", 1)
    with pytest.raises(KeyError, match="openrouter_surprise_total"):
        sheet.metrics()
    sheet = Sheet()
    sheet.add("openrouter_calls_total", 1, "app", "more")
    with pytest.raises(ValueError, match="openrouter_calls_total"):
        sheet.metrics()


def test_the_page_is_that_of_the_table() -> None:
    """Else: `python -m monitor.metrics > docs/metrics.md`."""
    assert PAGE.read_text(encoding="utf-8") == page()
