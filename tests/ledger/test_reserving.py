"""Reserve: what is taken, what is recorded, what is put off."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from monitor.clock import FakeClock
from monitor.errors import StoreUnreachable
from monitor.ledger import LEASE_SECONDS, Ledger, Patience, store_refusal
from monitor.model import Action, Endpoint, Outcome, Reason, Tier
from monitor.policy.hints import message_for
from monitor.store import SQLiteStore
from tests.fakes.builders import (
    CATALOGUE,
    FREE,
    FREE2,
    GHOST,
    MIDNIGHT,
    NOON,
    PAID,
    PAID_FREE,
    ZERO,
    ask,
    facts,
    fill,
    key_facts,
    ledger,
    one,
    rows,
    settings,
    success,
    take,
)
from tests.fakes.processes import Worker

CALL = "SELECT {} FROM calls WHERE id = ?"


@pytest.fixture
def make(tmp_path, clock):
    """Make ledgers over one store; closed at the end."""
    made: list[Ledger] = []

    def build(**sections: object) -> Ledger:
        made.append(ledger(tmp_path / "m.db", clock, **sections))
        return made[-1]

    yield build
    for book in made:
        book.store.close()


def test_an_admitted_call_opens_a_row(make):
    """The row is there before anything leaves: who, what, which try, in flight, with a lease."""
    book = make(account="team")
    hold = take(book, app="bot", call_id="c9", attempt=2, stream=True)
    columns = "started_at, ended_at, app, account, endpoint, model_requested, tier, stream, attempt, call_id, outcome"
    assert rows(book, CALL.format(columns), hold.row) == [
        (NOON, None, "bot", "team", "chat", FREE, "free", 1, 2, "c9", "in_flight")
    ]
    assert rows(book, CALL.format("counted, lease_until"), hold.row) == [(1, NOON + LEASE_SECONDS)]


def test_a_refusal_is_recorded_and_counted(make):
    """It has a row with its reason and details, was never in flight, and took nothing."""
    book = make()
    decision = book.reserve(ask(PAID, app="bot", call_id="c1"))
    assert (decision.verdict.action, decision.hold, decision.deferred) == (Action.REFUSE, None, False)
    assert rows(book, "SELECT outcome, reason, started_at, ended_at, lease_until, counted, cost_usd FROM calls") == [
        ("refused", "model_not_free", NOON, NOON, None, 0, None)
    ]
    assert "price" in one(book, "SELECT error FROM calls")
    book.reserve(ask(PAID, app="bot"))
    assert rows(book, "SELECT app, reason, shadow, n FROM refusals") == [("bot", "model_not_free", 0, 2)]
    assert rows(book, "SELECT * FROM windows") == []
    assert rows(book, "SELECT * FROM totals") == []


def test_the_day_ends_at_its_limit_and_begins_anew_at_midnight(make, clock):
    """Two of two leave, the third is refused until midnight UTC; a millisecond before it is still refused."""
    book = make(quota={"per_day": 2}, guard={"catalogue_max_age": 86_400})
    for _ in range(2):
        take(book)
    for at in (NOON, MIDNIGHT + 86_400 - 0.001):
        clock.set(at)
        verdict = book.reserve(ask()).verdict
        assert (verdict.reason, verdict.resets_at) == (Reason.DAY_LIMIT, MIDNIGHT + 86_400)
    clock.set(MIDNIGHT + 86_400)
    take(book)
    assert rows(book, "SELECT day, app, attempts FROM windows ORDER BY 1, 2") == [
        (20_717, "", 2),
        (20_717, "app", 2),
        (20_718, "", 1),
        (20_718, "app", 1),
    ]


def test_without_openrouters_word_the_day_has_fifty(make):
    """1000 is for accounts that bought credits, and is never guessed."""
    book = make(quota={"per_minute": 10_000})
    for _ in range(50):
        take(book)
    assert book.reserve(ask()).verdict.reason is Reason.DAY_LIMIT


@pytest.mark.parametrize(("configured", "told", "limit"), [(None, 1000, 1000), (10, 50, 10), (60, 50, 50), (0, 50, 0)])
def test_the_smaller_of_both_day_limits_counts(make, configured, told, limit):
    """What is set can only narrow what OpenRouter grants."""
    book = make(quota={"per_day": configured, "per_minute": 10_000})
    book.note_key(key_facts(limit, told), asked_at=NOON)
    assert book.reserve(ask()).verdict.limit == limit


@pytest.mark.parametrize("limit", [1, 20])
def test_the_minute_opens_sixty_one_seconds_after(make, clock, limit):
    """At 60.999 s the next is refused for a moment more, at 61.0 s it leaves."""
    book = make(quota={"per_minute": limit})
    for _ in range(limit):
        take(book)
    clock.advance(60.999)
    verdict = book.reserve(ask()).verdict
    assert (verdict.action, verdict.reason, verdict.resets_at) == (Action.REFUSE, Reason.MINUTE_LIMIT, NOON + 61)
    clock.advance(0.001)
    take(book)


def test_accounts_do_not_share_windows(make):
    """Two accounts in one store have a minute, a day and money of their own."""
    first, second = (make(account=name, quota={"per_day": 1}) for name in ("a", "b"))
    take(first)
    assert first.reserve(ask()).verdict.reason is Reason.DAY_LIMIT
    take(second)
    assert rows(first, "SELECT account, seq FROM sends") == [("a", 1), ("b", 1)]


def test_a_full_minute_is_put_off_for_who_can_wait(make, clock):
    """With patience enough nothing is recorded, and the verdict says how long; with a little less it is a refusal."""
    book = make(quota={"per_minute": 1})
    take(book)
    clock.advance(20)
    decision = book.reserve(ask(), Patience(seconds=41))
    assert (decision.deferred, decision.hold, decision.verdict.action) == (True, None, Action.DELAY)
    assert decision.verdict.delay == pytest.approx(41)
    assert one(book, "SELECT count(*) FROM calls") == 1
    decision = book.reserve(ask(), Patience(seconds=40.9))
    assert (decision.deferred, decision.verdict.action, decision.verdict.reason) == (
        False,
        Action.REFUSE,
        Reason.MINUTE_LIMIT,
    )
    assert one(book, "SELECT count(*) FROM refusals") == 1


class Witness(FakeClock):
    """A clock that notes, each time it is read, whether somebody is writing to the store."""

    def __init__(self, path: Path) -> None:
        super().__init__(NOON)
        self.path = path
        self.writing: list[bool] = []

    def now(self) -> float:
        with contextlib.closing(sqlite3.connect(self.path, timeout=0, isolation_level=None)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
                self.writing.append(False)
            except sqlite3.OperationalError:
                self.writing.append(True)
        return super().now()


def test_a_send_is_stamped_when_its_turn_has_come(tmp_path):
    """The time of a reservation is read in its transaction: who waited long for it did not leave before the wait."""
    path = tmp_path / "store.db"
    ledger(path, FakeClock(NOON)).store.close()
    clock = Witness(path)
    book = Ledger(SQLiteStore(path), settings(), clock)
    assert book.reserve(ask(), block=False).hold is not None
    assert clock.writing == [True]


def test_a_stale_catalogue_is_put_off_for_who_can_fetch(make, clock):
    """Who can fetch is asked to; who cannot gets the refusal."""
    book = make()
    clock.advance(6 * 3600 + 1)
    assert book.reserve(ask(), Patience(fetch_catalogue=True)).deferred
    decision = book.reserve(ask(), Patience(seconds=1e9, fetch_key=True))
    assert (decision.deferred, decision.verdict.reason) == (False, Reason.CATALOGUE_STALE)


def test_a_spent_day_is_put_off_while_its_figures_are_old(make, clock):
    """The day's limit is not refused on figures older than a minute, if new ones can be had."""
    book = make(quota={"per_day": 1})
    take(book)
    assert book.reserve(ask(), Patience(fetch_key=True)).deferred
    book.note_key(key_facts(1), asked_at=NOON)
    clock.advance(60)
    assert not book.reserve(ask(), Patience(fetch_key=True)).deferred
    clock.advance(0.001)
    assert book.reserve(ask(), Patience(fetch_key=True)).deferred
    assert not book.reserve(ask()).deferred


def test_old_figures_are_due_for_a_refresh(make, clock):
    """Catalogue and key are due when they are older than their polls, or were never seen; a young pair is not."""
    book = make()
    assert book.reserve(ask()).refresh_due
    book.note_key(key_facts(0), asked_at=NOON)
    assert not book.reserve(ask()).refresh_due
    clock.advance(60)
    assert not book.reserve(ask()).refresh_due
    clock.advance(1)
    assert book.reserve(ask()).refresh_due
    book.note_key(key_facts(0), asked_at=clock.now())
    clock.advance(540)
    book.note_key(key_facts(0), asked_at=clock.now())
    assert book.reserve(ask()).refresh_due


# Modes


def test_shadow_lets_pass_and_remembers_what_it_would_have_refused(make):
    """Nothing is held up: the call takes its place in windows and log, with the reason beside it."""
    book = make(guard={"mode": "shadow"}, quota={"per_day": 1})
    take(book)
    for asked, reason in ((ask(PAID), "model_not_free"), (ask(FREE), "day_limit")):
        decision = book.reserve(asked)
        assert decision.hold is not None
        assert rows(book, CALL.format("outcome, reason"), decision.hold.row) == [("in_flight", reason)]
    assert rows(book, "SELECT reason, shadow, n FROM refusals ORDER BY 1") == [
        ("day_limit", 1, 1),
        ("model_not_free", 1, 1),
    ]
    assert one(book, "SELECT attempts FROM windows WHERE app = ''") == 2


@pytest.mark.parametrize(
    ("model", "tier"), [(FREE, Tier.FREE), (PAID, Tier.PAID), (GHOST, Tier.UNKNOWN), (ZERO, Tier.FREE)]
)
@pytest.mark.parametrize("mode", ["shadow", "off"])
def test_what_is_not_judged_has_the_catalogues_tier(make, mode, model, tier):
    """In shadow and off, the record says what the catalogue says, and makes nothing free that is not known to be."""
    book = make(guard={"mode": mode, "deny": ["*"]})
    hold = take(book, model)
    assert one(book, CALL.format("tier"), hold.row) == tier


def test_off_judges_nothing_and_still_counts(make):
    """Everything leaves, nothing is noted as refused, and the windows know of it."""
    book = make(guard={"mode": "off"}, quota={"per_day": 1})
    with book.store.transaction() as tx:
        tx.pause("", NOON, None, "weekend")
    for _ in range(3):
        take(book)
    take(book, endpoint=Endpoint.UNKNOWN)
    assert one(book, "SELECT attempts FROM windows WHERE app = ''") == 4
    assert rows(book, "SELECT * FROM refusals") == []


# Pauses


@pytest.mark.parametrize(
    ("app", "until", "at", "paused"),
    [
        ("", None, NOON + 1e6, True),
        ("app", None, NOON, True),
        ("other", None, NOON, False),
        ("app", NOON + 9, NOON + 8.999, True),
        ("app", NOON + 9, NOON + 9, False),
    ],
)
def test_a_pause_stops_one_app_or_all_until_its_end(make, clock, app, until, at, paused):
    """At the very end it is over; without an end it lasts until somebody resumes."""
    book = make(guard={"catalogue_max_age": 1e9})
    with book.store.transaction() as tx:
        tx.pause(app, NOON, until, "")
    clock.set(at)
    decision = book.reserve(ask())
    assert decision.verdict.reason is (Reason.PAUSED if paused else None)
    if paused:
        assert decision.verdict.detail == "paused by hand"
        with book.store.transaction() as tx:
            assert tx.resume(app)
            assert not tx.resume(app)
        take(book)


# What the record says of models


def test_an_id_that_nobody_vouches_for_may_be_a_key(make):
    """A key put into `model` by mistake is not written down, whether refused or let pass."""
    secret = "sk-or-v1-0123456789abcdef0123456789abcdef"
    for sections in ({}, {"guard": {"allow": "any"}}, {"guard": {"mode": "off"}}):
        make(**sections).reserve(ask(secret))
    book = make()
    assert [model for (model,) in rows(book, "SELECT model_requested FROM calls")] == ["[redacted]"] * 3
    book.store.close()
    for file in book.store.path.parent.iterdir():
        assert secret.encode() not in file.read_bytes()


@pytest.mark.parametrize("model", [FREE2, ZERO, PAID_FREE, GHOST])
def test_whatever_openrouter_counts_takes_a_free_request(make, model):
    """By its name or its price, whichever policy let it leave."""
    book = make(guard={"allow": "any"})
    assert take(book, model).call.counted
    assert not take(book, PAID).call.counted
    assert one(book, "SELECT attempts FROM windows WHERE app = ''") == 1


def test_a_catalogue_of_another_upstream_vouches_for_nothing(make, tmp_path, clock):
    """A simulator's prices do not make OpenRouter's models free."""
    book = make()
    other = Ledger(SQLiteStore(tmp_path / "m.db"), settings(base_url="http://127.0.0.1:1/api/v1"), clock)
    assert other.reserve(ask()).verdict.reason is Reason.CATALOGUE_STALE
    fill(book.store, other.settings, NOON)
    take(other)
    assert book.reserve(ask()).verdict.reason is Reason.CATALOGUE_STALE
    other.store.close()


@pytest.mark.parametrize(("ahead", "believed"), [(0, True), (59, True), (3600, False), (1e9, False)])
def test_figures_from_the_future_are_not_believed(make, clock, ahead, believed):
    """A catalogue fetched while the clock ran ahead must not stay "fresh" until the clock gets there again."""
    book = make()
    clock.set(NOON + ahead)
    fill(book.store, book.settings, clock.now())
    book.note_key(key_facts(0), asked_at=clock.now())
    clock.set(NOON)
    decision = book.reserve(ask())
    assert decision.verdict.reason is (None if believed else Reason.CATALOGUE_STALE)
    assert decision.refresh_due is not believed


def test_a_model_that_the_newest_catalogue_lost_is_unknown(make, clock):
    """What was listed before is not listed now; when it returns it counts again, at its new price."""
    book = make()
    fill(book.store, book.settings, NOON, {FREE2: CATALOGUE[FREE2]})
    assert book.reserve(ask(FREE)).verdict.reason is Reason.MODEL_UNKNOWN
    fill(book.store, book.settings, NOON, CATALOGUE | {FREE: facts(FREE, CATALOGUE[PAID].price)})
    assert book.reserve(ask(FREE)).verdict.reason is Reason.MODEL_NOT_FREE


# When the store cannot be reached


@pytest.mark.processes
def test_a_locked_store_takes_nothing_and_says_so(make):
    """The reservation raises, nothing is taken, and the verdict that stands for it tells people what to do."""
    book = make()
    with Worker("lock", book.store.path) as holder:
        assert holder.hear() == "ready"
        holder.ask("lock")
        with pytest.raises(StoreUnreachable) as told:
            book.reserve(ask())
        holder.ask("free")
    verdict = store_refusal(told.value)
    assert (verdict.action, verdict.reason) == (Action.REFUSE, Reason.STORE_UNAVAILABLE)
    assert "locked" in verdict.detail
    assert verdict.hint
    assert one(book, "SELECT count(*) FROM calls") == 0


def test_a_refusal_of_the_store_says_what_to_do_once():
    """Message and hint stand in places of their own."""
    verdict = store_refusal(StoreUnreachable("the store x is full.", hint="Free some space."))
    assert (verdict.detail, verdict.hint) == ("the store x is full", "Free some space.")
    assert message_for(verdict).count("Free some space.") == 1


def test_a_ledger_shows_whose_it_is(make):
    """Its `repr` names account and file."""
    assert "'team'" in repr(make(account="team"))
    assert "m.db" in repr(make())


def test_bodies_are_kept_only_on_request_and_without_keys(make):
    """With `log_bodies` request and answer lie beside the row, redacted; without it neither is written."""
    secret = "sk-or-v1-0123456789abcdef0123456789abcdef"
    book = make(guard={"log_bodies": True})
    hold = take(book)
    book.keep_request(hold, json.dumps({"messages": [{"content": f"my key is {secret}"}]}).encode() + b"\xff")
    book.settle(hold, success(answer=f"do not tell {secret} to anyone"))
    ((request, answer),) = rows(book, "SELECT request, answer FROM bodies WHERE call = ?", hold.row)
    assert "my key is" in request
    assert "do not tell" in answer
    assert secret not in request + answer
    quiet = make()
    hold = take(quiet)
    quiet.settle(hold, success(answer="not to be kept"))
    assert one(quiet, "SELECT count(*) FROM bodies") == 1


def test_the_clock_may_be_anyones(tmp_path):
    """A ledger reads the time only from the clock that it was given."""
    book = ledger(tmp_path / "m.db", FakeClock(86_400.0))
    hold = take(book)
    assert hold.call.started_at == 86_400.0
    book.settle(hold, success())
    assert rows(book, "SELECT started_at, ended_at, outcome FROM calls") == [(86_400.0, 86_400.0, Outcome.SUCCESS)]
    book.store.close()


def test_the_suffix_rule_stores_no_key_as_a_model(make):
    """Without a catalogue nobody vouches for an id: one that looks like a key is masked in its row."""
    book = make(catalogue=False, guard={"catalogue": "suffix"})
    assert book.reserve(ask("sk-or-v1-0123456789abcdef:free")).hold is not None
    assert "0123456789abcdef" not in one(book, "SELECT model_requested FROM calls")
