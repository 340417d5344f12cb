"""`pause`: the kill switch."""

from __future__ import annotations

import click

from monitor.cli.context import Command, Invocation, passes_invocation
from monitor.cli.durations import DURATION
from monitor.words import span

NOTE_LIMIT = 200


@click.command(cls=Command)
@click.option("--app", help="Only this app.")
@click.option("--for", "seconds", type=DURATION, help="Only for so long: 30m, 1h.")
@click.option("--note", default="", help="Why; apps are told so.")
@passes_invocation
def pause(run: Invocation, app: str | None, seconds: float | None, note: str) -> None:
    """Refuse every call, or those of one app, until resumed.

    It holds at once for every process that uses the store. Calls in flight are not cut off.
    """
    from monitor.model import Event
    from monitor.redact import redact
    from monitor.store.protocol import ALL_APPS

    name = ALL_APPS if app is None else checked_app(app)
    now = run.clock.now()
    until = None if seconds is None else now + seconds
    said = redact(note, limit=NOTE_LIMIT)
    store = run.store_to_write()
    with store.transaction() as tx:
        tx.pause(name, now, until, said)
        tx.add_event(Event(now, "paused", name or "every app", None, None if seconds is None else span(seconds), said))
    store.close()
    command = "resume" if app is None else f"resume --app {app}"
    how_long = f"until `openrouter-monitor {command}`" if seconds is None else f"for {span(seconds)}"
    run.out.line(f"Paused: calls of {app or 'every app'} are refused {how_long}.")


def checked_app(app: str) -> str:
    """The name, if it can be one. Raises ConfigError, as the settings do."""
    from monitor.config import Settings

    return Settings(app=app).app
