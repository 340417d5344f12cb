"""Which of the models that could answer a call is asked next, and when."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from monitor.policy.circuit import CLOSED, Circuit, opens_at


@dataclass(frozen=True, slots=True)
class Pick:
    """A model, and from when on it may be asked (epoch seconds)."""

    model: str
    at: float


def pick(
    candidates: Sequence[str],
    circuits: Mapping[str, Circuit],
    cooling: Mapping[str, float],
    tried: Collection[str],
    now: float,
    *,
    again_at: float = 0.0,
) -> Pick:
    """The best of `candidates` (best first, at least one) that may be asked now; if none may, the first that will.

    One that was `tried` comes after every other, and not before `again_at`: the pause before a second round. `cooling`
    is what the ledger keeps, from the limits that any client of the account ran into.
    """
    best: tuple[float, bool, int] | None = None
    for place, model in enumerate(candidates):
        again = model in tried
        at = max(opens_at(circuits.get(model, CLOSED), now), cooling.get(model, 0.0), again_at if again else 0.0, now)
        if at <= now and not again:
            return Pick(model, now)
        if best is None or (at, again, place) < best:
            best = (at, again, place)
    assert best is not None
    return Pick(candidates[best[2]], best[0])
