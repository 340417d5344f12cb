"""The files: those of the code, in one form, as Grafana's typed model knows them; and what can be chosen of them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from monitor.alerting.thresholds import Thresholds
from monitor.errors import ConfigError, MonitorError
from monitor.grafana.choices import Choices
from monitor.grafana.render import as_text, dashboards, write
from tests.grafana.dashboards_kit import COMMITTED, MADE

NOT_MODELLED = {
    ".annotations.list.step",  # these three belong to the Prometheus plugin, not to the dashboard
    ".annotations.list.titleFormat",
    ".annotations.list.textFormat",
    ".templating.list.definition",  # what Grafana shows of a variable's query
}


def test_the_committed_files_are_those_of_the_code() -> None:
    """Else: `openrouter-monitor dashboards render`."""
    there = {file.name: file.read_text(encoding="utf-8") for file in COMMITTED.glob("*")}
    assert there == {f"{uid}.json": as_text(dashboard) for uid, dashboard in MADE.items()}


@pytest.mark.parametrize("uid", MADE)
def test_grafanas_typed_model_knows_every_field(uid: str) -> None:
    """Read into the model of Grafana 11.6 and written again, nothing is lost: a mistyped name would be."""
    read = model.Dashboard.from_json(MADE[uid])
    again = json.loads(json.dumps(read, cls=JSONEncoder))
    assert {re.sub(r"\[\d+\]", "", lost) for lost in _lost(MADE[uid], again)} == NOT_MODELLED


def _lost(ours: Any, theirs: Any, where: str = "") -> list[str]:
    if isinstance(ours, dict):
        if not isinstance(theirs, dict):
            return [f"{where}: {theirs!r}"]
        gone = [f"{where}.{key}" for key, value in ours.items() if key not in theirs and value not in (None, [], {})]
        return gone + [
            each for key in ours if key in theirs for each in _lost(ours[key], theirs[key], f"{where}.{key}")
        ]
    if isinstance(ours, list):
        if not isinstance(theirs, list) or len(ours) != len(theirs):
            return [f"{where}: {theirs!r}"]
        return [each for i, pair in enumerate(zip(ours, theirs, strict=True)) for each in _lost(*pair, f"{where}[{i}]")]
    return [] if ours == theirs else [f"{where}: {ours!r} became {theirs!r}"]


def test_the_model_finds_a_mistyped_name() -> None:
    """So that the test above means something."""
    broken = json.loads(json.dumps(MADE["openrouter-overview"]))
    broken["panels"][1]["fieldConfg"] = broken["panels"][1].pop("fieldConfig")
    again = json.loads(json.dumps(model.Dashboard.from_json(broken), cls=JSONEncoder))
    assert ".panels[1].fieldConfg" in _lost(broken, again)


def test_thresholds_are_those_of_the_alerts() -> None:
    """Another threshold moves the panel's line, and nothing else but the words about it."""
    changed = dashboards(Choices(thresholds=Thresholds(quota_warning=0.5, minute_saturation=0.6, error_ratio=0.2)))

    def steps(title: str, uid: str, made: dict[str, Any]) -> list[float | None]:
        panel = next(each for each in made[uid]["panels"] if each["title"] == title)
        return [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]

    assert steps("Quota used", "openrouter-overview", MADE) == [None, 0.8, 0.95]
    assert steps("Quota used", "openrouter-overview", changed) == [None, 0.5, 0.95]
    assert steps("Failed, last hour", "openrouter-errors", changed) == [None, 0.2]
    assert steps("How near the minute's limit", "openrouter-errors", changed) == [None, 0.6]
    assert changed["openrouter-monitor"] == MADE["openrouter-monitor"]


def test_job_and_source_are_chosen_beforehand_and_apps_are_a_limit() -> None:
    """A viewer may choose another job or source; of apps none but those given, and "all" is all of these."""
    made = dashboards(Choices(job="llm", datasource="Mimir", apps=("bot", "a.b")))["openrouter-overview"]
    variables = {variable["name"]: variable for variable in made["templating"]["list"]}
    assert variables["job"]["current"]["value"] == ["llm"]
    assert variables["datasource"]["current"]["value"] == "Mimir"
    assert variables["app"]["type"] == "custom"
    assert [option["value"] for option in variables["app"]["options"]] == ["$__all", "bot", "a.b"]
    assert variables["app"]["allValue"] == r"bot|a\.b"


@pytest.mark.parametrize("wrong", [{"job": ""}, {"datasource": "a\nb"}, {"apps": ("no spaces here",)}])
def test_what_makes_no_sense_is_said(wrong: dict[str, Any]) -> None:
    """Before anything is written."""
    with pytest.raises(ConfigError):
        Choices(**wrong)


def test_strange_names_cannot_break_the_file() -> None:
    """Values go through JSON, so that quotes and templates in them stay what they are."""
    name = '"}{{ 7 * 7 }}{%'
    made = dashboards(Choices(job=name))["openrouter-monitor"]
    assert made["templating"]["list"][1]["current"]["value"] == [name]


def test_a_folder_that_cannot_be_written_is_said(tmp_path) -> None:
    """With its name and the reason."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(MonitorError, match="taken"):
        list(write(tmp_path / "taken", Choices()))
