"""What OpenRouter's answers and figures teach: 429s by their kind, the key's counter, and its money."""

from __future__ import annotations

import pytest

from monitor.bookings import COUNTER_LAG_SECONDS
from monitor.ledger import Ledger
from monitor.model import Action, LimitKind, Outcome, Reason
from monitor.policy.corrections import LEARNED_LIMIT_SECONDS
from tests.fakes.builders import (
    FREE,
    FREE2,
    MIDNIGHT,
    NOON,
    PAID,
    ask,
    fill,
    key_facts,
    ledger,
    one,
    refused_by,
    rows,
    success,
    take,
)

TOMORROW = MIDNIGHT + 86_400


@pytest.fixture
def make(tmp_path, clock):
    made: list[Ledger] = []

    def build(**sections: object) -> Ledger:
        sections = {"guard": {"catalogue_max_age": 1e9}, "quota": {"per_minute": 1000}} | sections
        made.append(ledger(tmp_path / "m.db", clock, **sections))
        return made[-1]

    yield build
    for book in made:
        book.store.close()


def why(book: Ledger, model: str = FREE, **more: object) -> Reason | None:
    """The reason that a call would be refused for; what is admitted is given back."""
    decision = book.reserve(ask(model, **more))
    if decision.hold is not None:
        book.release(decision.hold, success())
    return decision.verdict.reason


def events(book: Ledger, kind: str) -> list[tuple[object, ...]]:
    return rows(book, "SELECT subject, before, after FROM events WHERE kind = ?", kind)


# 429s


def test_a_spent_day_is_shut_until_its_reset(make, clock):
    """A daily 429 shuts the account's day, whatever we counted, and tells how much was used elsewhere."""
    book = make()
    holds = [take(book) for _ in range(3)]
    book.settle(holds[0], refused_by(LimitKind.FREE_DAILY, resets_at=TOMORROW, limit=50))
    assert rows(book, "SELECT outcome, limit_kind FROM calls WHERE id = ?", holds[0].row) == [
        ("rate_limited", "free_daily")
    ]
    assert one(book, "SELECT elsewhere FROM accounts") == 47
    assert events(book, "day_spent") == [("default", None, "50")]
    verdict = book.reserve(ask(FREE2)).verdict
    assert (verdict.reason, verdict.resets_at) == (Reason.DAY_LIMIT, TOMORROW)
    # A second one of the same day is no news.
    book.settle(holds[1], refused_by(LimitKind.FREE_DAILY, resets_at=TOMORROW, limit=50))
    assert len(events(book, "day_spent")) == 1
    clock.set(TOMORROW - 0.001)
    assert why(book) is Reason.DAY_LIMIT
    clock.set(TOMORROW)
    assert why(book) is None


def test_a_daily_429_without_a_limit_shuts_the_day_all_the_same(make):
    """The default limit stays, and nothing is guessed of elsewhere."""
    book = make()
    book.settle(take(book), refused_by(LimitKind.FREE_DAILY))
    assert why(book) is Reason.DAY_LIMIT
    assert one(book, "SELECT elsewhere FROM accounts") == 0


def test_a_minute_429_shuts_the_minute_until_its_reset(make, clock):
    """Every model of the account waits, up to the instant that was named."""
    book = make()
    book.settle(take(book), refused_by(LimitKind.FREE_MINUTE, resets_at=NOON + 42))
    verdict = book.reserve(ask(FREE2)).verdict
    assert (verdict.reason, verdict.resets_at) == (Reason.MINUTE_LIMIT, NOON + 42)
    clock.advance(42)
    assert why(book) is None


def test_a_smaller_minute_is_learned_for_a_day(make, clock):
    """A 429 that names 2 where 3 were believed makes it 2, says so as an event, and is forgotten after a day."""
    book = make(quota={"per_minute": 3})
    book.settle(take(book), refused_by(LimitKind.FREE_MINUTE, resets_at=NOON, limit=2))
    assert events(book, "minute_limit_differs") == [("default", "3", "2")]
    take(book)
    assert why(book) is Reason.MINUTE_LIMIT
    clock.advance(LEARNED_LIMIT_SECONDS)
    take(book), take(book)
    assert why(book) is Reason.MINUTE_LIMIT
    clock.advance(61)
    take(book), take(book)
    assert why(book) is None


def test_a_larger_minute_is_not_taken(make):
    """What is set is the most that is ever used."""
    book = make(quota={"per_minute": 1})
    book.settle(take(book), refused_by(LimitKind.FREE_MINUTE, resets_at=NOON, limit=20))
    assert why(book) is Reason.MINUTE_LIMIT


def test_a_providers_429_touches_its_model_only(make, clock):
    """The windows of the account stay open; the model waits, its neighbour does not; the attempt is not counted."""
    book = make()
    book.settle(take(book), refused_by(LimitKind.UPSTREAM))
    assert why(book, FREE) is Reason.COOLDOWN
    assert why(book, FREE2) is None
    assert rows(book, "SELECT attempts, uncounted FROM windows WHERE app = ''") == [(1, 1)]
    assert rows(book, "SELECT day_closed_until, minute_closed_until FROM accounts") in ([], [(0, 0)])
    clock.advance(5)
    assert why(book, FREE) is None


def test_cool_downs_double_and_end_with_a_success(make, clock):
    """5, 10, 20, 40, 60, 60 seconds; the first answer that comes forgets them all."""
    book = make()

    def strike() -> float:
        book.settle(take(book), refused_by(LimitKind.UPSTREAM))
        verdict = book.reserve(ask()).verdict
        assert verdict.reason is Reason.COOLDOWN
        clock.advance(verdict.delay)
        return verdict.delay

    assert [round(strike()) for _ in range(6)] == [5, 10, 20, 40, 60, 60]
    book.settle(take(book), success())
    assert rows(book, "SELECT * FROM cooldowns") == []
    assert round(strike()) == 5


def test_a_failure_of_another_kind_forgets_no_cool_down(make, clock):
    """Only an answer shows that the provider is back."""
    book = make()
    book.settle(take(book), refused_by(LimitKind.UPSTREAM))
    clock.advance(5)
    hold = take(book)
    book.settle(hold, success(outcome=Outcome.SERVER_ERROR, status=502))
    assert one(book, "SELECT strikes FROM cooldowns") == 1


@pytest.mark.parametrize("kind", [LimitKind.ADMISSION, LimitKind.EDGE])
def test_the_whole_account_slows_down_when_asked(make, clock, kind):
    """For admission control and the edge every model waits, as long as was said."""
    book = make()
    book.settle(take(book), refused_by(kind, retry_after=7))
    assert why(book, FREE2) is Reason.COOLDOWN
    clock.advance(7)
    assert why(book, FREE2) is None


def test_in_flight_trouble_holds_up_paid_calls_only(make, clock):
    """A 402 for calls in flight delays what bills; free calls go on."""
    book = make(guard={"allow": "any"})
    book.settle(take(book, PAID), refused_by(LimitKind.IN_FLIGHT_BUDGET, 402, retry_after=20))
    assert why(book, PAID) is Reason.COOLDOWN
    assert why(book, FREE) is None
    clock.advance(20)
    assert why(book, PAID) is None


@pytest.mark.parametrize("kind", [LimitKind.CREDITS, LimitKind.KEY_LIMIT, LimitKind.BUDGET, LimitKind.UNKNOWN])
def test_other_limits_shut_nothing(make, kind):
    """They are on record with their kind."""
    book = make()
    book.settle(take(book), refused_by(kind, 402, retry_after=99, resets_at=NOON + 99))
    assert why(book) is None
    assert one(book, "SELECT limit_kind FROM calls WHERE status = 402") == kind


# The key's counter


def test_openrouters_counter_is_believed(make):
    """What it has counted beyond what we sent was used elsewhere, and is gone for us too."""
    book = make()
    take(book)
    book.note_key(key_facts(49, 50), asked_at=NOON + COUNTER_LAG_SECONDS + 1)
    assert one(book, "SELECT elsewhere FROM accounts") == 48
    take(book)
    assert why(book) is Reason.DAY_LIMIT


def test_what_was_sent_since_the_reading_is_added(make, clock):
    """The counter cannot have seen it yet."""
    book = make()
    book.note_key(key_facts(45, 50), asked_at=NOON)
    for _ in range(5):
        take(book)
    assert why(book) is Reason.DAY_LIMIT


@pytest.mark.parametrize(("age", "room"), [(COUNTER_LAG_SECONDS - 0.001, 4), (COUNTER_LAG_SECONDS, 5)])
def test_the_counters_lag_is_allowed_for(make, clock, age, room):
    """What was sent within the last minute before a reading may be missing from it; what is older is in it."""
    book = make()
    take(book)
    clock.advance(age)
    book.note_key(key_facts(45, 50), asked_at=clock.now())
    for _ in range(room):
        take(book)
    assert why(book) is Reason.DAY_LIMIT


def test_a_counter_that_lags_does_not_give_requests_back(make, clock):
    """Never less is counted than what we sent ourselves."""
    book = make()
    for _ in range(50):
        take(book)
    clock.advance(3600)
    book.note_key(key_facts(3, 50), asked_at=clock.now())
    assert why(book) is Reason.DAY_LIMIT


def test_own_use_is_not_taken_for_somebody_elses(make, clock):
    """Looks while requests go out, at a counter that lags or does not: the day's use is what was sent, each time."""
    book = make(quota={"per_minute": 1000})
    book.note_key(key_facts(0, 50), asked_at=clock.now())
    for sent in range(1, 51):
        take(book)
        clock.advance(7)
        shown = sent if sent % 2 else max(0, sent - 8)
        book.note_key(key_facts(shown, 50), asked_at=clock.now())
        assert one(book, "SELECT elsewhere FROM accounts") == 0
    assert why(book) is Reason.DAY_LIMIT


def test_what_others_used_is_not_forgotten_while_the_counter_lags(make, clock):
    """Twenty of somebody else's, then twenty of ours that the counter does not show yet: ten are left, not thirty."""
    book = make(quota={"per_minute": 1000})
    book.note_key(key_facts(20, 50), asked_at=clock.now())
    for _ in range(20):
        take(book)
    book.note_key(key_facts(20, 50), asked_at=clock.now() + 5)
    for _ in range(10):
        take(book)
    assert why(book) is Reason.DAY_LIMIT


def test_yesterdays_count_shown_after_midnight_is_corrected(make, clock):
    """A counter that still shows yesterday's fifty shuts the day only until it is looked at again."""
    book = make()
    book.note_key(key_facts(50, 50), asked_at=TOMORROW - 10)
    clock.set(TOMORROW + 5)
    book.note_key(key_facts(50, 50), asked_at=TOMORROW + 5)
    assert why(book) is Reason.DAY_LIMIT
    book.note_key(key_facts(0, 50), asked_at=TOMORROW + 65)
    assert why(book) is None


def test_yesterdays_counter_says_nothing_today(make, clock):
    """After midnight UTC the limit stays known and the count begins anew."""
    book = make()
    book.note_key(key_facts(50, 50), asked_at=TOMORROW - 0.001)
    clock.set(TOMORROW - 0.001)
    assert why(book) is Reason.DAY_LIMIT
    clock.set(TOMORROW)
    for _ in range(50):
        take(book)
    verdict = book.reserve(ask()).verdict
    assert (verdict.reason, verdict.limit) == (Reason.DAY_LIMIT, 50)


def test_a_higher_tier_opens_a_day_that_a_429_shut(make, clock):
    """Credits were bought: a reading a lag after the 429 reopens the day, and the tier's change is an event."""
    book = make()
    book.settle(take(book), refused_by(LimitKind.FREE_DAILY, resets_at=TOMORROW, limit=50))
    book.note_key(key_facts(10, 1000), asked_at=NOON + COUNTER_LAG_SECONDS - 0.001)
    assert why(book) is Reason.DAY_LIMIT
    book.note_key(key_facts(51, 1000), asked_at=NOON + COUNTER_LAG_SECONDS)
    assert why(book) is None
    assert events(book, "tier_changed") == [("default", "50", "1000")]


def test_a_reading_that_says_spent_reopens_nothing(make):
    """However late it comes."""
    book = make()
    book.settle(take(book), refused_by(LimitKind.FREE_DAILY, resets_at=TOMORROW, limit=50))
    book.note_key(key_facts(50, 50), asked_at=NOON + 3600)
    assert why(book) is Reason.DAY_LIMIT


def test_a_key_without_a_counter_leaves_ours(make):
    """Before September 2026 there was none; its money is believed all the same."""
    book = make(guard={"allow": "any"})
    book.note_key(key_facts(None, None, limit_remaining_usd=0.0), asked_at=NOON)
    assert why(book, PAID) is Reason.KEY_LIMIT
    for _ in range(50):
        take(book)
    assert why(book) is Reason.DAY_LIMIT


def test_the_tighter_of_cap_and_budget_counts(make):
    """Whichever leaves less to spend."""
    book = make(guard={"allow": "any"})
    for cap, budget, reason in ((5, 0, Reason.KEY_LIMIT), (0, 5, Reason.KEY_LIMIT), (5, 5, None), (None, None, None)):
        found = key_facts(None, limit_remaining_usd=cap, effective_budget_remaining_usd=budget)
        book.note_key(found, asked_at=NOON)
        assert why(book, PAID) is reason


def test_a_failed_look_keeps_the_last_figures(make):
    """The error stands beside them, cut short, until the next good look."""
    book = make()
    book.note_key(key_facts(50, 50), asked_at=NOON)
    book.note_key(None, asked_at=NOON + 9, error="x" * 999)
    assert rows(book, "SELECT key_at, length(key_error) FROM accounts") == [(NOON, 200)]
    assert why(book) is Reason.DAY_LIMIT
    book.note_key(key_facts(0, 50), asked_at=NOON + 10)
    assert one(book, "SELECT key_error FROM accounts") is None


# Shares and the counter


def test_an_app_cannot_take_its_share_twice(make):
    """Attempts that a provider refused count against the app as they do against the account: while OpenRouter's own
    figure is unknown, all of them; so what is promised to others is there for them."""
    book = make(apps={"a": {"share": 0.4}, "b": {"share": 0.6}}, quota={"per_day": 50, "per_minute": 1000})
    for _ in range(20):
        hold = take(book, app="a")
        book.settle(hold, refused_by(LimitKind.UPSTREAM, retry_after=0.001))
        book.clock.advance(1)  # type: ignore[attr-defined]
    assert why(book, app="a") is Reason.APP_SHARE
    for _ in range(30):
        take(book, app="b")
    assert why(book, app="b") is Reason.DAY_LIMIT


def test_what_openrouter_did_not_count_returns_to_its_app(make, clock):
    """Once its figure shows that refused attempts were not counted, the app has its share for them again."""
    book = make(apps={"a": {"share": 0.4}, "b": {"share": 0.6}}, quota={"per_day": 50, "per_minute": 1000})
    for _ in range(20):
        book.settle(take(book, app="a"), refused_by(LimitKind.UPSTREAM, retry_after=0.001))
        clock.advance(1)
    clock.advance(COUNTER_LAG_SECONDS)
    book.note_key(key_facts(0, 50), asked_at=clock.now())
    for _ in range(20):
        take(book, app="a")
    assert why(book, app="a") is Reason.APP_SHARE


# The minute, replayed


def replay(book: Ledger, clock: object, steps: list[tuple[float, int]]) -> list[float]:
    """Ask `n` times after each pause; the real seconds at which something left, wall clock steps notwithstanding."""
    sent = []
    for pause, n in steps:
        clock.advance(pause)  # type: ignore[attr-defined]
        for _ in range(n):
            if book.reserve(ask()).verdict.action is Action.ADMIT:
                sent.append(clock.monotonic())  # type: ignore[attr-defined]
    return sent


@pytest.mark.parametrize("seed", range(8))
def test_no_minute_holds_more_than_the_limit_even_when_the_clock_steps_back(make, clock, seed):
    """Through the real ledger: bursts at random times, the wall clock set back now and then, releases between; by the
    true time no sixty seconds and no clock minute hold more than the limit."""
    import random

    chance = random.Random(seed)
    limit = chance.choice([1, 3, 20])
    book = make(quota={"per_minute": limit, "per_day": 100_000})
    with book.store.transaction() as tx:
        tx.save_account("default", {"server_limit": 100_000})
    sent: list[float] = []
    for _ in range(60):
        sent += replay(book, clock, [(chance.choice([0.0, 0.5, 7.3, 20.0, 59.9, 60.0]), chance.randrange(limit + 2))])
        if chance.random() < 0.15:
            clock.set(clock.now() - chance.choice([0.5, 30.0, 3600.0]))
            fill(book.store, book.settings, clock.now())
    assert len(sent) > limit
    for i in range(len(sent) - limit):
        assert sent[i + limit] - sent[i] >= 60 - 1e-6


def test_a_clock_that_was_set_back_an_hour_shuts_the_minute_for_a_minute(make, clock):
    """Requests stamped in what is now the future count for a minute from when they are noticed, no longer."""
    book = make(quota={"per_minute": 3})
    for _ in range(3):
        take(book)
    clock.set(NOON - 3600)
    fill(book.store, book.settings, clock.now())
    verdict = book.reserve(ask()).verdict
    assert (verdict.reason, verdict.resets_at) == (Reason.MINUTE_LIMIT, NOON - 3600 + 61)
    clock.advance(60.999)
    assert book.reserve(ask()).verdict.resets_at == NOON - 3600 + 61
    clock.advance(0.001)
    for _ in range(3):
        take(book)
