"""A catalogue that is polled, and what was told of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from monitor.clock import FakeClock
from monitor.model import Event, ModelFacts, PriceClass
from monitor.policy.changes import Belief, first_belief, from_text, judge, to_text
from tests.fakes.builders import facts

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
EDGE = 65 * MINUTE
INTERVAL = 10 * MINUTE

AT_THE_BOUND = pytest.mark.parametrize(("off", "told"), [(-1.0, False), (0.0, True), (1.0, True)])
"""One second before, at, and one second after."""


def free(name: str = "lab/gull:free", **more: Any) -> ModelFacts:
    return facts(name, PriceClass.FREE if name.endswith(":free") else PriceClass.ZERO, **more)


def paid(name: str = "lab/heron", usd: float = 1e-6, **more: Any) -> ModelFacts:
    return facts(name, PriceClass.PAID, **({"prompt_usd": usd, "completion_usd": 4 * usd} | more))


def others(count: int = 6) -> list[ModelFacts]:
    """Models that never change."""
    return [paid(f"still/model-{number}") for number in range(count)]


class Watch:
    """Looks at one catalogue after another; beliefs are written and read in between, as a store does."""

    def __init__(self, clock: FakeClock, *models: ModelFacts, watched: tuple[str, ...] = ()) -> None:
        self.clock = clock
        self.watched = watched
        self.kept = {model.id: to_text(first_belief(model)) for model in models}
        self.events: list[Event] = []
        self.changes: list[Event] = []
        self.written = 0

    def poll(self, *models: ModelFacts, after: float = INTERVAL) -> list[str]:
        """The kinds that are told when `models` is the catalogue, `after` seconds since the last poll."""
        self.clock.advance(after)
        return self.look(models)

    def look(self, models: Iterable[ModelFacts]) -> list[str]:
        """The same without time passing."""
        catalogue = {model.id: model for model in models}
        judged = judge(self.beliefs(), catalogue, self.clock.now(), self.watched)
        self.kept |= {name: to_text(belief) for name, belief in judged.changed.items()}
        for name in judged.forgotten:
            del self.kept[name]
        self.written = len(judged.changed) + len(judged.forgotten)
        self.events += judged.events
        self.changes += judged.changes
        return [event.kind for event in judged.events]

    def stay(self, *models: ModelFacts, until: float, every: float = INTERVAL) -> list[str]:
        """The kinds that are told while the same catalogue is polled for `until` seconds, the end included."""
        told, left = [], until
        while left > 0:
            told += self.poll(*models, after=min(every, left))
            left -= every
        return told

    def beliefs(self) -> dict[str, Belief]:
        found = {name: from_text(text) for name, text in self.kept.items()}
        assert None not in found.values()
        return found  # type: ignore[return-value]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]
