"""What is said: to programs in Alertmanager's words, to people in a few lines."""

from __future__ import annotations

from monitor.alerting.messages import SHOWN_AT_MOST, Message, trial
from monitor.policy.alert_states import AlertState, Phase, fingerprint
from monitor.policy.notices import Bundle, Due, Why
from tests.fakes.builders import NOON

URL = "http://127.0.0.1:8377"
TEXTS = {
    "summary": "A model that is not free was used.",
    "description": "Calls of the app bot: 2.",
    "runbook_url": "https://example.org/runbook",
}


def state(app: str = "bot", phase: Phase = Phase.FIRING, **more: str) -> AlertState:
    labels = {"alertname": "Used", "severity": "warning", "component": "spend", "job": "openrouter-monitor", "app": app}
    over = NOON + 600 if phase is Phase.RESOLVED else None
    return AlertState("Used/warning", phase, labels | more, TEXTS, 2.0, NOON - 60, int(NOON), NOON, None, over)


def bundle(*states: AlertState, name: str = "Used", why: Why = Why.NEW) -> Bundle:
    return Bundle(name, tuple(Due(fingerprint(each.labels), each, why) for each in states))


def test_the_webhook_body_is_alertmanagers_version_4():
    """Every name that Alertmanager 0.25 posts, no other, with its types: receivers written for it work."""
    body = Message(bundle(state(), state("other", Phase.RESOLVED)), URL).webhook()
    assert list(body) == [
        "version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels",
        "commonAnnotations", "externalURL", "alerts",
    ]  # fmt: skip
    assert (body["version"], body["status"], body["truncatedAlerts"]) == ("4", "firing", 0)
    assert (body["groupLabels"], body["groupKey"]) == ({"alertname": "Used"}, '{}:{alertname="Used"}')
    assert body["commonLabels"] == {k: v for k, v in state().labels.items() if k != "app"}
    assert body["commonAnnotations"] == TEXTS
    firing, over = body["alerts"]
    assert firing == {
        "status": "firing",
        "labels": state().labels,
        "annotations": TEXTS,
        "startsAt": "2026-09-21T12:00:00.000Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": f"{URL}/",
        "fingerprint": fingerprint(state().labels),
    }
    assert (over["status"], over["endsAt"]) == ("resolved", "2026-09-21T12:10:00.000Z")
    assert Message(bundle(state(phase=Phase.RESOLVED)), URL).webhook()["status"] == "resolved"
    assert Message(bundle(state(), name=""), URL).webhook()["groupLabels"] == {}


def test_a_text_says_what_who_since_when_and_what_to_do():
    """One alert: its severity in the subject; who it is about, without labels that say nothing; where to look."""
    message = Message(bundle(state()), URL)
    assert message.subject == "[warning] A model that is not free was used."
    assert message.text.splitlines() == [
        "WARNING: A model that is not free was used.",
        "Calls of the app bot: 2.",
        "Used (app bot), since 2026-09-21T12:00:00Z",
        "What to do: https://example.org/runbook",
        "",
        f"How things stand: {URL}/",
    ]
    over = Message(bundle(state(phase=Phase.RESOLVED)), URL)
    assert over.subject == "[resolved] A model that is not free was used."
    assert "since 2026-09-21T12:00:00Z, until 2026-09-21T12:10:00Z" in over.text
    assert "and still so" in Message(bundle(state(), why=Why.REPEAT), URL).text


def test_several_are_counted_and_a_flood_is_cut():
    """The subject says how many; a text shows some of them and how many more there are."""
    two = Message(bundle(state(), state("other", Phase.RESOLVED)), URL)
    assert two.subject == "[1 firing, 1 resolved] A model that is not free was used."
    assert Message(bundle(state(), state("b"), name=""), URL).subject == "[2 firing] OpenRouter: several alerts"
    flood = Message(bundle(*(state(f"app{n}") for n in range(SHOWN_AT_MOST + 3))), URL)
    assert flood.text.count("WARNING") == SHOWN_AT_MOST
    assert "And 3 more." in flood.text
    assert len(flood.webhook()["alerts"]) == SHOWN_AT_MOST + 3


def test_a_test_message_says_that_nothing_is_wrong():
    """It is told from an alert by its name and its words."""
    message = Message(trial("critical", NOON), URL)
    assert message.subject.startswith("[critical] A test")
    assert "Nothing is wrong." in message.text
    assert message.webhook()["alerts"][0]["labels"]["alertname"] == "OpenRouterTest"
