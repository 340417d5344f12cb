"""Days of polls as they were seen in the wild, and worse: what alternates, vanishes, jitters or lies is no storm."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.clock import FakeClock
from monitor.model import ModelFacts, PriceClass
from monitor.policy.changes import Kind, Presence, first_belief, judge
from monitor.policy.changes.prices import price_of
from tests.fakes.builders import NOON, facts
from tests.policy.changes_kit import DAY, EDGE, HOUR, INTERVAL, MINUTE, Watch, free, others, paid

GULL = "lab/gull:free"


# Edges that alternate


def aliased(target: str) -> ModelFacts:
    return facts("~lab/latest", PriceClass.VARIABLE, alias_target=target)


@pytest.mark.parametrize(
    ("one", "other", "kinds"),
    [
        ([free(GULL)], [paid(GULL)], ["model_no_longer_free"]),
        ([paid(usd=1e-6)], [paid(usd=2e-6)], []),
        ([paid("lab/heron")], [free("lab/heron")], []),
        ([free(GULL)], [], []),
        ([paid()], [], []),
        ([free(GULL)], [free(GULL, expires="2026-09-23")], []),
        ([aliased("lab/v1")], [aliased("lab/v2")], []),
    ],
)
@pytest.mark.parametrize("run", [1, 3, 6])
def test_two_copies_that_alternate_for_a_day(clock, one, other, kinds, run):
    """Told at most once, whether the copies change at every poll or every hour; a free model's absence once too."""
    watch = Watch(clock, *one, *others())
    for _ in range(144 // (2 * run)):
        for copy in (other, one):
            watch.stay(*copy, *others(), until=run * INTERVAL)
    if one == [free(GULL)] and not other and run > 1:
        kinds = ["model_missing"]  # away for half an hour is away
    assert watch.kinds() == kinds
    told = watch.stay(*one, *others(), until=2 * HOUR)
    assert told == {"model_no_longer_free": ["model_free_again"], "model_missing": ["model_returned"]}.get(
        kinds[0] if kinds else "", []
    )


@pytest.mark.parametrize("run", [1, 3])
def test_a_new_model_that_not_every_edge_knows(clock, run):
    """It is added, and was never missing, when old copies are served for an hour after it came."""
    watch = Watch(clock, *others())
    for _ in range(3 // run):
        watch.stay(free(GULL), *others(), until=run * INTERVAL)
        watch.stay(*others(), until=run * INTERVAL)
    watch.stay(free(GULL), *others(), until=DAY)
    assert watch.kinds() == ["model_added"]


def test_a_price_that_changes_for_an_hour_and_a_half_never_was(clock):
    """A-B-A within two hours."""
    watch = Watch(clock, paid(usd=1e-6))
    watch.stay(paid(usd=2e-6), until=1.5 * HOUR)
    watch.stay(paid(usd=1e-6), until=DAY)
    assert watch.events == []


def test_last_digits_that_jitter_for_a_day(clock):
    """As GLM 4.5 did between 0.2 and 0.1999188 dollars a million tokens."""
    watch = Watch(clock, paid(usd=0.2e-6))
    for _ in range(72):
        watch.poll(paid(usd=0.1999188e-6))
        watch.poll(paid(usd=0.2e-6))
    watch.stay(paid(usd=0.1999188e-6), until=DAY)
    assert watch.events == []


def test_a_paid_model_at_zero_for_one_poll(clock):
    """Neither free, nor no longer free."""
    watch = Watch(clock, paid("lab/heron"))
    watch.poll(free("lab/heron"))
    watch.stay(paid("lab/heron"), until=DAY)
    assert watch.events == []


def test_a_free_variant_at_a_price_for_45_hours(clock):
    """Two events: at its first poll, and 65 minutes after its last."""
    watch = Watch(clock, free(GULL))
    watch.stay(paid(GULL), until=45 * HOUR)
    watch.stay(free(GULL), until=DAY)
    assert watch.kinds() == ["model_no_longer_free", "model_free_again"]
    assert watch.events[0].at == NOON + INTERVAL
    assert watch.events[1].at - (NOON + 45 * HOUR + INTERVAL) == 70 * MINUTE


# A night away


@pytest.mark.parametrize("hours", [16, 19, 23.8])
@pytest.mark.parametrize(
    ("away", "kinds"),
    [
        ([paid(f"lab/heron-{n}") for n in range(4)], []),
        ([paid(f"lab/heron-{n}") for n in range(40)], ["models_missing", "models_returned"]),
        ([free(f"lab/gull-{n}:free") for n in range(5)], ["models_missing", "models_returned"]),
        ([free(GULL), paid("lab/heron")], ["model_missing", "model_returned"]),
    ],
)
def test_ids_that_vanish_together_and_return(clock, away, hours, kinds):
    """Nothing, or one event for their going and one for their coming."""
    watch = Watch(clock, *away, *others())
    watch.stay(*others(), until=hours * HOUR)
    watch.stay(*away, *others(), until=DAY)
    assert watch.kinds() == kinds


def test_ids_that_return_one_by_one_were_still_missing_together(clock):
    """Who was told as missing is told as returned; who stays away is told as removed."""
    away = [paid(f"lab/heron-{n}") for n in range(5)]
    watch = Watch(clock, *away, *others())
    watch.stay(*others(), until=10 * HOUR)
    watch.stay(*away[:1], *others(), until=10 * HOUR)
    watch.stay(*away[:2], *others(), until=10 * HOUR)
    assert watch.kinds() == ["models_missing", "model_returned", "model_returned", *["model_removed"] * 3]


def test_many_that_stay_away_are_missing_and_then_removed(clock):
    """Two events for all of them."""
    away = [free(f"lab/gull-{n}:free") for n in range(30)]
    watch = Watch(clock, *away, *others())
    watch.stay(*others(), until=3 * DAY)
    assert watch.kinds() == ["models_missing", "models_removed"]
    assert [event.subject for event in watch.events] == ["30 models of lab"] * 2


# Who seldom polls


def test_one_poll_a_day_tells_everything_at_the_second(clock):
    """A price told as lost comes at once; the rest as soon as it was seen twice."""
    before = [free(GULL), paid("lab/heron"), free("lab/tern:free"), *others()]
    after = [paid(GULL), paid("lab/heron", 9e-6), free("lab/new:free"), *others()]
    watch = Watch(clock, *before)
    assert watch.poll(*after, after=DAY) == ["model_no_longer_free"]
    assert watch.poll(*after, after=DAY) == ["model_removed", "model_repriced", "model_added"]
    assert watch.poll(*after, after=DAY) == []


# A clock that is wrong


@pytest.mark.parametrize(("back", "date"), [(HOUR, "2026-09-23"), (365 * DAY, "2025-09-23")])
def test_a_clock_that_is_set_back_delays_and_nothing_more(clock, back, date):
    """Whatever waits begins again then, and is told after its usual time."""
    before = [paid("lab/heron"), free("lab/stork:free"), free("lab/tern:free"), *others()]
    after = [paid("lab/heron", 9e-6), free("lab/stork:free", expires=date), free("lab/new:free"), *others()]
    watch = Watch(clock, *before)
    watch.poll(*after)
    clock.set(clock.now() - back)
    assert watch.poll(*after) == []
    kinds = set(watch.stay(*after, until=3 * HOUR))
    assert kinds == {"model_repriced", "model_expiring", "model_missing", "model_added"}


def test_nothing_is_told_twice_when_time_is_lived_twice(clock):
    """What was told before the clock stepped back stays told."""
    model = free(GULL, expires="2026-09-23")
    watch = Watch(clock, free(GULL), free("lab/tern:free"), *others())
    watch.stay(model, *others(), until=2 * HOUR)
    assert sorted(watch.kinds()) == ["model_expiring", "model_missing"]
    clock.set(NOON - 5 * DAY)
    assert watch.stay(model, *others(), until=DAY - HOUR) == []


def test_a_return_waits_from_when_the_clock_was_set_back(clock):
    """Not until the time comes that it was then."""
    watch = Watch(clock, free(GULL), *others())
    watch.stay(*others(), until=HOUR)
    watch.poll(free(GULL), *others())
    clock.set(NOON - 365 * DAY)
    assert watch.stay(free(GULL), *others(), until=2 * HOUR) == ["model_returned"]


def test_a_clock_that_was_ahead_loses_no_model_for_long(clock):
    """A model first seen in a wrong future is judged like any other once the clock is right."""
    clock.set(NOON + 365 * DAY)
    watch = Watch(clock, *others())
    watch.stay(free(GULL), *others(), until=HOUR)
    clock.set(NOON)
    assert watch.stay(*others(), until=HOUR) == ["model_missing"]


# Whatever happens

STATES: list[list[ModelFacts]] = [[free(GULL)], [paid(GULL, 1e-6)], [paid(GULL, 2e-6)], []]
STILL = others()


@st.composite
def flaps(draw: st.DrawFn) -> tuple[int, list[tuple[int, list[float]]]]:
    """A state that is so, and runs of under 65 minutes of it and others; a run is the times between its polls.

    The others differ in price, or it is there or not.
    """
    stable = draw(st.integers(0, 2))
    seen = draw(st.sampled_from([[0, 1, 2], [stable, 3]]))
    steps = st.lists(st.floats(1, 30 * MINUTE), min_size=1, max_size=6).filter(lambda steps: sum(steps) < EDGE)
    runs, last = [], None
    for _ in range(draw(st.integers(1, 25))):
        last = draw(st.sampled_from([state for state in seen if state != last]))
        runs.append((last, draw(steps)))
    return stable, runs


@settings(max_examples=60, deadline=None)
@given(flaps=flaps(), backwards=st.lists(st.floats(0, DAY), max_size=3))
def test_flaps_around_a_stable_state_are_at_most_two_events(flaps, backwards):
    """While nothing lasts for 65 minutes one loss or absence can be told; when it has settled, that it is over.

    A clock that is set back now and then makes it no more. What is believed in the end is what is so.
    """
    clock = FakeClock(NOON)
    stable, runs = flaps
    watch = Watch(clock, *STATES[stable], *STILL)
    for number, (state, steps) in enumerate(runs):
        if number < len(backwards):
            clock.set(clock.now() - backwards[number])
        for step in steps:
            watch.poll(*STATES[state], *STILL, after=step)
    assert watch.kinds() in ([], ["model_no_longer_free"], ["model_missing"])
    watch.stay(*STATES[stable], *STILL, until=5 * HOUR, every=HOUR)
    assert watch.kinds() in ([], ["model_no_longer_free", "model_free_again"], ["model_missing", "model_returned"])
    belief = watch.beliefs()[GULL]
    assert belief.presence is Presence.LISTED
    assert belief.price == price_of(STATES[stable][0])
    assert belief.price_doubt is belief.absent_since is belief.back_since is None


@settings(max_examples=60, deadline=None)
@given(states=st.lists(st.tuples(st.integers(0, 3), st.floats(1, 4 * HOUR)), max_size=60), first=st.integers(0, 3))
def test_no_model_is_told_of_more_than_its_waits_allow(states, first):
    """Two events of one kind need what ends the first to be told in between: of no kind is one told twice running."""
    watch = Watch(FakeClock(NOON), *STATES[first], *STILL)
    for state, after in states:
        watch.poll(*STATES[state], *STILL, after=after)
    over = {
        Kind.NO_LONGER_FREE: {Kind.FREE_AGAIN, Kind.REPRICED, Kind.RETURNED},
        Kind.MISSING: {Kind.RETURNED},
        Kind.REMOVED: {Kind.RETURNED},
        Kind.RETURNED: {Kind.MISSING, Kind.REMOVED},
        Kind.FREE_AGAIN: {Kind.NO_LONGER_FREE},
        Kind.ADDED: set(),
    }
    kinds = watch.kinds()
    for kind, ends in over.items():
        places = [place for place, told in enumerate(kinds) if told == kind]
        for one, other in itertools.pairwise(places):
            assert ends & set(kinds[one:other]), kinds


# What it costs


def test_a_catalogue_of_600_models_is_judged_in_a_moment(clock):
    """In well under 50 ms, even when every one of them changed."""
    models = {model.id: model for number in range(600) if (model := paid(f"lab/heron-{number}"))}
    beliefs = {name: first_belief(model) for name, model in models.items()}
    dearer = {name: paid(name, 5e-6) for name in models}
    for catalogue in (models, dearer, {"lab/other": paid("lab/other")}):
        took = []
        for _ in range(5):
            began = time.perf_counter()
            judge(beliefs, catalogue, clock.now())
            took.append(time.perf_counter() - began)
        assert min(took) < 0.05


def test_a_quiet_poll_writes_nothing(clock):
    """Nor does a poll in which what waits goes on waiting."""
    watch = Watch(clock, free(GULL), paid("lab/heron"), *others())
    watch.poll(free(GULL), paid("lab/heron"), *others())
    assert watch.written == 0
    watch.poll(free("lab/new:free"), paid("lab/heron", 9e-6), *others())
    assert watch.written == 3
    watch.poll(free("lab/new:free"), paid("lab/heron", 9e-6), *others(), after=MINUTE)
    assert watch.written == 0
