"""`db`: looking after the store."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.context import JSON, Group, Invocation, passes_invocation
from monitor.cli.durations import DURATION
from monitor.cli.output import Styled
from monitor.words import count, size, span

if TYPE_CHECKING:
    from monitor.store.sqlite.reader import Reader

_TABLES = ("calls", "events", "snapshots", "models", "totals", "refusals", "windows", "spend", "pauses", "cooldowns")


@click.group(cls=Group)
def db() -> None:
    """Look after the store: backup, verify, prune, export.

    All of it can be done while apps use the store.
    """


@db.command()
@passes_invocation
def path(run: Invocation) -> None:
    """Where the store is, or would be."""
    # As it is, whatever is in it: it is meant for other programs.
    click.echo(str(run.store_path()))


@db.command()
@click.argument("file", type=click.Path(path_type=Path))
@passes_invocation
def backup(run: Invocation, file: Path) -> None:
    """Write a whole, verified copy to FILE, which must not exist.

    The copy is of one moment, and finishes however busy the store is.
    """
    from monitor.store.sqlite.maintenance import backup as make_copy

    reader = _existing(run)
    with run.out.progress("Copying the store") as bar:
        written = make_copy(reader.path, file, bar.at)
    run.out.line(Styled("Backed up", "green"), f" {reader.path} to {file}: {size(written)}, verified.")


@db.command()
@click.option("--full", is_flag=True, help="Also check the indexes against the tables; takes longer.")
@JSON
@passes_invocation
def verify(run: Invocation, full: bool, as_json: bool) -> None:
    """Check the file: is it ours, is every page in order. Never changes it.

    Exit code 1 when something is wrong.
    """
    from monitor.store.sqlite.maintenance import problems_of

    reader = _existing(run)
    with run.out.progress("Checking the store") as bar:
        problems = problems_of(reader.path, full=full, tick=bar.at)
    if as_json:
        run.out.json({"store": str(reader.path), "ok": not problems, "full": full, "problems": problems})
    elif problems:
        for problem in problems:
            run.out.line(Styled("problem", "bold red"), f"  {problem}")
        run.out.line("The file was left as it is. Move it away and put a backup in its place, without -wal and -shm.")
    else:
        what = "every page and index is in order" if full else "every page is in order"
        run.out.line(Styled("ok", "green"), f"  {reader.path}: {what}.")
    if problems:
        click.get_current_context().exit(1)


@db.command()
@click.option("--older-than", type=DURATION, help="Calls that began longer ago: 30d.  [default: retention.days]")
@click.option("--max-rows", type=click.IntRange(min=1), help="And all but the newest N.  [default: retention.max_rows]")
@click.option("--dry-run", is_flag=True, help="Only tell how many would go.")
@JSON
@passes_invocation
def prune(run: Invocation, older_than: float | None, max_rows: int | None, dry_run: bool, as_json: bool) -> None:
    """Delete old calls, a few at a time, beside running apps.

    Totals are kept, so no figure goes back; calls in flight stay. Windows and events go after a year.
    """
    from monitor.clock import DAY
    from monitor.store.sqlite.pruning import prune as delete_old

    retention = run.settings.retention
    given = older_than is not None or max_rows is not None
    age = older_than if older_than is not None else (float("inf") if given else retention.days * DAY)
    most = max_rows if given else retention.max_rows
    reader = _existing(run)
    with run.out.progress("Pruning") as bar:
        gone = delete_old(
            reader.path, run.clock, before=run.clock.now() - age, max_rows=most, dry_run=dry_run, tick=bar.at
        )
    if as_json:
        run.out.json({"calls": gone.calls, "windows": gone.windows, "events": gone.events, "dry_run": dry_run})
        return
    verb = "Would delete" if dry_run else "Deleted"
    parts = f"{count(gone.calls, 'call')}, {count(gone.windows, 'window')}, {count(gone.events, 'event')}"
    limits = [f"older than {span(age)}"] if age != float("inf") else []
    limits += [f"all but the newest {most:,}"] if most else []
    run.out.line(f"{verb} {parts} ({', '.join(limits)}).")
    if gone.calls and not dry_run:
        run.out.line("The file keeps its size; what became free is used again.")


@db.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), help="[default: by FILE's ending, else jsonl]")
@click.option("--table", type=click.Choice(_TABLES), default="calls", show_default=True, help="What to export.")
@passes_invocation
def export(run: Invocation, file: Path, form: str | None, table: str) -> None:
    """Write a table to FILE, as JSON lines or CSV.

    FILE `-` is standard output. Calls come with their public columns, oldest first.
    """
    from monitor.store.sqlite import export as exporting

    form = form or ("csv" if file.suffix.lower() == ".csv" else "jsonl")
    with _existing(run) as reader:
        rows = exporting.rows_of(reader, table)
        if str(file) == "-":
            exporting.write_rows(rows, sys.stdout, form)
            return
        with run.out.progress(f"Exporting {table}") as bar:
            done = exporting.write_file(rows, file, form, lambda so_far: bar.at(0.0, f"{so_far:,}"))
    run.out.line(Styled("Exported", "green"), f" {count(done, 'row')} of {table} to {file}.")


def _existing(run: Invocation) -> Reader:
    """The store, which must be there. Raises StoreUnreachable."""
    from monitor.errors import StoreUnreachable

    reader = run.reader()
    if not reader.exists:
        raise StoreUnreachable(
            f"there is no store at {reader.path}.", hint="The first guarded call makes it; --store names another."
        )
    return reader
