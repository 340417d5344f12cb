"""What an expression yields at an instant, as Prometheus 2.42 reckons it."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import assert_never

from monitor.alerting.history import History, Labels, Run
from monitor.alerting.promql import COMPARISONS, SETS, Aggregation, Binary, Call, Expr, Number, Selector, Time

Vector = dict[Labels, float]
"""Values by labels. Metrics' names are left out: nothing that rules ask depends on them."""

_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda a, b: a / b if b else (math.copysign(math.inf, a) if a and not math.isnan(a) else math.nan),
}
_COMPARING: Mapping[str, Callable[[float, float], bool]] = {
    "==": operator.eq, "!=": operator.ne, ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le,
}  # fmt: skip


class Unmatched(ValueError):
    """Two series of one side meet the same series of the other: the sides cannot be matched."""


class Moment:
    """One instant of a history; `recorded` are the values of recording rules at it."""

    def __init__(self, history: History, now: float, recorded: dict[str, Vector] | None = None) -> None:
        self.history, self.now = history, now
        self.recorded: dict[str, Vector] = {} if recorded is None else recorded

    def vector(self, tree: Expr) -> Vector:
        """Raises Unmatched."""
        found = self._value(tree)
        return found if isinstance(found, dict) else {(): found}

    def _value(self, tree: Expr) -> Vector | float:
        match tree:
            case Number():
                return tree.value
            case Time():
                return self.now
            case Selector():
                return self._newest(tree)
            case Call():
                return self._called(tree)
            case Aggregation():
                return self._aggregated(tree)
            case Binary():
                return self._combined(tree)
        assert_never(tree)

    def _newest(self, selector: Selector) -> Vector:
        at, found = self.now - selector.offset, {}
        for labels in self.history.series(selector.metric):
            if fits(selector, labels):
                value = self.history.newest(selector.metric, labels, at)
                if value is not None:
                    found[labels] = value
        recorded = self.recorded.get(selector.metric, {})
        return found | {labels: value for labels, value in recorded.items() if fits(selector, labels)}

    def _called(self, call: Call) -> Vector:
        if call.function == "abs":
            return {labels: abs(value) for labels, value in self.vector(call.argument).items()}
        selector = call.argument
        assert isinstance(selector, Selector)
        assert selector.window is not None
        until = self.now - selector.offset
        since, found = until - selector.window, {}
        for labels in self.history.series(selector.metric):
            if not fits(selector, labels):
                continue
            runs = self.history.runs(selector.metric, labels, since, until)
            value = _over(call.function, runs, self.history.ticks, since, until) if runs else None
            if value is not None:
                found[labels] = value
        return found

    def _aggregated(self, tree: Aggregation) -> Vector:
        grouped: dict[Labels, list[float]] = {}
        for labels, value in self.vector(tree.argument).items():
            grouped.setdefault(_only(labels, tree.labels), []).append(value)
        if tree.op == "sum":
            return {labels: sum(values) for labels, values in grouped.items()}
        return {labels: _extreme(values, operator.gt) for labels, values in grouped.items()}

    def _combined(self, tree: Binary) -> Vector | float:
        left, right = self._value(tree.left), self._value(tree.right)
        if isinstance(left, dict) and isinstance(right, dict):
            return _sets(tree, left, right) if tree.op in SETS else _matched(tree, left, right)
        if tree.op in COMPARISONS:
            holds = _COMPARING[tree.op]
            # A comparison keeps the series' value, on whichever side it stands.
            if isinstance(left, dict):
                assert isinstance(right, float)
                return {labels: value for labels, value in left.items() if holds(value, right)}
            assert isinstance(right, dict)
            return {labels: value for labels, value in right.items() if holds(left, value)}
        reckon = _ARITHMETIC[tree.op]
        if isinstance(left, dict):
            assert isinstance(right, float)
            return {labels: reckon(value, right) for labels, value in left.items()}
        if isinstance(right, dict):
            return {labels: reckon(left, value) for labels, value in right.items()}
        return reckon(left, right)


def fits(selector: Selector, labels: Labels) -> bool:
    """Whether a series of the selector's metric is among those it selects."""
    values = dict(labels)
    return all(matcher.fits(values.get(matcher.label, "")) for matcher in selector.matchers)


def _only(labels: Labels, names: Sequence[str]) -> Labels:
    return tuple((name, value) for name, value in labels if name in names)


def _meeting(tree: Binary, labels: Labels) -> Labels:
    return labels if tree.on is None else _only(labels, tree.on)


def _sets(tree: Binary, left: Vector, right: Vector) -> Vector:
    if tree.op == "or":
        there = {_meeting(tree, labels) for labels in left}
        return left | {labels: value for labels, value in right.items() if _meeting(tree, labels) not in there}
    there = {_meeting(tree, labels) for labels in right}
    wanted = tree.op == "and"
    return {labels: value for labels, value in left.items() if (_meeting(tree, labels) in there) is wanted}


def _matched(tree: Binary, left: Vector, right: Vector) -> Vector:
    others: dict[Labels, float] = {}
    for labels, value in right.items():
        key = _meeting(tree, labels)
        if key in others:
            raise Unmatched(f"several series on the right of {tree.op} have the same labels")
        others[key] = value
    found: Vector = {}
    met: set[Labels] = set()
    for labels, value in left.items():
        key = _meeting(tree, labels)
        if key not in others:
            continue
        if not tree.many and key in met:
            raise Unmatched(f"several series on the left of {tree.op} have the same labels")
        met.add(key)
        kept = labels if tree.many or tree.on is None else key
        if tree.op not in COMPARISONS:
            found[kept] = _ARITHMETIC[tree.op](value, others[key])
        elif _COMPARING[tree.op](value, others[key]):
            found[kept] = value
    return found


def _over(function: str, runs: Sequence[Run], ticks: Sequence[float], since: float, until: float) -> float | None:
    values = [run.value for run in runs]
    match function:
        case "max_over_time":
            return _extreme(values, operator.gt)
        case "min_over_time":
            return _extreme(values, operator.lt)
        case "last_over_time":
            return values[-1]
        case "changes":
            pairs = pairwise(values)
            return float(sum(a != b and not (math.isnan(a) and math.isnan(b)) for a, b in pairs))
    assert function in ("increase", "rate")
    grown = _increase(runs, ticks, since, until)
    return grown if grown is None or function == "increase" else grown / (until - since)


def _extreme(values: Sequence[float], beats: Callable[[float, float], bool]) -> float:
    best = values[0]
    for value in values[1:]:
        if beats(value, best) or math.isnan(best):
            best = value
    return best


def _increase(runs: Sequence[Run], ticks: Sequence[float], since: float, until: float) -> float | None:
    """How much a counter grew, stretched to the window's ends as Prometheus does; a fall is a new beginning."""
    told = sum(run.last - run.first + 1 for run in runs)
    if told < 2:
        return None
    first, last = ticks[runs[0].first], ticks[runs[-1].last]
    grown = runs[-1].value - runs[0].value
    for before, after in pairwise(runs):
        if after.value < before.value:
            grown += before.value
    sampled = last - first
    between = sampled / (told - 1)
    to_start, to_end = first - since, until - last
    if grown > 0 and runs[0].value >= 0:
        # A counter was not below 0: stretched no farther back than to where it would have been 0.
        to_start = min(to_start, sampled * (runs[0].value / grown))
    stretched = sampled
    for gap in (to_start, to_end):
        stretched += gap if gap < between * 1.1 else between / 2
    return grown * (stretched / sampled)
