"""The page of events says what the judgement's own table says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from monitor.policy import changes

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")


def rows(text: str) -> Iterator[list[str]]:
    """The cells of a table's rows; a row without a first cell goes on with the one before."""
    row: list[str] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0]:
            if row:
                yield row
            row = cells
        else:
            row = [f"{before} {after}".strip() for before, after in zip(row, cells, strict=True)]
    if row:
        yield row


def test_the_page_has_the_rule_of_each_kind() -> None:
    """Word by word as the code says it, in its order."""
    ours = list(rows(changes.__doc__ or ""))
    assert len(ours) == len(changes.Kind) + 2  # heading and line
    assert list(rows(PAGE))[: len(ours)] == ours


def test_every_kind_of_event_is_on_the_page() -> None:
    """Those that are booked elsewhere than in the judgement as well."""
    told = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "monitor").rglob("*.py"))
    booked = set(re.findall(r'\bEvent\(\s*[^,"]+, "([a-z_]+)"', told)) | {"key_invalid", "key_valid"}
    assert booked > {"tier_changed", "day_spent", "paused"}
    assert {*booked, *changes.Kind} <= set(re.findall(r"`([a-z_]+)`", PAGE))
