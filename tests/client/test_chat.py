"""One call of the friendly client: which model, which tries, and what each failure means."""

from __future__ import annotations

import pytest
from client_kit import BROKEN, BUSY, CODER, KEY, LLAMA, NEMOTRON, NOON, PAID, QWEN, R1, fault

from monitor import BudgetExceeded, CallFailed, Client, ConfigError, GuardRefused, NotFree, QuotaExhausted, Settings
from monitor.errors import PollError
from monitor.model import Outcome
from monitor.policy.retry_budget import ALWAYS

HELLO = "What is machine learning?"
PREFERRED = {"routing": {"general": [QWEN, LLAMA]}}
"""An order that our own record of the models does not change."""


def test_a_question_is_answered_by_the_best_free_model(world):
    """One request, free, on record under the app's name; the answer says who gave it, and why that one."""
    answer = world.client().chat(HELLO)
    assert str(answer) == answer.text != ""
    assert (answer.model, answer.finish_reason, answer.cost_usd, answer.cached) == (QWEN, "stop", 0, False)
    assert [(a.model, a.outcome) for a in answer.attempts] == [(QWEN, Outcome.SUCCESS)]
    assert "235 B parameters" in answer.why
    assert answer.usage.completion_tokens
    (row,) = world.rows()
    assert (row["app"], row["tier"], row["outcome"], row["call_id"]) == ("notebook", "free", "success", answer.call_id)


def test_messages_and_parameters_go_as_they_are(world):
    """A conversation, a system prompt before it, and whatever else the API knows."""
    client = world.client()
    messages = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]
    client.chat([*messages, {"role": "user", "content": "Ä?"}], system="Be brief.", temperature=0.5, max_tokens=9)
    body = world.sim.books.posts[0].body.decode()
    assert '"temperature": 0.5' in body
    assert '"max_tokens": 9' in body
    assert body.index("Be brief.") < body.index("Hello.") < body.index("Ä?")


@pytest.mark.parametrize(
    "kind", [BUSY, BROKEN, "empty_choices", "error_in_200", "partial_error", "close", "garbage"], ids=str
)
def test_a_provider_that_fails_is_not_waited_for(worlds, kind):
    """Busy, broken, or an answer with nothing in it: another free model is asked at once, under the same call."""
    world = worlds(fault(kind, model=QWEN))
    answer = world.client().chat(HELLO)
    assert (answer.model, world.clock.now()) == (LLAMA, NOON)
    rows = world.rows()
    assert [(row["model_requested"], row["attempt"]) for row in rows] == [(QWEN, 1), (LLAMA, 2)]
    assert {row["call_id"] for row in rows} == {answer.call_id}
    assert answer.attempts[0].why


def test_a_full_minute_is_waited_for(worlds):
    """The same model again, when the minute has passed; another would not help."""
    world = worlds(fault("free_minute", times=1), now=NOON + 40)
    answer = world.client().chat(HELLO)
    assert answer.model == QWEN
    assert world.asked() == [QWEN, QWEN]
    assert NOON + 60 <= world.clock.now() <= NOON + 130


def test_a_spent_day_is_final(worlds):
    """OpenRouter says so once; no retry, no fallback, and the next call is not even sent."""
    world = worlds(fault("free_daily", times=1))
    client = world.client()
    for _ in range(2):
        with pytest.raises(QuotaExhausted) as caught:
            client.chat(HELLO)
        assert (caught.value.reason, caught.value.resets_at) == ("day_limit", NOON + 12 * 3600)
    assert world.sim.books.requests == 1


def test_a_request_that_is_wrong_is_not_repeated(worlds):
    """A 400 is the same everywhere."""
    world = worlds(fault({"kind": "status", "status": 400, "message": "no such field"}))
    with pytest.raises(CallFailed, match="no such field") as caught:
        world.client().chat(HELLO)
    assert (caught.value.status, len(caught.value.attempts), world.sim.books.requests) == (400, 1, 1)


def test_without_a_connection_it_backs_off_and_spends_nothing(world):
    """Nothing left, so nothing was spent: it tries again after pauses, five times in all."""
    client = world.client()
    client.models()
    world.sim.stop()
    with pytest.raises(CallFailed, match="No answer after 5 attempts"):
        client.chat(HELLO)
    assert world.clock.now() > NOON
    assert [row["outcome"] for row in world.rows()] == ["network_error"] * 5
    assert world.query("SELECT attempts FROM windows WHERE app = ''")[0]["attempts"] == 0


def test_a_lost_answer_of_a_paid_model_is_not_asked_for_again(worlds):
    """It may have been billed."""
    world = worlds(fault("close"))
    client = world.client(guard={"allow": "any"})
    with pytest.raises(CallFailed, match="could cost twice"):
        client.chat(HELLO, model=PAID, max_tokens=5)
    assert world.sim.books.requests == 1


def test_attempts_of_a_call_are_bounded(worlds):
    """Five, unless set otherwise, each of another model."""
    world = worlds(fault(BROKEN))
    with pytest.raises(CallFailed, match="5 attempts are the most") as caught:
        world.client().chat(HELLO)
    assert len({attempt.model for attempt in caught.value.attempts}) == 5
    with pytest.raises(CallFailed):
        world.client(client={"attempts": 1}).chat(HELLO)
    assert world.sim.books.requests == 6


def test_retries_of_an_hour_are_bounded(worlds):
    """When everything fails, the hour's budget ends the retries of all calls, until the hour is over."""
    world = worlds(fault({"kind": "status", "status": 500}))
    client = world.client(client={"retry_share": 0.0})
    told = []
    for _ in range(6):
        with pytest.raises(CallFailed) as caught:
            client.chat(HELLO, wait=10_000)
        told.append(str(caught.value))
    assert world.sim.books.requests == 6 + ALWAYS
    assert f"the hour's retries are used ({ALWAYS} for 5 calls)" in told[4]
    world.clock.advance(3601)
    with pytest.raises(CallFailed, match="the most for one call"):
        client.chat(HELLO, wait=10_000)


def test_a_circuit_keeps_calls_from_a_model_that_failed(worlds):
    """Nobody asks it for its cool-down, in any process of the account; one call tries it then, and closes it."""
    world = worlds(fault(BUSY, model=QWEN, times=1))
    one, other = world.client(**PREFERRED), world.client("other-app", **PREFERRED)
    one.chat(HELLO)
    assert [client.chat(HELLO).model for client in (one, other)] == [LLAMA, LLAMA]
    world.clock.advance(15)
    assert [client.chat(HELLO).model for client in (other, one)] == [QWEN, QWEN]
    assert world.query("SELECT * FROM circuits") == []
    assert world.asked() == [QWEN, LLAMA, LLAMA, LLAMA, QWEN, QWEN]


def test_a_probe_that_fails_opens_it_for_longer(worlds):
    """Real calls probe it, one after each pause, and each is answered by another."""
    world = worlds(fault(BUSY, model=QWEN))
    client = world.client(client={"retry_share": 10}, **PREFERRED)
    for _ in range(60):
        assert client.chat(HELLO).model == LLAMA
        world.clock.advance(2)
    probes = [post.at - NOON for post in world.sim.books.posts if post.model_asked == QWEN]
    assert probes == [0, 16, 46, 106]


def test_a_named_model_is_asked_alone(worlds):
    """Without fallbacks it is waited for, as long as the call may wait; then it is told when to come again."""
    world = worlds(fault(BUSY, model=CODER, times=2))
    assert world.client().chat(HELLO, model=CODER).model == CODER
    assert world.asked() == [CODER] * 3
    assert world.clock.now() == NOON + 15 + 30


def test_patience_ends(worlds):
    """A call that may not wait says so at once, and from when on it would go."""
    world = worlds(fault(BUSY, model=CODER))
    with pytest.raises(CallFailed, match="may be asked from 2026-11-24T12:00:15Z on") as caught:
        world.client().chat(HELLO, model=CODER, wait=0)
    assert (caught.value.opens_at, world.clock.now(), world.sim.books.requests) == (NOON + 15, NOON, 1)
    assert 'fallbacks="free"' in caught.value.hint


def test_fallbacks_are_free_models_only(worlds):
    """Any free one, or those on the list in their order; one that bills is refused before anything is sent."""
    world = worlds(fault(BUSY, model=CODER), fault(BUSY, model=R1))
    client = world.client()
    assert client.chat(HELLO, model=CODER, fallbacks="free").model == QWEN
    world.clock.advance(20)
    assert client.chat(HELLO, model=CODER, fallbacks=[R1, NEMOTRON]).model == NEMOTRON
    sent = world.sim.books.requests
    for allow in ("free", "any"):
        with pytest.raises(NotFree, match="gpt-5-mini is not free"):
            world.client(guard={"allow": allow}).chat(HELLO, model=CODER, fallbacks=[PAID])
    assert world.sim.books.requests == sent
    assert world.sim.books.cost_usd == 0


def test_a_task_and_the_users_table_choose(world):
    """The task's own ranking; the user's table before it, as far as the catalogue allows."""
    assert world.client().chat(HELLO, task="code").model == CODER
    table = {"code": ["gone/model:free", PAID, R1], "mine": [NEMOTRON]}
    client = world.client(routing=table)
    assert client.chat(HELLO, task="code").model == R1
    assert client.chat(HELLO, task="mine").model == NEMOTRON
    assert client.route("code").passed_over[PAID] == "your table names it, but the catalogue does not list it as free"
    with pytest.raises(ConfigError, match="no task 'poetry'"):
        client.chat(HELLO, task="poetry")


def test_what_a_request_needs_leaves_models_out(world):
    """An image goes to a model that sees, and one that is too long for all of them goes nowhere."""
    client = world.client()
    image = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ]
    assert client.chat([{"role": "user", "content": image}]).model.startswith("google/gemma-4")
    with pytest.raises(NotFree, match="context"):
        client.chat("word " * 1_000_000)
    assert world.sim.books.requests == 1


def test_lists_of_the_guard_bind_the_choice(world):
    """What the user denies is no choice, and what is not on the list neither."""
    assert world.client(guard={"deny": ["qwen/*"]}).chat(HELLO).model == LLAMA
    assert world.client(guard={"models": ["nvidia/*"]}).chat(HELLO).model == NEMOTRON


def test_a_model_that_lost_its_freedom_is_passed_over(world):
    """The guard's newer look wins: the next best is asked, and nothing was sent to the first."""
    client = world.client()
    client.models()
    world.sim.update_model(QWEN, pricing={"prompt": "0.000001"})
    client._base.guard.refresher.models(client.fetch, newer_than=world.clock.now())
    world.clock.advance(1)
    client._base.guard.refresher.models(client.fetch, newer_than=world.clock.now() - 0.5)
    assert client.chat(HELLO).model == LLAMA
    assert world.asked() == [LLAMA]


def test_a_limit_that_another_app_ran_into_is_heeded(worlds):
    """A model that the ledger cools down for any client of the account is not asked by this one."""
    world = worlds(fault(BUSY, model=QWEN, times=1))
    client = world.client()
    with world.client("sdk")._http as http:
        body = {"model": QWEN, "messages": [{"role": "user", "content": "x"}]}
        assert http.post(client._base.url, json=body, headers=client._base.headers()).status_code == 429
    assert client.chat(HELLO).model == LLAMA


@pytest.mark.parametrize(
    ("changes", "model", "error", "reason"),
    [
        ({}, PAID, NotFree, "model_not_free"),
        ({}, "openrouter/auto", NotFree, "router_model"),
        ({"quota": {"per_day": 0, "per_minute": 9}}, QWEN, QuotaExhausted, "day_limit"),
        ({"apps": {"notebook": {"per_day": 0}}}, QWEN, QuotaExhausted, "app_limit"),
        ({"guard": {"allow": "any"}, "budget": {"per_call_usd": 0.0}}, PAID, BudgetExceeded, "budget_call"),
    ],
)
def test_a_refusal_is_an_exception_of_its_kind(world, changes, model, error, reason):
    """Nothing is sent, and the exception says why and what to do."""
    with pytest.raises(error) as caught:
        world.client(**changes).chat(HELLO, model=model, max_tokens=5)
    assert (caught.value.reason, world.sim.books.requests) == (reason, 0)
    assert caught.value.hint
    assert str(caught.value).count(caught.value.hint) == 1


def test_a_pause_is_a_refusal_too(world):
    """Neither quota nor price: the plain GuardRefused."""
    client = world.client()
    client.chat(HELLO)
    with client._base.guard.ledger.store.transaction() as tx:
        tx.pause("", NOON, None, "maintenance")
    with pytest.raises(GuardRefused, match="maintenance") as caught:
        client.chat(HELLO)
    assert type(caught.value) is GuardRefused


def test_it_queues_for_a_slot_of_the_minute(worlds):
    """The 21st call of a minute waits for its slot, and OpenRouter never has to say no."""
    world = worlds(per_minute=20)
    client = world.client(quota={"per_minute": 20})
    for _ in range(21):
        client.chat(HELLO)
    assert world.clock.now() >= NOON + 60
    assert (world.sim.books.requests, world.sim.books.overshoots) == (21, 0)
    for _ in range(19):
        client.chat(HELLO)
    with pytest.raises(QuotaExhausted, match="this minute"):
        client.chat(HELLO, wait=0)


def test_models_quota_and_route_tell_without_spending(world):
    """Free models, the best for a task first; what is left; no request of the quota is used for it."""
    client = world.client(apps={"notebook": {"share": 0.5}, "other": {"share": 0.25}})
    assert len(client.models()) == 11
    assert len(client.models(free=False)) > 20
    assert client.models(task="code")[0].id == CODER
    assert client.route().models[0] == QWEN
    client.chat(HELLO)
    quota = client.quota()
    assert (quota.day_limit, quota.day_used, quota.day_left) == (10_000, 1, 9_999)
    assert quota.app_left == 7_499
    assert (quota.minute_limit, quota.minute_left, quota.minute_opens_at) == (1000, 999, None)
    assert world.sim.books.requests == 1


def test_without_a_catalogue_it_fetches_one(world):
    """The first call of a new store needs nothing prepared; when it cannot be had, that is told."""
    world.sim.stop()
    with pytest.raises(PollError):
        world.client().chat(HELLO)


def test_a_key_is_needed_and_told_of(world):
    """Without one, nothing is sent; one that is given goes before that of the settings."""
    bare = Client("app", Settings(store=str(world.path), base_url=world.sim.base_url), clock=world.clock)
    with bare, pytest.raises(ConfigError, match="no API key"):
        bare.chat(HELLO)
    given = Client("app", Settings(store=str(world.path), base_url=world.sim.base_url), api_key=KEY, clock=world.clock)
    with given:
        assert given.chat(HELLO).text
    assert KEY not in repr(given)


def test_an_env_file_is_read_when_named(world, tmp_path, monkeypatch):
    """And never otherwise, though it lies in the working directory."""
    (tmp_path / ".env").write_text(
        f"OPENROUTER_API_KEY={KEY}\nOPENROUTER_MONITOR_BASE_URL={world.sim.base_url}\n"
        f"OPENROUTER_MONITOR_STORE={world.path}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with Client(env_file=".env") as client:
        assert client.chat(HELLO).text
    with Client() as client:
        assert client._base.settings.key() is None
    with pytest.raises(ConfigError, match="exclude each other"):
        Client(settings=Settings(), env_file=".env")


@pytest.mark.parametrize(
    ("prompt", "more", "says"),
    [
        (5, {}, "neither a text nor a list"),
        ([], {}, "neither a text nor a list"),
        (["x"], {}, "neither a text nor a list"),
        ("q", {"fallbacks": "paid"}, "fallbacks"),
        ("q", {"fallbacks": [5]}, "fallbacks"),
        ("q", {"cache": "soon"}, "cache is wrong"),
        ("q", {"wait": -1}, "wait is wrong"),
        ("q", {"models": ["a"]}, "models cannot be given"),
    ],
)
def test_what_makes_no_sense_is_told(world, prompt, more, says):
    """Before anything is sent."""
    with pytest.raises(ConfigError, match=says):
        world.client().chat(prompt, **more)
    assert not world.path.exists()
