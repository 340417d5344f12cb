"""Writing a table out, row by row, without holding up anybody: a page at a time, each its own short read."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from monitor.errors import MonitorError
from monitor.store.sqlite.pages import CALL_COLUMNS
from monitor.store.sqlite.reader import Reader

PAGE = 1000
PAGED = ("calls", "events", "snapshots")
"""Tables that grow with use, in the order of their ids."""

SMALL = ("models", "totals", "refusals", "windows", "spend", "pauses", "cooldowns")
TABLES = (*PAGED, *SMALL)
FORMATS = ("jsonl", "csv")

Rows = Iterator[dict[str, Any]]
Progress = Callable[[int], None]
"""Told how many rows are written."""


def rows_of(reader: Reader, table: str) -> Rows:
    """The rows of one of `TABLES` by name; of calls, the public columns."""
    if table not in TABLES:
        raise ValueError(f"no table {table} to export")
    return _paged(reader, table) if table in PAGED else _whole(reader, table)


def _paged(reader: Reader, table: str) -> Rows:
    columns = ", ".join(CALL_COLUMNS) if table == "calls" else "*"
    last = 0
    while True:
        with reader.moment() as reports:
            page = list(
                reports.database().query(
                    f"SELECT {columns} FROM {table} WHERE id > :last ORDER BY id LIMIT :size",
                    {"last": last, "size": PAGE},
                )
            )
        if table == "calls":
            for row in page:
                row["stream"] = bool(row["stream"])
        yield from page
        if len(page) < PAGE:
            return
        last = page[-1]["id"]


def _whole(reader: Reader, table: str) -> Rows:
    with reader.moment() as reports:
        rows = list(reports.database().query(f"SELECT * FROM {table}"))
    yield from rows


def write_rows(rows: Rows, out: TextIO, form: str, progress: Progress = lambda done: None) -> int:
    """Write rows as JSON lines or CSV (a header, empty for null); returns how many."""
    writer: Any = None
    done = 0
    for row in rows:
        if form == "jsonl":
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
        else:
            if writer is None:
                writer = csv.DictWriter(out, row.keys(), lineterminator="\n")
                writer.writeheader()
            writer.writerow({name: int(value) if isinstance(value, bool) else value for name, value in row.items()})
        done += 1
        if done % PAGE == 0:
            progress(done)
    return done


def write_file(rows: Rows, target: Path, form: str, progress: Progress = lambda done: None) -> int:
    """Write rows to a new file, whole or not at all. Raises MonitorError when it exists or cannot be written."""
    if os.path.lexists(target):
        raise MonitorError(f"{target} exists already.", hint="It was left as it is. Choose another name.")
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        handle = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with open(handle, "w", encoding="utf-8", newline="") as out:
            done = write_rows(rows, out, form, progress)
        os.link(beside, target)
        return done
    except FileExistsError:
        raise MonitorError(f"{target} exists already.", hint="It was left as it is. Choose another name.") from None
    except OSError as exc:
        raise MonitorError(
            f"{target} cannot be written: {exc.strerror or exc}.", hint="Nothing was left behind."
        ) from exc
    finally:
        beside.unlink(missing_ok=True)
