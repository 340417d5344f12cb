"""`compare`: one question to several models, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.asking import client_of, code_of, listed, options, question_of, told
from monitor.cli.context import JSON, Command, Invocation, passes_invocation
from monitor.cli.output import Cell, Column, Output, Styled
from monitor.words import dollars

if TYPE_CHECKING:
    from monitor.client.comparing import Compared, Comparison


@click.command(cls=Command)
@click.argument("prompt", nargs=-1, required=True)
@click.option("--models", metavar="A,B…", help="The models; without it the three best free ones for the task.")
@options("task", "system", "cache", "wait", "app")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a report to this file as well.")
@JSON
@passes_invocation
def compare(
    run: Invocation,
    prompt: tuple[str, ...],
    models: str | None,
    html: Path | None,
    app: str | None,
    as_json: bool,
    **words: Any,
) -> None:
    """Ask several models the same, side by side.

    All at once, within the minute's limit; each answers alone. Exit code 1 when one of them gave no answer, 3 when the
    guard was the only reason.
    """
    question = question_of(prompt)
    if html is not None:
        html.touch()  # a report that cannot be written must not cost requests
    with client_of(run, app) as client:
        found = client.compare(question, listed(models), **words)
    if html is not None:
        html.write_text(found.html(), encoding="utf-8", errors="replace")
    if as_json:
        run.out.json([row.as_json() for row in found])
    else:
        _show(run.out, found)
        if html is not None:
            run.out.note(f"The report is {html}.")
    raise click.exceptions.Exit(code_of(row.reason for row in found if row.error is not None))


def _show(out: Output, found: Comparison) -> None:
    columns = (
        Column("model", fold=True),
        Column("seconds", right=True),
        Column("first word", right=True),
        Column("tokens", right=True),
        Column("cost", right=True),
        Column("ended", fold=True),
    )
    out.table(columns, [_row(row) for row in found])
    for row in found:
        out.heading(row.model)
        if row.text:
            click.echo(told(row.text, terminal=out.terminal))
        if row.error:
            out.line(Styled(row.error, "red"))


def _row(row: Compared) -> list[Cell]:
    tokens = (row.usage.prompt_tokens, row.usage.completion_tokens)
    return [
        row.model,
        None if row.seconds is None else f"{row.seconds:.2f}",
        None if row.first_token_seconds is None else f"{row.first_token_seconds:.2f}",
        None if None in tokens else f"{tokens[0]}+{tokens[1]}",
        dollars(row.usage.cost_usd),
        row.finish_reason if row.error is None else Styled(row.reason or "failed", "red"),
    ]
