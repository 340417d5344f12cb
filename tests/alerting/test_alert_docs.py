"""What the documentation says of the daemon's alerts is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from monitor.alerting.rules import alerts
from monitor.config import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")


def test_the_page_names_what_only_prometheus_can_judge():
    """Each with its reason, and no other."""
    said = re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE.split("## What only Prometheus")[1], re.MULTILINE)
    assert said == [(alert.name, alert.prometheus_only) for alert in alerts() if alert.prometheus_only]
    assert "which seven alerts need Prometheus" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(said) == 7


def test_the_settings_shown_are_right():
    """Every example of settings can be used as it stands, and every setting is shown."""
    for file in ("README.md", "docs/alerts.md"):
        (shown,) = re.findall(r"```toml\n(\[alerts\].*?)```", (ROOT / file).read_text(encoding="utf-8"), re.DOTALL)
        Settings.build(tomllib.loads(shown))
    whole = tomllib.loads(shown)["alerts"]
    assert vars(Settings().alerts).keys() - whole.keys() == {"evaluate_seconds", "mail_from"}
