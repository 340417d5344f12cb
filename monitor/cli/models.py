"""`models`: the catalogue of the store, with our own experience of each model."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.context import JSON, Command, Invocation, passes_invocation
from monitor.cli.output import Cell, Column, Output, Styled
from monitor.words import ago, count, per_million

if TYPE_CHECKING:
    from monitor.config import Settings
    from monitor.store.sqlite.reader import Reader

_STYLES = {"free": "bold green", "zero": "green", "paid": "", "variable": "yellow", "unknown": "yellow"}


@click.command(cls=Command)
@click.option("--free", "only_free", is_flag=True, help="Only free models.")
@click.option("--all", "everything", is_flag=True, help="Also models that the catalogue no longer lists.")
@click.option("--search", metavar="TEXT", help="Only models with TEXT in their id or name.")
@click.option("--refresh", is_flag=True, help="Fetch the catalogue from OpenRouter first; spends no quota.")
@JSON
@passes_invocation
def models(
    run: Invocation, only_free: bool, everything: bool, search: str | None, refresh: bool, as_json: bool
) -> None:
    """The catalogue: which models are free.

    Free means what the guard lets through: a `:free` model whose every price is zero, and a zero-priced one where
    guard.zero_priced is on. Prices are dollars per million tokens; in --json dollars per token.
    """
    if refresh:
        _refresh(run)
    with run.reader() as reader:
        found = _read(reader) if reader.exists else None
    if found is None or found["catalogue"] is None:
        run.out.note(
            "There is no catalogue yet. Fetch it with `openrouter-monitor models --refresh`; no key is needed."
        )
        if as_json:
            run.out.json([])
        return
    rows = [row for row in found["models"] if _wanted(row, run.settings, only_free, everything, search)]
    if as_json:
        run.out.json(rows)
        return
    if rows:
        _show(run.out, rows)
    state, now = found["catalogue"], run.clock.now()
    free = sum(row["price"] == "free" for row in rows)
    shown = f"{count(len(rows), 'model')} shown, {free} free, of {count(state.models, 'model')}"
    run.out.note(f"{shown} read {ago(state.fetched_at, now)} from {state.source}")


def _refresh(run: Invocation) -> None:
    from monitor.runtime import refresh_now

    with run.out.progress("Fetching the catalogue"):
        trouble = refresh_now(run.settings, run.clock)
    if trouble:
        run.out.note(f"The key's figures could not be read: {trouble}")


def _read(reader: Reader) -> dict[str, Any]:
    """The catalogue's state, and every model ever seen."""
    with reader.moment() as reports:
        state, facts = reports.catalogue(), reports.all_facts()
        rates, times = reports.model_rates(), reports.model_times()
    rows = []
    for name, (each, present) in sorted(facts.items()):
        attempts, successes = rates.get(name, (0, 0))
        first_seen, changed_at = times[name]
        rows.append(
            {
                **dataclasses.asdict(each),
                "tier": each.tier,
                "present": present,
                "first_seen": first_seen,
                "changed_at": changed_at,
                "attempts": attempts,
                "successes": successes,
                "success_rate": successes / attempts if attempts else None,
            }
        )
    return {"catalogue": state, "models": rows}


def _wanted(row: dict[str, Any], settings: Settings, only_free: bool, everything: bool, search: str | None) -> bool:
    if not (everything or row["present"]):
        return False
    if only_free and not (row["price"] == "free" or (row["price"] == "zero" and settings.guard.zero_priced)):
        return False
    return search is None or search.lower() in f"{row['id']} {row['name']}".lower()


def _show(out: Output, rows: list[dict[str, Any]]) -> None:
    columns = (
        Column("model", fold=True),
        Column("price"),
        Column("$/M in", right=True),
        Column("$/M out", right=True),
        Column("context", right=True, wide=True),
        Column("in > out", wide=True),
        Column("expires"),
        Column("ours", right=True),
    )
    out.table(columns, [_row(row) for row in rows])


def _row(row: dict[str, Any]) -> list[Cell]:
    style = _STYLES[row["price"]]
    rate = row["success_rate"]
    sides = [",".join(row[name]) or "?" for name in ("input_modalities", "output_modalities")]
    return [
        Styled(row["id"], style if row["present"] else "dim strike"),
        Styled(row["price"] if row["present"] else f"{row['price']}, gone", style),
        per_million(row["prompt_usd"]),
        per_million(row["completion_usd"]),
        row["context_length"],
        " > ".join(sides),
        None if row["expires"] is None else Styled(row["expires"][:10], "yellow"),
        None if rate is None else Styled(f"{rate:.0%} of {row['attempts']}", "green" if rate > 0.9 else "yellow"),
    ]
