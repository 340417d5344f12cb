"""Plays promtool's test files to the daemon's own judge of alerts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.alerting.evaluator import Program, Recorded
from monitor.alerting.history import GAP, Held, History, Labels
from monitor.alerting.promql import parse, seconds
from monitor.alerting.rule import Options
from monitor.alerting.rules import groups
from monitor.policy.alert_states import Phase, States

FILES = sorted((Path(__file__).parents[2] / "alerts" / "tests").glob("*.yml"))

_STEPS = re.compile(r"(stale|_|-?[0-9.eE]+?|[+-]?Inf|NaN)(?:([+-][0-9.eE]+))?(?:x([0-9]+))?")


@dataclass(frozen=True)
class Series:
    """One input series: its metric, its labels, and what each sample is."""

    metric: str
    labels: Labels
    samples: list[Held]


def program(options: Options | None = None) -> Program:
    chosen = options or Options()
    return Program(groups(chosen), chosen)


def samples(text: str) -> list[Held]:
    """promtool's notation: `1+2x3` is 1 3 5 7, `5x3` is 5 5 5 5, `_` is no sample, `_x3` three, `stale` the end."""
    found: list[Held] = []
    for part in text.split():
        match = _STEPS.fullmatch(part)
        assert match is not None, part
        word, growth, times = match[1], float(match[2] or 0), int(match[3] or 0)
        if word == "_":
            found += [GAP] * max(1, times)
        elif word == "stale":
            found.append(None)
        else:
            found += [float(word) + growth * n for n in range(times + 1)]
    return found


def series_of(given: dict[str, Any]) -> Series:
    selector = parse(given["series"])
    labels = tuple(sorted((matcher.label, matcher.value) for matcher in selector.matchers))  # type: ignore[union-attr]
    return Series(selector.metric, labels, samples(str(given["values"])))  # type: ignore[union-attr]


def play(judge: Program, test: dict[str, Any], every: float, until: float) -> Iterator[tuple[float, States]]:
    """How all alerts stand at each evaluation, from 0 on, as promtool runs them."""
    apart, told = seconds(test["interval"]), [series_of(given) for given in test["input_series"]]
    # Some files give what would be recorded, to be about the alert alone.
    horizons = judge.horizons() | {rule.name: 0.0 for rule in judge.rules if isinstance(rule, Recorded)}
    told = [one for one in told if one.metric in horizons]
    history, states, sample = History(horizons), States(), 0
    longest = max((len(one.samples) for one in told), default=0)
    now = 0.0
    while now <= until:
        while sample < longest and sample * apart <= now:
            tick: dict[str, dict[Labels, Held]] = {}
            for one in told:
                # A file that has no more samples of a series says nothing of it: its last one may be looked back at.
                value = one.samples[sample] if sample < len(one.samples) else GAP
                tick.setdefault(one.metric, {})[one.labels] = value
            history.record(sample * apart, tick)
            sample += 1
        outcome = judge.judge(history, states, now)
        assert not outcome.failed
        states = outcome.states
        yield now, states
        now += every


def firing(states: States, name: str) -> list[tuple[dict[str, str], dict[str, str]]]:
    """Labels and texts of the firing alerts of a name, in an order of their own."""
    found = [
        ({k: v for k, v in state.labels.items() if k != "alertname"}, dict(state.annotations))
        for state in states.values()
        if state.phase is Phase.FIRING and state.name == name
    ]
    return sorted(found, key=lambda one: sorted(one[0].items()))


def close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9)
