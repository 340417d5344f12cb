"""What a decision is made from: the figures that the ledger read in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor.model import ModelFacts


@dataclass(slots=True)
class MinuteWindow:
    """The last minute's free requests of an account.

    `blocking_at` is when the L-th newest of them was sent (L being the limit; None when fewer were): while that one
    is inside the window, the window is full. `closed_until` comes from a 429 of OpenRouter's own.
    """

    limit: int
    blocking_at: float | None = None
    closed_until: float = 0.0


@dataclass(slots=True)
class DayWindow:
    """The UTC day's free requests of an account, in requests.

    `attempts` is our own count, `uncounted` those of them that OpenRouter is known not to count. `elsewhere` is what
    others used on the account, derived from `/key`; None when it told nothing today.
    """

    limit: int
    attempts: int = 0
    uncounted: int = 0
    elsewhere: int | None = None
    closed_until: float = 0.0

    @property
    def used(self) -> int:
        """The day's use as far as it can be known: what we sent and OpenRouter counts, and what was used elsewhere.

        Without a figure of OpenRouter's, every attempt counts.
        """
        return self.attempts if self.elsewhere is None else self.attempts - self.uncounted + self.elsewhere


@dataclass(slots=True)
class Money:
    """Dollars spent and reserved in the running UTC day and month, and what the key has left (None: not capped)."""

    day_usd: float = 0.0
    month_usd: float = 0.0
    key_remaining_usd: float | None = None


@dataclass(slots=True)
class Balances:
    """Everything a verdict depends on besides the intent and the settings.

    `facts` holds the models of the request that the newest catalogue lists; `catalogue_age` is seconds since it was
    fetched, None when there is none. `cooldowns` maps a model id, or "" for the account and "$" for its paid calls,
    to epoch seconds. `apps` maps an app to its free requests today.
    """

    now: float
    minute: MinuteWindow
    day: DayWindow
    facts: Mapping[str, ModelFacts] = field(default_factory=dict)
    catalogue_age: float | None = None
    cooldowns: Mapping[str, float] = field(default_factory=dict)
    apps: Mapping[str, int] = field(default_factory=dict)
    money: Money = field(default_factory=Money)
    paused: str | None = None
