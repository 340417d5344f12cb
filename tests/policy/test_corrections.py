"""What a limit that OpenRouter reported changes in what we believe."""

from __future__ import annotations

import pytest

from monitor.model import LimitHit, LimitKind
from monitor.policy.admission import ACCOUNT, PAID_CALLS
from monitor.policy.corrections import Correction, correction_for
from tests.fakes.builders import FREE, MIDNIGHT, NOON


def learn(kind: LimitKind, *, model: str | None = FREE, strikes: int = 0, **limit: object) -> Correction:
    return correction_for(LimitHit(kind, **limit), model=model, now=NOON, strikes=strikes, minute_limit=20)


TOMORROW, NEXT_MINUTE = MIDNIGHT + 86_400, NOON + 60


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (learn(LimitKind.FREE_DAILY), {"day_closed_until": TOMORROW, "day_closed_at": NOON}),
        (learn(LimitKind.FREE_DAILY, resets_at=NOON + 9), {"day_closed_until": NOON + 9, "day_closed_at": NOON}),
        (
            learn(LimitKind.FREE_DAILY, limit=1000),
            {"day_closed_until": TOMORROW, "day_closed_at": NOON, "server_limit": 1000},
        ),
        (learn(LimitKind.FREE_MINUTE), {"minute_closed_until": NEXT_MINUTE}),
        (learn(LimitKind.FREE_MINUTE, limit=20), {"minute_closed_until": NEXT_MINUTE}),
        (learn(LimitKind.FREE_MINUTE, resets_at=NOON + 9), {"minute_closed_until": NOON + 9}),
        (
            learn(LimitKind.FREE_MINUTE, limit=16),
            {"minute_closed_until": NEXT_MINUTE, "minute_limit": 16, "minute_limit_at": NOON},
        ),
    ],
)
def test_the_accounts_own_windows_are_corrected(found, expected):
    """A day or minute that OpenRouter shut is shut here, until then; a limit that differs is learned."""
    assert found == Correction(expected)


@pytest.mark.parametrize(
    ("kind", "limit", "subject", "seconds"),
    [
        (LimitKind.ADMISSION, {}, ACCOUNT, 10),
        (LimitKind.ADMISSION, {"retry_after": 3}, ACCOUNT, 3),
        (LimitKind.EDGE, {}, ACCOUNT, 30),
        (LimitKind.EDGE, {"resets_at": NOON + 7}, ACCOUNT, 7),
        (LimitKind.IN_FLIGHT_BUDGET, {}, PAID_CALLS, 30),
        (LimitKind.IN_FLIGHT_BUDGET, {"retry_after": 120}, PAID_CALLS, 120),
        # asked for too much, or for nothing: not believed
        (LimitKind.ADMISSION, {"retry_after": 1e9}, ACCOUNT, 3600),
        (LimitKind.ADMISSION, {"retry_after": 0}, ACCOUNT, 10),
        (LimitKind.EDGE, {"resets_at": NOON - 7}, ACCOUNT, 30),
    ],
)
def test_what_cools_the_account_down(kind, limit, subject, seconds):
    """For as long as OpenRouter asked, an hour at most, else for a default; no window is touched."""
    assert learn(kind, **limit) == Correction(cool=(subject, NOON + seconds))


@pytest.mark.parametrize(
    ("strikes", "seconds"), [(0, 5), (1, 10), (2, 20), (3, 40), (4, 60), (5, 60), (1023, 60), (1_000_000, 60)]
)
def test_a_providers_429_cools_its_model_down_twice_as_long_each_time(strikes, seconds):
    """Five seconds, doubling to a minute, however long the provider keeps refusing; the attempt is not counted."""
    assert learn(LimitKind.UPSTREAM, strikes=strikes) == Correction(cool=(FREE, NOON + seconds), uncounted=True)


def test_a_provider_that_says_how_long_is_believed_within_reason():
    """Its `Retry-After` counts instead of the doubling, up to an hour; without a model there is nothing to cool."""
    assert learn(LimitKind.UPSTREAM, strikes=9, retry_after=2).cool == (FREE, NOON + 2)
    assert learn(LimitKind.UPSTREAM, retry_after=99_999).cool == (FREE, NOON + 3600)
    assert learn(LimitKind.UPSTREAM, model=None) == Correction(uncounted=True)


@pytest.mark.parametrize("kind", [LimitKind.CREDITS, LimitKind.KEY_LIMIT, LimitKind.BUDGET, LimitKind.UNKNOWN])
def test_money_trouble_teaches_nothing_of_the_windows(kind):
    """It is the key's figures that tell of money."""
    assert learn(kind, limit=5, retry_after=5, resets_at=NOON + 5) == Correction()
