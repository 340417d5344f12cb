"""What a demo left behind: by app, in the log, and our books beside the simulator's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from monitor.cli.output import Column, Output, Styled

if TYPE_CHECKING:
    from monitor.cli.context import Invocation
    from monitor.config import Settings
    from monitor.simulator.server import Simulator

LOG_ROWS = 200


def sum_up(run: Invocation, settings: Settings, simulator: Simulator | None, apps: Sequence[str]) -> None:
    """Tables of what the ledger holds; at a simulator, beside what that holds."""
    from monitor.cli import calls
    from monitor.clock import day_of
    from monitor.status import gather
    from monitor.store.protocol import ALL_APPS
    from monitor.store.sqlite.browse import Walk
    from monitor.store.sqlite.reader import Reader

    out, now = run.out, run.clock.now()
    with Reader(settings.store_path) as reader:
        with reader.moment() as reports:
            totals, refusals = reports.totals(), reports.refusals()
            attempts, uncounted = reports.day_windows(settings.account, day_of(now)).get(ALL_APPS, (0, 0))
        status = gather(reader, settings, now)
        rows = _one_of_each(Walk(reader, limit=LOG_ROWS))
    out.heading("By app")
    left = {app: sum(t.attempts for t in totals if t.app == app) for app in apps}
    fine = {app: sum(t.attempts for t in totals if t.app == app and t.outcome == "success") for app in apps}
    held = {app: {r: n for (a, r, shadow), n in refusals.items() if a == app and not shadow} for app in apps}
    columns = [
        Column("app"),
        Column("left", right=True),
        Column("succeeded", right=True),
        Column("refused", right=True),
    ]
    out.table(
        [*columns, Column("why", fold=True)],
        [[Styled(app, "bold"), left[app], fine[app], sum(held[app].values()), _reasons(held[app])] for app in apps],
    )
    out.heading("The log, newest first, one row of each kind")
    calls.show(out, rows, now)
    if simulator is not None:
        _compare(out, simulator, sum(left.values()), attempts - uncounted, status)
    day, minute = status["day"], status["minute"]
    left_today, left_now = (f"{window['left']} of {window['limit']}" for window in (day, minute))
    out.blank()
    out.line(f"Free requests left: {left_today} today, {left_now} this minute.")


def _one_of_each(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The newest row of each app, outcome and reason."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        found.setdefault((row["app"], row["outcome"], row["reason"], row["stream"], row["error"]), row)
    return list(found.values())


def _reasons(held: dict[str, int]) -> str | None:
    return ", ".join(f"{reason} {n}" if n > 1 else reason for reason, n in held.items()) or None


def _compare(out: Output, simulator: Simulator, left: int, counted: int, status: dict[str, Any]) -> None:
    """Our books beside the simulator's, which knows nothing of ours."""
    books = simulator.books
    rows: list[tuple[str, str, str]] = [
        ("requests that arrived", str(left), str(books.requests)),
        ("free requests counted", str(counted), str(books.counted)),
        ("billed", f"${status['spend']['month_usd']:.2f}", f"${books.cost_usd:.2f}"),
        ("over quota", "0", str(books.overshoots)),
    ]
    out.heading("The books, ours beside OpenRouter's")
    out.table(
        [Column("what"), Column("ours", right=True), Column("theirs", right=True)],
        [[what, ours, Styled(theirs, "green" if ours == theirs else "bold red")] for what, ours, theirs in rows],
    )
