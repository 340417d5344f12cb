"""When a client that sends one failing request again and again is slowed, then refused."""

from __future__ import annotations

import pytest

from monitor.model import Outcome, Reason
from monitor.policy.hints import message_for
from monitor.policy.storm import MOST, QUIET_SECONDS, REFUSED_FROM, SLOWED_FROM, Brake, Storms, advice_for, refused

BODY, OTHER = 1, 2


def failing(times: int, now: float = 0.0) -> Storms:
    storms = Storms()
    for _ in range(times):
        storms.failed(BODY, now, now)
    return storms


@pytest.mark.parametrize(
    ("failures", "brake"),
    [
        (0, None),
        (1, None),
        (2, None),
        (3, Brake(3, delay=1)),
        (4, Brake(4, delay=2)),
        (5, Brake(5, delay=4)),
        (6, Brake(6, delay=8)),
        (7, Brake(7, until=QUIET_SECONDS)),
        (50, Brake(50, until=QUIET_SECONDS)),
    ],
)
def test_it_is_let_go_then_slowed_then_refused(failures, brake):
    """Three tries as SDKs of good manners make them, four that are slowed, and from the eighth on none."""
    storms = failing(failures)
    assert storms.brake(BODY, 0.0) == brake
    assert storms.brake(OTHER, 0.0) is None


@pytest.mark.parametrize("told", [SLOWED_FROM - 1, SLOWED_FROM, REFUSED_FROM])
def test_a_clients_own_count_counts(told):
    """`x-stainless-retry-count` tells of tries that came through another process, once one has failed here too."""
    by_count, by_memory = failing(1).brake(BODY, 0.0, told), failing(told).brake(BODY, 0.0)
    assert by_count == by_memory


@pytest.mark.parametrize(("told", "delay"), [(SLOWED_FROM, 1.0), (REFUSED_FROM, 8.0), (900, 8.0)])
def test_a_count_alone_only_slows(told, delay):
    """A client that found no door open for long counts many tries, none of which spent anything."""
    brake = Storms().brake(BODY, 0.0, told)
    assert brake is not None
    assert (brake.delay, brake.until) == (delay, None)


@pytest.mark.parametrize(
    ("outcome", "counts"),
    [
        (Outcome.RATE_LIMITED, True),
        (Outcome.SERVER_ERROR, True),
        (Outcome.CLIENT_ERROR, True),
        (Outcome.NETWORK_ERROR, True),
        (Outcome.CANCELLED, False),
        (Outcome.ABANDONED, False),
        (Outcome.SUCCESS, False),
    ],
)
def test_what_counts_as_a_failure(outcome, counts):
    """What OpenRouter or the way to it did; not what the program broke off by itself."""
    storms = Storms()
    storms.ended(BODY, outcome, 0.0, 0.0)
    assert bool(storms) is counts


def test_the_end_of_an_attempt_that_succeeds_ends_it():
    """The same by way of the outcome; another body's storm goes on."""
    storms = failing(REFUSED_FROM)
    storms.failed(OTHER, 0.0, 0.0)
    storms.ended(BODY, Outcome.SUCCESS, 0.0, 0.0)
    assert storms.brake(BODY, 0.0) is None
    assert storms


def test_the_refusal_says_how_often_until_when_and_what_to_do():
    """Seconds of the steady clock become an instant of the calendar."""
    brake = failing(REFUSED_FROM, 1000.0).brake(BODY, 1010.0)
    assert brake is not None
    verdict = refused(brake, "m:free", "OpenAI/Python 3.57.0", 5_000.0, 1010.0)
    assert (verdict.reason, verdict.resets_at) == (Reason.COOLDOWN, 5_000.0 + QUIET_SECONDS - 10)
    assert message_for(verdict) == (
        "This very request keeps failing and is sent again and again (7 times in a row). It opens at"
        " 1970-01-01T01:28:10Z. Nothing was sent and nothing was spent. Bound its retries: OpenAI(max_retries=1), and"
        " no loop around it that tries for ever."
    )


def test_one_success_ends_it():
    """Whoever gets answers is no storm, however often it sends the same."""
    storms = failing(REFUSED_FROM)
    storms.succeeded(BODY)
    assert storms.brake(BODY, 0.0) is None
    assert not storms


def test_after_the_pause_one_try_leaves():
    """Refused for five minutes; then one may see whether the world has changed, and those beside it may not."""
    storms = failing(REFUSED_FROM)
    assert storms.brake(BODY, QUIET_SECONDS - 1) is not None
    assert storms.brake(BODY, QUIET_SECONDS) is None
    again = storms.brake(BODY, QUIET_SECONDS + 1)
    assert again is not None
    assert again.until == 2 * QUIET_SECONDS
    storms.failed(BODY, QUIET_SECONDS + 2, QUIET_SECONDS + 2)
    assert storms.brake(BODY, 2 * QUIET_SECONDS + 1) is not None
    storms.succeeded(BODY)
    assert storms.brake(BODY, 2 * QUIET_SECONDS + 1) is None


def test_what_is_quiet_is_forgotten():
    """A request that failed seven times and is tried again six minutes later starts anew."""
    storms = failing(REFUSED_FROM)
    assert storms.brake(BODY, QUIET_SECONDS + 1) is None
    assert not storms
    slow = Storms()
    for number in range(20):
        slow.failed(BODY, at := number * (QUIET_SECONDS + 1), at)
        assert slow.brake(BODY, number * (QUIET_SECONDS + 1)) is None


def test_its_memory_is_bounded():
    """However many different requests fail, it holds no more than a few hundred."""
    storms = Storms()
    for body in range(5 * MOST):
        storms.failed(body, 0.0, 0.0)
    assert len(storms._by_body) <= MOST


@pytest.mark.parametrize(
    ("agent", "says"),
    [
        ("speakeasy-sdk/python 1.3.84 2.914.0 1.0.0 openrouter", "retry_config"),
        ("OpenAI/Python 3.54.0", "OpenAI(max_retries=1)"),
        ("OpenAI/JS 6.9.1", "OpenAI({ maxRetries: 1 })"),
        ("AsyncOpenAI/Python 2.54.0", "OpenAI(max_retries=1)"),
        ("Anthropic/Python 2.12.0", "Anthropic(max_retries=1)"),
        ("python-requests/2.32", "Bound your client's retries"),
        ("", "Bound your client's retries"),
    ],
)
def test_the_advice_is_for_the_client_that_asks(agent, says):
    """It says how to configure that very SDK."""
    assert says in advice_for(agent)


def test_what_fails_together_counts_as_one():
    """Eight that were under way at once are no storm; eight that each go on after the others' failures are."""
    storms = Storms()
    for _ in range(REFUSED_FROM + 1):
        storms.failed(BODY, 0.0, 1.0)
    assert storms.brake(BODY, 1.0) is None
    for round_ in range(1, REFUSED_FROM):
        for _ in range(8):
            storms.failed(BODY, float(round_), round_ + 1.0)
    brake = storms.brake(BODY, float(REFUSED_FROM))
    assert brake is not None
    assert brake.until is not None
    assert brake.failures == REFUSED_FROM
