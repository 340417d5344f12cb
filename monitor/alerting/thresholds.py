"""The figures that alerts compare with. The dashboards draw their lines at the same ones."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from monitor.errors import ConfigError


def _at(default: float, unit: str, about: str) -> Any:
    return field(default=default, metadata={"unit": unit, "about": about})


@dataclass(frozen=True)
class Thresholds:
    """Each has a unit and a meaning. `alerts render --set name=value` changes one. Raises ConfigError."""

    spend_usd: float = _at(0.0, "USD", "spent in an hour by OpenRouter's books")
    unaccounted_usd: float = _at(0.01, "USD", "spent in a day by OpenRouter's books and not on record here")
    account_credits_usd: float = _at(0.0, "USD", "credits of the account: below 0 even free models answer 402")
    key_credit_left: float = _at(0.20, "ratio", "part of the key's cap that is left")
    key_expiry_seconds: float = _at(7 * 86400.0, "seconds", "time until the key expires")
    quota_warning: float = _at(0.80, "ratio", "part of the day's free requests that is used: a warning")
    quota_critical: float = _at(0.95, "ratio", "part of the day's free requests that is used: critical")
    projection_used: float = _at(0.25, "ratio", "part of the day's free requests below which no forecast is told")
    burn_rate: float = _at(6.0, "days' quotas a day", "pace at which the day's free requests burn: 6 is a day's in 4 h")
    minute_saturation: float = _at(0.90, "ratio", "part of the free requests of a minute that is used")
    rate_limited: float = _at(5.0, "requests", "429s of one kind in 15 minutes")
    error_ratio: float = _at(0.10, "ratio", "part of the attempts that failed by OpenRouter's or the network's fault")
    error_floor: float = _at(10.0, "requests", "attempts an hour below which a ratio of errors says nothing")
    latency_factor: float = _at(2.0, "times", "p95 of an answer's duration over its average of a day")
    latency_seconds: float = _at(10.0, "seconds", "p95 of an answer's duration below which nothing is told")
    latency_floor: float = _at(20.0, "requests", "answers an hour below which a p95 is only the slowest of them")
    model_uptime: float = _at(0.90, "ratio", "uptime of a free model's best provider")
    poll_intervals: float = _at(3.0, "intervals", "age of what was last polled")
    store_failures: float = _at(2.0, "runs", "failed runs of the daemon's chores in the store in 15 minutes")
    clock_offset_seconds: float = _at(30.0, "seconds", "this machine's clock from OpenRouter's, ahead or behind")
    restarts: float = _at(4.0, "restarts", "restarts of the daemon in an hour")

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if not math.isfinite(value) or value < 0:
                raise ConfigError(f"the threshold {item.name} is wrong: {value:g} is not a number from 0 up.")
            if item.metadata["unit"] == "ratio" and not 0 < value < 1:
                raise ConfigError(f"the threshold {item.name} is wrong: {value:g} is not between 0 and 1.")
        if self.quota_warning >= self.quota_critical:
            raise ConfigError("the threshold quota_warning is wrong: it is not below quota_critical.")


DEFAULT = Thresholds()


class Explained(NamedTuple):
    """A threshold and what it means."""

    name: str
    value: float
    unit: str
    about: str


def explained(thresholds: Thresholds = DEFAULT) -> tuple[Explained, ...]:
    """All of them, in their order."""
    return tuple(
        Explained(item.name, getattr(thresholds, item.name), item.metadata["unit"], item.metadata["about"])
        for item in dataclasses.fields(thresholds)
    )


def changed(changes: Iterable[str]) -> Thresholds:
    """The defaults, some of them changed by texts such as `quota_warning=0.7`. Raises ConfigError."""
    names = [item.name for item in dataclasses.fields(Thresholds)]
    values: dict[str, float] = {}
    for text in changes:
        name, _, value = (part.strip() for part in text.partition("="))
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(names)}."
            raise ConfigError(f"there is no threshold {name!r}.", hint=hint)
        try:
            values[name] = float(value)
        except ValueError:
            raise ConfigError(f"the threshold {name} is wrong: {value!r} is not a number.") from None
    return Thresholds(**values)
