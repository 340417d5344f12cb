"""alerts: what can be told, the rules file, and a try."""

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.alerting.rules import alerts, groups
from monitor.alerting.thresholds import explained
from monitor.alerting.trial import TEST
from tests.fakes.processes import ROOT
from tests.fakes.programs import need

RULES = ROOT / "alerts" / "rules.yml"


def test_every_alert_is_listed(cli):
    """For people by name, severity and summary; for programs with everything."""
    told = cli("alerts", "list").out
    rows = json.loads(cli("alerts", "list", "--json").out)
    assert [row["name"] for row in rows] == [alert.name for alert in alerts()]
    for row in rows:
        assert row["name"] in told
        assert row["summary"] in told
        assert row["labels"]["severity"] == row["severity"]
        assert row["runbook_url"].partition("#")[0].endswith(f"/{row['name']}.md")
    only = {row["name"]: row["prometheus_only"] for row in rows}
    assert only["Watchdog"]
    assert only["OpenRouterKeyInvalid"] is None


def test_every_threshold_is_listed(cli):
    """With its value, unit and meaning: they are what `--set` takes."""
    rows = json.loads(cli("alerts", "list", "--thresholds", "--json").out)
    assert [row["name"] for row in rows] == [item.name for item in explained()]
    assert all(row["unit"] and row["about"] for row in rows)
    assert "quota_warning" in cli("alerts", "list", "--thresholds").out
    (one,) = (row for row in json.loads(cli("alerts", "list", "--thresholds", "--json", "--set", "restarts=9").out)
              if row["name"] == "restarts")  # fmt: skip
    assert one["value"] == 9


def test_what_is_rendered_is_the_file_that_is_shipped(cli, home):
    """On stdout, in a file, and as JSON."""
    shipped = RULES.read_text(encoding="utf-8")
    assert cli("alerts", "render").out == shipped
    said = cli("alerts", "render", "--output", home / "rules.yml")
    assert (said.code, said.out) == (0, "")
    assert str(home / "rules.yml") in said.err
    assert (home / "rules.yml").read_text(encoding="utf-8") == shipped
    assert json.loads(cli("alerts", "render", "--json").out) == yaml.safe_load(shipped)


def rules(said: Any) -> dict[str, dict[str, Any]]:
    found = [rule for group in yaml.safe_load(said.out)["groups"] for rule in group["rules"]]
    return {rule["alert"]: rule for rule in found if "alert" in rule}


def test_rules_are_made_for_whom_they_are_for(cli):
    """Job, thresholds, apps, severity, links and interval, and alerts that are left out."""
    said = cli(
        "alerts", "render", "--job", "llm", "--set", "error_ratio=0.25", "--app", "a.b", "--app", "c", "--free-only",
        "--interval", "1m", "--runbooks", "https://wiki.test/alerts/", "--grafana", "https://grafana.test",
        "--without", "OpenRouterKeyExpiring", "--without", "Watchdog", "--prometheus-job", "prom",
    )  # fmt: skip
    made = rules(said)
    assert 'job="openrouter-monitor"' not in said.out
    assert made.keys() == {alert.name for alert in alerts()} - {"OpenRouterKeyExpiring", "Watchdog"}
    assert "> 0.25" in made["OpenRouterErrorRateHigh"]["expr"]
    paid = made["OpenRouterNonFreeModelUsed"]
    assert 'app=~"a\\\\.b|c"' in paid["expr"]
    assert paid["labels"]["severity"] == "critical"
    assert paid["annotations"]["runbook_url"] == "https://wiki.test/alerts/OpenRouterNonFreeModelUsed.md"
    assert paid["annotations"]["dashboard_url"].startswith("https://grafana.test/d/openrouter-overview?")
    assert 'job="prom"' in made["OpenRouterConfigReloadFailed"]["expr"]
    assert {group["interval"] for group in yaml.safe_load(said.out)["groups"]} == {"1m"}


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("--set", "quota_warnin=0.7"), "Did you mean quota_warning?"),
        (("--set", "quota_warning=much"), "'much' is not a number"),
        (("--set", "quota_warning"), "is not a number"),
        (("--set", "quota_warning=0.97"), "is not below quota_critical"),
        (("--set", "restarts=nan"), "is not a number from 0 up"),
        (("--without", "OpenRouterKeyExpirin"), "Did you mean OpenRouterKeyExpiring?"),
        (("--interval", "soon"), "say 30s or 1m"),
    ],
    ids=lambda value: "".join(value) if isinstance(value, tuple) else "",
)
def test_what_makes_no_sense_is_an_error_of_usage(cli, arguments, hint):
    """It names what is wrong and what would be right, and writes nothing."""
    said = cli("alerts", "render", *arguments)
    assert (said.code, said.out) == (2, "")
    assert hint in said.err


def test_promtool_looks_at_the_rules(cli):
    """It finds nothing to complain of."""
    need("promtool")
    said = cli("alerts", "test")
    assert said.code == 0
    assert f"{sum(len(group.rules) for group in groups())} rules" in said.out
    told = json.loads(cli("alerts", "test", "--json").out)
    assert (told["ok"], told["promtool"], told["alertmanager"]) == (True, "", None)


@pytest.fixture
def tools(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are looked for."""
    (home / "bin").mkdir()
    monkeypatch.setenv("PATH", str(home / "bin"))
    return home / "bin"


def test_without_promtool_the_rules_are_not_looked_at(cli, tools):
    """Which is said, and is no problem."""
    said = cli("alerts", "test")
    assert (said.code, said.out.split()[0]) == (0, "skipped")
    assert json.loads(cli("alerts", "test", "--json").out)["promtool"] is None


def test_what_promtool_complains_of_is_told(cli, tools):
    """With exit code 1."""
    (tools / "promtool").write_text("#!/bin/sh\necho 'rules: a mistake'\nexit 3\n", encoding="utf-8")
    os.chmod(tools / "promtool", 0o755)
    said = cli("alerts", "test")
    assert (said.code, said.out.splitlines()[0]) == (1, "problem  rules: a mistake")
    assert json.loads(cli("alerts", "test", "--json").out)["ok"] is False


@pytest.fixture
def alertmanager():
    """Takes alerts, with the status that a test sets."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.posted.append((self.path, body))
            self.send_response(server.status)
            self.end_headers()
            self.wfile.write(b"no, thank you")

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.posted, server.status = [], 200
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_a_test_alert_is_sent(cli, tools, alertmanager):
    """With the severity that was asked for; it ends by itself."""
    said = cli("alerts", "test", "--alertmanager", f"{alertmanager.url}/", "--severity", "critical", "--job", "llm")
    assert said.code == 0
    ((path, (alert,)),) = alertmanager.posted
    assert path == "/api/v2/alerts"
    assert alert["labels"] == {"alertname": TEST, "severity": "critical", "component": "monitor", "job": "llm"}
    assert alert["startsAt"] < alert["endsAt"]


def test_an_alertmanager_that_does_not_take_it_is_a_problem(cli, tools, alertmanager):
    """What it said is told; so is that it is not there, or no address at all."""
    alertmanager.status = 400
    said = cli("alerts", "test", "--alertmanager", alertmanager.url)
    assert said.code == 1
    assert "answered 400: no, thank you" in said.err
    for url in ("http://127.0.0.1:9", "nowhere", "http://[:::"):
        said = cli("alerts", "test", "--alertmanager", url)
        assert said.code == 1, url
        assert "cannot be reached" in said.err
