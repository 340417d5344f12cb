"""Mutants of the alert rules: one thing each is wrong, and the promtool tests must notice.

Figures, comparisons, `and`/`or`/`unless`, arithmetic, aggregations, label filters, `for` and `keep_firing_for` are
changed one at a time. `make mutate` runs all of it; a mutant that no test notices is told by name, and
the exit code is 1.
"""

from __future__ import annotations

import argparse
import copy
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
RULES, TESTS = ROOT / "alerts" / "rules.yml", ROOT / "alerts" / "tests"
BATCH = 12
"""Test files that one promtool runs: starting it costs as much as running a few of them."""

Rule = dict[str, Any]

TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*")|(?P<duration>\d+[smhdw]\b)|(?P<number>\d+(?:\.\d+)?)"""
    r"""|(?P<word>[A-Za-z_:][A-Za-z0-9_:]*)|(?P<operator>[=!]~|[=!<>]=|[-+*/<>=])|(?P<other>\s+|.)""",
    re.DOTALL,
)
SWAPS: Mapping[str, tuple[str, ...]] = {
    ">": (">=", "<"),
    ">=": (">", "<"),
    "<": ("<=", ">"),
    "<=": ("<", ">"),
    "==": ("!=",),
    "!=": ("==",),
    "+": ("-",),
    "-": ("+",),
    "*": ("/",),
    "/": ("*",),
    "and": ("or", "unless"),
    "or": ("unless",),
    "unless": ("and",),
    "sum": ("max", "min"),
    "max": ("min", "sum"),
    "max_over_time": ("min_over_time",),
    "min_over_time": ("max_over_time",),
    "avg_over_time": ("max_over_time", "min_over_time"),
}
MATCHER = re.compile(r"""(?P<label>[a-z_]+)(?P<how>=~|!~|!=|=)(?P<value>"(?:[^"\\]|\\.)*")""")
NEGATED = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}


@dataclass(frozen=True)
class Mutant:
    """A rule with one thing wrong. `index` is its place in the group's rules."""

    name: str
    group: str
    index: int
    rule: Rule


def expressions(expr: str) -> Iterator[tuple[str, str]]:
    """What is wrong, and the expression that has it."""
    tokens = [(match.lastgroup or "", match[0], match.start()) for match in TOKEN.finditer(expr)]
    depth = 0
    for kind, text, at in tokens:
        depth += (text == "{") - (text == "}")
        if depth:
            continue
        others = numbers(text) if kind == "number" else SWAPS.get(text, ()) if kind in ("word", "operator") else ()
        for other in others:
            place = " ".join(expr[max(0, at - 30) : at].split())
            yield f"{text} becomes {other} after “…{place}”", expr[:at] + other + expr[at + len(text) :]
    yield from filters(expr)


def numbers(text: str) -> tuple[str, ...]:
    """Small numbers one up and down, the others by a twentieth."""
    value = float(text)
    if value == int(value) and value <= 50:
        return tuple(str(int(value) + step) for step in (1, -1))
    return tuple(f"{value * factor:.10g}" for factor in (1.05, 0.95))


def filters(expr: str) -> Iterator[tuple[str, str]]:
    """Each filter on a label, left out and turned round, wherever it stands in the expression: where two sides match
    each other by their labels, leaving it out on one side would change nothing."""
    found = {match[0]: match for match in MATCHER.finditer(expr)}
    for text, match in found.items():
        bare = re.sub(r"\{\}", "", expr.replace(f"{text}, ", "").replace(f", {text}", "").replace(text, ""))
        yield f"{text} is left out", bare
        yield f"{text} is turned round", expr.replace(text, f"{match['label']}{NEGATED[match['how']]}{match['value']}")


def durations(name: str, value: str | None, step: int) -> Iterator[tuple[str, str | None]]:
    """`for` or `keep_firing_for`: one step (seconds) longer and shorter; one that is not there is put there."""
    if value is None:
        yield f"{name} is there", "15m"
        return
    seconds = int(value[:-1]) * {"s": 1, "m": 60, "h": 3600}[value[-1]]
    yield f"{name} is one step longer", f"{seconds + step}s"
    yield f"{name} is one step shorter", f"{seconds - step}s"


def mutants(groups: Sequence[Mapping[str, Any]], steps: Mapping[str, int]) -> Iterator[Mutant]:
    """All of those that have tests. `steps` is the evaluation interval (s) of each alert's."""
    for group in groups:
        for index, rule in enumerate(group["rules"]):
            title = rule.get("alert") or rule["record"]
            if rule["expr"] == "vector(1)" or ("alert" in rule and rule["alert"] not in steps):
                continue  # Watchdog: nobody sees its value, and it never ends
            if severity := rule.get("labels", {}).get("severity"):
                title += f" ({severity})"
            for what, expr in expressions(rule["expr"]):
                yield Mutant(f"{title}: {what}", group["name"], index, {**rule, "expr": expr})
            if "alert" not in rule:
                continue
            for key in ("for", "keep_firing_for"):
                for what, value in durations(key, rule.get(key), steps[rule["alert"]]):
                    yield Mutant(f"{title}: {what}", group["name"], index, {**rule, key: value})


class Promtool:
    """Runs test files against rules that are written for them, in a folder that it is given."""

    def __init__(self, folder: Path, tests: Path, rules: Path) -> None:
        program = shutil.which("promtool")
        if program is None:
            raise SystemExit("promtool is not installed: on Debian, apt-get install prometheus")
        self._program, self._folder = program, folder
        self.groups: list[dict[str, Any]] = yaml.safe_load(rules.read_text(encoding="utf-8"))["groups"]
        self._texts = {file.stem: file.read_text(encoding="utf-8") for file in sorted(tests.glob("*.yml"))}
        self.steps = {name: _seconds(yaml.safe_load(text)["evaluation_interval"]) for name, text in self._texts.items()}

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Those of the alert; of a recording those of all alerts that read it."""
        rules = next(group["rules"] for group in self.groups if group["name"] == mutant.group)
        if "alert" in mutant.rule:
            return [mutant.rule["alert"]]
        readers = {rule["alert"] for rule in rules if "alert" in rule and mutant.rule["record"] in rule["expr"]}
        return sorted(readers & self.steps.keys())

    def write(self, number: int, mutant: Mutant | None, name: str, group: str) -> Path:
        """The test file of the alert `name`, beside the rules that it needs, one of which is the mutant's."""
        rules = copy.deepcopy(next(each["rules"] for each in self.groups if each["name"] == group))
        if mutant is not None:
            rules[mutant.index] = mutant.rule
        kept = [rule for rule in rules if rule.get("alert") in (None, name)]
        folder = self._folder / str(number)
        folder.mkdir(exist_ok=True)
        written = folder / f"{name}-rules.yml"
        written.write_text(yaml.safe_dump({"groups": [{"name": group, "rules": kept}]}), encoding="utf-8")
        test = folder / f"{name}.yml"
        test.write_text(self._texts[name].replace("../rules.yml", written.name), encoding="utf-8")
        return test

    def failing(self, files: Sequence[Path]) -> set[Path]:
        """Which of the test files fail. Raises ValueError when rules cannot be read: that is no mutant."""
        rules = [file.with_name(f"{file.stem}-rules.yml") for file in files]
        checked = self._run("check", rules)
        if checked.returncode:
            raise ValueError(checked.stdout + checked.stderr)
        told = self._run("test", files).stdout  # what went well; what failed is told on stderr, without saying where
        parts = dict(re.findall(r"^Unit Testing:\s+(\S+)\n(.*?)(?=^Unit Testing:|\Z)", told, re.MULTILINE | re.DOTALL))
        return {file for file in files if "SUCCESS" not in parts[str(file)]}

    def _run(self, what: str, files: Sequence[Path]) -> subprocess.CompletedProcess[str]:
        command = [self._program, what, "rules", *map(str, files)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


@dataclass(frozen=True)
class Outcome:
    """How many mutants there were, and the names of those that no test noticed."""

    mutants: int
    survivors: tuple[str, ...]


def run(tests: Path = TESTS, rules: Path = RULES, only: Iterable[str] = (), workers: int | None = None) -> Outcome:
    """Try all mutants, or those of some alerts and recordings. Raises ValueError when a test fails without one."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        promtool = Promtool(Path(name), tests, rules)
        chosen = frozenset(only)
        tried = [
            mutant
            for mutant in mutants(promtool.groups, promtool.steps)
            if not chosen or chosen & {mutant.rule.get("alert"), mutant.rule.get("record"), *promtool.tests_of(mutant)}
        ]
        pairs = [(i, promtool.write(i, m, test, m.group)) for i, m in enumerate(tried) for test in promtool.tests_of(m)]
        whole = {(test, m.group) for m in tried for test in promtool.tests_of(m)}
        sound = [promtool.write(len(tried), None, test, group) for test, group in sorted(whole)]
        files = [*sound, *(file for _, file in pairs)]
        with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
            batches = [files[i : i + BATCH] for i in range(0, len(files), BATCH)]
            failing = set().union(*pool.map(promtool.failing, batches))
    if broken := [file.stem for file in sound if file in failing]:
        raise ValueError(f"these tests fail without any mutant: {', '.join(broken)}")
    killed = {i for i, file in pairs if file in failing}
    return Outcome(len(tried), tuple(mutant.name for i, mutant in enumerate(tried) if i not in killed))


def _seconds(text: str) -> int:
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Change the alert rules one thing at a time; the tests must notice.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="alerts or recordings; all of them unless given")
    names = parser.parse_args(arguments).names
    if shutil.which("promtool") is None and os.environ.get("CI", "").lower() not in ("true", "1"):
        print("skipped: promtool is not installed (on Debian: apt-get install prometheus)")
        return 0
    outcome = run(only=names)
    for name in outcome.survivors:
        print(f"survived  {name}")
    print(f"{outcome.mutants - len(outcome.survivors)} of {outcome.mutants} mutants were noticed.")
    return 1 if outcome.survivors else 0


if __name__ == "__main__":
    sys.exit(main())
