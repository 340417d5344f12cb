"""Single expressions: what they yield is what Prometheus says they yield, and what is beyond is refused."""

from __future__ import annotations

import json
import math
import os
import random
import re
import shutil
import subprocess

import pytest
from replay_kit import close, samples

from monitor.alerting.history import GAP, History
from monitor.alerting.judging import Moment, Unmatched
from monitor.alerting.promql import Aggregation, Beyond, Binary, Call, Number, Selector, Time, parse, seconds
from monitor.alerting.rules import groups

EXPRESSIONS = (
    "c",
    'c{app="a"}',
    'c{app!="a", kind=~"x|y"}',
    'c{kind!~"x.*"}',
    'c{nothing=""}',
    "increase(c[5m])",
    "rate(c[4m])",
    "increase(c[2m] offset 3m)",
    "changes(c[5m])",
    "max_over_time(c[3m])",
    "min_over_time(c[3m])",
    "last_over_time(c[2m] offset 1m)",
    "sum by (app) (increase(c[5m]))",
    "max by (kind) (c)",
    "abs(c - 20)",
    "c - min_over_time(c[5m])",
    "24 * (c - 3) / (one > 0)",
    "c / 0",
    "0 / c",
    "time() - c",
    "c > 10",
    "30 > c",
    "c >= 10 and c <= 40",
    'c unless c{app="a"}',
    'c{app="a"} or c{app="b"} * 0',
    "c or on (app) one",
    "c and on (app) one == 1",
    "c + on (app) group_left () one",
    'c{kind="x"} > on (app) one',
    "2 + 3 * c - 4 / 2",
    "sum by (app) (c) > 1 or sum by (app) (c) * 2 and on (app) one",
)
AT = (0, 60, 300, 315, 480, 630, 900, 1500)


def random_series(chance: random.Random) -> str:
    """A counter as they come: it grows, stands, begins anew, is missing for a while, and ends."""
    words, value = [], chance.randint(0, 5)
    for _ in range(40):
        match chance.randint(0, 11):
            case 0:
                value = chance.randint(0, 2)
            case 1:
                words.append("_x3")
                continue
            case 2:
                words.append("stale")
                continue
            case 3 | 4 | 5 | 6:
                value += chance.randint(1, 9)
        words.append(str(value))
    return " ".join(words)


@pytest.fixture(scope="module")
def series():
    chance = random.Random(11)
    told = {f'c{{app="{app}", kind="{kind}"}}': random_series(chance) for app in "abc" for kind in ("x", "xx", "y")}
    return told | {'one{app="a"}': "1x60", 'one{app="b"}': "0 1 0x20 1x30"}


def answered(series, tmp_path):
    """What promtool says of each expression at each instant: values by labels."""
    promtool = shutil.which("promtool")
    assert promtool is not None or not os.environ.get("CI"), "promtool is not installed"
    if promtool is None:
        pytest.skip("promtool is not installed")
    # It tells what it got only where that is not what was expected: nobody expects this.
    nonsense = [{"labels": '{no="such"}', "value": -987654321}]
    asked = [{"expr": expr, "eval_time": f"{at}s", "exp_samples": nonsense} for expr in EXPRESSIONS for at in AT]
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": asked,
    }
    file = tmp_path / "test.yml"
    file.write_text(json.dumps({"evaluation_interval": "15s", "tests": [test]}), encoding="utf-8")
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    told = re.findall(r"expr: (\".*\"), time: (\S+),\n.*exp:.*\n *got:(.*)\n?", done.stdout + done.stderr)
    assert len(told) == len(asked), (done.stdout + done.stderr)[:2000]
    return {(json.loads(expr), seconds(at)): _values(got) for expr, at, got in told}


def _values(text):
    found = {}
    for labels, value in re.findall(r"\{([^}]*)\} ([^,]+)", text.strip()):
        pairs = re.findall(r'(\w+)="([^"]*)"', labels)
        found[tuple(sorted(pair for pair in pairs if pair[0] != "__name__"))] = float(value)
    return found


def test_each_expression_yields_what_prometheus_says(series, tmp_path):
    """Selectors, functions over counters that begin anew, are missing and end, operators and their matching."""
    answers = answered(series, tmp_path)
    history = History(dict.fromkeys(("c", "one"), 3600.0))
    told = {name: samples(values) for name, values in series.items()}
    for number in range(max(map(len, told.values()))):
        tick: dict = {"c": {}, "one": {}}
        for name, values in told.items():
            selector = parse(name)
            labels = tuple(sorted((m.label, m.value) for m in selector.matchers))
            tick[selector.metric][labels] = values[number] if number < len(values) else GAP
        history.record(number * 15.0, tick)
    yielded = 0
    for (expr, at), answer in answers.items():
        mine = Moment(history, at).vector(parse(expr))
        assert mine.keys() == answer.keys(), (expr, at)
        for labels, value in mine.items():
            assert close(value, answer[labels]) or (math.isnan(value) and math.isnan(answer[labels])), (expr, at)
        yielded += len(mine)
    assert yielded > 700


@pytest.mark.parametrize(
    "expr",
    [
        "",
        "c[5m]",
        "rate(c)",
        "abs(c[5m])",
        "sum(c)",
        "sum without (app) (c)",
        "avg by (app) (c)",
        "absent(c)",
        "predict_linear(c[1h], 60)",
        "c > bool 1",
        "c + on (app) group_left (kind) one",
        "c + ignoring (app) one",
        "c ^ 2",
        "-c",
        "c offset -5m",
        "c[5m:1m]",
        "c @ 0",
        '{__name__="c"}',
        "c{app='a'}",
        'c{app=~"("}',
        "c c",
        "(c",
        "c{app}",
        "c and",
    ],
)
def test_what_is_beyond_is_refused(expr):
    """No PromQL, or more of it than rules need, is an error: it is never read as something else."""
    with pytest.raises(Beyond):
        parse(expr)


def test_sides_that_cannot_be_matched_are_an_error():
    """Two series of one side that meet the same one of the other: as in Prometheus, there is no answer."""
    history = History({"c": 60.0, "one": 60.0})
    history.record(0.0, {"c": {(("app", "a"), ("kind", k)): 1.0 for k in "xy"}, "one": {(("app", "a"),): 1.0}})
    for expr in ("c + on (app) one", "one + on (app) c"):
        with pytest.raises(Unmatched):
            Moment(history, 0.0).vector(parse(expr))
    assert len(Moment(history, 0.0).vector(parse("c + on (app) group_left () one"))) == 2


def test_trees_are_those_of_a_library():
    """Every expression of the rules groups as another parser groups it."""
    library = pytest.importorskip("promql_parser", reason="promql-parser is not installed")
    for group in groups():
        for rule in group.rules:
            try:
                mine = parse(rule.expr)
            except Beyond:
                assert getattr(rule, "prometheus_only", "recording")
                continue
            _same(mine, library.parse(rule.expr), library)


def _same(mine, other, library):
    while isinstance(other, library.ParenExpr):
        other = other.expr
    match mine:
        case Number():
            assert other.val == mine.value
        case Time():
            assert (other.func.name, other.args) == ("time", [])
        case Selector():
            vector = other if mine.window is None else other.vector_selector
            assert mine.window is None or other.range.total_seconds() == mine.window
            assert vector.name == mine.metric
            assert (vector.offset.total_seconds() if vector.offset else 0) == mine.offset
            assert [(m.name, m.value) for m in vector.matchers.matchers] == [(m.label, m.value) for m in mine.matchers]
        case Call():
            assert other.func.name == mine.function
            _same(mine.argument, other.args[0], library)
        case Aggregation():
            assert (str(other.op), tuple(other.modifier.labels)) == (mine.op, mine.labels)
            _same(mine.argument, other.expr, library)
        case Binary():
            assert str(other.op) == mine.op
            matching = other.modifier.matching if other.modifier else None
            assert (None if matching is None else tuple(matching.labels)) == mine.on
            assert mine.many == bool(other.modifier and "ManyToOne" in str(other.modifier.card))
            _same(mine.left, other.lhs, library)
            _same(mine.right, other.rhs, library)
