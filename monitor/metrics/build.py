"""What is running: which commit it was installed from, if the installer wrote that down (PEP 610)."""

from __future__ import annotations

import json
from importlib.metadata import Distribution, PackageNotFoundError, distribution

PACKAGE = "openrouter-monitor"


def revision(installed: Distribution | None = None) -> str:
    """The commit that pip took it from; "" when it came from an index, a folder, or cannot be told."""
    try:
        text = (installed or distribution(PACKAGE)).read_text("direct_url.json")
        commit = json.loads(text or "{}")["vcs_info"]["commit_id"]
    except (PackageNotFoundError, ValueError, KeyError, TypeError):
        return ""
    return str(commit)[:40]
