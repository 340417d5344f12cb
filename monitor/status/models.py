"""The catalogue, the models that are spared for a while, and what retries and kept answers made of the calls."""

from __future__ import annotations

from typing import Any

from monitor.clock import age_of
from monitor.config import Settings
from monitor.model import PriceClass
from monitor.policy.circuit import Circuit, State, state_of
from monitor.policy.retry_budget import SPANS, span_of
from monitor.store.sqlite.reports import Reports


def circuits(reports: Reports, settings: Settings, now: float) -> list[dict[str, Any]]:
    """Those that a call may not go to, or only to see how the model does."""
    told = []
    for model, row in sorted(reports.circuits(settings.account).items()):
        circuit = Circuit(*row)
        state = state_of(circuit, now)
        if state is not State.CLOSED:
            told.append(
                {"model": model, "state": str(state), "until": circuit.open_until if state is State.OPEN else None}
            )
    return told


def amplification(reports: Reports, settings: Settings, now: float) -> dict[str, Any]:
    span = span_of(now)
    hour = reports.counted_in_spans(settings.account, span - SPANS + 1, span)
    return amplified(*reports.attempts_and_calls(), sum(reports.saved().values()), *hour)


def amplified(attempts: int, calls: int, saved: int, hour_calls: int, hour_retries: int) -> dict[str, Any]:
    return {
        "attempts": attempts,
        "calls": calls,
        "ratio": attempts / calls if calls else None,
        "saved": saved,
        "last_hour": {"calls": hour_calls, "retries": hour_retries},
    }


def catalogue(reports: Reports, settings: Settings, now: float) -> dict[str, Any] | None:
    state = reports.catalogue()
    if state is None:
        return None
    age = age_of(state.fetched_at, now)
    fresh = age is not None and age <= settings.guard.catalogue_max_age
    return {
        "source": state.source,
        "fetched_at": state.fetched_at,
        "models": state.models,
        "free": reports.priced(PriceClass.FREE),
        "usable": fresh and state.source == settings.base_url,
    }
