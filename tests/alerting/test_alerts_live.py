"""The real daemon, a simulated OpenRouter, a webhook and a mail server: who is told what, over kills and restarts."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sinks import Hook, Post, mail_server, webhook

from monitor import Settings, guarded_client
from monitor.policy.alert_states import AlertState, Phase, fingerprint
from monitor.policy.notices import Health, Notice
from monitor.simulator.options import SimulatorOptions
from monitor.simulator.server import Simulator
from monitor.store import SQLiteStore
from tests.fakes.daemon import WAIT, DaemonProcess, fetch

pytestmark = pytest.mark.processes

KEY = "sk-or-v1-of-a-test"
SECRETS = ("s3cr3t", "T0KEN", "p4ssw0rd")
QUOTA = "OpenRouterDailyQuotaNearlyExhausted"
CREDITS = "OpenRouterAccountCreditsNegative"
USED, SPENT = "OpenRouterNonFreeModelUsed", "OpenRouterSpendDetected"


def state(name: str, severity: str, phase: Phase, **labels: str) -> AlertState:
    """An alert as a daemon of this machine would have left it long ago."""
    who = {"job": "openrouter-monitor", "instance": socket.gethostname(), "account": "default"}
    whole = {**who, **labels, "alertname": name, "severity": severity}
    fired = None if phase is Phase.PENDING else 0.0
    return AlertState(f"{name}/{severity}", phase, whole, {"summary": name}, 1.0, 0.0, 7, fired, fired)


def quota(severity: str) -> AlertState:
    """Pending for so long that it fires at the first look, if its rule still yields it."""
    return state(QUOTA, severity, Phase.PENDING, quota="daily", component="quota")


def leave(path: Path, *states: AlertState, told: tuple[str, ...] = ()) -> None:
    """Put states into the store, as a daemon does; `told` are the ways that have told of them."""
    store = SQLiteStore(path)
    keys = {fingerprint(each.labels): each for each in states}
    with store.transaction() as tx:
        tx.save_alert_states({key: each.written() for key, each in keys.items()})
        for way in told:
            tx.save_alert_way(way, Health("127.0.0.1").written())
            tx.save_alert_notices(way, {key: Notice(7, True, 0.0, 0).written() for key in keys})
    store.close()


def call(sim: Simulator, store: Path, model: str, times: int = 1, **guard: Any) -> None:
    settings = Settings(store=str(store), base_url=sim.base_url, api_key=KEY, guard=guard)
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    with guarded_client("billing-bot", settings, trust_env=False, timeout=30) as client:
        for _ in range(times):
            answer = client.post(
                f"{sim.base_url}/chat/completions", json=body, headers={"authorization": f"Bearer {KEY}"}
            )
            assert answer.status_code == 200, answer.text


def status(daemon: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(fetch(f"{daemon}/api/status"))
    return told


def until(daemon: str, find: Any) -> Any:
    """What `find` finds in the status, once it finds something."""
    tick = threading.Event()
    for _ in range(int(WAIT / 0.05)):
        if found := find(status(daemon)):
            return found
        tick.wait(0.05)
    raise AssertionError(status(daemon)["alerts"])


def looks(daemon: str, times: int) -> None:
    """Until the daemon has looked so many times more; after each the messages go that are due."""
    for _ in range(times):
        last = status(daemon)["alerts"]["evaluated_at"]
        until(daemon, lambda told, last=last: (told["alerts"]["evaluated_at"] or 0) > (last or 0))


def sent(daemon: str, channel: str) -> float:
    name = f'openrouter_monitor_notifications_total{{channel="{channel}",result="success"}} '
    return float(fetch(f"{daemon}/metrics").decode().split(name)[1].split("\n")[0])


def arrived(hook: Hook, post: Post, times: int) -> tuple[dict[str, str], dict[str, str]]:
    """The next messages by both ways: what each said, by the alert's name."""
    bodies, mails = [hook.next() for _ in range(times)], [post.next() for _ in range(times)]
    posted = {
        body["groupLabels"]["alertname"]: f"{body['status']} {body['commonLabels']['severity']}" for body in bodies
    }
    return posted, {mail["Subject"]: mail.get_content() for mail in mails}


def test_each_person_is_told_once_over_kills_and_restarts(tmp_path):
    """Spend once, the quota at 80 and at 95 % once, an end once; nothing again after SIGKILL and after SIGTERM."""
    store = tmp_path / "monitor.db"
    with Simulator(SimulatorOptions(per_day=10)) as sim, webhook() as hook, mail_server() as post:
        models = [row["id"] for row in json.loads(fetch(f"{sim.base_url}/models"))["data"]]
        free = next(model for model in models if model.endswith(":free"))
        settings = {
            "STORE": store,
            "BASE_URL": sim.base_url,
            "POLL__KEY_SECONDS": 1,
            "ALERTS__EVALUATE_SECONDS": 1,
            "ALERTS__WEBHOOK_URL": hook.url,
            "ALERTS__SMTP_URL": post.url.replace("://", "://me:p4ssw0rd@"),
            "ALERTS__MAIL_TO": "you@example.org",
        }
        call(sim, store, free, 8)
        leave(store, state(CREDITS, "critical", Phase.FIRING, component="spend"), told=("webhook", "mail"))
        leave(store, quota("warning"))
        hook.answers, hook.says = [500], b"refused: /services/T0KEN-s3cr3t"
        with DaemonProcess(tmp_path, **settings) as daemon:
            url = daemon.url()
            posted, mailed = arrived(hook, post, 2)
            assert posted == {QUOTA: "firing warning", CREDITS: "resolved critical"}
            assert sorted(mailed) == [
                f"[resolved] {CREDITS}", "[warning] The day's free requests are nearly used up.",
            ]  # fmt: skip
            assert any("80% of today's free requests" in text and f"{url}/" in text for text in mailed.values())
            until(url, lambda told: told["key"]["usage_usd"] is not None)
            looks(url, 1)
            call(sim, store, free.removesuffix(":free"), allow="any")
            posted, mailed = arrived(hook, post, 2)
            assert posted == {USED: "firing critical", SPENT: "firing warning"}
            until(url, lambda told: sent(url, "webhook") == sent(url, "mail") == 4)
            shown = [fetch(f"{url}{path}").decode() for path in ("/api/status", "/metrics", "/")]
            daemon.kill()

        call(sim, store, free, 2)
        leave(store, quota("critical"))
        with DaemonProcess(tmp_path, **settings) as daemon:
            url = daemon.url()
            posted, mailed = arrived(hook, post, 1)
            assert posted == {QUOTA: "firing critical"}
            assert "100% of today's free requests" in next(iter(mailed.values()))
            until(url, lambda told: sent(url, "webhook") == sent(url, "mail") == 1)
            assert daemon.end() == 0

        with DaemonProcess(tmp_path, **settings) as daemon:
            url = daemon.url()
            looks(url, 3)
            told = status(url)["alerts"]
            assert [each["severity"] for each in told["firing"]] == ["critical", "critical", "warning", "warning"]
            assert {each["alert"] for each in told["firing"]} == {QUOTA, USED, SPENT}
            assert [(way["way"], way["error"]) for way in told["ways"]] == [("mail", None), ("webhook", None)]
            assert (sent(url, "webhook"), sent(url, "mail")) == (0, 0)
            assert daemon.end() == 0
            assert hook.all() == []
            assert post.mails.empty()
            said = daemon.said()
        assert hook.asked == 6, "the five, and one that was refused"
        assert "messages by webhook do not arrive: 127.0.0.1 answered 500 refused: /[hidden]/[hidden]" in said
        assert "ERROR" not in said
        for text in (*shown, said, _dump(store)):
            assert not any(secret in text for secret in SECRETS)


def _dump(path: Path) -> str:
    """Every value of every table."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return "\n".join(repr(row) for table in tables for row in connection.execute(f"SELECT * FROM {table}"))
