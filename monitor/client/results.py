"""How a batch stands while it runs, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from monitor.client.items import BatchItem, State
from monitor.policy.pacing import Plan


@dataclass(frozen=True, slots=True)
class Progress:
    """How a run stands. `ends_at` is when the last item will go by what is known (epoch seconds; None: never)."""

    total: int
    done: int
    failed: int
    ends_at: float | None
    waits_until: float | None
    """When the next item may go, while nothing can go now."""


@dataclass(frozen=True)
class BatchResult(Sequence[BatchItem]):
    """What came of a batch, item by item in the order of the questions.

    `plan` says when those that are left can go; `stopped` why the run ended before they did ("" when none are left).
    """

    name: str
    items: tuple[BatchItem, ...]
    plan: Plan
    stopped: str = ""

    @overload
    def __getitem__(self, index: int) -> BatchItem: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[BatchItem]: ...
    def __getitem__(self, index: int | slice) -> BatchItem | Sequence[BatchItem]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(self.of(state))} {state}" for state in State if self.of(state))
        return f"<BatchResult {self.name}: {counts or 'empty'}>"

    def of(self, state: State | str) -> list[BatchItem]:
        """The items that stand so."""
        return [item for item in self.items if item.state == state]

    @property
    def done(self) -> list[BatchItem]:
        """Answered."""
        return self.of(State.DONE)

    @property
    def failed(self) -> list[BatchItem]:
        """Failed, each with its reason; the next run tries them again."""
        return self.of(State.FAILED)

    @property
    def planned(self) -> list[BatchItem]:
        """Left for later."""
        return self.of(State.PLANNED)
