"""`resume`: ends a pause."""

from __future__ import annotations

import click

from monitor.cli.context import Command, Invocation, passes_invocation


@click.command(cls=Command)
@click.option("--app", help="Only the pause of this app.")
@passes_invocation
def resume(run: Invocation, app: str | None) -> None:
    """Let calls through again.

    Without --app it ends the pause of every app, and leaves those of single apps.
    """
    from monitor.cli.pause import checked_app
    from monitor.model import Event
    from monitor.store.protocol import ALL_APPS

    name = ALL_APPS if app is None else checked_app(app)
    who = app or "every app"
    now = run.clock.now()
    with run.reader() as reader:
        if not reader.exists:
            run.out.line("Nothing is paused.")
            return
        with reader.moment() as reports:
            before = {each.app for each in reports.pauses(now)}
    if name in before:
        store = run.store_to_write()
        with store.transaction() as tx:
            if tx.resume(name):
                tx.add_event(Event(now, "resumed", who))
        store.close()
        run.out.line(f"Resumed: calls of {who} are let through again.")
    else:
        run.out.line(f"There was no pause of {who}.")
    for still in sorted(before - {name}):
        what = f"{still} is" if still else "every app is"
        command = f"resume --app {still}" if still else "resume"
        run.out.line(f"Still, {what} paused: `openrouter-monitor {command}`.")
