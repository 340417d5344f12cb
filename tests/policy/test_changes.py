"""Each kind of change at its bound, just before it and just after it."""

from __future__ import annotations

import pytest

from monitor.model import ModelFacts, PriceClass
from monitor.policy.changes import GROUP, Kind, from_text, grouped, plural, price_text
from monitor.policy.changes.prices import Price, price_of, same_price
from tests.fakes.builders import NOON, facts
from tests.policy.changes_kit import DAY, EDGE, HOUR, MINUTE, Watch, free, others, paid

AT_THE_BOUND = pytest.mark.parametrize(("off", "told"), [(-1.0, False), (0.0, True), (1.0, True)])
"""One second before, at, and one second after."""


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


# Expiring


@pytest.mark.parametrize(
    ("hours", "kinds"),
    [
        (12 + 14 * 24 + 1, []),
        (12 + 14 * 24 - 12, ["model_expiring"]),
        (12, ["model_expiring"]),
        (-12, ["model_expiring"]),
        (-36, []),
    ],
)
def test_expiring_within_fourteen_days(clock, hours, kinds):
    """From fourteen days before the date until the day itself has gone by."""
    clock.set(NOON + 12 * HOUR - hours * HOUR)
    model = free(expires="2026-09-22")  # NOON is on 2026-09-21
    watch = Watch(clock, model)
    assert watch.look([model]) == kinds


def test_an_expiry_is_told_at_fourteen_days_at_three_and_at_one(clock):
    """Each once, from whichever poll comes first; the note says how long there is left."""
    model = free(expires="2026-10-21")
    watch = Watch(clock, model)
    watch.stay(model, until=40 * DAY, every=HOUR)
    assert watch.kinds() == ["model_expiring"] * 3
    told = [(event.at - NOON) / DAY for event in watch.events]
    assert told == [15.5, 26.5, 28.5]
    assert [event.note.rpartition(" expire ")[2] for event in watch.events] == ["in 14 days", "in 3 days", "in 1 day"]
    assert {event.after for event in watch.events} == {"2026-10-21"}


@AT_THE_BOUND
def test_a_date_is_believed_after_65_minutes(clock, off, told):
    """A date that was not there before."""
    watch = Watch(clock, free())
    assert watch.poll(free(expires="2026-09-25")) == []
    assert watch.poll(free(expires="2026-09-25"), after=EDGE + off) == (["model_expiring"] if told else [])


def test_a_date_that_is_put_off_is_told_anew(clock):
    """The same distance, another date."""
    watch = Watch(clock, free(expires="2026-09-25"))
    watch.poll(free(expires="2026-09-25"))
    assert watch.stay(free(expires="2026-09-30"), until=2 * HOUR) == ["model_expiring"]
    assert [event.after for event in watch.events] == ["2026-09-25", "2026-09-30"]


def test_dates_that_alternate_are_told_once(clock):
    """Two copies, one with the date and one without."""
    watch = Watch(clock, free(expires="2026-10-01"))
    for _ in range(72):
        watch.poll(free(expires="2026-10-01"))
        watch.poll(free())
    assert watch.kinds() == ["model_expiring"]


@pytest.mark.parametrize("date", ["soon", "", "2026-13-45", "never 2026-09-22"])
def test_what_is_no_date_warns_of_nothing(clock, date):
    """And breaks nothing."""
    model = free(expires=date)
    watch = Watch(clock, model)
    assert watch.stay(model, until=3 * HOUR) == []


def test_a_new_model_with_a_date_is_added_and_expiring(clock):
    """Both at once, for its date was seen as long as itself."""
    watch = Watch(clock)
    watch.poll(free(expires="2026-09-23T00:00:00Z"))
    assert watch.poll(free(expires="2026-09-23T00:00:00Z")) == ["model_expiring", "model_added"]
    assert watch.events[0].after == "2026-09-23"


# Aliases


@AT_THE_BOUND
def test_an_alias_has_moved_after_65_minutes(clock, off, told):
    """To the target that was seen at every poll since."""
    old, new = (facts("~lab/latest", PriceClass.VARIABLE, alias_target=f"lab/v{n}") for n in (1, 2))
    watch = Watch(clock, old)
    assert watch.poll(new) == []
    assert watch.poll(new, after=EDGE + off) == (["alias_moved"] if told else [])
    assert [(event.before, event.after) for event in watch.events] == [("lab/v1", "lab/v2")] * told


def test_new_targets_that_alternate_are_not_believed(clock):
    """Neither was seen at every poll."""
    old, *new = (facts("~lab/latest", PriceClass.VARIABLE, alias_target=f"lab/v{n}") for n in range(3))
    watch = Watch(clock, old)
    for _ in range(20):
        watch.poll(new[0])
        watch.poll(new[1])
    assert watch.events == []


def test_a_target_that_is_not_listed_says_nothing(clock):
    """Nor does one that is listed for the first time."""
    bare, aimed = (facts("~lab/latest", PriceClass.VARIABLE, alias_target=to) for to in (None, "lab/v1"))
    watch = Watch(clock, bare)
    assert watch.stay(aimed, until=3 * HOUR) == []
    assert watch.stay(bare, until=3 * HOUR) == []
    assert watch.stay(aimed, until=3 * HOUR) == []


# Many at once


def gulls(count: int, author: str = "lab") -> list[ModelFacts]:
    return [free(f"{author}/gull-{number:03}:free") for number in range(count)]


@pytest.mark.parametrize(
    ("count", "kinds"), [(GROUP - 1, ["model_no_longer_free"] * (GROUP - 1)), (GROUP, ["models_no_longer_free"])]
)
def test_five_of_a_kind_are_one_event(clock, count, kinds):
    """Four are told one by one."""
    models = gulls(count)
    watch = Watch(clock, *models)
    assert watch.poll(*(paid(model.id) for model in models)) == kinds
    assert len(watch.changes) == count


def test_a_group_names_ten_and_counts_the_rest(clock):
    """With before and after where they are the same for all, and the author when it is one."""
    models = gulls(12)
    watch = Watch(clock, *models)
    watch.poll(*(paid(model.id, (number + 1) * 1e-6) for number, model in enumerate(models)))
    (event,) = watch.events
    assert event.subject == "12 models of lab"
    assert (event.before, event.after) == ("free", None)
    assert event.note == ", ".join(model.id for model in models[:10]) + " and 2 more"


def test_a_group_of_several_authors_names_none(clock):
    """And all ids when they are few."""
    models = [*gulls(3), *gulls(2, "zoo")]
    watch = Watch(clock, *models)
    watch.poll(*map(paid, (model.id for model in models)))
    (event,) = watch.events
    assert (event.subject, event.after) == ("5 models", "$1 in, $4 out per million tokens")
    assert event.note.count(",") == 4


@pytest.mark.parametrize(("count", "kinds"), [(4, []), (5, ["models_missing"])])
def test_five_that_vanish_together_are_told_whatever_they_cost(clock, count, kinds):
    """Fewer are told only when somebody could use them for nothing, or watches them."""
    models = [paid(f"lab/heron-{number}") for number in range(count)]
    watch = Watch(clock, *models, *others())
    watch.poll(*others())
    assert watch.poll(*others()) == kinds


def test_a_group_lists_what_is_free_or_watched_first(clock):
    """Ten ids of thirty are enough to see whether one that somebody uses is among them."""
    away = [*(paid(f"lab/heron-{number:02}") for number in range(28)), free("zoo/z:free"), paid("zoo/z")]
    watch = Watch(clock, *away, *others(), watched=("zoo/*",))
    watch.stay(*others(), until=HOUR)
    (event,) = watch.events
    assert event.note.startswith("zoo/z, zoo/z:free, lab/heron-00, ")


def test_the_plural_of_every_kind_is_a_kind_of_its_own():
    """No event of many is taken for one of one."""
    assert len({*Kind, *map(plural, Kind)}) == 2 * len(Kind)
    assert plural(Kind.ALIAS_MOVED) == "aliases_moved"


def test_the_weightiest_comes_first(clock):
    """Within one poll: money, absence, then the rest; by id within a kind."""
    watch = Watch(clock, free("lab/b:free"), free("lab/a:free"), *others())
    watch.poll(free("lab/b:free"), free("lab/a:free"), free("lab/c:free"), *others())
    watch.poll(paid("lab/b:free"), paid("lab/a:free"), free("lab/c:free"), *others())
    told = [(event.kind, event.subject) for event in watch.events]
    lost = "model_no_longer_free"
    assert told == [(lost, "lab/a:free"), (lost, "lab/b:free"), ("model_added", "lab/c:free")]
    assert grouped(reversed(watch.changes)) == watch.events


# Words and texts


@pytest.mark.parametrize(
    ("price", "text"),
    [
        (Price(PriceClass.FREE, 0.0, 0.0), "free"),
        (Price(PriceClass.ZERO, 0.0, 0.0), "free"),
        (Price(PriceClass.PAID, 1.5e-7, 6e-7), "$0.15 in, $0.6 out per million tokens"),
        (Price(PriceClass.PAID, 0.38999995632e-6, 2e-3), "$0.39 in, $2000 out per million tokens"),
        (Price(PriceClass.PAID, 0.0, 1e-13), "$0 in, $0.0000001 out per million tokens"),
        (Price(PriceClass.PAID, 0.0, 0.0, 0.0085), "$0.0085 a request"),
        (Price(PriceClass.PAID, 0.0, 0.0), "$0 a token, and charged by something else"),
        (Price(PriceClass.VARIABLE), "priced by where it is routed"),
        (Price(PriceClass.UNKNOWN), "a price that cannot be read"),
    ],
)
def test_prices_are_told_by_the_million(price, text):
    """In USD, without exponents."""
    assert price_text(price) == text


def test_what_the_same_price_is():
    """Free is free with and without the suffix; figures beside a routed price say nothing; zero is not nearly zero."""
    assert same_price(Price(PriceClass.FREE, 0.0, 0.0), Price(PriceClass.ZERO, 0.0, 0.0, 0.0))
    assert same_price(Price(PriceClass.VARIABLE, 1e-6), Price(PriceClass.VARIABLE))
    assert not same_price(Price(PriceClass.PAID, 0.0, 0.0), Price(PriceClass.PAID, 0.0, 1e-12))
    assert not same_price(Price(PriceClass.PAID), Price(PriceClass.UNKNOWN))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"presence":"gone","price":["free"]}', '{"presence":"listed","price":1}',
             '{"presence":"listed","price":["free"],"of a later version":1}']
)  # fmt: skip
def test_a_belief_that_cannot_be_read_is_none(text):
    """Its model is judged anew; the poll goes on."""
    assert from_text(text) is None
