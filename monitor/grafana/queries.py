"""How queries are put together: every series is narrowed to what the viewer has chosen, by the labels that it has."""

from __future__ import annotations

import re

from monitor.metrics.families import BY_NAME

CHOICES = ("app", "model", "key")
"""Labels that a viewer can choose values of, besides job and instance."""

HOUR = 3600

RATE = "[$__rate_interval]"
RANGE = "[$__range]"


def labels_of(name: str) -> tuple[str, ...]:
    """The labels of a family by the name of one of its series. Prometheus' own and the process' have none."""
    for known in (name, re.sub(r"_(bucket|sum|count)$", "", name)):
        if known in BY_NAME:
            return BY_NAME[known].labels
    if name.startswith("openrouter_"):
        raise KeyError(f"there is no metric {name}")
    return ()


def chosen(name: str, *matchers: str) -> str:
    """The series of that name that belong to the viewer's choice: `up{job=~"$job", instance=~"$instance"}`."""
    labels = labels_of(name)
    narrowed = [f'{label}=~"${label}"' for label in ("job", "instance", *(c for c in CHOICES if c in labels))]
    return f"{name}{{{', '.join([*narrowed, *matchers])}}}"


def per_hour(by: str, name: str, *matchers: str) -> str:
    """A counter's pace, by label."""
    return f"sum by ({by}) (rate({chosen(name, *matchers)}{RATE})) * {HOUR}"


def in_range(name: str, *matchers: str, by: str = "") -> str:
    """What a counter has grown by over the whole range that is looked at."""
    grouped = f"sum by ({by})" if by else "sum"
    return f"{grouped} (increase({chosen(name, *matchers)}{RANGE}))"


def quantile(q: float, name: str, *matchers: str, by: str = "", window: str = RATE) -> str:
    """A quantile of a histogram."""
    grouped = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({grouped}) (rate({chosen(f'{name}_bucket', *matchers)}{window})))"


def mean(name: str, *matchers: str) -> str:
    """The average of a histogram."""
    total, count = chosen(f"{name}_sum", *matchers), chosen(f"{name}_count", *matchers)
    return f"sum(rate({total}{RATE})) / (sum(rate({count}{RATE})) > 0)"


def highest(name: str, *matchers: str, by: str = "account") -> str:
    """Of figures that several daemons of one account tell alike, one."""
    return f"max by ({by}) ({chosen(name, *matchers)})"
