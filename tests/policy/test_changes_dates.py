"""Expiries that draw near, aliases that move, contexts that grow and shrink."""

from __future__ import annotations

import pytest

from monitor.model import PriceClass
from tests.fakes.builders import NOON, facts
from tests.policy.changes_kit import AT_THE_BOUND, DAY, EDGE, HOUR, Watch, free, others, paid

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


# The length of the context


@AT_THE_BOUND
def test_a_context_has_changed_after_65_minutes(clock, off, told):
    """To the length that was seen at every poll since."""
    old, new = paid(context_length=8192), paid(context_length=4096)
    watch = Watch(clock, old)
    assert watch.poll(new) == []
    assert watch.poll(new, after=EDGE + off) == (["model_context_changed"] if told else [])
    assert [(event.before, event.after) for event in watch.events] == [("8192", "4096")] * told


def test_lengths_that_alternate_are_not_believed(clock):
    """Edges serve copies of two ages in turns."""
    old, new = paid(context_length=8192), paid(context_length=4096)
    watch = Watch(clock, old)
    for _ in range(20):
        watch.poll(new)
        watch.poll(old)
    assert watch.events == []


def test_an_absence_makes_the_wait_for_a_length_begin_again(clock):
    """What was not seen at every poll is not sure."""
    old, new = paid(context_length=8192), paid(context_length=4096)
    watch = Watch(clock, old, *others())
    watch.poll(new, *others())
    watch.poll(*others())
    assert watch.poll(new, *others(), after=EDGE) == []
    assert watch.poll(new, *others(), after=EDGE) == ["model_context_changed"]


def test_a_length_that_is_not_listed_says_nothing(clock):
    """Nor does one that is listed for the first time, nor the first look after lengths were not looked at."""
    bare, long = paid(context_length=None), paid(context_length=8192)
    watch = Watch(clock, bare)
    for model in (long, bare, long):
        assert watch.stay(model, until=3 * HOUR) == []


def test_a_length_that_nobody_would_call_another_is_no_news(clock):
    """131072 and 131000 are the same; what differs by one percent from the length that was told last is not."""
    watch = Watch(clock, paid(context_length=131_072))
    assert watch.stay(paid(context_length=131_000), until=3 * HOUR) == []
    assert watch.stay(paid(context_length=130_000), until=3 * HOUR) == []
    assert watch.stay(paid(context_length=129_000), until=3 * HOUR) == ["model_context_changed"]
    assert watch.events[0].before == "131072"
