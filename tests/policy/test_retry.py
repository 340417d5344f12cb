"""What to do after an attempt failed."""

from __future__ import annotations

import pytest

from monitor.model import Ending, LimitHit, LimitKind, Outcome
from monitor.policy.retry import LONGEST_BACKOFF, Next, after
from tests.fakes.builders import NOON


def decide(ending: Ending, **more: object):
    return after(ending, **({"attempt": 1, "now": NOON} | more))


@pytest.mark.parametrize(
    ("outcome", "billed_unknown", "what"),
    [
        (Outcome.SUCCESS, False, Next.STOP),
        (Outcome.CANCELLED, False, Next.STOP),
        (Outcome.ABANDONED, False, Next.STOP),
        (Outcome.REFUSED, False, Next.STOP),
        (Outcome.CLIENT_ERROR, False, Next.STOP),
        (Outcome.RATE_LIMITED, False, Next.STOP),
        (Outcome.SERVER_ERROR, False, Next.OTHER_MODEL),
        (Outcome.NETWORK_ERROR, False, Next.WAIT),
        (Outcome.NETWORK_ERROR, True, Next.STOP),
    ],
)
def test_without_a_limit_the_outcome_decides(outcome, billed_unknown, what):
    """Only a connection that was never made is tried again as it is; a lost answer may have been billed."""
    decision = decide(Ending(outcome), billed_unknown=billed_unknown)
    assert decision.next is what
    assert (decision.wait > 0) is (what is not Next.STOP)


@pytest.mark.parametrize(("status", "what"), [(404, Next.OTHER_MODEL), (408, Next.OTHER_MODEL), (400, Next.STOP)])
def test_a_model_that_nobody_serves_has_neighbours(status, what):
    """Not found, or too slow: another model may do. A request that is wrong is wrong everywhere."""
    assert decide(Ending(Outcome.CLIENT_ERROR, status=status)).next is what


def test_a_lost_answer_of_a_free_model_may_be_asked_for_again():
    """It cannot have billed, and at worst took one of the day's requests, as any retry does."""
    decision = decide(Ending(Outcome.NETWORK_ERROR), billed_unknown=True, free=True)
    assert decision.next is Next.OTHER_MODEL
    assert decision.wait > 0


@pytest.mark.parametrize(
    ("limit", "what", "wait"),
    [
        (LimitHit(LimitKind.FREE_DAILY, resets_at=NOON + 9), Next.STOP, 0),
        (LimitHit(LimitKind.FREE_MINUTE, resets_at=NOON + 9), Next.WAIT, 9),
        (LimitHit(LimitKind.FREE_MINUTE), Next.WAIT, 60),
        (LimitHit(LimitKind.UPSTREAM, retry_after=4), Next.OTHER_MODEL, 4),
        (LimitHit(LimitKind.UPSTREAM), Next.OTHER_MODEL, 0.75),
        (LimitHit(LimitKind.ADMISSION, retry_after=3), Next.WAIT, 3),
        (LimitHit(LimitKind.ADMISSION), Next.WAIT, 10),
        (LimitHit(LimitKind.IN_FLIGHT_BUDGET, retry_after=20), Next.WAIT, 20),
        (LimitHit(LimitKind.IN_FLIGHT_BUDGET), Next.WAIT, 0.75),
        (LimitHit(LimitKind.EDGE, retry_after=7), Next.WAIT, 7),
        (LimitHit(LimitKind.EDGE), Next.WAIT, 60),
        (LimitHit(LimitKind.CREDITS, retry_after=7), Next.STOP, 0),
        (LimitHit(LimitKind.KEY_LIMIT, resets_at=NOON + 9), Next.STOP, 0),
        (LimitHit(LimitKind.BUDGET, resets_at=NOON + 9), Next.STOP, 0),
        (LimitHit(LimitKind.UNKNOWN), Next.STOP, 0),
    ],
)
@pytest.mark.parametrize("outcome", [Outcome.RATE_LIMITED, Outcome.CLIENT_ERROR, Outcome.SERVER_ERROR])
def test_with_a_limit_its_kind_decides(limit, what, wait, outcome):
    """Whichever status told of it: money and the day are final, the minute and the edge pass, a pool has neighbours."""
    decision = decide(Ending(outcome, limit=limit))
    assert (decision.next, decision.wait) == (what, wait)


@pytest.mark.parametrize("kind", list(LimitKind))
def test_every_kind_of_limit_is_decided_with_a_sentence(kind):
    """No kind is forgotten, and each says why."""
    assert decide(Ending(Outcome.RATE_LIMITED, limit=LimitHit(kind))).why


@pytest.mark.parametrize(
    ("attempt", "jitter", "wait"),
    [(1, 0.0, 0.5), (1, 1.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 2.0), (5, 1.0, 16.0), (6, 1.0, 30.0), (5000, 1.0, 30.0)],
)
def test_back_off_doubles_spreads_and_ends(attempt, jitter, wait):
    """From one second, over the upper half of itself, to thirty at most, however often it is tried."""
    decision = decide(Ending(Outcome.SERVER_ERROR), attempt=attempt, jitter=jitter)
    assert decision.wait == wait <= LONGEST_BACKOFF
