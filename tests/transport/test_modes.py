"""What the guard does with its verdict: wait, enforce, watch or stand aside; and what it does without its store."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest
from guard_kit import FREE, PAID, REASON_HEADER, World, bearer, chat, error_of

from monitor import GuardTransport, guarded_async_client, guarded_client
from monitor.clock import FakeClock
from monitor.transport.course import Guard

NOON = 1_795_521_600.0


def _timed(world: World, clock: FakeClock, **changes: Any) -> httpx.Client:
    guard = Guard("app", world.settings(**changes), clock=clock)
    return httpx.Client(transport=GuardTransport(guard=guard), headers=bearer(), timeout=20)


# ---- waiting ----


@pytest.mark.parametrize("wait", [61, 3600])
def test_a_patient_call_queues_for_a_slot(worlds, wait):
    """With `guard.wait` the call beyond the minute's limit leaves when the minute is over, and is served."""
    clock = FakeClock(NOON + 1)
    world = worlds(clock=clock, per_minute=2)
    with _timed(world, clock, guard={"wait": wait}, quota={"per_minute": 2}) as client:
        statuses = [client.post(world.url, json=chat()).status_code for _ in range(3)]
    assert statuses == [200, 200, 200]
    assert world.sim.books.overshoots == 0
    starts = [row["started_at"] for row in world.rows()]
    assert starts[:2] == [NOON + 1, NOON + 1]
    assert NOON + 62 <= starts[2] <= NOON + 63


def test_a_call_does_not_wait_in_vain(worlds):
    """When the slot opens later than the call would wait, it is refused at once, without waiting at all."""
    clock = FakeClock(NOON + 1)
    world = worlds(clock=clock)
    with _timed(world, clock, guard={"wait": 5}, quota={"per_minute": 1}) as client:
        client.post(world.url, json=chat())
        refused = client.post(world.url, json=chat())
    assert (refused.status_code, refused.headers[REASON_HEADER]) == (429, "minute_limit")
    assert clock.now() == NOON + 1


def test_a_spent_day_is_not_waited_for(worlds):
    """Nobody queues until midnight: the day's limit refuses at once, however patient the call."""
    clock = FakeClock(NOON)
    world = worlds(clock=clock, per_day=0)
    with _timed(world, clock, guard={"wait": 3600}) as client:
        assert client.post(world.url, json=chat()).headers[REASON_HEADER] == "day_limit"
    assert clock.now() == NOON


# ---- shadow and off ----


@pytest.mark.parametrize("stream", [False, True])
def test_in_shadow_all_pass_and_the_reason_is_on_record(world, stream):
    """`shadow`: what would be refused is served, its row has the reason and the true cost, and it is counted apart."""
    with guarded_client("app", world.settings(guard={"mode": "shadow"}), headers=bearer()) as client:
        client.post(world.url, json=chat())
        answer = client.post(world.url, json=chat(PAID, stream=stream, max_tokens=5))
    assert answer.status_code == 200
    assert REASON_HEADER not in answer.headers
    row = world.rows()[-1]
    assert (row["outcome"], row["tier"]) == ("success", "paid")
    assert row["cost_usd"] == pytest.approx(world.sim.books.cost_usd)
    assert row["reason"] is not None
    assert world.query("SELECT shadow FROM refusals WHERE reason = ?", row["reason"]) == [{"shadow": 1}]


def test_in_shadow_a_priced_model_is_shown_as_not_free(world):
    """`shadow` with a catalogue at hand names the reason that `enforce` would have given."""
    with guarded_client("app", world.settings(), headers=bearer()) as client:
        client.post(world.url, json=chat())
    with guarded_client("app", world.settings(guard={"mode": "shadow"}), headers=bearer()) as client:
        assert client.post(world.url, json=chat(PAID)).status_code == 200
        assert client.post(f"{world.sim.base_url}/nobody/knows", json={}).status_code == 404
    assert [row["reason"] for row in world.rows()[1:]] == ["model_not_free", "endpoint_unknown"]


def test_off_stands_aside_and_keeps_the_books(world):
    """`off`: nothing is judged, everything is on record."""
    with guarded_client("app", world.settings(guard={"mode": "off"}), headers=bearer()) as client:
        assert client.post(world.url, json=chat(PAID)).status_code == 200
    row = world.row()
    assert (row["outcome"], row["reason"]) == ("success", None)
    assert row["cost_usd"] > 0
    assert world.query("SELECT * FROM refusals") == []


# ---- without its store ----


def _broken(kind: str, folder: Path) -> Path:
    path = folder / "no-store.db"
    if kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("dear diary, " * 1000)
    elif kind == "empty":
        path.touch()
    else:
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE diary (entry TEXT)")
        other.close()
    return path


@pytest.mark.parametrize("kind", ["folder", "text", "empty", "database"])
@pytest.mark.parametrize("mode", ["enforce", "shadow", "off"])
def test_without_a_store_only_enforce_refuses(world, tmp_path, kind, mode):
    """The path holds no store of ours: `enforce` sends nothing and says why, the others let pass; the file is kept."""
    path = _broken(kind, tmp_path)
    before = path.read_bytes() if path.is_file() else None
    with guarded_client("app", world.settings(store=str(path), guard={"mode": mode}), headers=bearer()) as client:
        answers = [client.post(world.url, json=chat(stream=stream)) for stream in (False, True)]
    if mode == "enforce":
        assert [answer.status_code for answer in answers] == [403, 403]
        error = error_of(answers[0])
        assert error["metadata"]["reason"] == answers[0].headers[REASON_HEADER] == "store_unavailable"
        assert str(path) in error["message"]
        assert error["metadata"]["hint"]
        assert world.sim.books.requests == 0
    else:
        assert [answer.status_code for answer in answers] == [200, 200]
    assert (path.read_bytes() if path.is_file() else None) == before


async def test_without_a_store_the_asynchronous_client_refuses_too(world, tmp_path):
    """The same for the asynchronous client."""
    path = _broken("folder", tmp_path)
    async with guarded_async_client("app", world.settings(store=str(path)), headers=bearer()) as client:
        answer = await client.post(world.url, json=chat())
    assert answer.headers[REASON_HEADER] == "store_unavailable"
    assert world.sim.books.requests == 0


def test_a_store_that_vanishes_is_made_anew(world):
    """The file is deleted under a running client: calls go on, in a new store, with the catalogue fetched again."""
    with guarded_client("app", world.settings(), headers=bearer()) as client:
        client.post(world.url, json=chat())
        for left in world.path.parent.glob(f"{world.path.name}*"):
            left.unlink()
        statuses = [client.post(world.url, json=chat()).status_code for _ in range(80)]
    assert statuses == [200] * 80
    assert world.path.exists()


# ---- pause ----


def test_a_paused_account_sends_nothing(world):
    """`pause` stops every call at once, in clients that run already; `resume` lets them go on."""
    with guarded_client("app", world.settings(), headers=bearer()) as client:
        client.post(world.url, json=chat())
        store = client._transport.guard.ledger.store
        with store.transaction() as tx:
            tx.pause("", 0.0, None, "lunch")
        refused = client.post(world.url, json=chat())
        assert (refused.status_code, refused.headers[REASON_HEADER]) == (403, "paused")
        with store.transaction() as tx:
            assert tx.resume("")
        assert client.post(world.url, json=chat()).status_code == 200
    assert world.outcomes() == ["success", "refused", "success"]


# ---- what a refusal of Anthropic's shape looks like ----


@pytest.mark.parametrize(
    ("changes", "status", "kind"),
    [
        ({}, 403, "permission_error"),
        ({"guard": {"allow": "any"}, "budget": {"per_call_usd": 1e-9}}, 402, "billing_error"),
        ({"guard": {"allow": "any"}, "quota": {"per_day": 0}}, 429, "rate_limit_error"),
    ],
)
def test_messages_are_refused_in_anthropics_shape(world, changes, status, kind):
    """On `/messages` a refusal is `{"type": "error", "error": {"type", "message"}}`, as Anthropic's SDK reads it."""
    model = FREE if status == 429 else PAID
    body = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
    with guarded_client("app", world.settings(**changes), headers={"x-api-key": "sk-or-v1-of-anthropic"}) as client:
        answer = client.post(f"{world.sim.base_url}/messages", json=body)
    assert (answer.status_code, answer.json()["type"], error_of(answer)["type"]) == (status, "error", kind)
    assert "Nothing was sent" in error_of(answer)["message"]
    assert error_of(answer)["metadata"]["reason"] == world.refused_once()["reason"]
    assert world.row()["endpoint"] == "messages"


@pytest.mark.parametrize("stream", [False, True])
def test_messages_are_served_and_booked(world, stream):
    """On `/messages` a free call is served, and its usage is read from Anthropic's shape, streamed or not."""
    body = {"model": FREE, "max_tokens": 100, "stream": stream, "messages": [{"role": "user", "content": "hello"}]}
    with guarded_client("app", world.settings(), headers=bearer()) as client:
        assert client.post(f"{world.sim.base_url}/messages", json=body).status_code == 200
    row = world.row()
    assert (row["endpoint"], row["outcome"], row["stream"]) == ("messages", "success", int(stream))
    assert row["completion_tokens"] > 0
