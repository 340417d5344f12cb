"""From a call to a person: daemon, Prometheus and Alertmanager, with the files that are shipped."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from monitor.alerting.render import data
from monitor.alerting.rule import Alert, Options
from monitor.alerting.rules import groups
from monitor.config import Settings
from monitor.simulator.options import SimulatorOptions
from monitor.simulator.server import Simulator
from monitor.transport.clients import guarded_client
from tests.e2e.conftest import Prometheus
from tests.fakes.daemon import DaemonProcess, fetch
from tests.fakes.inbox import Inbox, inbox
from tests.fakes.processes import ROOT
from tests.fakes.programs import free_port, need

pytestmark = [pytest.mark.e2e, pytest.mark.processes]

KEY = "sk-or-v1-of-a-test"
FREE, PAID = "meta-llama/llama-3.3-70b-instruct:free", "openai/gpt-5-mini"
OF_APP = 'openrouter_tier_requests_total{app="research", tier="paid"}'
HASTE = Options(interval="1s", free_only=True)
SHORT = {"5m": "3s", "1m": "1s"}
"""The rules as they are, but for their patience."""

PATIENCE = {
    "group_wait: 30s": "group_wait: 1s",
    "group_interval: 5m": "group_interval: 1s",
    "repeat_interval: 5m": "repeat_interval: 2s",
}


def rules() -> str:
    made = []
    for group in groups(HASTE):
        hasty = [
            dataclasses.replace(rule, lasts=SHORT.get(rule.lasts, rule.lasts)) if isinstance(rule, Alert) else rule
            for rule in group.rules
        ]
        made.append(dataclasses.replace(group, rules=tuple(hasty)))
    return json.dumps(data(made, HASTE))


@contextmanager
def alertmanager(folder: Path, to: Inbox) -> Iterator[str]:
    """Runs with the example that is shipped, which sends to `to`; gives its address."""
    text = (ROOT / "alerts" / "alertmanager.yml").read_text(encoding="utf-8")
    for was, now in {**PATIENCE, "localhost:25": to.smtp, "127.0.0.1:9095": to.hook}.items():
        assert was in text
        text = text.replace(was, now)
    text = text.replace("templates/*.tmpl", str(ROOT / "alerts" / "templates" / "*.tmpl"))
    config, address = folder / "alertmanager.yml", f"127.0.0.1:{free_port()}"
    config.write_text(text, encoding="utf-8")
    command = [
        need("prometheus-alertmanager"), f"--config.file={config}", f"--storage.path={folder / 'am'}",
        f"--web.listen-address={address}", "--cluster.listen-address=",
    ]  # fmt: skip
    with (folder / "am.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield address
    finally:
        process.kill()
        process.wait()


def posted(name: str, status: str = "firing") -> Callable[[Inbox], dict[str, Any] | None]:
    """Finds the first message to the webhook in which an alert has this name and status; gives the alert."""

    def find(box: Inbox) -> dict[str, Any] | None:
        alerts = (alert for post in box.posts for alert in post.body["alerts"])
        return next((a for a in alerts if a["labels"]["alertname"] == name and a["status"] == status), None)

    return find


def mailed(subject: str) -> Callable[[Inbox], EmailMessage | None]:
    return lambda box: next((mail for mail in box.mails if mail["subject"] == subject), None)


def heard(times: int) -> Callable[[Inbox], bool | None]:
    """Whether the dead man's switch has heard Watchdog so often."""
    return lambda box: sum(post.path == "/watchdog" for post in box.posts) >= times or None


def call(simulator: Simulator, store: Path, model: str) -> None:
    """A call by an app that may spend money."""
    settings = Settings(store=str(store), base_url=simulator.base_url, api_key=KEY, guard={"allow": "any"})
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 40}
    with guarded_client("research", settings, trust_env=False, timeout=30) as client:
        answer = client.post(
            f"{simulator.base_url}/chat/completions", json=body, headers={"authorization": f"Bearer {KEY}"}
        )
        assert answer.status_code == 200


def suppressed(address: str) -> set[tuple[str, str]]:
    """Names and severities of what Alertmanager keeps to itself because of something graver."""
    told = json.loads(fetch(f"http://{address}/api/v2/alerts"))
    return {(a["labels"]["alertname"], a["labels"]["severity"]) for a in told if a["status"]["inhibitedBy"]}


@pytest.fixture
def box() -> Iterator[Inbox]:
    with inbox() as made:
        yield made


def test_what_happens_reaches_a_person(tmp_path: Path, prometheus: Callable[..., Prometheus], box: Inbox) -> None:
    """A paid call, a nearly spent quota, and a daemon that was killed each become a message that can be read; what is
    graver silences what is less; and nothing seems to be over because the daemon is."""
    store = tmp_path / "monitor.db"
    with Simulator(SimulatorOptions(per_day=50)) as sim, alertmanager(tmp_path, box) as manager:
        settings = {"STORE": store, "BASE_URL": sim.base_url, "POLL__KEY_SECONDS": 1, "GUARD__ALLOW": "any"}
        with DaemonProcess(tmp_path, **settings) as daemon:
            server = prometheus(daemon.url().removeprefix("http://"), rules(), manager)
            box.wait(heard(1))  # the whole way is open
            assert server.becomes("openrouter_free_daily_quota_authoritative", 1) == 1

            call(sim, store, FREE)
            assert server.becomes(OF_APP, 0) == 0
            called = time.monotonic()
            call(sim, store, PAID)
            alert = box.wait(posted("OpenRouterNonFreeModelUsed"))
            mail = box.wait(mailed("[CRITICAL] A model that is not free was used."))
            print(f"From the call to the webhook and the mail: {time.monotonic() - called:.1f} s")
            assert alert["labels"]["app"] == "research"
            assert alert["annotations"]["summary"] == "A model that is not free was used."
            for kind in ("plain", "html"):
                part = mail.get_body((kind,))
                assert part is not None
                text = " ".join(re.sub(r"<[^>]+>", "", part.get_content()).split())
                assert alert["annotations"]["description"] in text
            assert alert["annotations"]["runbook_url"] in mail.get_body(("plain",)).get_content()

            sim.set_used(48)  # by somebody else, at one stroke: 80 and 95 % are passed in the same moment
            critical = box.wait(posted("OpenRouterDailyQuotaNearlyExhausted"))
            assert critical["labels"]["severity"] == "critical"
            assert critical["annotations"]["description"].startswith("96% of today's free requests")
            box.wait(mailed("[CRITICAL] The day's free requests are nearly used up."))
            assert ("OpenRouterDailyQuotaNearlyExhausted", "warning") in suppressed(manager)

            told = subprocess.run(
                [sys.executable, "-m", "monitor", "alerts", "test", "--alertmanager", f"http://{manager}"],
                capture_output=True, text=True, check=False, cwd=ROOT,
            )  # fmt: skip
            assert told.returncode == 0, told.stderr
            box.wait(mailed("[WARNING] A test: alerts of this severity reach you."))

            so_far = sum(post.path == "/watchdog" for post in box.posts)
            daemon.kill()
        down = box.wait(posted("OpenRouterMonitorDown"))
        assert down["labels"]["job"] == "openrouter-monitor"
        box.wait(mailed("[CRITICAL] The monitor is down: nobody watches OpenRouter."))
        box.wait(heard(so_far + 2))

        over = [alert["labels"] for post in box.posts for alert in post.body["alerts"] if alert["status"] == "resolved"]
        subjects = [str(mail["subject"]) for mail in box.mails]
        assert not over
        assert not [subject for subject in subjects if "RESOLVED" in subject]
        assert "[WARNING] The day's free requests are nearly used up." not in subjects
        assert "[WARNING] One of the monitors is down." not in subjects
        assert server.value('count(ALERTS{alertname="OpenRouterMonitorInstanceDown", alertstate="firing"})') == 1
