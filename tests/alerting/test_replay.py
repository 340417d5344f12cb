"""The files that promtool runs on the rules for Prometheus, played to the daemon's own judge: both must agree."""

from __future__ import annotations

import pytest
import yaml
from replay_kit import FILES, firing, play, program

from monitor.alerting.promql import seconds
from monitor.alerting.rules import alerts

ONLY = {alert.name for alert in alerts() if alert.prometheus_only}


@pytest.fixture(scope="module")
def judge():
    return program()


def test_every_alert_that_is_judged_here_is_played():
    """There is a file of each, so that none goes untested."""
    assert {alert.name for alert in alerts()} - ONLY <= {file.stem for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_it_agrees_with_promtool_at_every_step(judge, file):
    """At each instant that a file asks about the same alerts fire, with the same labels and texts."""
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    every, asked = seconds(told["evaluation_interval"]), 0
    for test in told["tests"]:
        questions = [(seconds(str(q["eval_time"])), q) for q in test.get("alert_rule_test", [])]
        questions = [(at, q) for at, q in questions if q["alertname"] not in ONLY]
        if not questions:
            continue
        for now, states in play(judge, test, every, max(at for at, _ in questions)):
            for at, question in questions:
                if now <= at < now + every:
                    wanted = [(e["exp_labels"], e["exp_annotations"]) for e in question["exp_alerts"] or []]
                    wanted.sort(key=lambda one: sorted(one[0].items()))
                    assert firing(states, question["alertname"]) == wanted, (test["name"], at)
                    asked += 1
    assert asked or file.stem in ONLY
