"""Each kind of change at its bound, just before it and just after it."""

from __future__ import annotations

import pytest

from monitor.model import PriceClass
from monitor.policy.changes import GROUP, price_text
from monitor.policy.changes.prices import price_of
from tests.fakes.builders import facts
from tests.policy.changes_kit import AT_THE_BOUND, DAY, EDGE, HOUR, MINUTE, Watch, free, others, paid

# No longer free, and free again


def test_no_longer_free_is_told_at_once(clock):
    """The first poll that lists a price for a free model tells it, with both prices."""
    watch = Watch(clock, free("lab/gull:free"))
    assert watch.poll(paid("lab/gull:free")) == ["model_no_longer_free"]
    (event,) = watch.events
    assert (event.subject, event.before, event.at) == ("lab/gull:free", "free", clock.now())
    assert event.after == "$1 in, $4 out per million tokens"


@pytest.mark.parametrize("kind", [PriceClass.UNKNOWN, PriceClass.VARIABLE])
def test_a_price_that_is_no_number_is_not_free(clock, kind):
    """What cannot be read, or depends on the route, is no longer free as well."""
    watch = Watch(clock, free("lab/gull:free"))
    assert watch.poll(facts("lab/gull:free", kind)) == ["model_no_longer_free"]


def test_a_preview_that_turns_paid_is_no_longer_free(clock):
    """A model at zero without the suffix was free to those who used it."""
    watch = Watch(clock, free("lab/stealth"))
    assert watch.poll(paid("lab/stealth")) == ["model_no_longer_free"]


@AT_THE_BOUND
def test_free_again_after_65_minutes(clock, off, told):
    """Free at every poll for 65 minutes; the first of them counts as its beginning."""
    watch = Watch(clock, free("lab/gull:free"))
    watch.poll(paid("lab/gull:free"))
    assert watch.poll(free("lab/gull:free")) == []
    assert watch.poll(free("lab/gull:free"), after=EDGE + off) == (["model_free_again"] if told else [])
    if told:
        assert (watch.events[-1].before, watch.events[-1].after) == ("$1 in, $4 out per million tokens", "free")


def test_one_poll_at_a_price_makes_free_again_wait_anew(clock):
    """And is not told as no longer free, for that is still what is known."""
    watch = Watch(clock, free("lab/gull:free"))
    watch.poll(paid("lab/gull:free"))
    watch.stay(free("lab/gull:free"), until=EDGE)
    assert watch.poll(paid("lab/gull:free")) == []
    assert watch.stay(free("lab/gull:free"), until=EDGE) == []
    assert watch.poll(free("lab/gull:free")) == ["model_free_again"]


def test_what_was_told_free_again_can_be_lost_again(clock):
    """Once it counts as free, the next price is told at once."""
    watch = Watch(clock, free("lab/gull:free"))
    watch.poll(paid("lab/gull:free"))
    watch.stay(free("lab/gull:free"), until=EDGE + 10 * MINUTE)
    assert watch.poll(paid("lab/gull:free")) == ["model_no_longer_free"]
    assert watch.kinds() == ["model_no_longer_free", "model_free_again", "model_no_longer_free"]


# Repriced


@AT_THE_BOUND
def test_repriced_after_two_hours(clock, off, told):
    """The new price was seen at every poll for two hours."""
    watch = Watch(clock, paid(usd=1e-6))
    assert watch.poll(paid(usd=2e-6)) == []
    assert watch.poll(paid(usd=2e-6), after=2 * HOUR + off) == (["model_repriced"] if told else [])
    if told:
        (event,) = watch.events
        assert event.before == "$1 in, $4 out per million tokens"
        assert event.after == "$2 in, $8 out per million tokens"


@AT_THE_BOUND
def test_a_paid_model_becomes_free_after_65_minutes(clock, off, told):
    """It was never free before, so it is repriced, to "free"."""
    watch = Watch(clock, paid("lab/heron"))
    assert watch.poll(free("lab/heron")) == []
    assert watch.poll(free("lab/heron"), after=EDGE + off) == (["model_repriced"] if told else [])
    assert [event.after for event in watch.events] == ["free"] * told


@pytest.mark.parametrize(("factor", "told"), [(1.0099, False), (0.9901, False), (1.0102, True), (0.98, True)])
def test_less_than_one_percent_is_no_news(clock, factor, told):
    """However long it stays."""
    watch = Watch(clock, paid(usd=1e-6))
    kinds = watch.stay(paid(usd=1e-6 * factor), until=3 * HOUR)
    assert kinds == (["model_repriced"] if told else [])


def test_a_slow_drift_is_told_in_the_end(clock):
    """Each step is under one percent; the sum is measured against what was told last."""
    watch = Watch(clock, paid(usd=1e-6))
    for step in range(1, 11):
        watch.stay(paid(usd=1e-6 * 1.005**step), until=3 * HOUR)
    assert 1 <= len(watch.events) <= 5
    assert set(watch.kinds()) == {"model_repriced"}


def test_a_new_price_that_jitters_is_one_new_price(clock):
    """Its last digits do not make its two hours begin again."""
    watch = Watch(clock, paid(usd=1e-6))
    for minute in range(0, 121, 10):
        watch.poll(paid(usd=2e-6 if minute % 20 else 2.000001e-6))
    assert watch.kinds() == ["model_repriced"]


def test_a_price_that_is_not_listed_any_more_is_zero(clock):
    """`request` at zero came and went with the years."""
    watch = Watch(clock, paid(request_usd=0.0))
    assert watch.stay(paid(), until=3 * HOUR) == []


def test_a_request_price_alone_is_a_new_price(clock):
    """Tokens cost the same, each request costs more."""
    watch = Watch(clock, paid())
    assert watch.stay(paid(request_usd=0.01), until=3 * HOUR) == ["model_repriced"]
    assert watch.events[0].after == "$1 in, $4 out per million tokens, $0.01 a request"


# Added


@AT_THE_BOUND
def test_added_at_a_second_sight_after_five_minutes(clock, off, told):
    """With what it costs."""
    watch = Watch(clock, paid())
    assert watch.poll(paid(), free("lab/new:free")) == []
    kinds = watch.poll(paid(), free("lab/new:free"), after=5 * MINUTE + off)
    assert kinds == (["model_added"] if told else [])
    if told:
        (event,) = watch.events
        assert (event.subject, event.before, event.after) == ("lab/new:free", None, "free")


def test_a_poll_without_it_in_between_does_not_delay_it(clock):
    """A stale copy shows the past and cannot hold what never was: two sights are enough."""
    watch = Watch(clock, paid())
    watch.poll(paid(), free())
    assert watch.poll(paid()) == []
    assert watch.poll(paid(), free()) == ["model_added"]


@pytest.mark.parametrize(("away", "told"), [(DAY - 1, True), (DAY, False)])
def test_a_single_sight_is_forgotten_after_a_day(clock, away, told):
    """The next one is the first again."""
    watch = Watch(clock, paid())
    watch.poll(paid(), free())
    watch.poll(paid(), after=away)
    assert watch.poll(paid(), free(), after=1) == (["model_added"] if told else [])


def test_it_is_added_as_it_is_then(clock):
    """A price that changed between two sights is no change, for none was told."""
    watch = Watch(clock, paid())
    watch.poll(paid(), free("lab/new:free"))
    assert watch.poll(paid(), paid("lab/new:free")) == ["model_added"]
    assert watch.events[0].after == "$1 in, $4 out per million tokens"
    assert watch.stay(paid(), paid("lab/new:free"), until=3 * HOUR) == []


# Missing, removed, returned


@AT_THE_BOUND
@pytest.mark.parametrize("model", [free("lab/gull:free"), free("lab/stealth"), paid("lab/watched")])
def test_a_free_or_watched_model_is_missing_after_nine_minutes(clock, model, off, told):
    """Absent at every poll for nine minutes."""
    watch = Watch(clock, model, *others(), watched=("lab/watch*",))
    assert watch.poll(*others()) == []
    assert watch.poll(*others(), after=9 * MINUTE + off) == (["model_missing"] if told else [])
    if told:
        (event,) = watch.events
        assert (event.before, event.after) == (price_text(price_of(model)), None)
        assert event.note.startswith("not in the catalogue since 2026-")


def test_another_model_is_not_missing(clock):
    """Nor is it told that it returned, when it was away for less than a day."""
    watch = Watch(clock, paid(), *others())
    assert watch.stay(*others(), until=DAY) == []
    assert watch.stay(paid(), *others(), until=DAY) == []


@AT_THE_BOUND
@pytest.mark.parametrize("model", [free("lab/gull:free"), paid("lab/heron")])
def test_removed_after_a_day(clock, model, off, told):
    """Absent at every poll for a day, whatever it cost."""
    watch = Watch(clock, model, *others())
    watch.poll(*others())
    watch.poll(*others(), after=HOUR)
    kinds = watch.poll(*others(), after=DAY - HOUR + off)
    assert kinds == (["model_removed"] if told else [])
    if told:
        assert (watch.events[-1].before, watch.events[-1].after) == (price_text(price_of(model)), None)
    assert watch.stay(*others(), until=2 * DAY) == ([] if told else ["model_removed"])


def test_a_removal_seen_at_the_second_poll_is_told_once(clock):
    """Who polls once a day is not told of the absence and of the removal at the same time."""
    watch = Watch(clock, free(), *others())
    watch.poll(*others(), after=DAY)
    assert watch.poll(*others(), after=DAY) == ["model_removed"]


@AT_THE_BOUND
@pytest.mark.parametrize("away", [HOUR, 2 * DAY])
def test_returned_after_65_minutes(clock, away, off, told):
    """A model whose absence was told, as missing or as removed, is listed at every poll for 65 minutes."""
    watch = Watch(clock, free(), *others())
    watch.stay(*others(), until=away)
    assert watch.kinds()[-1] == ("model_missing" if away < DAY else "model_removed")
    assert watch.poll(free(), *others()) == []
    assert watch.poll(free(), *others(), after=EDGE + off) == (["model_returned"] if told else [])
    if told:
        assert (watch.events[-1].before, watch.events[-1].after) == (None, "free")
        assert watch.events[-1].note.startswith("was not in the catalogue since ")


def test_a_poll_without_it_makes_a_return_wait_anew(clock):
    """And its absence is not told again; its removal is a day from then."""
    watch = Watch(clock, free(), *others())
    watch.stay(*others(), until=HOUR)
    watch.stay(free(), *others(), until=HOUR)
    assert watch.poll(*others()) == []
    assert watch.stay(*others(), until=DAY - 1) == []
    assert watch.poll(*others(), after=1) == ["model_removed"]


def test_a_single_sight_of_a_removed_model_is_no_return(clock):
    """Nor the beginning of one, when it is gone at the next poll."""
    watch = Watch(clock, free(), *others())
    watch.stay(*others(), until=2 * DAY)
    watch.poll(free(), *others())
    watch.stay(*others(), until=2 * HOUR)
    assert watch.poll(free(), *others()) == []
    assert watch.stay(free(), *others(), until=EDGE) == ["model_returned"]


def test_who_returned_goes_unnoticed_again(clock):
    """A paid model that was told as missing among many, and returned, is no news when it is away alone."""
    away = [paid(f"lab/heron-{number}") for number in range(GROUP)]
    watch = Watch(clock, *away, *others())
    watch.stay(*others(), until=HOUR)
    watch.stay(*away, *others(), until=2 * HOUR)
    assert watch.kinds() == ["models_missing", "models_returned"]
    watch.stay(*away[1:], *others(), until=HOUR)
    watch.stay(*away, *others(), until=2 * HOUR)
    assert len(watch.events) == 2


def test_the_price_after_a_removal_is_part_of_the_return(clock):
    """A paid model that comes back dearer, or free, has returned, at that price."""
    for back in (paid("lab/heron", 3e-6), free("lab/heron")):
        watch = Watch(clock, paid("lab/heron"), *others())
        watch.stay(*others(), until=2 * DAY)
        assert watch.stay(back, *others(), until=6 * HOUR) == ["model_returned"]
        assert watch.events[-1].after == price_text(price_of(back))


def test_a_free_model_that_comes_back_at_a_price_is_told_at_once(clock):
    """Money is told before the return itself is sure."""
    watch = Watch(clock, free("lab/gull:free"), *others())
    watch.stay(*others(), until=2 * DAY)
    assert watch.poll(paid("lab/gull:free"), *others()) == ["model_no_longer_free"]
    assert watch.stay(paid("lab/gull:free"), *others(), until=6 * HOUR) == ["model_returned"]


@pytest.mark.parametrize(("listed_for", "told"), [(EDGE - 1, False), (EDGE, True)])
def test_a_new_models_absence_may_be_a_copy_from_before(clock, listed_for, told):
    """In the 65 minutes after its first sight an edge may serve a copy that does not know it."""
    watch = Watch(clock, *others())
    watch.poll(free(), *others())
    watch.poll(free(), *others())
    watch.poll(*others(), after=listed_for - 10 * MINUTE)
    assert watch.poll(*others(), after=9 * MINUTE) == (["model_missing"] if told else [])
