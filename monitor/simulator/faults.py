"""Faults on demand: rules that say which request goes wrong, and how.

A rule is `{"match": {…}, "do": {…}}`. `match`, all optional: `path` and `model` (globs; the path without `/api/v1`, the
model as asked), `method` (POST when there is no path), `nth` (only the n-th that matches, from 1), `every` (each n-th),
`after` (only later than the first n), `times` (at most that often). `do` is a kind by name, or an object with `kind`
and its parameters:

    {"match": {"path": "/chat/*", "model": "*:free", "every": 3}, "do": "upstream_429"}
    {"match": {"nth": 2}, "do": {"kind": "cut", "after_chunks": 3}}

In a TOML file the same stands as `[[rules]]` with `match = {…}` and `do = {…}`; a JSON file holds the list, or
`{"rules": […]}`. Several rules may strike one request: the first error wins, and manners of delivery add up.
"""

from __future__ import annotations

import json
import threading
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from monitor.errors import ConfigError
from monitor.simulator.named_errors import NAMED_KINDS

_ERROR_PARAMETERS = frozenset({"status", "message", "headers", "body", "retry_after"})
_KINDS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(NAMED_KINDS, _ERROR_PARAMETERS),
    # An answer of one's own: status, headers, body (text or JSON).
    "status": _ERROR_PARAMETERS,
    # Bodies of a 200 that are no success.
    "error_in_200": frozenset({"code", "message"}),
    "partial_error": frozenset({"code", "message"}),
    "empty_choices": frozenset(),
    "garbage": frozenset({"bytes"}),
    "huge": frozenset({"megabytes"}),
    # Streams that go wrong; `shape` is one of STREAM_SHAPES.
    "stream_error": frozenset({"shape", "after_chunks", "code", "message", "done"}),
    "processing_forever": frozenset({"seconds"}),
    # Manners of delivery, for streams and plain answers.
    "cut": frozenset({"after_bytes", "after_chunks"}),
    "close": frozenset(),
    "hang": frozenset({"seconds", "after_chunks"}),
    "slow": frozenset({"seconds"}),
    "gzip": frozenset(),
    "split": frozenset({"bytes"}),
}
DELIVERY_KINDS = frozenset({"cut", "hang", "slow", "gzip", "split", "processing_forever", "close"})
STREAM_SHAPES = ("documented", "empty_choices", "bare", "with_usage", "benign_finish")
_MATCH_KEYS = frozenset({"path", "model", "method", "nth", "every", "after", "times"})


@dataclass(frozen=True, slots=True)
class Action:
    """What happens to a request that a rule strikes."""

    kind: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def get(self, name: str, default: Any = None) -> Any:
        return self.parameters.get(name, default)


@dataclass(slots=True)
class _Rule:
    match: Mapping[str, Any]
    action: Action
    seen: int = 0
    fired: int = 0

    def strikes(self, method: str, path: str, model: str | None) -> bool:
        """Whether this request is one that the rule is for. Counts it."""
        match = self.match
        # A rule that names neither is about calls, not about polls.
        wanted = match.get("method", method if "path" in match else "POST")
        if wanted.upper() != method or not fnmatchcase(path, match.get("path", "*")):
            return False
        if "model" in match and not fnmatchcase(model or "", match["model"]):
            return False
        self.seen += 1
        if match.get("nth", self.seen) != self.seen or self.seen % match.get("every", 1):
            return False
        if self.seen <= match.get("after", 0) or self.fired >= match.get("times", self.fired + 1):
            return False
        self.fired += 1
        return True


@dataclass(frozen=True, slots=True)
class Plan:
    """What strikes one request: at most one wrong answer, and manners of delivery."""

    answer: Action | None = None
    delivery: Mapping[str, Action] = field(default_factory=dict)

    @property
    def name(self) -> str | None:
        """The kinds that strike, for the books."""
        kinds = ([self.answer.kind] if self.answer else []) + list(self.delivery)
        return "+".join(kinds) or None


class Faults:
    """The rules of now; they may be changed from any thread while the server runs."""

    def __init__(self, rules: Iterable[Mapping[str, Any]] = ()) -> None:
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []
        self._no_plan = Plan()
        self.add(*rules)

    def add(self, *rules: Mapping[str, Any]) -> None:
        """Add rules; they are checked first, and none is added when one is wrong."""
        read = [_read_rule(rule) for rule in rules]
        with self._lock:
            self._rules = [*self._rules, *read]

    def clear(self) -> None:
        with self._lock:
            self._rules = []

    def take(self, method: str, path: str, model: str | None) -> Plan:
        """What strikes this request. Every rule that matches counts it."""
        if not self._rules:
            return self._no_plan
        with self._lock:
            actions = [rule.action for rule in self._rules if rule.strikes(method, path, model)]
        answers = [action for action in actions if action.kind not in DELIVERY_KINDS]
        delivery = {action.kind: action for action in actions if action.kind in DELIVERY_KINDS}
        return Plan(answers[0] if answers else None, delivery)


def load_rules(path: Path) -> list[Mapping[str, Any]]:
    """The rules of a scenario file, JSON or TOML by its ending."""
    try:
        text = path.read_text("utf-8")
        data = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:
        raise ConfigError(f"The scenario {path} cannot be read: {error}.", hint="Give a JSON or TOML file.") from None
    rules = data.get("rules") if isinstance(data, dict) else data
    if not isinstance(rules, list):
        raise ConfigError(f"The scenario {path} holds no list of rules.", hint="Write [[rules]], or a JSON list.")
    return rules


def _read_rule(rule: Mapping[str, Any]) -> _Rule:
    if not isinstance(rule, Mapping) or not set(rule) <= {"match", "do"} or "do" not in rule:
        raise ConfigError(f"A fault rule is {rule!r}.", hint="It has `do`, and `match` when it is not for all.")
    match = rule.get("match", {})
    unknown = set(match) - _MATCH_KEYS
    if unknown:
        raise ConfigError(f"A fault rule matches on {sorted(unknown)}.", hint=f"Known: {sorted(_MATCH_KEYS)}.")
    for name in ("nth", "every", "after", "times"):
        if name in match and (not isinstance(match[name], int) or match[name] < (name != "after")):
            raise ConfigError(f"A fault rule has {name} = {match[name]!r}.", hint="Give a positive whole number.")
    return _Rule(match, _read_action(rule["do"]))


def _read_action(do: Any) -> Action:
    given = {"kind": do} if isinstance(do, str | int) else dict(do)
    kind = str(given.pop("kind", ""))
    if kind not in _KINDS:
        raise ConfigError(f"A fault rule does {kind!r}.", hint=f"Known: {', '.join(sorted(_KINDS))}.")
    unknown = set(given) - _KINDS[kind]
    if unknown:
        known = sorted(_KINDS[kind]) or "none"
        raise ConfigError(f"The fault {kind} has no parameter {sorted(unknown)}.", hint=f"Known: {known}.")
    if given.get("shape", "documented") not in STREAM_SHAPES:
        raise ConfigError(f"A stream error has the shape {given['shape']!r}.", hint=f"Known: {STREAM_SHAPES}.")
    return Action(kind, given)
