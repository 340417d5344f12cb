"""Many questions: in order, within the quota, at its pace, and none asked twice."""

from __future__ import annotations

import os
import socket

import pytest
from client_kit import BUSY, CODER, NOON, PAID, QWEN, R1, fault

from monitor import ConfigError, MonitorError
from monitor.client.batching import MOST_IN_A_ROW, Progress
from monitor.client.items import State, read_lines
from monitor.clock import DAY
from monitor.policy.windows import SLOT

MIDNIGHT = NOON + DAY / 2


def questions(count: int) -> list[str]:
    return [f"question {number}" for number in range(count)]


def test_answers_come_in_the_order_of_the_questions(world):
    """However they are asked; each is on record as a call of its own."""
    client = world.client()
    found = client.batch(questions(30), concurrency=8)
    assert [item.text for item in found] == [client.chat(f"question {n}").text for n in range(30)]
    assert [item.index for item in found] == list(range(30))
    assert (len(found.done), found.stopped, found.plan.days) == (30, "", ())
    assert len({item.call_id for item in found}) == 30
    assert found[3].model == QWEN
    assert found[3].usage["cost_usd"] == 0


def test_the_day_of_the_issue(worlds):
    """500 prompts, 50 a day, 20 a minute: 50 answers, 450 for the nine days after, and never a 429."""
    world = worlds(per_day=50, per_minute=20)
    client = world.client(quota={"per_minute": 20})
    plan = client.batch(questions(500), dry_run=True).plan
    assert [day.items for day in plan.days] == [50] * 10
    assert world.sim.books.requests == 0
    found = client.batch(questions(500), concurrency=1)
    assert (len(found.done), len(found.failed), len(found.planned)) == (50, 0, 450)
    assert [day.items for day in found.plan.days] == [50] * 9
    assert found.plan.days[0].starts_at == MIDNIGHT
    assert found.stopped == "the day's requests are spent until 2026-11-25T00:00:00Z"
    assert (world.sim.books.requests, world.sim.books.overshoots) == (50, 0)


def test_no_slot_of_a_minute_is_wasted(worlds):
    """500 in twenty-five minutes: no less than the rule permits, at least 98 % of 20 in 60 s, and never a 429."""
    world = worlds(per_day=1000, per_minute=20)
    found = world.client(quota={"per_minute": 20}).batch(questions(500), concurrency=1)
    posts = world.sim.books.posts
    took = posts[-1].at - posts[0].at
    assert len(found.done) == 500
    # Slots that come with time: twenty at once, and as many for each minute after.
    permitted, plain = 20 * (took / SLOT + 1), 20 * (took / 60 + 1)
    assert len(posts) / permitted >= 0.999  # what our own rule permits, by which a slot is held for 61 s
    assert len(posts) / plain >= 0.98  # twenty in any 60 s, of which a rule of 61 s cannot reach more than 60 / 61
    assert world.sim.books.overshoots == 0


def test_a_second_run_asks_only_what_is_left(worlds):
    """Tomorrow it goes on where today's quota ended; a run after the last asks nothing."""
    world = worlds(per_day=50)
    client = world.client()
    assert len(client.batch(questions(70)).done) == 50
    world.clock.set(MIDNIGHT + 1)
    found = world.client().batch(questions(70))
    assert (len(found.done), len(found.planned)) == (70, 0)
    assert world.sim.books.requests == 70
    assert all(item.text for item in found)
    assert len(world.client().batch(questions(70)).done) == 70
    assert world.sim.books.requests == 70
    assert len(world.client().batch(questions(3), fresh=True).done) == 3


def test_failures_are_listed_and_tried_again(worlds):
    """Each with its reason, in its place; the next run asks only them."""
    world = worlds(fault({"kind": "status", "status": 400, "message": "bad picture"}, nth=2))
    client = world.client()
    asked = ["a", {"prompt": "b", "custom_id": "mine"}, {"prompt": "c", "model": PAID}]
    found = client.batch(asked, concurrency=1)
    assert [item.state for item in found] == [State.DONE, State.FAILED, State.FAILED]
    assert (found[1].custom_id, found[1].reason, found[1].attempts) == ("mine", "client_error", 1)
    assert "bad picture" in (found[1].error or "")
    assert found[2].reason == "model_not_free"
    again = client.batch(asked, concurrency=1)
    assert [item.state for item in again] == [State.DONE, State.DONE, State.FAILED]
    assert world.sim.books.requests == 3


def test_items_say_what_they_want(world):
    """A text, messages, an object with parameters, a line of OpenAI's batch file; and what is said for all of them."""
    client = world.client()
    body = {"model": R1, "messages": [{"role": "user", "content": "d"}], "max_tokens": 5}
    asked = [
        "a",
        [{"role": "user", "content": "b"}],
        {"prompt": "c", "task": "code", "temperature": 0},
        {"custom_id": "x", "method": "POST", "url": "/v1/chat/completions", "body": body},
    ]
    found = client.batch(asked, concurrency=1, system="Be brief.", seed=7)
    assert [item.model for item in found] == [QWEN, QWEN, CODER, R1]
    assert all(b"Be brief." in post.body and b'"seed": 7' in post.body for post in world.sim.books.posts)


def test_the_same_question_twice_is_two_items(world):
    """Both are asked, and both are known again."""
    client = world.client()
    assert len(client.batch(["a", "a", "b"]).done) == 3
    assert world.sim.books.requests == 3
    client.batch(["a", "a", "b"])
    assert world.sim.books.requests == 3


def test_under_its_name_a_batch_may_change(world):
    """Items that are new or say something else are asked, the others are not."""
    client = world.client()
    client.batch([{"custom_id": "1", "prompt": "a"}, {"custom_id": "2", "prompt": "b"}], name="mine")
    changed = [
        {"custom_id": "2", "prompt": "else"},
        {"custom_id": "1", "prompt": "a"},
        {"custom_id": "3", "prompt": "c"},
    ]
    found = client.batch(changed, name="mine")
    assert world.sim.books.requests == 4
    assert [item.text for item in found] == [client.chat(text).text for text in ("else", "a", "c")]


def test_spread_over_the_day(worlds):
    """Evenly from now to midnight."""
    world = worlds(per_day=50)
    client = world.client()
    assert len(client.batch(questions(12), concurrency=1, spread="day").done) == 12
    gaps = [post.at - NOON for post in world.sim.books.posts]
    assert gaps == [pytest.approx(3600 * hour, abs=31) for hour in range(12)]


def test_a_share_of_the_quota_is_kept_for_others(worlds):
    """A batch of one app leaves what is promised to another."""
    world = worlds(per_day=50)
    found = world.client("batcher", apps={"web": {"share": 0.6}}).batch(questions(50), concurrency=1)
    assert (len(found.done), len(found.planned)) == (20, 30)


def test_when_everything_fails_it_stops(worlds):
    """Twenty failures in a row are not the items' doing: the rest is left, and the reason told."""
    world = worlds(fault({"kind": "status", "status": 400, "message": "all wrong"}))
    found = world.client().batch(questions(100), concurrency=1)
    assert (len(found.failed), len(found.planned)) == (MOST_IN_A_ROW, 100 - MOST_IN_A_ROW)
    assert "all wrong" in found.stopped


def test_a_pause_ends_it(world):
    """Nothing fails by it: what is left is left for later."""
    client = world.client()
    client.chat("x")
    with client._base.guard.ledger.store.transaction() as tx:
        tx.pause("", NOON, None, "maintenance")
    found = client.batch(questions(3))
    assert len(found.planned) == 3
    assert "maintenance" in found.stopped


def test_busy_models_do_not_stop_it(worlds):
    """A third of all attempts meets a busy pool; every item is answered all the same."""
    world = worlds(fault(BUSY, every=3))
    found = world.client().batch(questions(60), concurrency=1)
    assert len(found.done) == 60


def test_progress_is_told(world):
    """From nothing to all, with when it will end."""
    told: list[Progress] = []
    world.client().batch(questions(40), concurrency=4, progress=told.append)
    assert (told[-1].total, told[-1].done, told[-1].failed) == (40, 40, 0)
    assert told[-1].ends_at is not None
    world.client().batch(["x"], progress=True)


def test_one_process_at_a_time(world):
    """Whoever else works on it is named; one of this machine that died is not waited for."""
    client = world.client()
    client.chat("x")
    store, me = client._base.guard.ledger.store, socket.gethostname()

    def held_by(pid: object, host: str = me) -> None:
        with store.transaction() as tx:
            assert tx.take_lease("batch:b", f"{host}:{pid}:another", NOON + 900, NOON)

    held_by(os.getpid())
    with pytest.raises(MonitorError, match=f"process {os.getpid()} of"):
        client.batch(["a"], name="b")
    assert world.sim.books.requests == 1
    world.clock.advance(902)
    assert len(client.batch(["a"], name="b").done) == 1


def test_a_dead_processs_lease_is_taken_over(world):
    """At once, for its number is nobody's."""
    client = world.client()
    client.chat("x")
    with client._base.guard.ledger.store.transaction() as tx:
        tx.take_lease("batch:b", f"{socket.gethostname()}:4194999:0", NOON + 900, NOON)
    assert len(client.batch(["a"], name="b").done) == 1


@pytest.mark.parametrize(
    ("asked", "more", "says"),
    [
        ("a text", {}, "list of questions"),
        ([5], {}, "item 1 is wrong"),
        (["a", {"text": "b"}], {}, "item 2 is wrong: it has neither"),
        ([{"prompt": "a", "messages": []}], {}, "item 1 is wrong: it has neither"),
        ([{"prompt": "a", "stream": True}], {}, "asks for a stream"),
        ([{"prompt": "a", "custom_id": 5}], {}, "custom_id is no text"),
        ([{"prompt": "a", "custom_id": "x"}, {"prompt": "b", "custom_id": "x"}], {}, "custom_id 'x' of another"),
        (["a"], {"concurrency": 0}, "concurrency is 0"),
        (["a"], {"spread": "week"}, "spread is 'week'"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_asked(world, asked, more, says):
    """With the number of the item."""
    with pytest.raises(ConfigError, match=says):
        world.client().batch(asked, **more)
    assert world.sim.books.requests == 0


def test_without_a_key_nothing_is_begun(world):
    """A missing key is no item's failure."""
    from monitor import Client, Settings

    with (
        Client("app", Settings(store=str(world.path), base_url=world.sim.base_url), clock=world.clock) as client,
        pytest.raises(ConfigError, match="no API key"),
    ):
        client.batch(["a"])


def test_lines_of_a_file():
    """Empty ones are left out, one that is no JSON is named."""
    assert list(read_lines(['"a"\n', "\n", '{"prompt": "b"}'])) == ["a", {"prompt": "b"}]
    with pytest.raises(ConfigError, match="line 2"):
        list(read_lines(['"a"', "{"]))


def test_an_empty_batch_is_done(world):
    """Nothing to ask, nothing asked."""
    found = world.client().batch([])
    assert (len(found), found.done, repr(found)) == (0, [], f"<BatchResult {found.name}: empty>")


async def test_asynchronously(worlds):
    """Tasks in place of threads: the same results, and the same rest."""
    world = worlds(per_day=25)
    async with world.async_client() as client:
        told: list[Progress] = []
        found = await client.batch(questions(30), concurrency=4, progress=told.append)
        assert (len(found.done), len(found.planned)) == (25, 5)
        assert told[-1].done == 25
        plan = (await client.batch(questions(30), dry_run=True)).plan
    assert [day.items for day in plan.days] == [5]
    assert world.client().batch(questions(30))[7].text == found[7].text
