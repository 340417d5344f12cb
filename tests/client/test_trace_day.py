"""A whole day of traffic through the friendly client, while three of ten attempts meet a provider that is busy."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from client_kit import NOON, PAID, World, fault

from monitor import CallFailed, QuotaExhausted
from monitor.cli.demo_arrivals import Arrival, past_day
from monitor.clock import DAY

MIDNIGHT = NOON - DAY / 2
RECORDED = Path(__file__).parents[3] / "shared" / "data" / "traces"
BUSY_SHARE, PLENTY = 0.3, 1500


def busy_by_chance(seed: int) -> list[dict[str, object]]:
    """Each attempt on its own, so that several in a row can be met."""
    chance = random.Random(seed)
    return [fault("upstream_429", nth=nth) for nth in range(1, PLENTY) if chance.random() < BUSY_SHARE]


def live(world: World, arrivals: tuple[Arrival, ...]) -> tuple[int, int, int]:
    """Ask at the time of each arrival; how many were answered, how many were not, and how many had no quota left."""
    answered = failed = late = 0
    client = world.client(quota={"per_minute": 20}, guard={"wait": 120})
    for number, arrival in enumerate(arrivals):
        world.clock.advance(max(0.0, arrival.at - world.clock.now()))
        try:
            assert client.chat(f"question {number}").text
            answered += 1
        except CallFailed:
            failed += 1
        except QuotaExhausted as exc:
            late += exc.reason == "day_limit"
    return answered, failed, late


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "made up"])
def test_a_day_with_busy_providers(worlds, recorded):
    """At least 99 of 100 are answered, for at most 1.6 attempts each; nothing is billed, no limit overrun."""
    if recorded and not RECORDED.is_dir():
        pytest.skip("../shared is absent: there is no recorded trace")
    past = past_day([RECORDED] if recorded else [], MIDNIGHT + DAY)
    world = worlds(*busy_by_chance(7), now=MIDNIGHT, per_day=PLENTY, per_minute=20)
    assert len(past.arrivals) > 300
    assert held(world, past.arrivals) == 0


def test_a_day_whose_quota_runs_out(worlds):
    """Of the calls that find some of it left it holds too; those that find it spent send nothing, and are told so."""
    past = past_day([], MIDNIGHT + DAY)
    world = worlds(*busy_by_chance(7), now=MIDNIGHT, per_day=100, per_minute=20)
    assert held(world, past.arrivals[:140]) >= 40
    assert world.sim.used() == 100


def held(world: World, arrivals: tuple[Arrival, ...]) -> int:
    """Live through the arrivals, and look at what is promised; how many found no quota left."""
    answered, failed, late = live(world, arrivals)
    books, answerable = world.sim.books, len(arrivals) - late
    assert answered + failed == answerable
    assert answered >= 0.99 * answerable
    assert books.requests <= 1.6 * answerable
    busy = sum(row["outcome"] == "rate_limited" for row in world.rows())
    assert busy >= (BUSY_SHARE - 0.05) * books.requests  # the day was as hard as was meant
    assert (books.cost_usd, books.overshoots) == (0, 0)
    assert all(model.endswith(":free") and model != PAID for model in world.asked())
    return late
