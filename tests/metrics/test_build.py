"""Which commit it was installed from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.metrics.build import revision


def installed(folder: Path, content: str | None):
    """A distribution with such a note of its installer's."""
    from importlib.metadata import Distribution

    info = folder / "openrouter_monitor-1.dist-info"
    info.mkdir()
    if content is not None:
        (info / "direct_url.json").write_text(content, encoding="utf-8")
    return Distribution.at(info)


def test_a_commit_is_told(tmp_path):
    """`pip install git+https://…` writes it down."""
    note = {"url": "https://host/repo", "vcs_info": {"vcs": "git", "commit_id": "4" * 40}}
    assert revision(installed(tmp_path, json.dumps(note))) == "4" * 40


@pytest.mark.parametrize(
    "note", [None, "{}", "[]", "null", "not json", '{"dir_info": {"editable": true}}', '{"vcs_info": 5}']
)
def test_without_one_nothing_is_told(tmp_path, note):
    """A release, a folder, and a note that nobody can read."""
    assert revision(installed(tmp_path, note)) == ""
