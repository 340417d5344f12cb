"""What a limit that OpenRouter reported changes in what we believe. Pure: the ledger writes it down."""

from __future__ import annotations

from dataclasses import dataclass, field

from monitor.clock import next_midnight, next_minute
from monitor.model import LimitHit, LimitKind
from monitor.policy.admission import ACCOUNT, PAID_CALLS

FIRST_COOLDOWN = 5.0
LONGEST_COOLDOWN = 60.0
EDGE_COOLDOWN = 30.0
ADMISSION_COOLDOWN = 10.0
LONGEST_ASKED = 3600.0
"""Seconds: a `Retry-After` above this is not believed, or a typing error upstream would shut a model for days."""

LEARNED_LIMIT_SECONDS = 86_400.0
"""How long a per-minute limit learned from a 429 is kept; afterwards the configured one is tried again."""


@dataclass(frozen=True, slots=True)
class Correction:
    """Columns of the account to set, a subject to cool down until then, and whether the attempt was not counted."""

    account: dict[str, object] = field(default_factory=dict)
    cool: tuple[str, float] | None = None
    uncounted: bool = False


def correction_for(limit: LimitHit, *, model: str | None, now: float, strikes: int, minute_limit: int) -> Correction:
    """What `limit`, met at `now` while calling `model`, teaches.

    `strikes` is how often in a row the model was cooled down before; `minute_limit` is what we believed.
    """
    match limit.kind:
        case LimitKind.FREE_DAILY:
            changes: dict[str, object] = {
                "day_closed_until": limit.resets_at or next_midnight(now),
                "day_closed_at": now,
            }
            if limit.limit is not None:
                changes["server_limit"] = limit.limit
            return Correction(changes)
        case LimitKind.FREE_MINUTE:
            changes = {"minute_closed_until": limit.resets_at or next_minute(now)}
            if limit.limit is not None and limit.limit != minute_limit:
                changes |= {"minute_limit": limit.limit, "minute_limit_at": now}
            return Correction(changes)
        case LimitKind.UPSTREAM:
            # Measured on 2026-09-28: OpenRouter does not count what a provider's shared pool refused.
            # A pool can refuse for weeks: without the inner bound its thousandth strike overflows a float.
            wait = _asked(limit, now) or min(LONGEST_COOLDOWN, FIRST_COOLDOWN * 2.0 ** min(strikes, 10))
            return Correction(cool=(model, now + wait) if model else None, uncounted=True)
        case LimitKind.ADMISSION:
            return Correction(cool=(ACCOUNT, now + (_asked(limit, now) or ADMISSION_COOLDOWN)))
        case LimitKind.EDGE:
            return Correction(cool=(ACCOUNT, now + (_asked(limit, now) or EDGE_COOLDOWN)))
        case LimitKind.IN_FLIGHT_BUDGET:
            return Correction(cool=(PAID_CALLS, now + (_asked(limit, now) or EDGE_COOLDOWN)))
        case _:
            return Correction()


def _asked(limit: LimitHit, now: float) -> float | None:
    """Seconds that OpenRouter asked to wait, if it did and within reason."""
    wait = limit.retry_after if limit.retry_after is not None else (limit.resets_at or now) - now
    return min(wait, LONGEST_ASKED) if wait > 0 else None
