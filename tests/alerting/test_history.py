"""The short history: whatever is dropped, dated anew or read back, what rules ask of it stays the same."""

from __future__ import annotations

import random

from monitor.alerting.history import GAP, LOOKBACK_SECONDS, Change, History
from monitor.alerting.judging import Moment
from monitor.alerting.promql import parse

A, B = (("app", "a"),), (("app", "b"),)
EXPRESSIONS = [parse(expr) for expr in ("increase(c[5m])", "changes(c[5m] offset 1m)", "min_over_time(c[5m])", "c")]


def filled(ticks: int = 200, *, forget: bool = False):
    """A history of two counters that begin anew, end and return; and what was told to be written down."""
    chance, history, changes = random.Random(5), History({"c": 360.0}), []
    for number in range(ticks):
        now, told = number * 30.0, {}
        for labels in (A, B):
            if chance.random() < 0.9:
                told[labels] = float(chance.choice((0, 3, 3, 3, 3, 7)))
        changes += [(number, change) for change in history.record(now, {"c": told, "other": {A: 1.0}})]
        if forget and number % 7 == 0:
            history.forget(now)
    return history, changes


def asked(history, now):
    moment = Moment(history, now)
    return [moment.vector(tree) for tree in EXPRESSIONS]


def test_what_is_forgotten_is_never_asked_for():
    """A history that forgets answers as one that keeps all, and does not grow."""
    whole, _ = filled()
    short, _ = filled(forget=True)
    now = whole.ticks[-1]
    assert asked(short, now) == asked(whole, now)
    assert len(short.ticks) < (360 + LOOKBACK_SECONDS) / 30 + 10 < len(whole.ticks)


def test_what_ended_long_ago_is_dropped():
    """A series of an app that is no more takes no room once no rule could see it."""
    history = History({"c": 60.0})
    history.record(0.0, {"c": {A: 1.0, B: 1.0}})
    history.record(30.0, {"c": {B: 1.0}})
    for number in range(2, 40):
        history.record(number * 30.0, {"c": {B: 1.0}})
        history.forget(number * 30.0)
    assert list(history.series("c")) == [B]


def test_changes_are_enough_to_begin_again():
    """A history made of the changes that another told answers the same, and goes on the same."""
    whole, changes = filled()
    again = History({"c": 360.0})
    again.restore(0, whole.ticks, changes)
    now = whole.ticks[-1]
    assert asked(again, now) == asked(whole, now)
    for history in (whole, again):
        assert history.record(now + 30, {"c": {A: 99.0}})[-1] == Change("c", A, 99.0)
    assert asked(again, now + 30) == asked(whole, now + 30)
    assert again.next_tick == whole.next_tick == 201


def test_dated_anew_it_answers_the_same():
    """When all ticks move with the clock, so do the answers."""
    history, _ = filled()
    before = asked(history, history.ticks[-1])
    history.shift(-3600.0)
    assert asked(history, 199 * 30.0 - 3600.0) == before


def test_a_newest_value_is_looked_back_at_for_five_minutes():
    """What a tick says nothing of holds for five minutes; what has ended is gone at once."""
    history = History({"c": 600.0})
    history.record(0.0, {"c": {A: 1.0, B: 2.0}})
    history.record(30.0, {"c": {A: GAP}})
    assert Moment(history, 30.0).vector(parse("c")) == {A: 1.0}
    assert Moment(history, 300.0).vector(parse("c")) == {A: 1.0}
    assert Moment(history, 300.5).vector(parse("c")) == {}
    assert Moment(history, 29.0).vector(parse("c")) == {A: 1.0, B: 2.0}
    assert Moment(history, -1.0).vector(parse("c")) == {}


def test_only_what_changed_is_told():
    """A value that stands costs nothing to write down."""
    history = History({"c": 60.0})
    assert history.record(0.0, {"c": {A: 1.0}, "other": {A: 1.0}}) == [Change("c", A, 1.0)]
    assert history.record(30.0, {"c": {A: 1.0}}) == []
    assert history.record(60.0, {}) == [Change("c", A, None)]
    assert history.record(90.0, {}) == []
