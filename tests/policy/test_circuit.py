"""When a model is left alone after failures, and how it comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.model import Ending, LimitHit, LimitKind, Outcome
from monitor.policy.circuit import (
    CLOSED,
    FIRST_SECONDS,
    LONGEST_ASKED,
    LONGEST_SECONDS,
    PROBE_SECONDS,
    Circuit,
    State,
    Trouble,
    admits,
    entered,
    failed,
    opens_at,
    state_of,
    trouble_of,
)
from tests.fakes.builders import NOON

LATER = NOON + 10_000


def opened(trouble: Trouble = Trouble.BUSY, now: float = NOON, circuit: Circuit = CLOSED) -> Circuit:
    return failed(circuit, trouble, now)


@pytest.mark.parametrize(
    ("trouble", "times", "state"),
    [
        (Trouble.BUSY, 1, State.OPEN),
        (Trouble.GONE, 1, State.OPEN),
        (Trouble.FAILED, 1, State.CLOSED),
        (Trouble.FAILED, 2, State.OPEN),
    ],
)
def test_what_opens_it(trouble, times, state):
    """A busy pool and a model that nobody serves at once, an error of a provider's only when it is the second."""
    circuit = CLOSED
    for _ in range(times):
        circuit = failed(circuit, trouble, NOON)
    assert state_of(circuit, NOON) is state
    assert admits(circuit, NOON) is (state is State.CLOSED)


@pytest.mark.parametrize("trouble", list(Trouble))
def test_it_is_open_for_its_time_and_not_longer(trouble):
    """Shut until the very end of its first cool-down, then open to one."""
    circuit = failed(failed(CLOSED, Trouble.FAILED, NOON), trouble, NOON)
    end = NOON + FIRST_SECONDS[trouble]
    assert opens_at(circuit, NOON) == end
    assert not admits(circuit, end - 0.001)
    assert admits(circuit, end)
    assert state_of(circuit, end) is State.HALF_OPEN


def test_one_real_call_is_the_probe():
    """Half open, it admits one call; those beside it go elsewhere until that one is over, or must be thought dead."""
    now = NOON + FIRST_SECONDS[Trouble.BUSY]
    probed = entered(opened(), now)
    assert not admits(probed, now)
    assert opens_at(probed, now) == now + PROBE_SECONDS
    assert not admits(probed, now + PROBE_SECONDS - 0.001)
    assert admits(probed, now + PROBE_SECONDS)


def test_to_enter_a_closed_one_changes_nothing():
    """A healthy model's calls write nothing down."""
    assert entered(CLOSED, NOON) is CLOSED
    once = failed(CLOSED, Trouble.FAILED, NOON)
    assert entered(once, NOON) is once


def test_a_probe_that_fails_doubles_the_time():
    """15 s, 30 s, 60 s …, and never more than ten minutes."""
    circuit, now, waits = CLOSED, NOON, []
    for _ in range(9):
        circuit = failed(entered(circuit, now), Trouble.BUSY, now)
        waits.append(opens_at(circuit, now) - now)
        now = opens_at(circuit, now)
    assert waits[:6] == [15, 30, 60, 120, 240, 480]
    assert waits[6:] == [LONGEST_SECONDS] * 3


@pytest.mark.parametrize(("asked", "waits"), [(4.0, 4.0), (900.0, 900.0), (90_000.0, LONGEST_ASKED), (0.0, 15.0)])
def test_a_provider_that_says_when_is_believed(asked, waits):
    """`Retry-After` counts, within reason."""
    assert opens_at(failed(CLOSED, Trouble.BUSY, NOON, asked), NOON) == NOON + waits


def test_late_failures_do_not_double_it():
    """Of ten calls that were under way when it opened, the nine others bring no new finding."""
    circuit = opened()
    for _ in range(9):
        circuit = opened(now=NOON + 1, circuit=circuit)
    assert circuit.trips == 1
    assert opens_at(circuit, NOON + 1) <= NOON + 1 + FIRST_SECONDS[Trouble.BUSY]


def test_a_clock_that_was_set_back_opens_it():
    """A stamp further ahead than anything is shut for is not waited for."""
    assert admits(opened(now=LATER), NOON)
    assert not admits(opened(now=NOON + 1), NOON)


@pytest.mark.parametrize(
    ("ending", "trouble"),
    [
        (Ending(Outcome.RATE_LIMITED, limit=LimitHit(LimitKind.UPSTREAM)), Trouble.BUSY),
        (Ending(Outcome.SERVER_ERROR, limit=LimitHit(LimitKind.UPSTREAM)), Trouble.BUSY),
        *((Ending(Outcome.RATE_LIMITED, limit=LimitHit(k)), None) for k in LimitKind if k is not LimitKind.UPSTREAM),
        (Ending(Outcome.SERVER_ERROR, status=502), Trouble.FAILED),
        (Ending(Outcome.NETWORK_ERROR), Trouble.FAILED),
        (Ending(Outcome.CLIENT_ERROR, status=404), Trouble.GONE),
        (Ending(Outcome.CLIENT_ERROR, status=408), Trouble.FAILED),
        (Ending(Outcome.CLIENT_ERROR, status=400), None),
        (Ending(Outcome.SUCCESS, status=200), None),
        (Ending(Outcome.CANCELLED), None),
    ],
    ids=str,
)
def test_only_what_is_the_models_doing_counts(ending, trouble):
    """The account's limits, bad requests and cancelled calls say nothing of a model."""
    assert trouble_of(ending) is trouble


def test_a_connection_that_was_never_made_is_nobodys_doing():
    """The network is the same for all models."""
    assert trouble_of(Ending(Outcome.NETWORK_ERROR), never_sent=True) is None


@given(st.lists(st.tuples(st.sampled_from(Trouble), st.floats(0, 700)), max_size=30))
def test_it_always_comes_back(steps):
    """Whatever fails when, no model is shut for longer than ten minutes, and the time told is the time it opens."""
    circuit, now = CLOSED, NOON
    for trouble, seconds in steps:
        now += seconds
        circuit = failed(entered(circuit, now), trouble, now)
        at = opens_at(circuit, now)
        assert now <= at <= now + LONGEST_SECONDS
        assert admits(circuit, at)
