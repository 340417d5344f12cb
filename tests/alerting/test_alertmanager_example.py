"""The example for Alertmanager: it can be read, each alert goes where it should, and messages can be read by people."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.alerting.rule import Alert, Severity
from monitor.alerting.rules import alerts
from tests.fakes.processes import ROOT
from tests.fakes.programs import need

EXAMPLE, TEMPLATES = ROOT / "alerts" / "alertmanager.yml", ROOT / "alerts" / "templates"
RECEIVERS = {
    Severity.CRITICAL: "webhook-and-mail",
    Severity.WARNING: "mail",
    Severity.INFO: "mail-without-end",
    Severity.NONE: "dead-mans-switch",
}
ALERTS = alerts()


def amtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [need("amtool"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def config() -> Any:
    return yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))


def test_alertmanager_reads_the_example() -> None:
    """With its templates."""
    said = amtool("check-config", EXAMPLE)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "1 templates" in said.stdout


def test_alertmanager_reads_the_chats_that_are_commented_out(tmp_path: Path) -> None:
    """They need only their comment signs taken away, and a place."""
    head, chats = EXAMPLE.read_text(encoding="utf-8").split("  # Chats")
    chats = "\n".join(f"    {line.removeprefix('  # ')}" for line in chats.splitlines() if re.match(r"  # +\S", line))
    receiver = "  - name: chats\n" + "\n".join(line for line in chats.splitlines() if "Put one" not in line)
    (tmp_path / "alertmanager.yml").write_text(
        f"{head}{receiver}\n".replace("chat_id: 0", "chat_id: 1"), encoding="utf-8"
    )
    shutil.copytree(TEMPLATES, tmp_path / "templates")
    assert {"slack_configs", "discord_configs", "telegram_configs"} <= set(re.findall(r"\w+_configs", receiver))
    said = amtool("check-config", tmp_path / "alertmanager.yml")
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_an_alert_goes_where_its_severity_says(alert: Alert) -> None:
    """Each of them, with the labels that it has."""
    labels = {"alertname": alert.name, "severity": alert.severity, "component": alert.component, **alert.labels}
    said = amtool(
        "config", "routes", "test", f"--config.file={EXAMPLE}", f"--verify.receivers={RECEIVERS[alert.severity]}",
        *(f"{name}={value}" for name, value in labels.items()),
    )  # fmt: skip
    assert said.returncode == 0, said.stdout + said.stderr


def test_a_wrong_receiver_is_noticed() -> None:
    """So that the test above means something."""
    wrong = amtool(
        "config", "routes", "test", f"--config.file={EXAMPLE}", "--verify.receivers=mail", "severity=critical"
    )
    assert wrong.returncode != 0


def test_only_what_need_not_be_known_at_once_is_quiet_at_night() -> None:
    """A critical alert or a warning at three in the morning is not kept back."""
    routes = config()["route"]["routes"]
    quiet = [route["matchers"] for route in routes if "mute_time_intervals" in route]
    assert quiet == [['severity="info"']]
    assert "mute_time_intervals" not in config()["route"]


def test_what_is_silenced_by_what_is_graver() -> None:
    """Every name and label of the rules that silence is one of our alerts'."""
    names = {alert.name for alert in ALERTS}
    components, quotas = {alert.component.value for alert in ALERTS}, {alert.labels.get("quota") for alert in ALERTS}
    for rule in config()["inhibit_rules"]:
        assert "job" in rule["equal"]
        for text in (*rule["source_matchers"], *rule["target_matchers"]):
            label, _, pattern = re.fullmatch(r'(\w+)(=~|!=|=)"(.+)"', text).groups()
            values = {
                "alertname": names,
                "component": components,
                "severity": set(Severity),
                "quota": quotas - {None},
                "poller": {"key"},
            }[label]
            assert any(re.fullmatch(pattern, value) for value in values), text


# texts

ONE = {
    "status": "firing",
    "labels": {"alertname": "OpenRouterKeyInvalid", "severity": "critical", "key": "default"},
    "annotations": {
        "summary": "OpenRouter does not accept the key.",
        "description": "OpenRouter answers 401 to the key <default>.",
        "runbook_url": "https://example.test/runbook",
        "dashboard_url": "https://example.test/dashboard?var-job=a&var-key=b",
    },
    "startsAt": "2026-11-24T12:30:00Z",
    "endsAt": "2026-11-24T13:00:00Z",
}


def rendered(tmp_path: Path, name: str, alerts: list[dict[str, Any]], kind: str = "text") -> str:
    common = {key: alerts[0][key] for key in ("labels", "annotations")}
    status = "firing" if any(alert["status"] == "firing" for alert in alerts) else "resolved"
    message = {"receiver": "mail", "status": status, "alerts": alerts, "groupLabels": {}, "externalURL": ""}
    message |= {"commonLabels": common["labels"], "commonAnnotations": common["annotations"]}
    (tmp_path / "message.json").write_text(json.dumps(message), encoding="utf-8")
    said = amtool(
        "template", "render", f"--template.glob={TEMPLATES / '*.tmpl'}", f"--template.type={kind}",
        f"--template.data={tmp_path / 'message.json'}", f'--template.text={{{{ template "{name}" . }}}}',
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    return said.stdout


def test_a_subject_says_how_grave_it_is_and_what_it_is(tmp_path: Path) -> None:
    """On one line; how many, if there are several; and when it is over."""
    over = {**ONE, "status": "resolved"}
    assert (
        rendered(tmp_path, "openrouter.subject", [ONE]).strip("\n") == "[CRITICAL] OpenRouter does not accept the key."
    )
    assert rendered(tmp_path, "openrouter.subject", [ONE, ONE]).strip("\n").endswith("the key. (2)")
    assert (
        rendered(tmp_path, "openrouter.subject", [over]).strip("\n") == "[RESOLVED] OpenRouter does not accept the key."
    )


def test_a_text_says_who_how_much_since_when_and_what_to_do(tmp_path: Path) -> None:
    """In plain words, without a sign of HTML."""
    assert rendered(tmp_path, "openrouter.text", [ONE]).strip() == "\n".join(
        (
            "OpenRouter does not accept the key.",
            "OpenRouter answers 401 to the key <default>.",
            "Since 2026-11-24 12:30 UTC, critical.",
            "What to do: https://example.test/runbook",
            "Dashboard:  https://example.test/dashboard?var-job=a&var-key=b",
        )
    )
    over = rendered(tmp_path, "openrouter.text", [{**ONE, "status": "resolved"}])
    assert "Over:" in over
    assert "since 2026-11-24 12:30, until 2026-11-24 13:00 UTC" in over


def test_html_is_the_same_and_lets_nothing_in(tmp_path: Path) -> None:
    """What came from outside is escaped."""
    html = rendered(tmp_path, "openrouter.html", [ONE, {**ONE, "status": "resolved"}], "html")
    assert "the key &lt;default&gt;." in html
    assert 'href="https://example.test/dashboard?var-job=a&amp;var-key=b"' in html
    assert "2026-11-24 12:30 to 2026-11-24 13:00 UTC" in html
