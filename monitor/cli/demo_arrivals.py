"""What arrives on the demo's past day: recorded traffic of LLM services where it lies beside the project, else made up.

A recording is a CSV file that says when a request came and how many tokens it had, under the names that Azure's trace
of 2023 and Mooncake's trace use. Its hour or so is stretched over the day, and every so many rows one is taken, for an
account of free models has a thousand requests a day; who asked which model is not recorded, and is left to chance.
"""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from monitor.clock import DAY

FOLDER = Path("..", "shared", "data", "traces")
"""Where recordings are looked for, from the working folder and from the project's."""

ARRIVALS = 900
"""Requests of a recorded day at most: what an account may send on a day, less some for the apps that go on calling."""

ROWS_READ = 200_000
"""Of one file; the rest of a larger one is left alone."""

QUIET_SECONDS = 120.0
"""Before the demo begins nothing arrives, so that all has ended by then and the minute's window is open."""

APPS_BY_FILE = (("notebook", "billing-bot"), ("summariser", "billing-bot"))
"""Whose traffic the first file is, the second and so on: three parts of four are the first app's."""

_WHEN = {"timestamp": 1.0, "timestamp_ms": 0.001}
"""Columns that say when a request came, and what a plain number in them is in seconds."""
_ASKED, _ANSWERED = ("contexttokens", "input_length"), ("generatedtokens", "output_length")

STEP_SECONDS = 300.0
BUSY_HOUR = 14
"""UTC hour of the most requests of a made-up day."""

PER_STEP = {"billing-bot": 1.1, "summariser": 1.6, "notebook": 0.5}
"""Requests of each app in five minutes of its busiest hour."""


class Arrival(NamedTuple):
    """One request: when it came (epoch seconds), whose it is, and its tokens."""

    at: float
    app: str
    prompt_tokens: int
    completion_tokens: int


class Past(NamedTuple):
    """A day's arrivals in their order, and what they are."""

    arrivals: tuple[Arrival, ...]
    told: str


class _Recording(NamedTuple):
    """Rows of one file: seconds (from any beginning), tokens asked and answered. `cut`: the file goes on."""

    name: str
    rows: list[tuple[float, int, int]]
    cut: bool


def places() -> tuple[Path, ...]:
    """Folders in which recordings may lie."""
    project = Path(__file__).resolve().parents[2]
    here = [Path.cwd()] + [project] * (project / "pyproject.toml").is_file()
    return tuple(dict.fromkeys((folder / FOLDER).resolve() for folder in here))


def past_day(folders: Iterable[Path], until: float) -> Past:
    """The day before `until` (epoch seconds), from the first of the folders that has recordings, else made up."""
    for folder in folders:
        recordings = [found for file in sorted(folder.glob("*.csv")) if (found := _read(file)).rows]
        if recordings:
            return _recorded(recordings, until)
    return Past(tuple(made_up(until)), f"A made-up day, for there is no recorded one in {FOLDER}")


def _recorded(recordings: list[_Recording], until: float) -> Past:
    chance = random.Random(20_261_124)
    every = max(1, -(-sum(len(found.rows) for found in recordings) // ARRIVALS))
    arrivals = []
    for number, recording in enumerate(recordings):
        most, few = APPS_BY_FILE[number % len(APPS_BY_FILE)]
        for at, asked, answered in _stretched(recording.rows[::every], until):
            arrivals.append(Arrival(at, most if chance.random() < 0.75 else few, asked, answered))
    arrivals.sort()
    return Past(tuple(arrivals), _told(recordings, len(arrivals)))


def _told(recordings: list[_Recording], taken: int) -> str:
    rows = sum(len(found.rows) for found in recordings)
    first = "first " if any(found.cut for found in recordings) else ""
    names = " and ".join(found.name for found in recordings)
    part = f"{taken:,} of the {first}{rows:,}" if taken < rows else f"the {first}{rows:,}"
    return f"Recorded traffic: {part} requests of {names}, stretched over a day"


def _stretched(rows: list[tuple[float, int, int]], until: float) -> Iterator[tuple[float, int, int]]:
    first, last = min(row[0] for row in rows), max(row[0] for row in rows)
    scale = (DAY - QUIET_SECONDS) / (last - first) if last > first else 0.0
    for at, asked, answered in rows:
        yield until - DAY + (at - first) * scale, asked, answered


def _read(file: Path) -> _Recording:
    """The rows that can be read; none of a file that is no recording."""
    rows: list[tuple[float, int, int]] = []
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            table = csv.reader(lines)
            columns = _columns(next(table, []))
            if columns is None:
                return _Recording(file.name, [], False)
            for row in islice(table, ROWS_READ):
                if (found := _row(row, columns)) is not None:
                    rows.append(found)
            cut = next(table, None) is not None
    except (OSError, ValueError, csv.Error):
        return _Recording(file.name, [], False)
    return _Recording(file.name, rows, cut)


class _Columns(NamedTuple):
    """Where in a row stands what; `unit`: seconds that a plain number says when it came."""

    when: int
    asked: int
    answered: int
    unit: float


def _columns(header: list[str]) -> _Columns | None:
    at = {name.strip().lower(): place for place, name in enumerate(header)}
    when, asked, answered = (next((name for name in names if name in at), None) for names in (_WHEN, _ASKED, _ANSWERED))
    if when is None or asked is None or answered is None:
        return None
    return _Columns(at[when], at[asked], at[answered], _WHEN[when])


def _row(row: list[str], columns: _Columns) -> tuple[float, int, int] | None:
    try:
        asked, answered = int(row[columns.asked]), int(row[columns.answered])
        at = _seconds(row[columns.when], columns.unit)
    except (ValueError, IndexError):
        return None
    return (at, asked, answered) if math.isfinite(at) and asked >= 0 and answered >= 0 else None


def _seconds(text: str, unit: float) -> float:
    try:
        return float(text) * unit
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def made_up(until: float) -> Iterator[Arrival]:
    """A day of a few hundred requests, more of them at noon than at night; the same one each time."""
    chance, begins = random.Random(20_261_124), until - DAY
    for step in range(int((DAY - QUIET_SECONDS) / STEP_SECONDS)):
        found = []
        for app, most in PER_STEP.items():
            for _ in range(_how_many(chance, most, begins + step * STEP_SECONDS)):
                at = begins + step * STEP_SECONDS + chance.uniform(0, STEP_SECONDS)
                found.append(Arrival(at, app, chance.randint(50, 2250), chance.randint(30, 800)))
        yield from sorted(found)


def _how_many(chance: random.Random, most: float, at: float) -> int:
    hour = at % DAY / 3600
    distance = min(abs(hour - BUSY_HOUR), 24 - abs(hour - BUSY_HOUR))
    rate = most * (0.15 + 0.85 * max(0.0, 1 - distance / 9))
    return int(rate) + (chance.random() < rate % 1)
