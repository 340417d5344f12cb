"""The daemon's judge and promtool beside each other: not only where a file asks, but at every evaluation."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest
import yaml
from replay_kit import FILES, play

from monitor.alerting import render
from monitor.alerting.evaluator import Program
from monitor.alerting.promql import seconds
from monitor.alerting.rule import Options
from monitor.alerting.rules import groups
from monitor.policy.alert_states import Phase

INSTALL = "promtool is not installed. On Debian: apt-get install -y --no-install-recommends prometheus"
OPTIONS = Options()
PLAYED = [
    (file, group)
    for file in FILES
    for group in groups(OPTIONS)
    if any(alert.name == file.stem and not alert.prometheus_only for alert in group.alerts)
]


def standing(judge, test, every, until):
    """What to ask promtool: at each evaluation, which alerts of the judge's are pending and firing?"""
    names = "|".join(sorted({rule.name for rule in judge.alerts}))
    for now, states in play(judge, test, every, until):
        expected = [
            {"labels": _series({**state.labels, "alertstate": state.phase.value, "__name__": "ALERTS"}), "value": 1}
            for state in states.values()
            if state.phase is not Phase.RESOLVED
        ]
        yield {"expr": f'ALERTS{{alertname=~"{names}"}}', "eval_time": f"{int(now)}s", "exp_samples": expected}


def _series(labels):
    return "{" + ", ".join(f"{name}={json.dumps(value)}" for name, value in labels.items()) + "}"


@pytest.mark.parametrize(("file", "group"), PLAYED, ids=[file.stem for file, _ in PLAYED])
def test_the_same_alerts_are_pending_and_firing_at_each_evaluation(file, group, tmp_path):
    """promtool, told what the daemon's judge says of every single step, has nothing to object."""
    promtool = shutil.which("promtool")
    assert promtool is not None or not os.environ.get("CI"), INSTALL
    if promtool is None:
        pytest.skip(INSTALL)
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    every, judge = seconds(told["evaluation_interval"]), Program([group], OPTIONS)
    for test in told["tests"]:
        asked = test.pop("alert_rule_test", []) + test.pop("promql_expr_test", [])
        until = max(seconds(str(question["eval_time"])) for question in asked)
        test["promql_expr_test"] = list(standing(judge, test, every, until))
    told |= {"rule_files": ["rules.yml"], "group_eval_order": [group.name]}
    (tmp_path / "rules.yml").write_text(render.yaml(render.data([group], OPTIONS)), encoding="utf-8")
    (tmp_path / "steps.yml").write_text(json.dumps(told), encoding="utf-8")
    done = subprocess.run(
        [promtool, "test", "rules", str(tmp_path / "steps.yml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[:3000]
