"""Whose request it is: API keys, the accounts behind them, and the money that each has spent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from monitor.clock import DAY, day_of, month_start_day, next_midnight, next_month
from monitor.simulator.options import SimulatorOptions
from monitor.simulator.quota import FreeQuota


@dataclass(slots=True)
class KeyMoney:
    """What one key spent, USD by UTC day number."""

    by_day: dict[int, float] = field(default_factory=dict)

    def total(self) -> float:
        return round(sum(self.by_day.values()), 12)

    def since(self, day: int) -> float:
        return round(sum(cost for at, cost in self.by_day.items() if at >= day), 12)

    def daily(self, now: float) -> float:
        return self.since(day_of(now))

    def weekly(self, now: float) -> float:
        """Weeks start on Monday, UTC."""
        return self.since(day_of(now) - datetime.fromtimestamp(now, UTC).weekday())

    def monthly(self, now: float) -> float:
        return self.since(month_start_day(now))


@dataclass(slots=True)
class Account:
    """An owner of keys: the free quota and the credit are shared by all of them."""

    name: str
    quota: FreeQuota
    keys: dict[str, KeyMoney] = field(default_factory=dict)

    def spent(self) -> float:
        return round(sum(money.total() for money in self.keys.values()), 12)

    def charge(self, key: str, now: float, cost: float) -> None:
        money = self.keys[key]
        money.by_day[day_of(now)] = money.by_day.get(day_of(now), 0.0) + cost


class Accounts:
    """Finds the account of a key; accounts come into being when a key of theirs is first used."""

    def __init__(self, options: SimulatorOptions) -> None:
        self._options = options
        self._by_name: dict[str, Account] = {}

    def named(self, name: str) -> Account:
        account = self._by_name.get(name)
        if account is None:
            account = self._by_name[name] = Account(name, FreeQuota(self._options))
        return account

    def of_key(self, key: str) -> Account | None:
        """The account, or None when OpenRouter does not know the key."""
        if not key or key in self._options.bad_keys:
            return None
        account = self.named(self._options.accounts.get(key, "default"))
        if key not in account.keys:
            account.keys[key] = KeyMoney()
        return account

    def all(self) -> tuple[Account, ...]:
        return tuple(self._by_name.values())

    def reset(self) -> None:
        self._by_name.clear()

    def key_limit_left(self, account: Account, key: str, now: float) -> float | None:
        """USD left under the key's own cap, None without a cap."""
        limit = self._options.key_limit_usd
        return None if limit is None else round(limit - self.key_spend(account, key, now), 12)

    def key_spend(self, account: Account, key: str, now: float) -> float:
        """What counts against the key's cap in its current window."""
        money = account.keys[key]
        match self._options.key_limit_reset:
            case "daily":
                return money.daily(now)
            case "weekly":
                return money.weekly(now)
            case "monthly":
                return money.monthly(now)
            case _:
                return money.total()


def window_end(reset: str, now: float) -> float:
    """Epoch seconds at which a daily, weekly (from Monday) or monthly spending window ends, UTC."""
    if reset == "weekly":
        # Day 4 of the epoch was a Monday.
        return (day_of(now) + 7 - (day_of(now) - 4) % 7) * DAY
    return next_month(now) if reset == "monthly" else next_midnight(now)


def masked(key: str) -> str:
    """A key's label, as OpenRouter shows it: enough to tell keys apart, not enough to use one."""
    return f"{key[:12]}...{key[-3:]}" if len(key) > 20 else f"{key[:3]}...{key[-1:]}"
