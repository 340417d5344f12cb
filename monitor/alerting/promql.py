"""Reads expressions of the alert rules: the part of PromQL that they need, and nothing else.

Written here rather than taken from a library: the ones there are come compiled for each Python and system, and the
guard must install where they do not. Whatever is beyond the part is an error, never a guess. A test holds the trees
to those of such a library.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import NamedTuple

RANGE_FUNCTIONS = frozenset({"increase", "rate", "changes", "max_over_time", "min_over_time", "last_over_time"})
VECTOR_FUNCTIONS = frozenset({"abs"})
AGGREGATIONS = frozenset({"sum", "max"})

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}

LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"or"}),
    frozenset({"and", "unless"}),
    frozenset({"==", "!=", ">", "<", ">=", "<="}),
    frozenset({"+", "-"}),
    frozenset({"*", "/"}),
)
"""Operators, the loosest first; all of them group from the left."""

SETS, COMPARISONS = LEVELS[0] | LEVELS[1], LEVELS[2]

_TOKEN = re.compile(
    r"""\s*(?:\#[^\n]*\s*)*(?:
    (?P<duration>(?:[0-9]+(?:ms|[smhdwy]))+)
    |(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
    |(?P<word>[A-Za-z_:][A-Za-z0-9_:]*)
    |(?P<text>"(?:[^"\\]|\\.)*")
    |(?P<sign>==|!=|>=|<=|=~|!~|[-+*/()\[\]{},=<>])
    )""",
    re.VERBOSE,
)
_DURATION = re.compile(r"([0-9]+)(ms|[smhdwy])")


class Beyond(ValueError):
    """An expression is no PromQL, or asks for more of it than this reads."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """What a label's value must be; a label that is not there is an empty text."""

    label: str
    op: str
    value: str
    pattern: re.Pattern[str] | None = None

    def fits(self, value: str) -> bool:
        match self.op:
            case "=":
                return value == self.value
            case "!=":
                return value != self.value
        assert self.pattern is not None
        return (self.pattern.fullmatch(value) is not None) == (self.op == "=~")


@dataclass(frozen=True, slots=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True)
class Time:
    """`time()`."""


@dataclass(frozen=True, slots=True)
class Selector:
    """Series of one metric. `window` (seconds) is a range's; None asks for the newest value. `offset`: seconds ago."""

    metric: str
    matchers: tuple[Matcher, ...]
    window: float | None = None
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    argument: Expr


@dataclass(frozen=True, slots=True)
class Aggregation:
    """`op by (labels) (argument)`."""

    op: str
    labels: tuple[str, ...]
    argument: Expr


@dataclass(frozen=True, slots=True)
class Binary:
    """Two sides, matched `on` these labels, or on all; `many`: several on the left may meet one on the right."""

    op: str
    left: Expr
    right: Expr
    on: tuple[str, ...] | None = None
    many: bool = False


Expr = Number | Time | Selector | Call | Aggregation | Binary


class _Token(NamedTuple):
    kind: str
    text: str


def parse(text: str) -> Expr:
    """The tree of an expression. Raises Beyond."""
    reading = _Reading(_tokens(text), text)
    tree = reading.expression()
    if reading.peek().kind:
        raise reading.beyond()
    return _instant(tree)


def selectors(tree: Expr) -> list[Selector]:
    """Every selector of a tree."""
    match tree:
        case Selector():
            return [tree]
        case Call() | Aggregation():
            return selectors(tree.argument)
        case Binary():
            return selectors(tree.left) + selectors(tree.right)
    return []


def seconds(text: str) -> float:
    """What `1h30m` lasts; 0 of an empty text. Raises Beyond."""
    parts = _DURATION.findall(text)
    if "".join(f"{n}{unit}" for n, unit in parts) != text:
        raise Beyond(f"{text!r} is no duration")
    return sum(int(n) * SECONDS[unit] for n, unit in parts)


def _instant(tree: Expr) -> Expr:
    """The tree, unless it is a range: only functions take those."""
    if isinstance(tree, Selector) and tree.window is not None:
        raise Beyond(f"a range of {tree.metric} stands where one value is needed")
    return tree


def _tokens(text: str) -> list[_Token]:
    found, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise Beyond(f"cannot read {text[at : at + 20]!r}")
        assert match.lastgroup is not None
        found.append(_Token(match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


class _Reading:
    """Goes through the tokens once, by descent."""

    def __init__(self, tokens: list[_Token], text: str) -> None:
        self._tokens, self._at, self._text = tokens, 0, text

    def peek(self) -> _Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else _Token("", "")

    def beyond(self) -> Beyond:
        return Beyond(f"beyond what is read here, at {self.peek().text or 'the end'!r}: {self._text}")

    def expression(self, level: int = 0) -> Expr:
        if level == len(LEVELS):
            return self._operand()
        left = self.expression(level + 1)
        while self.peek().kind in ("sign", "word") and self.peek().text in LEVELS[level]:
            op = self._next().text
            on, many = self._matching()
            left = Binary(op, _instant(left), _instant(self.expression(level + 1)), on, many)
        return left

    def _next(self) -> _Token:
        token = self.peek()
        self._at += 1
        return token

    def _take(self, text: str) -> bool:
        if self.peek().text == text and self.peek().kind in ("sign", "word"):
            self._at += 1
            return True
        return False

    def _need(self, text: str) -> None:
        if not self._take(text):
            raise self.beyond()

    def _of(self, kind: str) -> str:
        if self.peek().kind != kind:
            raise self.beyond()
        return self._next().text

    def _matching(self) -> tuple[tuple[str, ...] | None, bool]:
        if not self._take("on"):
            return None, False
        on = self._labels()
        if not self._take("group_left"):
            return on, False
        if self._labels():
            raise self.beyond()  # labels of the one side for the many: no rule needs it
        return on, True

    def _labels(self) -> tuple[str, ...]:
        self._need("(")
        found: list[str] = []
        while not self._take(")"):
            found.append(self._of("word"))
            if self.peek().text != ")":
                self._need(",")
        return tuple(found)

    def _operand(self) -> Expr:
        if self.peek().kind == "number":
            return Number(float(self._next().text))
        if self._take("("):
            inner = self.expression()
            self._need(")")
            return inner
        word = self._of("word")
        if word in AGGREGATIONS:
            self._need("by")
            labels = self._labels()
            return Aggregation(word, labels, _instant(self._argument()))
        if self.peek().text == "(":
            return self._call(word)
        return self._selector(word)

    def _argument(self) -> Expr:
        self._need("(")
        inner = self.expression()
        self._need(")")
        return inner

    def _call(self, function: str) -> Expr:
        if function == "time":
            self._need("(")
            self._need(")")
            return Time()
        if function not in RANGE_FUNCTIONS | VECTOR_FUNCTIONS:
            raise Beyond(f"the function {function} is beyond what is read here: {self._text}")
        argument = self._argument()
        ranged = isinstance(argument, Selector) and argument.window is not None
        if ranged != (function in RANGE_FUNCTIONS):
            raise Beyond(f"{function} does not take that: {self._text}")
        return Call(function, argument)

    def _selector(self, metric: str) -> Selector:
        matchers: list[Matcher] = []
        if self._take("{"):
            while not self._take("}"):
                matchers.append(self._matcher())
                if self.peek().text != "}":
                    self._need(",")
        window, offset = None, 0.0
        if self._take("["):
            window = seconds(self._of("duration"))
            self._need("]")
        if self._take("offset"):
            offset = seconds(self._of("duration"))
        return Selector(metric, tuple(matchers), window, offset)

    def _matcher(self) -> Matcher:
        label, op = self._of("word"), self._of("sign")
        if op not in ("=", "!=", "=~", "!~"):
            raise self.beyond()
        text = self._of("text")
        try:
            value = json.loads(text)  # the escapes that rules use are those of JSON
            return Matcher(label, op, value, re.compile(value, re.DOTALL) if "~" in op else None)
        except (ValueError, re.error) as exc:
            raise Beyond(f"{text} cannot be read: {exc}") from None
