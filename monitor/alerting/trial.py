"""Trying alerts out: promtool on the rules, and one alert to Alertmanager that must arrive as a message."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from monitor.alerting.rule import Component, Options, Severity
from monitor.errors import MonitorError

TEST = "OpenRouterTest"
LASTS_SECONDS = 120.0
PROMTOOL_SECONDS = 60.0
SEND_SECONDS = 10.0


def complaints(rules: str) -> str | None:
    """What promtool has to say against a rules file; "" when nothing, None when promtool is not installed."""
    promtool = shutil.which("promtool")
    if promtool is None:
        return None
    with TemporaryDirectory(prefix="openrouter-monitor-") as folder:
        file = Path(folder) / "rules.yml"
        file.write_text(rules, encoding="utf-8")
        said = subprocess.run(
            [promtool, "check", "rules", "--lint=all", "--lint-fatal", str(file)],
            capture_output=True,
            text=True,
            check=False,
            timeout=PROMTOOL_SECONDS,
        )
    return "" if said.returncode == 0 else f"{said.stdout}{said.stderr}".replace(str(file), "rules").strip()


def alert_of(options: Options, severity: Severity, now: float) -> dict[str, Any]:
    """An alert in Alertmanager's words, which ends by itself after two minutes; `now` is epoch seconds."""
    return {
        "labels": {
            "alertname": TEST,
            "job": options.job,
            "severity": severity.value,
            "component": Component.MONITOR.value,
        },
        "annotations": {
            "summary": "A test: alerts of this severity reach you.",
            "description": "Sent by hand with `openrouter-monitor alerts test`. Nothing is wrong.",
        },
        "startsAt": _instant(now),
        "endsAt": _instant(now + LASTS_SECONDS),
    }


def send(url: str, alert: dict[str, Any]) -> None:
    """Give an alert to the Alertmanager at `url`. Raises MonitorError when it does not take it."""
    import httpx  # noqa: PLC0415 - listing and rendering need no HTTP

    try:
        answer = httpx.post(f"{url.rstrip('/')}/api/v2/alerts", json=[alert], timeout=SEND_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise MonitorError(
            f"Alertmanager at {url} cannot be reached: {exc}.", hint="Give its address: http://127.0.0.1:9093."
        ) from None
    if answer.status_code != httpx.codes.OK:
        raise MonitorError(f"Alertmanager at {url} answered {answer.status_code}: {answer.text[:200].strip()}")


def _instant(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
