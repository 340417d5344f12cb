"""Which free model for a task: the catalogue's facts and our own record, ranked and explained.

First what a request needs (context, images, tools) leaves out those that cannot serve it, each with a word why. The
rest is ranked by the task's weights. A user's own table comes before any ranking: the models that it names stand first
in its order, as far as they are listed, free and able; one that is not is a preference that could not be met.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from math import log2

from monitor.clock import DAY, iso
from monitor.model import ModelFacts
from monitor.policy.request import FREE_ROUTER
from monitor.policy.tasks import Feature, Task

BYTES_PER_TOKEN = 3.0
"""Of a prompt's text, for a careful guess at its tokens: English has four, code and other scripts fewer."""

_NOTHING_KNOWN = 0.8
_WEIGHT_OF_NOTHING = 10
"""A model that we never called is taken for one that answered eight of ten calls: one 429 changes its rank a little."""

_USUAL_SECONDS = 4.0
_SHORT, _LONGEST = 8_192, 2_097_152
_LARGEST = 500.0
_YEARS = 2.0
_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)b(?![a-z0-9])")
_ACTIVE = re.compile(r"(?<![a-z0-9.])a(\d+(?:\.\d+)?)b(?![a-z0-9])")
_JUDGES = re.compile(r"guard|moderation|reward")
"""Models for filtering what others write are listed among the rest."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a request needs of its model: tokens in and out, kinds of input, parameters that it must know."""

    prompt_tokens: int = 0
    output_tokens: int = 0
    inputs: frozenset[str] = frozenset()
    parameters: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Record:
    """Our own experience of a model: attempts that say something of it, successes, and their mean time (s)."""

    attempts: int = 0
    successes: int = 0
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A model that can serve, with its score (0 to 1) and what speaks for it."""

    model: str
    score: float
    why: tuple[str, ...]
    preferred: bool = False


@dataclass(frozen=True, slots=True)
class Ranking:
    """The choices, best first, and why others are none: of models, and of entries of the user's table."""

    task: str
    choices: tuple[Choice, ...]
    passed_over: Mapping[str, str] = field(default_factory=dict)

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(choice.model for choice in self.choices)


@dataclass(frozen=True, slots=True)
class _Look:
    facts: ModelFacts
    record: Record
    words: tuple[str, ...]
    now: float


def rank(
    name: str,
    task: Task,
    free: Iterable[ModelFacts],
    records: Mapping[str, Record],
    needs: Needs,
    now: float,
    *,
    preferred: Sequence[str] = (),
) -> Ranking:
    """Rank the `free` models for the task called `name`; `preferred` are ids or globs of the user's table."""
    passed: dict[str, str] = {}
    fit: list[Choice] = []
    for facts in free:
        why_not = _why_not(facts, task, needs, now)
        if why_not is not None:
            passed[facts.id] = why_not
        else:
            fit.append(_choice(_Look(facts, records.get(facts.id, Record()), task.words, now), task))
    first = _first(preferred, fit, passed)
    chosen = {choice.model for choice in first}
    rest = sorted((c for c in fit if c.model not in chosen), key=lambda c: (-round(c.score, 6), c.model))
    return Ranking(name, (*first, *rest), passed)


def guess_tokens(characters: int) -> int:
    """A careful guess at the tokens of so many bytes of text."""
    return int(characters / BYTES_PER_TOKEN) + 1


def _first(preferred: Sequence[str], fit: Sequence[Choice], passed: dict[str, str]) -> list[Choice]:
    """The choices that the user's table names, in its order; what it names in vain is noted in `passed`."""
    found: dict[str, Choice] = {}
    for pattern in preferred:
        matches = sorted((c for c in fit if fnmatchcase(c.model, pattern)), key=lambda c: (-c.score, c.model))
        for choice in matches:
            found.setdefault(
                choice.model, Choice(choice.model, choice.score, ("named in your table", *choice.why), preferred=True)
            )
        if not matches:
            passed.setdefault(pattern, "your table names it, but the catalogue does not list it as free")
    return list(found.values())


def _why_not(facts: ModelFacts, task: Task, needs: Needs, now: float) -> str | None:
    if facts.output_modalities and facts.output_modalities != ("text",):
        return f"it gives {', '.join(facts.output_modalities)}, not text"
    if _JUDGES.search(facts.id.lower()):
        return "its name says that it judges texts, and writes none"
    if facts.expires is not None and facts.expires[:10] < iso(now)[:10]:
        return f"it was to be withdrawn on {facts.expires[:10]}"
    inputs = task.inputs | needs.inputs
    if missing := inputs - set(facts.input_modalities) - {"text"}:
        return f"it reads no {', '.join(sorted(missing))}"
    # Listed by all since 2025; where nothing is listed, nothing is known.
    known = set(facts.supported_parameters)
    if known and (unknown := (task.parameters | needs.parameters) - known):
        return f"it does not know {', '.join(sorted(unknown))}"
    tokens = needs.prompt_tokens + needs.output_tokens
    if facts.context_length and tokens > facts.context_length:
        return f"its context of {facts.context_length} tokens is too short for about {tokens}"
    return None


def _choice(look: _Look, task: Task) -> Choice:
    if look.facts.id == FREE_ROUTER:
        # It answers, but nobody can say as what.
        return Choice(FREE_ROUTER, 0.0, ("OpenRouter chooses any free model: the last resort",))
    score, reasons = 0.0, []
    for feature, weight in task.weights.items():
        value, reason = _FEATURES[feature](look)
        score += weight * value
        if reason:
            reasons.append((weight * value, reason))
    reasons.sort(key=lambda each: -each[0])
    return Choice(look.facts.id, score / sum(task.weights.values()), tuple(reason for _, reason in reasons))


Scored = tuple[float, str]


def _reliable(look: _Look) -> Scored:
    record = look.record
    rate = (record.successes + _NOTHING_KNOWN * _WEIGHT_OF_NOTHING) / (record.attempts + _WEIGHT_OF_NOTHING)
    return rate, f"answered {record.successes} of {record.attempts} attempts of ours" if record.attempts else ""


def _quick(look: _Look) -> Scored:
    seconds = look.record.seconds
    if seconds is None:
        return 0.5, ""
    return 1.0 / (1.0 + seconds / _USUAL_SECONDS), f"{seconds:.1f} s a call on average"


def _small(look: _Look) -> Scored:
    size = _billions(look.facts, active=True)
    return (0.5, "") if size is None else (1.0 / (1.0 + size / 20.0), f"{size:g} B parameters at work")


def _large(look: _Look) -> Scored:
    size = _billions(look.facts, active=False)
    if size is None:
        return 0.5, ""
    return min(1.0, log2(1.0 + size) / log2(1.0 + _LARGEST)), f"{size:g} B parameters"


def _long(look: _Look) -> Scored:
    context = look.facts.context_length
    if not context:
        return 0.0, ""
    part = log2(max(1.0, context / _SHORT)) / log2(_LONGEST / _SHORT)
    return min(1.0, part), f"a context of {context} tokens"


def _new(look: _Look) -> Scored:
    created = look.facts.created
    if created is None:
        return 0.3, ""
    days = max(0.0, look.now - created) / DAY
    return max(0.0, 1.0 - days / (365.0 * _YEARS)), f"listed for {int(days)} days"


def _able(look: _Look) -> Scored:
    known = set(look.facts.supported_parameters)
    wanted = (("tools", 0.5), ("response_format", 0.2), ("structured_outputs", 0.2), ("reasoning", 0.1))
    has = [name for name, _ in wanted if name in known]
    return sum(part for name, part in wanted if name in known), f"knows {', '.join(has)}" if has else ""


def _thinks(look: _Look) -> Scored:
    known = {"reasoning", "include_reasoning"} & set(look.facts.supported_parameters)
    return (1.0, "can reason") if known else (0.0, "")


def _named(look: _Look) -> Scored:
    text = f"{look.facts.id} {look.facts.name}".lower()
    found = next((word for word in look.words if word in text), None)
    return (1.0, f'its name says "{found}"') if found else (0.0, "")


def _billions(facts: ModelFacts, *, active: bool) -> float | None:
    """Parameters as the name tells them, in billions: all, or those that work on a token (`30b-a3b`: 30, 3)."""
    text = f"{facts.id} {facts.name}".lower()
    if active and (found := _ACTIVE.search(text)):
        return float(found[1])
    sizes = [float(size) for size in _SIZE.findall(text)]
    return max(sizes, default=None)


_FEATURES: Mapping[Feature, Callable[[_Look], Scored]] = {
    Feature.RELIABLE: _reliable,
    Feature.QUICK: _quick,
    Feature.SMALL: _small,
    Feature.LARGE: _large,
    Feature.LONG: _long,
    Feature.NEW: _new,
    Feature.ABLE: _able,
    Feature.THINKS: _thinks,
    Feature.NAMED: _named,
}
