"""promtool agrees: the rules can be read, and each alert fires when it should and not when it should not."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.alerting.render import data
from monitor.alerting.render import yaml as text_of
from monitor.alerting.rule import Options
from monitor.alerting.rules import alerts, groups
from tests.alerting import mutation
from tests.alerting.test_alert_rules import STRANGE
from tests.fakes.processes import ROOT
from tests.fakes.programs import need

TESTS = ROOT / "alerts" / "tests"
NAMES = sorted({alert.name for alert in alerts()})


def promtool(*arguments: object) -> None:
    said = subprocess.run(
        [need("promtool"), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300
    )
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize("options", [Options(), Options(free_only=True), STRANGE], ids=["usual", "free", "strange"])
def test_promtool_reads_the_rules(tmp_path: Path, options: Options) -> None:
    """Of 2.42, with all that its linter can say."""
    file = tmp_path / "rules.yml"
    file.write_text(text_of(data(groups(options), options)), encoding="utf-8")
    promtool("check", "rules", "--lint=all", "--lint-fatal", file)


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_fires_when_it_should_and_not_otherwise(name: str) -> None:
    """What is in `alerts/tests/<name>.yml`, on the rules as they are shipped."""
    promtool("test", "rules", TESTS / f"{name}.yml")


def questions(name: str) -> tuple[list[str], list[tuple[str, list[dict[str, Any]]]]]:
    """The groups' order, and what a file asks of its alert: the test's name, and what must fire."""
    told = yaml.safe_load((TESTS / f"{name}.yml").read_text(encoding="utf-8"))
    found = []
    for test in told["tests"]:
        for question in test.get("alert_rule_test", []):
            assert question["alertname"] == name
            found.append((test["name"], question["exp_alerts"]))
    return told["group_eval_order"], found


@pytest.mark.parametrize("name", NAMES)
def test_the_tests_of_an_alert_are_whole(name: str) -> None:
    """It fires, it is silent before and after, and it is silent on what only looks like it; labels and annotations are
    told in full; and the groups are evaluated in one order, which promtool would choose at random."""
    order, asked = questions(name)
    assert order == [group.name for group in groups()]
    firing = [alert for _, expected in asked for alert in expected]
    severities = {alert.severity.value for alert in alerts() if alert.name == name}
    assert {alert["exp_labels"]["severity"] for alert in firing} == severities
    for alert in firing:
        assert alert["exp_annotations"].keys() == {"summary", "description", "runbook_url", "dashboard_url"}
        assert not any("no value" in text or "{{" in text for text in alert["exp_annotations"].values())
    if name == "Watchdog":
        return  # it is never silent
    assert any(not expected for test, expected in asked if test.startswith("fires"))
    alike = [expected for test, expected in asked if test.startswith("look-alike")]
    assert alike
    assert not any(alike)


def test_no_test_is_of_an_alert_that_does_not_exist() -> None:
    assert {file.stem for file in TESTS.iterdir()} == set(NAMES)


# mutants


def test_a_mutant_that_no_test_notices_is_told_by_name(tmp_path: Path) -> None:
    """The search for mutants means something: with a test that never asks about silence, some survive."""
    need("promtool")
    name = "OpenRouterKeyInvalid"
    told = yaml.safe_load((TESTS / f"{name}.yml").read_text(encoding="utf-8"))
    (question,) = (q for q in told["tests"][0]["alert_rule_test"] if str(q["eval_time"]) == "12m")
    told["tests"] = [{**told["tests"][0], "alert_rule_test": [question]}]
    (tmp_path / f"{name}.yml").write_text(yaml.safe_dump(told), encoding="utf-8")
    weak = mutation.run(tests=tmp_path, only=[name], workers=1)
    assert f"{name} (critical): for is one step shorter" in weak.survivors
    assert f"{name} (critical): for is one step longer" not in weak.survivors
    assert mutation.run(only=[name], workers=1) == mutation.Outcome(weak.mutants, ())


def test_tests_that_fail_by_themselves_prove_nothing(tmp_path: Path) -> None:
    """They would notice every mutant."""
    need("promtool")
    name = "OpenRouterKeyInvalid"
    wrong = (TESTS / f"{name}.yml").read_text(encoding="utf-8").replace("severity: critical", "severity: info")
    (tmp_path / f"{name}.yml").write_text(wrong, encoding="utf-8")
    with pytest.raises(ValueError, match=f"fail without any mutant: {name}"):
        mutation.run(tests=tmp_path, only=[name], workers=1)


def test_every_figure_comparison_and_filter_has_its_mutants() -> None:
    """One at a time, and each a different expression."""
    made = dict(mutation.expressions('max_over_time(a{job="b", c!="d"}[5m]) > 10 and on (e) f{job="b"} == 0'))
    assert {what.partition(" after")[0] for what in made} == {
        "max_over_time becomes min_over_time",
        "> becomes >=",
        "> becomes <",
        "10 becomes 11",
        "10 becomes 9",
        "and becomes or",
        "and becomes unless",
        "== becomes !=",
        "0 becomes 1",
        "0 becomes -1",
        'job="b" is left out',
        'job="b" is turned round',
        'c!="d" is left out',
        'c!="d" is turned round',
    }
    assert made['job="b" is left out'] == 'max_over_time(a{c!="d"}[5m]) > 10 and on (e) f == 0'
    assert len(set(made.values())) == len(made)
