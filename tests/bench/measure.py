"""Timing as ratios: the candidates take turns in one run, so that a slow moment of the machine falls on all of them."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """Microseconds (p50 and p99 over all calls) of each candidate, and its ratio to the first, round by round."""

    title: str
    p50: dict[str, float]
    p99: dict[str, float]
    ratio: dict[str, float]
    bound: float | None = None

    def lines(self) -> list[str]:
        rows = [self.title]
        for i, name in enumerate(self.p50):
            told = "" if i == 0 else f"   ÷ {self.ratio[name]:.3f}"
            if i == len(self.p50) - 1 and self.bound is not None:
                told += f"   (wanted: at most {self.bound:g})"
            rows.append(f"  {name:<34} p50 {self.p50[name]:>10.1f} µs   p99 {self.p99[name]:>10.1f} µs{told}")
        return rows


def interleaved(
    title: str,
    candidates: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 40,
    calls: int | Mapping[str, int] = 50,
    bound: float | None = None,
) -> Result:
    """Time each candidate `calls` times a round, in turn. The ratio is the median of the rounds' ratios of medians.

    With one number a candidate, those that are done in no time are timed more often: one slow moment is not theirs.
    """
    often = dict.fromkeys(candidates, calls) if isinstance(calls, int) else calls
    times: dict[str, list[float]] = {name: [] for name in candidates}
    ratios: dict[str, list[float]] = {name: [] for name in candidates}
    for name, call in candidates.items():
        for _ in range(often[name]):
            call()
    names = list(candidates)
    for number in range(rounds):
        medians = {}
        # Each round begins with another candidate: none is always the one after a garbage collection.
        for name in names[number % len(names) :] + names[: number % len(names)]:
            gc.collect()
            spent = _timed(candidates[name], often[name])
            times[name] += spent
            medians[name] = statistics.median(spent)
        for name in names:
            ratios[name].append(medians[name] / medians[names[0]])
    return Result(
        title,
        {name: statistics.median(spent) for name, spent in times.items()},
        {name: sorted(spent)[int(len(spent) * 0.99)] for name, spent in times.items()},
        {name: statistics.median(values) for name, values in ratios.items()},
        bound,
    )


def _timed(call: Callable[[], object], times: int) -> list[float]:
    clock = time.perf_counter_ns
    spent = []
    for _ in range(times):
        begun = clock()
        call()
        spent.append((clock() - begun) / 1000.0)
    return spent
