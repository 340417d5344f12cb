"""How changes are told: many of one kind as one event, the weightiest first, prices as people read them."""

from __future__ import annotations

import pytest

from monitor.model import ModelFacts, PriceClass
from monitor.policy.changes import GROUP, Kind, from_text, grouped, plural, price_text
from monitor.policy.changes.prices import Price, same_price
from tests.policy.changes_kit import HOUR, Watch, free, others, paid

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
