"""`events`: what changed in the world, newest first."""

from __future__ import annotations

import click

from monitor.cli.context import JSON, Command, Invocation, passes_invocation
from monitor.cli.durations import INSTANT, Instant


@click.command(cls=Command)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many.")
@click.option("--kind", "kinds", multiple=True, help="Only this kind (may be repeated): model_removed, spend_seen, …")
@click.option("--since", type=INSTANT, help="Only events since then: 1h, 30d, 2026-11-24.")
@JSON
@passes_invocation
def events(run: Invocation, limit: int, kinds: tuple[str, ...], since: Instant | None, as_json: bool) -> None:
    """What changed in the world, newest first.

    Models that came, went or are no longer free; limits that differ; money that was billed for a call judged free.
    With --json each event has at, kind, subject, before, after and note.
    """
    from monitor.cli.status import events_table
    from monitor.status import event_row
    from monitor.store.sqlite import browse

    now = run.clock.now()
    with run.reader() as reader:
        found = []
        if reader.exists:
            start = since.seconds(now) if since else float("-inf")
            found = [event_row(event) for event in browse.events(reader, limit=limit, kinds=kinds, since=start)]
        recorded = reader.exists
    if as_json:
        run.out.json(found)
    elif found:
        events_table(run.out, found, now)
    elif recorded:
        run.out.line("No such events." if kinds or since else "No events yet.")
    else:
        run.out.line(f"Nothing recorded yet. The store {reader.path} does not exist.")
