"""The alerts of `rules`, judged by the daemon itself, without Prometheus.

A `Program` is made of the rules once; at each look at the figures it says what each rule yields. Rules that only
Prometheus can judge are left out, and so are recordings that nobody left reads.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from monitor.alerting.history import History, Labels, Told
from monitor.alerting.judging import Moment, Unmatched, fits
from monitor.alerting.promql import Beyond, Expr, Selector, parse, seconds, selectors
from monitor.alerting.render import texts
from monitor.alerting.rule import Alert, Group, Options, Recording
from monitor.alerting.wording import fill
from monitor.policy.alert_states import Found, States, Timing, step

log = logging.getLogger("monitor.alerting")


@dataclass(frozen=True, slots=True)
class Judged:
    """An alert that is judged here. `id` tells two severities of one name apart."""

    id: str
    name: str
    tree: Expr
    timing: Timing
    labels: Mapping[str, str]
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording that alerts read."""

    name: str
    tree: Expr
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one look brought: how all alerts stand, and which rules could not be judged, and why."""

    states: States
    failed: Mapping[str, str] = field(default_factory=dict)


class Program:
    """The rules, read once. Raises Beyond for one that asks for more than is judged here, and is not marked so."""

    def __init__(self, groups: Iterable[Group], options: Options) -> None:
        self.rules = tuple(_needed(_read(groups, options)))
        recordings = {rule.name for rule in self.rules if isinstance(rule, Recorded)}
        self._asked: dict[str, list[Selector]] = {}
        for rule in self.rules:
            for selector in selectors(rule.tree):
                if selector.metric not in recordings:
                    self._asked.setdefault(selector.metric, []).append(selector)
                elif selector.window is not None or selector.offset:
                    raise Beyond(f"what was recorded is not looked back at here: {selector.metric}")

    def __repr__(self) -> str:
        return f"<Program of {len(self.rules)} rules>"

    @property
    def alerts(self) -> tuple[Judged, ...]:
        return tuple(rule for rule in self.rules if isinstance(rule, Judged))

    def horizons(self) -> dict[str, float]:
        """How many seconds back the rules look, by metric; 0 where they ask for the newest value only."""
        return {
            metric: max((asked.window or 0.0) + asked.offset for asked in selectors_)
            for metric, selectors_ in self._asked.items()
        }

    def wanted(self, told: Told) -> dict[str, dict[Labels, float]]:
        """Those of the series told that some rule asks for."""
        return {
            metric: {
                labels: value
                for labels, value in told.get(metric, {}).items()
                if any(fits(selector, labels) for selector in asked)
            }
            for metric, asked in self._asked.items()
        }

    def judge(self, history: History, before: States, now: float) -> Outcome:
        """How all alerts stand at an instant. One whose rule cannot be judged stays as it was."""
        moment, after, failed = Moment(history, now), States(), {}
        for rule in self.rules:
            try:
                vector = moment.vector(rule.tree)
            except Unmatched as exc:
                failed[rule.id if isinstance(rule, Judged) else rule.name] = str(exc)
                vector = None
            if isinstance(rule, Recorded):
                moment.recorded[rule.name] = {_with(labels, rule.labels): v for labels, v in (vector or {}).items()}
                continue
            mine = {key: state for key, state in before.items() if state.rule == rule.id}
            after |= mine if vector is None else step(rule.id, mine, _found(rule, vector), rule.timing, now)
        known = {rule.id for rule in self.alerts}
        for key, state in before.items():
            if state.rule not in known:  # a rule that is no more: what it told of is over
                after |= step(state.rule, {key: state}, (), Timing(), now)
        return Outcome(after, failed)


def _read(groups: Iterable[Group], options: Options) -> Iterator[Judged | Recorded]:
    for group in groups:
        for rule in group.rules:
            if isinstance(rule, Recording):
                try:
                    yield Recorded(rule.name, parse(rule.expr), rule.labels)
                except Beyond as exc:
                    log.debug("left to Prometheus: %s", exc)
            elif not rule.prometheus_only:
                yield _alert(rule, options)


def _alert(rule: Alert, options: Options) -> Judged:
    labels = {**rule.labels, "severity": rule.severity.value, "component": rule.component.value}
    told = texts(rule, options)
    for text in told.values():
        fill(text, {}, 0.0)
    return Judged(
        id=f"{rule.name}/{rule.severity}",
        name=rule.name,
        tree=parse(rule.expr),
        timing=Timing(seconds(rule.lasts), seconds(rule.stays)),
        labels={**labels, "alertname": rule.name},
        texts=told,
    )


def _needed(rules: Iterable[Judged | Recorded]) -> list[Judged | Recorded]:
    """Without the recordings that no rule after them reads."""
    kept: list[Judged | Recorded] = []
    read: set[str] = set()
    for rule in reversed(list(rules)):
        if isinstance(rule, Judged) or rule.name in read:
            kept.append(rule)
            read |= {selector.metric for selector in selectors(rule.tree)}
    return kept[::-1]


def _found(rule: Judged, vector: Mapping[Labels, float]) -> Iterator[Found]:
    for labels, value in vector.items():
        shown = dict(labels)
        # Texts see the series' own labels only, as in Prometheus.
        filled = {name: fill(text, shown, value) for name, text in rule.texts.items()}
        yield Found({name: v for name, v in {**shown, **rule.labels}.items() if v}, filled, value)


def _with(labels: Labels, more: Mapping[str, str]) -> Labels:
    return tuple(sorted({**dict(labels), **more}.items())) if more else labels
