"""Which models can answer a call, best first: the store's catalogue and records through the policy's ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from monitor.clock import age_of
from monitor.config import Settings
from monitor.errors import ConfigError, NotFree
from monitor.model import ModelFacts, PriceClass, Reason
from monitor.policy.request import is_listed
from monitor.policy.routing import Needs, Ranking, Record, rank
from monitor.policy.tasks import GENERAL, TASKS
from monitor.store.protocol import Transaction

RECORDS_SECONDS = 60.0
"""How long our own record of the models is good for: it moves slowly, and to read it costs a scan of the totals."""


@dataclass(frozen=True, slots=True)
class Known:
    """The free models that may be called, and our record of them, as read at some moment."""

    fetched_at: float
    read_at: float
    free: Sequence[ModelFacts]
    records: Mapping[str, Record]


class Routes:
    """Ranks free models; what it reads it keeps for a while. For any number of threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: Known | None = None

    def known(self, tx: Transaction, now: float) -> Known | None:
        """What the store knows of free models; None when its catalogue is missing, of another upstream, or too old."""
        state, guard = tx.catalogue(), self._settings.guard
        age = age_of(state.fetched_at, now) if state and state.source == self._settings.base_url else None
        if state is None or age is None or age > guard.catalogue_max_age:
            return None
        known = self._known
        if known is not None and known.fetched_at == state.fetched_at and 0 <= now - known.read_at < RECORDS_SECONDS:
            return known
        prices = [PriceClass.FREE, PriceClass.ZERO] if guard.zero_priced else [PriceClass.FREE]
        free = [facts for facts in tx.priced_facts(prices) if is_listed(facts.id, guard)]
        records = {model: Record(*record) for model, record in tx.model_records().items()}
        self._known = Known(state.fetched_at, now, free, records)
        return self._known

    def forget(self) -> None:
        """Read everything anew at the next call: something of it was wrong."""
        self._known = None

    def ranking(self, known: Known, task: str, needs: Needs, now: float) -> Ranking:
        """The free models for a task. Raises ConfigError for a task that neither we nor the user's table know."""
        table = self._settings.routing
        if task not in TASKS and task not in table:
            raise ConfigError(
                f"there is no task {task!r}.",
                hint=f"Tasks: {', '.join(sorted({*TASKS, *table}))}; or add one to routing.",
            )
        weights = TASKS.get(task, TASKS[GENERAL])
        return rank(task, weights, known.free, known.records, needs, now, preferred=table.get(task, ()))


def nobody(ranking: Ranking) -> NotFree:
    """The refusal when no free model can serve."""
    why = "; ".join(f"{model}: {reason}" for model, reason in list(ranking.passed_over.items())[:3])
    return NotFree(
        f"No free model can serve this ({why or 'the catalogue lists none'}). Nothing was sent.",
        reason=Reason.MODEL_MISSING,
        hint="See `openrouter-monitor models --free`, or shorten the request.",
    )


def paid_fallback(model: str) -> NotFree:
    """The refusal of a fallback that is not free, whatever else is allowed."""
    return NotFree(
        f"The fallback model {model} is not free. Nothing was sent.",
        reason=Reason.FALLBACK_NOT_FREE,
        hint='Calls fall back among free models only: say fallbacks="free", or list :free models.',
    )
