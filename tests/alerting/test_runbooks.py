"""Each alert leads to a page that helps, and each link, command and setting on it exists."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields

import click
import pytest

from monitor.alerting.render import dashboard_url, rule_data
from monitor.alerting.rule import Alert, Options
from monitor.alerting.rules import alerts
from monitor.cli.root import root
from monitor.cli.root import run as run_command
from monitor.config import AppSettings, Settings
from monitor.metrics.families import POLLERS
from monitor.model import LimitKind, Outcome, Reason
from monitor.policy.changes import Kind
from tests.fakes.processes import ROOT

RUNBOOKS, DASHBOARDS = ROOT / "alerts" / "runbooks", ROOT / "dashboards"
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Tuning"]
ALERTS = alerts()
PAGES = {file.stem: file.read_text(encoding="utf-8") for file in sorted(RUNBOOKS.iterdir())}
PROGRAMS = {
    "openrouter-monitor",
    "promtool",
    "amtool",
    "systemctl",
    "journalctl",
    "curl",
    "df",
    "timedatectl",
    "chronyc",
}
OTHER_EVENTS = {"spend_seen", "key_invalid", "key_valid"}


def blocks(page: str) -> Iterator[str]:
    """The lines of its shell examples."""
    for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL):
        yield from block.splitlines()


def ours(page: str) -> list[list[str]]:
    """Every command of ours that it names, in an example or in a sentence, as words."""
    found = re.findall(r"openrouter-monitor ([a-z][^`\n)]*)", page)
    return [shlex.split(line, comments=True) for line in found]


def can_be_called(words: list[str]) -> None:
    """Fails at a command, an option or a value that does not exist."""
    group: click.Command = root
    rest = list(words)
    while isinstance(group, click.Group):
        context = click.Context(group)
        command = group.get_command(context, rest[0])
        assert command is not None, words
        group, rest = command, rest[1:]
    given = group.make_context(words[0], rest).params
    for kind in given.get("kinds", ()):
        assert kind in {*Kind, *OTHER_EVENTS}, words
    assert given.get("outcome") in {None, *Outcome}, words
    assert given.get("reason") in {None, *Reason}, words
    if words[:2] == ["alerts", "render"]:
        assert run_command(words) == 0, words


def test_there_is_a_page_of_each_alert_and_no_other() -> None:
    assert PAGES.keys() == {alert.name for alert in ALERTS}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole(name: str) -> None:
    """Its title, what the alert says, how grave it is and how long it waits; five sections, none of them empty."""
    page = PAGES[name]
    alert, *more = (alert for alert in ALERTS if alert.name == name)
    severities = " and ".join(each.severity for each in (alert, *more)).replace("none", "always there")
    waits = f"after {alert.lasts}" if alert.lasts else "at once"
    assert page.startswith(f"# {name}\n\n{alert.summary} ({severities}, {waits})\n\n## Meaning\n")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == SECTIONS
    assert all(text.strip() for text in re.split(r"^## .+$", page, flags=re.MULTILINE))
    assert max(map(len, page.splitlines())) <= 130


@pytest.mark.parametrize("name", PAGES)
def test_every_command_on_a_page_exists(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the options and thresholds that it is given; and the others are programs of the system, or Prometheus'."""
    page = PAGES[name]
    for words in ours(page):
        can_be_called(words)
    assert {shlex.split(line)[0] for line in blocks(page)} <= PROGRAMS


@pytest.mark.parametrize(
    "wrong",
    ["alarms list", "calls --colour", "calls --outcome sad", "events --kind party", "alerts render --set fun=1"],
)
def test_a_wrong_command_is_found(wrong: str) -> None:
    """So that the test above means something."""
    with pytest.raises((AssertionError, click.ClickException)):
        can_be_called(shlex.split(wrong))


@pytest.mark.parametrize("name", PAGES)
def test_every_setting_on_a_page_exists(name: str) -> None:
    """As in `config show`."""
    settings = Settings()
    names = ("guard", "quota", "budget", "poll", "proxy")
    sections = {name: {each.name for each in fields(getattr(settings, name))} for name in names}
    for section, setting in re.findall(r"`(guard|quota|budget|poll|proxy)\.([a-z_]+)", PAGES[name]):
        assert setting in sections[section], setting
    for setting in re.findall(r"`apps\.NAME\.([a-z_]+)", PAGES[name]):
        assert setting in {each.name for each in fields(AppSettings)}, setting


@pytest.mark.parametrize("name", PAGES)
def test_every_link_between_pages_leads_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", PAGES[name]):
        assert (RUNBOOKS / target).is_file(), target


def places(page: str) -> set[str]:
    """The anchors that GitHub gives its headings."""
    return {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", page, re.MULTILINE)}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_an_alert_leads_to_its_page_and_to_a_dashboard(alert: Alert) -> None:
    """The file is in this repository, the place on it exists for every value, and so do the dashboard's uid and the
    variables that are set."""
    told = rule_data(alert, Options())["annotations"]
    path, _, place = told["runbook_url"].partition("/blob/main/")[2].partition("#")
    assert (ROOT / path).is_file()
    values = {"{{ $labels.kind }}": set(LimitKind), "{{ $labels.poller }}": set(POLLERS), "": set()}[place]
    assert values <= places(PAGES[alert.name])
    boards = {
        board["uid"]: board for board in (json.loads(f.read_text(encoding="utf-8")) for f in DASHBOARDS.iterdir())
    }
    variables = {each["name"] for each in boards[alert.dashboard.uid]["templating"]["list"]}
    assert set(re.findall(r"[?&]var-(\w+)=", told["dashboard_url"])) <= variables


def test_a_link_keeps_what_is_in_a_label() -> None:
    """A model's id has signs that would end a link's parameter; and a static label is written out."""
    (watched,) = (alert for alert in ALERTS if alert.name == "OpenRouterModelNoLongerFree")
    assert dashboard_url(watched, Options()).endswith("&var-model={{ $labels.model | urlquery }}")
