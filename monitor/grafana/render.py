"""Writes the dashboards: the templates fill in the structure, what comes out is parsed and written in one form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2

from monitor.errors import MonitorError
from monitor.grafana.boards import boards
from monitor.grafana.choices import Choices
from monitor.grafana.lint import SOURCE, Dashboard, problems
from monitor.grafana.panels import Board, place
from monitor.grafana.variables import as_current, marks, variables

TAGS = ("openrouter", "openrouter-monitor")


def dashboards(choices: Choices) -> dict[str, Dashboard]:
    """Every dashboard by its uid, as Grafana's JSON model."""
    made = boards(choices)
    titles = {board.uid: board.title for board in made}
    template = _environment().get_template("dashboard.json.j2")
    return {board.uid: json.loads(template.render(**_given(board, choices, titles))) for board in made}


def as_text(dashboard: Dashboard) -> str:
    """The one form in which a dashboard is written: a change of it is a change of its meaning."""
    return json.dumps(dashboard, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def write(folder: Path, choices: Choices) -> Iterator[tuple[Path, Dashboard]]:
    """Write each dashboard to `UID.json` in the folder, which is made if need be.

    Raises MonitorError; also, before it writes anything, for a dashboard that Grafana would not show as it is meant.
    """
    for file, dashboard in _checked(folder, choices):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file.write_text(as_text(dashboard), encoding="utf-8")
        except OSError as exc:
            raise MonitorError(f"{file} cannot be written: {exc.strerror or exc}.") from None
        yield file, dashboard


def differing(folder: Path, choices: Choices) -> Iterator[tuple[Path, Dashboard]]:
    """The files that `write` would change or make. Raises MonitorError."""
    for file, dashboard in _checked(folder, choices):
        try:
            same = file.read_text(encoding="utf-8") == as_text(dashboard)
        except FileNotFoundError:
            same = False
        except (OSError, UnicodeDecodeError) as exc:
            raise MonitorError(f"{file} cannot be read: {type(exc).__name__}.") from None
        if not same:
            yield file, dashboard


def _checked(folder: Path, choices: Choices) -> list[tuple[Path, Dashboard]]:
    made = dashboards(choices)
    for uid, dashboard in made.items():
        for rule, panel, text in problems(dashboard, made):
            raise MonitorError(f"the dashboard {uid} breaks the rule {rule} at {panel!r}: {text}.")
    return [(folder / f"{uid}.json", dashboard) for uid, dashboard in made.items()]


def link_to(uid: str, names: tuple[str, ...]) -> str:
    """A dashboard's address with the same time and, of the variables, those that it has too."""
    kept = "".join(f"&${{{name}:queryparam}}" for name in ("datasource", "job", "instance", *names))
    return f"/d/{uid}?${{__url_time_range}}{kept}"


def _given(board: Board, choices: Choices, titles: dict[str, str]) -> dict[str, Any]:
    known = {each.uid: each.variables for each in boards(choices)}

    def link(uid: str) -> str:
        return link_to(uid, tuple(name for name in board.variables if name in known[uid]))

    return {
        "board": board,
        "placed": place(board),
        "variables": variables(board.variables, choices),
        "annotations": marks(board.annotations),
        "datasource": choices.datasource,
        "titles": titles,
        "link_to": link,
        "current": as_current,
        "source": SOURCE,
        "tags": list(TAGS),
    }


def _environment() -> jinja2.Environment:
    folder = Path(__file__).parent / "templates"
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
