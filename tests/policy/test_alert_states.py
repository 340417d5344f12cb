"""An alert's life, step by step: pending, firing, firing on for a while, resolved."""

from __future__ import annotations

import pytest

from monitor.policy.alert_states import RESOLVED_KEPT_SECONDS, AlertState, Found, Phase, Timing, fingerprint, step

LABELS = {"alertname": "Quota", "severity": "warning", "account": "default"}
KEY = fingerprint(LABELS)
TIMING = Timing(lasts=60.0, stays=120.0)


def found(value: float = 1.0, text: str = "much"):
    return [Found(LABELS, {"description": text}, value)]


def life(*steps, timing=TIMING, states=None):
    """The phases after each step: (instant, whether the rule yields the alert)."""
    states, phases = dict(states or {}), []
    for now, there in steps:
        states = step("Quota/warning", states, found() if there else (), timing, now)
        phases.append(states[KEY].phase.value if KEY in states else None)
    return states, phases


def test_it_fires_when_it_lasted_and_not_a_moment_before():
    """Pending from the first instant, firing from exactly `for` on."""
    assert life((0, True), (59.9, True), (60, True))[1] == ["pending", "pending", "firing"]
    assert life((0, True), timing=Timing())[1] == ["firing"]


def test_what_is_interrupted_begins_anew():
    """One look at which the rule does not hold, and `for` counts from its return."""
    assert life((0, True), (30, False), (45, True), (104, True), (105, True))[1] == [
        "pending", None, "pending", "pending", "firing",
    ]  # fmt: skip


def test_it_fires_on_for_a_while_and_then_is_over_once():
    """`keep_firing_for` counts from when the rule no longer holds; a return within it is the same incident."""
    states, phases = life((0, True), (60, True), (90, False), (209, False))
    assert phases == ["pending", "firing", "firing", "firing"]
    incident = states[KEY].incident
    back, phases = life((209.5, True), (240, False), (359, False), (360, False), (390, False), states=states)
    assert phases == ["firing", "firing", "firing", "resolved", "resolved"]
    assert back[KEY].incident == incident
    assert (back[KEY].fired_at, back[KEY].resolved_at) == (60, 360)


def test_what_returns_after_its_end_is_another_incident():
    """It must last again before it fires, and has another number."""
    states, _ = life((0, True), (60, True), (70, False), (190, False))
    assert states[KEY].phase is Phase.RESOLVED
    again, phases = life((200, True), (260, True), states=states)
    assert phases == ["pending", "firing"]
    assert again[KEY].incident != states[KEY].incident


def test_what_is_over_is_remembered_for_a_day():
    """Long enough to tell those who were told that it fires; then it is forgotten."""
    states, _ = life((0, True), (60, True), (61, False), (181, False))
    over = 181 + RESOLVED_KEPT_SECONDS
    assert life((over, False), states=states)[1] == ["resolved"]
    assert life((over + 1, False), states=states)[1] == [None]


def test_texts_follow_the_value_and_stay_at_the_end():
    """While it lasts the text says how things are; when it is over, how they last were."""
    states = step("r", {}, found(1.0, "one"), Timing(stays=60), 0)
    states = step("r", states, found(2.0, "two"), Timing(stays=60), 30)
    states = step("r", states, (), Timing(stays=60), 60)
    assert (states[KEY].value, states[KEY].annotations) == (2.0, {"description": "two"})


def test_time_in_which_nobody_looked_does_not_count():
    """After ten minutes without a look an alert is as far as it was before: neither fires nor ends by them."""
    pending = life((0, True), (50, True))[0][KEY].unwatched(600)
    assert life((659, True), (660, True), states={KEY: pending})[1] == ["pending", "firing"]
    ending = life((0, True), (60, True), (90, False))[0][KEY].unwatched(600)
    assert life((809, False), (810, False), states={KEY: ending})[1] == ["firing", "resolved"]
    assert ending.fired_at == 60


def test_it_can_be_written_down_and_read():
    """A state survives a restart whole; of what cannot be read nothing is believed."""
    for state in (life((0, True))[0][KEY], life((0, True), (60, True), (70, False), (190, False))[0][KEY]):
        assert AlertState.read(state.written()) == state
        assert AlertState.read(state.written().replace('"value"', '"of_later": 1, "value"')) == state
    for text in ("", "[]", "{}", '{"phase": "odd"}', "nonsense"):
        assert AlertState.read(text) is None


def test_all_instants_move_with_the_clock():
    """When the clock is set, what was is dated anew; the incident keeps its number."""
    state = life((0, True), (60, True), (70, False), (190, False))[0][KEY]
    moved = state.later(-3600)
    assert (moved.active_at, moved.fired_at, moved.ended_at, moved.resolved_at) == (-3600, -3540, -3530, -3410)
    assert moved.incident == state.incident


@pytest.mark.parametrize(
    ("labels", "number"),
    [
        ({}, "cbf29ce484222325"),
        ({"alertname": "OpenRouterTest", "severity": "warning"}, "82cc22c768af504c"),
        ({"name": "garland, briggs", "fear": "love is not enough"}, "507a62d79ee76c9a"),
        ({"alertname": "Ü", "app": "b ill"}, "ef0e6110b55ca65b"),
    ],
)
def test_the_fingerprint_is_alertmanagers(labels, number):
    """By it receivers know an alert again, whoever sent it. The numbers are those that Alertmanager 0.25 gave."""
    assert fingerprint(labels) == number


def test_what_is_pending_again_and_then_not_is_over_as_before():
    """Those who could not be told of its end yet can still be told."""
    states, _ = life((0, True), (60, True), (70, False), (190, False))
    again, phases = life((200, True), (210, False), states=states)
    assert phases == ["pending", "resolved"]
    assert again[KEY].resolved_at == 190
    assert again[KEY].incident == states[KEY].incident
