"""What people and programs are told: a bundle of alerts as text, and as Alertmanager's webhook body of version 4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from monitor.alerting.trial import TEST
from monitor.clock import iso
from monitor.policy.alert_states import AlertState, Phase, fingerprint
from monitor.policy.notices import Bundle, Due, Why
from monitor.words import harmless

RECEIVER = "openrouter-monitor"
SHOWN_AT_MOST = 20
"""Alerts that a text shows; of the others it says how many there are."""

HIDDEN_LABELS = frozenset({"alertname", "job", "instance", "severity", "component", "quota", "long", "short"})
"""Labels that tell people nothing which the text does not say."""

NOT_OVER = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `url` is where this daemon's page is; `subject` and `text` are for people."""

    bundle: Bundle
    url: str

    @property
    def subject(self) -> str:
        shown = self.bundle.due
        firing = [each for each in shown if each.state.firing]
        if len(shown) == 1:
            return f"[{_word(shown[0])}] {_summary(shown[0].state)}"
        counts = [f"{len(firing)} firing" if firing else "", f"{len(shown) - len(firing)} resolved"]
        told = ", ".join(count for count in counts if count and not count.startswith("0"))
        return f"[{told}] {_summary(shown[0].state) if self.bundle.alertname else 'OpenRouter: several alerts'}"

    @property
    def text(self) -> str:
        shown = self.bundle.due[:SHOWN_AT_MOST]
        parts = [_paragraph(each) for each in shown]
        if len(self.bundle.due) > len(shown):
            parts.append(f"And {len(self.bundle.due) - len(shown)} more.")
        return "\n\n".join([*parts, f"How things stand: {self.url}/"]) + "\n"

    def webhook(self) -> dict[str, Any]:
        """The body that receivers written for Alertmanager understand."""
        alerts = [_alert(each.state, self.url) for each in self.bundle.due]
        grouped = {"alertname": self.bundle.alertname} if self.bundle.alertname else {}
        return {
            "version": "4",
            "groupKey": "{}:{" + ", ".join(f'{name}="{value}"' for name, value in grouped.items()) + "}",
            "truncatedAlerts": 0,
            "status": "firing" if self.bundle.firing else "resolved",
            "receiver": RECEIVER,
            "groupLabels": grouped,
            "commonLabels": _common([alert["labels"] for alert in alerts]),
            "commonAnnotations": _common([alert["annotations"] for alert in alerts]),
            "externalURL": self.url,
            "alerts": alerts,
        }


def single(name: str, severity: str, component: str, summary: str, description: str, now: float) -> Bundle:
    """A message that is no alert's: a test, a summary. It fires and is over at once."""
    labels = {"alertname": name, "severity": severity, "component": component}
    texts = {"summary": summary, "description": description}
    state = AlertState(name, Phase.FIRING, labels, texts, 1.0, now, int(now * 1000), now)
    return Bundle(name, (Due(fingerprint(labels), state, Why.NEW),))


def trial(severity: str, now: float) -> Bundle:
    """A test message."""
    return single(
        TEST,
        severity,
        "monitor",
        "A test: messages of the monitor reach you.",
        "Sent by hand with `openrouter-monitor alerts test`. Nothing is wrong.",
        now,
    )


def _word(each: Due) -> str:
    return each.state.severity if each.state.firing else "resolved"


def _summary(state: AlertState) -> str:
    return _line(state.annotations.get("summary") or state.name)


def _line(text: str) -> str:
    """On one line: names of models and apps come from outside, and must not begin a line of their own, or a header."""
    return harmless(" ".join(text.split()))


def _paragraph(each: Due) -> str:
    state = each.state
    about = ", ".join(f"{name} {_line(value)}" for name, value in state.labels.items() if name not in HIDDEN_LABELS)
    since = iso(state.fired_at or state.active_at)
    until = f", until {iso(state.resolved_at)}" if state.phase is Phase.RESOLVED and state.resolved_at else ""
    again = ", and still so" if each.why is Why.REPEAT else ""
    lines = [
        f"{_word(each).upper()}: {_summary(state)}",
        _line(state.annotations.get("description", "")),
        f"{state.name}{f' ({about})' if about else ''}, since {since}{until}{again}",
    ]
    runbook = state.annotations.get("runbook_url")
    return "\n".join(line for line in (*lines, f"What to do: {_line(runbook)}" if runbook else "") if line)


def _alert(state: AlertState, url: str) -> dict[str, Any]:
    over = state.phase is Phase.RESOLVED and state.resolved_at is not None
    return {
        "status": "resolved" if over else "firing",
        "labels": dict(state.labels),
        "annotations": dict(state.annotations),
        "startsAt": _instant(state.fired_at or state.active_at),
        "endsAt": _instant(state.resolved_at or 0.0) if over else NOT_OVER,
        "generatorURL": f"{url}/",
        "fingerprint": fingerprint(state.labels),
    }


def _common(several: Sequence[Mapping[str, str]]) -> dict[str, str]:
    first, *rest = several
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in rest)}


def _instant(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
