"""Where bars and lines are: inside their drawing, in proportion, and the same figures as beside it."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.model import Outcome
from monitor.web.charts import GROUP_OF, GROUPS, HIGH, bars, counts_of, nice_top, part_of, stacked, table_of, use_line
from tests.fakes.builders import HOUR, MIDNIGHT, NOON


def slots(*outcomes: dict[str, int], seconds: float = HOUR) -> dict[str, Any]:
    return {
        "slot_seconds": seconds,
        "slots": [{"at": MIDNIGHT + i * seconds, "outcomes": each} for i, each in enumerate(outcomes)],
    }


def day(**more: Any) -> dict[str, Any]:
    given = {"limit": 100, "used": 40, "left": 60, "resets_at": MIDNIGHT + 24 * HOUR, "pace_per_hour": 2.0}
    return {"at": NOON, "day": {**given, "exhausted_at": None, **more}}


def test_every_outcome_is_drawn():
    """In one group each, and an outcome that is new some day is not lost."""
    assert set(GROUP_OF) == set(Outcome)
    assert sum(len(group.outcomes) for group in GROUPS) == len(Outcome)
    assert counts_of({"success": 2, "new": 1})["open"] == 1


def test_bars_stack_up_to_their_total():
    """Pieces stand on each other, the first on the ground, and together are as high as their sum."""
    (bar,) = bars(slots({"success": 6, "refused": 2, "rate_limited": 2})).bars
    assert [part.group for part in bar.parts] == ["good", "limited", "refused"]
    assert (bar.total, bar.counts["good"]) == (10, 6)
    assert [(part.at, part.length) for part in bar.parts] == [(40, 60), (20, 20), (0, 20)]


def test_bars_are_labelled_by_when_they_begin():
    """The hour, or the day where a bar is a day."""
    drawn = bars(slots({}, {}, {}, {}))
    assert [bar.label for bar in drawn.bars][:2] == ["09-21 00:00Z", "09-21 01:00Z"]
    assert drawn.labels == ["00:00Z", "02:00Z", "now"]
    drawn = bars(slots({}, {}, seconds=24 * HOUR))
    assert drawn.bars[0].label == "2026-09-21"
    assert drawn.labels == ["09-21", "09-22", "now"]


def test_the_table_leaves_out_what_was_quiet():
    """Newest first."""
    drawn = bars(slots({"success": 1}, {}, {"refused": 2}))
    assert [bar.total for bar in table_of(drawn.bars)] == [2, 1]


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 2), (1, 2), (3, 4), (10, 10), (11, 12), (42, 42), (99, 100), (101, 120), (12_345, 14_000)]
)
def test_a_scale_ends_at_an_even_number(highest, top):
    """Its middle is a whole number too, and nothing stands out above it."""
    assert nice_top(highest) == top
    assert top % 2 == 0


@pytest.mark.parametrize(
    ("value", "whole", "part"), [(0, 0, 0), (5, 10, 50), (20, 10, 100), (-1, 10, 0), (1, 3, 33.333)]
)
def test_a_length_stays_within_its_drawing(value, whole, part):
    """Whatever the figures: more than the whole, or of nothing."""
    assert part_of(value, whole) == part


def test_a_bar_without_a_scale_is_empty():
    """Nothing is divided by nothing."""
    assert stacked(counts_of({}), 0) == []


def test_the_days_line_rises_to_what_is_used_now():
    """From midnight, through the notes, to now; the forecast goes on at the pace until midnight."""
    line = use_line(day(), [{"at": MIDNIGHT + 6 * HOUR, "used": 10, "limit": 100}])
    assert line.points == "0.0,100.00 360.0,90.00 720.0,60.00"
    assert line.area == f"0,100 {line.points} 720.0,{HIGH:g}"
    assert line.forecast == "720.0,60.00 1440.0,36.00"
    assert (line.now, line.top) == (720.0, 100)


def test_the_forecast_ends_where_the_quota_does():
    """At the limit, when that is before midnight."""
    assert use_line(day(exhausted_at=NOON + 6 * HOUR, pace_per_hour=10.0), []).forecast.endswith(" 1080.0,0.00")


@pytest.mark.parametrize("changes", [{"left": 0}, {"pace_per_hour": 0.0}], ids=["spent", "quiet"])
def test_there_may_be_nothing_to_forecast(changes):
    """A spent day does not go on, and a day without calls does not rise."""
    assert use_line(day(**changes), []).forecast == ""


def test_a_day_over_its_limit_is_drawn_whole():
    """The scale goes up to what was used."""
    line = use_line(day(used=150, left=0), [])
    assert line.top == 150
    assert line.points.endswith("720.0,0.00")
