"""`dashboards`: the same from list and render, into the folder that is named, for what is chosen."""

from __future__ import annotations

import json

from monitor.grafana.choices import Choices
from monitor.grafana.render import as_text, dashboards


def test_render_writes_the_dashboards_that_list_names(cli, home):
    """Each to a file named after its uid; the files are told, the count is a remark."""
    said = cli("dashboards", "render", "--output", home / "mine")
    listed = json.loads(cli("dashboards", "list", "--json").out)
    assert said.code == 0
    assert said.out.splitlines() == [f"{home}/mine/{each['uid']}.json" for each in listed]
    assert said.err == "Wrote 5 dashboards.\n"
    for uid, dashboard in dashboards(Choices()).items():
        assert (home / "mine" / f"{uid}.json").read_text(encoding="utf-8") == as_text(dashboard)


def test_render_answers_in_json(cli, home):
    """Uid, title and file of each."""
    told = json.loads(cli("dashboards", "render", "--output", home / "mine", "--json").out)
    assert told[0] == {
        "uid": "openrouter-overview",
        "title": "OpenRouter / Overview and quota",
        "file": f"{home}/mine/openrouter-overview.json",
    }


def test_check_tells_what_would_change(cli, home):
    """Exit code 1 and the file's name; 0 and nothing when all are as they should be. Nothing is written."""
    cli("dashboards", "render", "--output", home / "mine")
    assert (cli("dashboards", "render", "--output", home / "mine", "--check").code) == 0
    file = home / "mine" / "openrouter-errors.json"
    file.write_text("{}")
    said = cli("dashboards", "render", "--output", home / "mine", "--check")
    assert (said.code, said.out, said.err) == (1, f"{file}\n", "1 file differs.\n")
    assert file.read_text() == "{}"
    assert cli("dashboards", "render", "--output", home / "none", "--check").out.count("\n") == 5
    assert not (home / "none").exists()


def test_what_is_chosen_is_in_the_files(cli, home):
    """Job, data source, apps and thresholds."""
    chosen = ("--job", "llm", "--datasource", "Mimir", "--app", "bot", "--set", "quota_warning=0.7")
    assert cli("dashboards", "render", "--output", home / "mine", *chosen).code == 0
    text = (home / "mine" / "openrouter-overview.json").read_text(encoding="utf-8")
    variables = {each["name"]: each for each in json.loads(text)["templating"]["list"]}
    assert variables["job"]["current"]["value"] == ["llm"]
    assert variables["datasource"]["current"]["text"] == "Mimir"
    assert variables["app"]["query"] == "bot"
    assert '"value": 0.7' in text


def test_list_tells_people_and_programs(cli):
    """Uid, title and about; with --json also variables and panels."""
    said = cli("dashboards", "list")
    assert said.out.splitlines()[1].startswith("openrouter-overview  OpenRouter / Overview and quota")
    told = json.loads(cli("dashboards", "list", "--json").out)
    assert told[0].keys() == {"uid", "title", "description", "variables", "panels"}
    assert told[0]["variables"][:3] == ["datasource", "job", "instance"]
    assert told[0]["panels"][0] == "Spent today"


def test_a_wrong_choice_is_a_usage_error(cli, home):
    """With what would be right, and nothing is written."""
    for wrong in (("--set", "quota_warnin=1"), ("--set", "quota_warning=2"), ("--app", "no name"), ("--job", "")):
        said = cli("dashboards", "render", "--output", home / "mine", *wrong)
        assert (said.code, said.err.startswith("Error: ")) == (2, True), wrong
    assert not (home / "mine").exists()
