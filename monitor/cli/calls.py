"""`calls`: the log, newest first. `--json` gives the public columns of the table `calls`, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.context import JSON, Command, Invocation, passes_invocation
from monitor.cli.durations import INSTANT, Instant
from monitor.cli.output import Cell, Column, Output, Styled
from monitor.words import clock_time, dollars, why

if TYPE_CHECKING:
    from monitor.store.sqlite.reader import Reader

FOLLOW_SECONDS = 0.5
SHORT_NAME = 19
"""Letters of a model's name that a narrow terminal shows."""

_OUTCOMES = {
    "success": "green",
    "cached": "green",
    "refused": "yellow",
    "in_flight": "cyan",
    "cancelled": "blue",
    "abandoned": "blue",
}


@click.command(cls=Command)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@click.option("--app", help="Only calls of this app.")
@click.option("--model", help="Only calls that asked for this model, or were served by it.")
@click.option("--outcome", help="Only calls that ended so: success, refused, rate_limited, …")
@click.option("--reason", help="Only calls refused for this reason: model_not_free, minute_limit, …")
@click.option("--since", type=INSTANT, help="Only calls since then: 1h, 30d, 2026-11-24.")
@click.option("--follow", "-f", is_flag=True, help="Go on with new calls, oldest first, until Ctrl-C.")
@JSON
@passes_invocation
def calls(
    run: Invocation,
    limit: int,
    app: str | None,
    model: str | None,
    outcome: str | None,
    reason: str | None,
    since: Instant | None,
    follow: bool,
    as_json: bool,
) -> None:
    """The log of calls, newest first.

    One row is one attempt: a call that an SDK tried three times has three. With --follow and --json, one object a line.
    """
    _check_names(outcome, reason)
    wanted = {"app": app, "outcome": outcome, "reason": reason}
    filters = {name: value for name, value in wanted.items() if value is not None}
    now = run.clock.now()
    with run.reader() as reader:
        if not reader.exists and not follow:
            _nothing(run, as_json)
            return
        if follow:
            _follow(run, reader, filters, model, as_json, limit)
            return
        from monitor.store.sqlite.browse import Walk

        walk = Walk(reader, filters, model, since.seconds(now) if since else float("-inf"), limit)
        rows = list(walk)
    if as_json:
        run.out.json(rows)
    elif rows:
        show(run.out, rows, now)
    else:
        run.out.line("No such calls." if filters or model or since else "No calls yet.")
    if not walk.complete:
        run.out.note(f"Only the newest {walk.look_limit:,} rows were looked at; `db export` gives all.")


def show(out: Output, rows: Iterable[dict[str, Any]], now: float) -> None:
    """A table of calls."""
    out.table(_COLUMNS, [_row(row, now, out) for row in rows])


_COLUMNS = (
    Column("id", right=True, wide=True),
    Column("started"),
    Column("app"),
    Column("model", cut=True),
    Column("outcome"),
    Column("status", right=True, wide=True),
    Column("tokens", right=True, wide=True),
    Column("cost", right=True),
    Column("ms", right=True, wide=True),
    Column("why", cut=True),
)


def _row(row: dict[str, Any], now: float, out: Output) -> list[Cell]:
    from monitor.clock import iso

    tokens = None
    if row["prompt_tokens"] is not None or row["completion_tokens"] is not None:
        tokens = f"{row['prompt_tokens'] or 0}+{row['completion_tokens'] or 0}"
    cost = row["cost_usd"]
    duration = row["duration_ms"]
    # Who asks for no model in particular, and is given a kept answer, is told whose it is.
    model = row["model_requested"] or row["model_served"]
    return [
        row["id"],
        clock_time(row["started_at"], now) if out.terminal else iso(row["started_at"]),
        Styled(row["app"], "bold"),
        _short(model) if out.narrow else model,
        Styled(row["outcome"], _OUTCOMES.get(row["outcome"], "red")),
        row["status"],
        tokens,
        None if cost is None else Styled(dollars(cost), "bold red" if cost else ""),
        None if duration is None else f"{duration:.0f}",
        why(row),
    ]


def _short(model: str | None) -> str | None:
    """The model without who made it, and with its variant: the two ends are what tells models apart."""
    if model is None:
        return None
    name, colon, variant = model.rpartition("/")[2].partition(":")
    return (name if len(name) <= SHORT_NAME else f"{name[: SHORT_NAME - 1]}…") + colon + variant


def _check_names(outcome: str | None, reason: str | None) -> None:
    from monitor.model import Outcome, Reason

    for name, value, known in (("outcome", outcome, list(Outcome)), ("reason", reason, list(Reason))):
        if value is not None and value not in known:
            raise click.BadParameter(f"{value!r} is none of {', '.join(known)}.", param_hint=f"--{name}")


def _nothing(run: Invocation, as_json: bool) -> None:
    if as_json:
        run.out.json([])
    else:
        run.out.line(f"Nothing recorded yet. The store {run.store_path()} does not exist.")


def _follow(
    run: Invocation, reader: Reader, filters: dict[str, str], model: str | None, as_json: bool, limit: int
) -> None:
    """Attempts as they end; first the newest that have ended."""
    import json

    from monitor.store.sqlite.browse import Follower

    while not reader.exists:
        run.clock.sleep(FOLLOW_SECONDS)
    follower = Follower(reader, limit)
    while True:
        for row in follower.ended():
            if not _matches(row, filters, model):
                continue
            if as_json:
                click.echo(json.dumps(row, ensure_ascii=False))
            else:
                run.out.line(_line(row))
        run.clock.sleep(FOLLOW_SECONDS)


def _matches(row: dict[str, Any], filters: dict[str, str], model: str | None) -> bool:
    if model is not None and model not in (row["model_requested"], row["model_served"]):
        return False
    return all(row[name] == value for name, value in filters.items())


def _line(row: dict[str, Any]) -> str:
    from monitor.clock import iso

    said = " ".join(str(part) for part in (row["status"], why(row)) if part)
    cost = f" {dollars(row['cost_usd'])}" if row["cost_usd"] is not None else ""
    asked = row["model_requested"] or "no model"
    return f"{iso(row['started_at'])}  {row['app']}  {asked}  {row['outcome']} {said}{cost}".rstrip()
