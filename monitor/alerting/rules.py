"""Every alert once. What is written to `alerts/rules.yml`, listed, and tested comes from here.

Where each is: money it costs (`money`), the key (`key`), the free requests (`quota`), the calls (`traffic`), the models
(`models`), the monitor itself and what watches it (`health`).

All expressions keep `instance`: two daemons on one store tell the same sums twice, which no sum may add up.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace

from monitor.alerting import health, key, models, money, quota, traffic
from monitor.alerting.rule import Alert, Group, Options
from monitor.errors import ConfigError

GROUPS = (money.group, key.group, quota.group, traffic.group, models.group, health.group, health.stack)


def groups(options: Options | None = None, without: Iterable[str] = ()) -> tuple[Group, ...]:
    """All groups, in the order in which they are written; `without` names alerts to leave out."""
    chosen, left_out = options or Options(), frozenset(without)
    made = (group(chosen) for group in GROUPS)
    kept = (replace(g, rules=tuple(rule for rule in g.rules if rule.name not in left_out)) for g in made)
    return tuple(group for group in kept if group.alerts)


def alerts(options: Options | None = None) -> tuple[Alert, ...]:
    """Every alert; one that has two severities is there twice."""
    return tuple(alert for group in groups(options) for alert in group.alerts)


def known(name: str) -> None:
    """Raises ConfigError when no alert has this name."""
    names = sorted({alert.name for alert in alerts()})
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {near[0]}?" if near else "`openrouter-monitor alerts list` names them."
        raise ConfigError(f"there is no alert {name!r}.", hint=hint)
