"""What our own client says of an attempt beside the request."""

from __future__ import annotations

import httpx
from guard_kit import FREE, REASON_HEADER, World, chat

from monitor.clock import FakeClock
from monitor.transport.effects import TAG, CallTag
from tests.fakes.builders import NOON


def post(client: httpx.Client, world: World, tag: object = None) -> httpx.Response:
    return client.post(world.url, json=chat(), extensions={} if tag is None else {TAG: tag})


def test_attempts_of_one_call_stand_under_its_id(connect, world):
    """The row has the id and the number that the tag gives, and the server sees nothing of it."""
    client = connect(world, FakeClock(NOON))
    for attempt in (1, 2):
        post(client, world, CallTag("call-of-mine", attempt, 0.0))
    assert [(row["call_id"], row["attempt"]) for row in world.rows()] == [("call-of-mine", 1), ("call-of-mine", 2)]
    assert b"call-of-mine" not in world.sim.books.posts[0].body
    assert "call-of-mine" not in str(world.sim.books.posts[0].headers)


def test_only_a_tag_is_a_tag(connect, world):
    """Whatever else stands under the name is not believed."""
    client = connect(world, FakeClock(NOON))
    assert post(client, world, {"call_id": "forged", "attempt": 9, "wait": 0}).status_code == 200
    assert world.row()["call_id"] != "forged"


def test_its_patience_stands_in_place_of_the_settings(connect, worlds):
    """It queues for a minute slot as long as the tag says, whatever `guard.wait` is."""
    clock = FakeClock(NOON)
    world = worlds(clock=clock, per_minute=1)
    client = connect(world, clock, quota={"per_minute": 1}, guard={"wait": 0.0})
    assert post(client, world).status_code == 200
    assert post(client, world, CallTag("c", 1, 30.0)).headers[REASON_HEADER] == "minute_limit"
    assert post(client, world, CallTag("c", 1, 90.0)).status_code == 200
    assert clock.now() >= NOON + 60


def test_without_patience_for_a_model_it_is_told_at_once(connect, worlds):
    """A model that cools down is not waited for by who has others to ask; who has none waits."""
    clock = FakeClock(NOON)
    world = worlds({"match": {"model": FREE, "times": 1}, "do": "upstream_429"}, clock=clock)
    client = connect(world, clock)
    assert post(client, world).status_code == 429
    assert post(client, world, CallTag("c", 2, 90.0, cooldowns=False)).headers[REASON_HEADER] == "cooldown"
    assert clock.now() == NOON
    assert post(client, world, CallTag("c", 2, 90.0)).status_code == 200
    assert clock.now() > NOON
