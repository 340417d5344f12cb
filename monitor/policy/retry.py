"""What to do after an attempt failed. Each retry is a decision to spend: one of the day's requests, or money."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from monitor.model import Ending, LimitKind, Outcome


class Next(StrEnum):
    """What to do next."""

    STOP = "stop"
    WAIT = "wait"
    OTHER_MODEL = "other_model"


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """`wait` is seconds before the same request may be sent again; `why` is a sentence for people.

    `never_again`: this call has no use for the same model any more, however long it waits.
    """

    next: Next
    why: str
    wait: float = 0.0
    never_again: bool = False


FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 30.0
DEFAULT_ADMISSION_WAIT = 10.0
DEFAULT_EDGE_WAIT = 60.0
_NOT_FOUND, _TIMEOUT = 404, 408
_OVER = frozenset({Outcome.SUCCESS, Outcome.CANCELLED, Outcome.ABANDONED, Outcome.REFUSED, Outcome.CACHED})


def after(
    ending: Ending,
    *,
    attempt: int,
    now: float,
    billed_unknown: bool = False,
    free: bool = False,
    jitter: float = 0.5,
) -> RetryDecision:
    """Decide after `attempt` (1 is the first) ended so. `jitter` is a number in [0, 1) that the caller drew.

    `billed_unknown` says that the request reached the server and the answer was lost: it may have been counted, or
    billed, so it is not sent twice. One that was judged `free` can only have been counted, which is the price of
    any retry.
    """
    if ending.outcome in _OVER:
        return RetryDecision(Next.STOP, "there is nothing to retry")
    if ending.limit is not None:
        return _after_limit(ending, now, attempt, jitter)
    if ending.outcome is Outcome.NETWORK_ERROR:
        if billed_unknown and free:
            why = "the answer was lost; at worst it took one of the day's free requests"
            return RetryDecision(Next.OTHER_MODEL, why, _backoff(attempt, jitter))
        if billed_unknown:
            return RetryDecision(Next.STOP, "the request may have been served: sending it again could cost twice")
        return RetryDecision(Next.WAIT, "no connection was made, so nothing was spent", _backoff(attempt, jitter))
    if ending.outcome is Outcome.SERVER_ERROR:
        return RetryDecision(Next.OTHER_MODEL, "the provider failed", _backoff(attempt, jitter))
    if ending.status == _NOT_FOUND:
        return RetryDecision(Next.OTHER_MODEL, "nobody serves this model now", never_again=True)
    if ending.status == _TIMEOUT:
        return RetryDecision(Next.OTHER_MODEL, "the provider took too long", _backoff(attempt, jitter))
    return RetryDecision(Next.STOP, "the same request would fail the same way")


def _after_limit(ending: Ending, now: float, attempt: int, jitter: float) -> RetryDecision:
    limit = ending.limit
    assert limit is not None
    told = max(0.0, limit.resets_at - now) if limit.resets_at is not None else limit.retry_after
    match limit.kind:
        case LimitKind.FREE_DAILY:
            return RetryDecision(Next.STOP, "the day's free requests are spent until midnight UTC")
        case LimitKind.FREE_MINUTE:
            return RetryDecision(Next.WAIT, "the minute is full; another free model would not help", told or 60.0)
        case LimitKind.UPSTREAM:
            return RetryDecision(
                Next.OTHER_MODEL,
                "the provider's shared pool is busy, not your quota",
                told or _backoff(attempt, jitter),
            )
        case LimitKind.ADMISSION:
            return RetryDecision(
                Next.WAIT, "OpenRouter asks to retry shortly, at no cost", limit.retry_after or DEFAULT_ADMISSION_WAIT
            )
        case LimitKind.IN_FLIGHT_BUDGET:
            return RetryDecision(Next.WAIT, "calls in flight hold the balance", told or _backoff(attempt, jitter))
        case LimitKind.EDGE:
            return RetryDecision(Next.WAIT, "the edge throttles this address", told or DEFAULT_EDGE_WAIT)
        case _:
            return RetryDecision(Next.STOP, "waiting does not help")


def _backoff(attempt: int, jitter: float) -> float:
    """Doubling from one second, spread over half of itself so that many clients do not return together."""
    whole: float = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(attempt - 1, 10))
    return whole * (0.5 + jitter / 2)
