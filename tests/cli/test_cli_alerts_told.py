"""`alerts`: what the daemon found beside what it can find, and a test message by each way that is set."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from monitor.alerting.rules import alerts
from monitor.cli import alerts as command
from monitor.policy.alert_states import Found, Timing, fingerprint, step
from monitor.store import SQLiteStore

sys.path.insert(0, str(Path(__file__).parents[1] / "alerting"))

from sinks import mail_server, webhook


@pytest.fixture
def judged(store, clock):
    """A store whose daemon found one alert firing and one pending."""
    now = clock.now()
    labels = {"alertname": "OpenRouterNonFreeModelUsed", "severity": "critical", "component": "spend", "app": "bot"}
    texts = {"summary": "A model that is not free was used.", "description": "Calls of the app bot: 2."}
    states = step("a", {}, [Found(labels, texts, 2.0)], Timing(), now - 90)
    quota = {"alertname": "OpenRouterDailyQuotaNearlyExhausted", "severity": "critical", "account": "default"}
    states |= step("b", {}, [Found(quota, texts, 0.96)], Timing(lasts=60), now - 30)
    book = SQLiteStore(store)
    with book.transaction() as tx:
        tx.save_alert_states({key: state.written() for key, state in states.items()})
        tx.save_alert_tick(0, now - 12, [])
    book.close()
    return states, fingerprint(labels)


def listed(cli):
    return [
        (row["name"], row["severity"], row["state"], row) for row in json.loads(cli("alerts", "list", "--json").out)
    ]


def test_list_says_how_each_alert_stands(cli, judged):
    """Firing, pending or inactive; which only Prometheus can judge is said, and has no state."""
    rows = listed(cli)
    states = {(name, severity): state for name, severity, state, _ in rows}
    assert states["OpenRouterNonFreeModelUsed", "warning"] == "firing"
    assert states["OpenRouterDailyQuotaNearlyExhausted", "critical"] == "pending"
    assert states["OpenRouterDailyQuotaNearlyExhausted", "warning"] == "inactive"
    only = {alert.name for alert in alerts() if alert.prometheus_only}
    assert {name for name, _, state, _ in rows if state is None} == only
    (active,) = next(row["active"] for name, _, _, row in rows if name == "OpenRouterNonFreeModelUsed")
    assert (active["severity"], active["labels"], active["description"]) == (
        "critical", {"app": "bot"}, "Calls of the app bot: 2.",
    )  # fmt: skip
    said = cli("alerts", "list")
    assert "only in Prometheus" in said.out
    assert "The daemon judged them 12 s ago." in said.err


def test_list_needs_no_store(cli, home, path):
    """Before any daemon ran, nothing is said of states, and no store is made."""
    assert {state for _, _, state, _ in listed(cli)} == {None}
    assert "judged" not in cli("alerts", "list").err
    assert not path.exists()


def test_those_of_one_name_are_known_to_the_command():
    """By severity only those are told apart that need it."""
    twice = {name for name, n in Counter(alert.name for alert in alerts()).items() if n > 1}
    assert set(command.TWICE) == twice


def test_a_test_message_goes_by_each_way(cli, home, monkeypatch):
    """By webhook, mail and Apprise; what happened is said of each, and one that fails makes the exit code 1."""
    monkeypatch.setenv("PATH", str(home))  # promtool has tests of its own
    with webhook() as hook, mail_server() as post:
        monkeypatch.setenv("OPENROUTER_MONITOR_ALERTS__WEBHOOK_URL", hook.url)
        monkeypatch.setenv("OPENROUTER_MONITOR_ALERTS__SMTP_URL", post.url)
        monkeypatch.setenv("OPENROUTER_MONITOR_ALERTS__MAIL_TO", "me@example.org")
        monkeypatch.setenv("OPENROUTER_MONITOR_ALERTS__APPRISE_URLS", f"json://127.0.0.1:{hook.port}/apprise-s3cr3t")
        said = cli("alerts", "test", "--severity", "critical")
        assert said.code == 0
        assert [line.split("  ")[0] for line in said.out.splitlines()] == ["skipped", "sent", "sent", "sent"]
        bodies = [hook.next(), hook.next()]
        assert bodies[0]["alerts"][0]["labels"] == {
            "alertname": "OpenRouterTest", "severity": "critical", "component": "monitor",
        }  # fmt: skip
        assert bodies[1]["title"] == post.next()["Subject"] == "[critical] A test: messages of the monitor reach you."
        hook.answers = [500, 500]
        told = json.loads(cli("alerts", "test", "--json").out)
        assert (told["ok"], told["promtool"]) == (False, None)
        assert {way["way"]: way["error"] for way in told["ways"]} == {
            "webhook": "127.0.0.1 answered 500", "mail": None, "apprise-1": "json did not take the message",
        }  # fmt: skip
        hook.answers = [500]
        failed = cli("alerts", "test")
        assert failed.code == 1
        assert "webhook: 127.0.0.1 answered 500" in failed.out
        assert "s3cr3t" not in said.out + said.err + failed.out + failed.err


def test_without_a_way_it_says_which_there_are(cli, home, monkeypatch):
    """Exit code 0: nothing is wrong, there is nothing to send by."""
    monkeypatch.setenv("PATH", str(home))
    said = cli("alerts", "test")
    assert said.code == 0
    assert "alerts.webhook_url" in said.err


def test_half_a_way_is_an_error_that_names_the_other_half(cli, monkeypatch):
    """A mail server without anybody to write to, or the reverse."""
    for name, value, missing in (
        ("SMTP_URL", "smtp://127.0.0.1:9", "alerts.mail_to"), ("MAIL_TO", "me@example.org", "alerts.smtp_url"),
    ):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setenv(f"OPENROUTER_MONITOR_ALERTS__{name}", value)
            said = cli("alerts", "test")
        assert said.code == 2
        assert missing in said.err
