"""`batch`: many questions from a file, asked at the pace that the quota allows, their answers in another file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli import batch_files
from monitor.cli.asking import client_of, code_of, fallbacks_of, options
from monitor.cli.batch_words import lines_of_progress, show_plan, show_result, summary
from monitor.cli.context import JSON, Command, Invocation, passes_invocation

if TYPE_CHECKING:
    from monitor.client.batching import BatchResult
    from monitor.client.sync import Client

FILE = click.Path(dir_okay=False, allow_dash=True, path_type=Path)


@click.command(cls=Command)
@click.argument("file", type=FILE)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Where the answers go, a line for each.")
@click.option("--dry-run", is_flag=True, help="Ask nothing; say how long it will take and what quota it needs.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=8, show_default=True, help="How many at once.")
@click.option(
    "--spread",
    type=click.Choice(["now", "day", "days"]),
    default="now",
    show_default=True,
    help="As fast as the minute allows; evenly over the rest of the UTC day; or so over as many days as it takes.",
)
@click.option("--name", help="What the batch is called, so that it may change from run to run. Else by its questions.")
@click.option("--fresh", is_flag=True, help="Forget what was answered in a run before, and begin anew.")
@options("model", "task", "fallbacks", "system", "cache", "app")
@JSON
@passes_invocation
def batch(
    run: Invocation,
    file: Path,
    out: Path | None,
    dry_run: bool,
    app: str | None,
    fallbacks: str | None,
    as_json: bool,
    **words: Any,
) -> None:
    """Ask many questions, at the pace that the quota allows.

    Each line of FILE (- for stdin) is a question as JSON: a text, or an object with `prompt` or `messages` and, if need
    be, `custom_id`, `model`, `task` and parameters; lines of OpenAI's batch files do too. The same command again goes
    on where the last run ended: what is answered is not asked again, what failed is. What does not fit into today's
    quota is left for later.

    Exit code 0 when all is answered, 3 when the quota or another rule of the guard left something, 1 when something
    failed.
    """
    if out is None and not dry_run:
        raise click.UsageError("Say where the answers go: --out FILE.")
    questions = batch_files.read(file)
    if out is not None:
        batch_files.check(out, file)
    words = {name: value for name, value in words.items() if value is not None}
    if fallbacks is not None:
        words["fallbacks"] = fallbacks_of(fallbacks)
    client = client_of(run, app)
    if dry_run or out is None:
        with client:
            found = client.batch(questions, dry_run=True, **words)
            quota = client.quota()
        if as_json:
            run.out.json(summary(found, None) | {"quota": quota.as_json()})
        else:
            show_plan(run.out, found, quota, run.clock.now())
        return
    found = _worked_on(run, client, questions, out, words)
    batch_files.write(out, found)
    if as_json:
        run.out.json(summary(found, out))
    else:
        show_result(run.out, found, out, run.clock.now())
    raise click.exceptions.Exit(code_of(item.reason or "day_limit" for item in found if item.state != "done"))


def _worked_on(run: Invocation, client: Client, questions: list[Any], out: Path, words: dict[str, Any]) -> BatchResult:
    """Work on it; Ctrl-C leaves what there is in the output, and says how to go on."""
    try:
        progress = True if sys.stderr.isatty() else lines_of_progress(run.out, run.clock)
        found = client.batch(questions, progress=progress, **words)
    except KeyboardInterrupt:
        # Not closed: its threads are still at their calls, and end with the process.
        words.pop("fresh", None)
        left = client.batch(questions, dry_run=True, **words)
        batch_files.write(out, left)
        run.out.note(
            f"Interrupted: {len(left.done)} of {len(left)} are answered, and in {out}. Nothing of it is lost: "
            "the same command again goes on from here."
        )
        raise
    client.close()
    return found
