"""Spans and instants as values of options; an instant is a span ago, or a date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from monitor.config.durations import parse_duration


@dataclass(frozen=True, slots=True)
class Instant:
    """A point in time, or a span before now."""

    at: float | None = None
    ago: float = 0.0

    def seconds(self, now: float) -> float:
        """Epoch seconds, UTC."""
        return self.at if self.at is not None else now - self.ago


def parse_instant(text: str) -> Instant:
    """`1h` (that long ago), `2026-11-24`, or `2026-11-24T12:30` (UTC unless it says otherwise). Raises ValueError."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        try:
            return Instant(ago=parse_duration(text))
        except ValueError:
            raise ValueError(f"expected a span such as 1h or 30d, or a date such as 2026-11-24, not {text!r}") from None
    return Instant(at=(at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


class DurationType(click.ParamType[float]):
    """An option's value in seconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        try:
            return parse_duration(str(value))
        except ValueError as exc:
            self.fail(f"{exc}.", param, ctx)


class InstantType(click.ParamType[Instant]):
    """An option's value as a point in time."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Instant:
        if isinstance(value, Instant):
            return value
        try:
            return parse_instant(str(value))
        except ValueError as exc:
            self.fail(f"{exc}.", param, ctx)


DURATION = DurationType()
INSTANT = InstantType()
