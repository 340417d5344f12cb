"""What `batch` tells: how far it is, what came of it, and when the rest can go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.cli.output import Column, Output, Styled
from monitor.words import clock_time, count, span

if TYPE_CHECKING:
    from monitor.client.batching import BatchResult, Progress
    from monitor.client.looking import Quota
    from monitor.clock import Clock
    from monitor.policy.pacing import Plan

LINE_SECONDS = 30.0
"""So often at least progress is told in a pipe."""

_TENTHS = 10
_SHOWN_FAILURES = 20
_SHOWN_DAYS = 14


def lines_of_progress(out: Output, clock: Clock) -> Callable[[Progress], None]:
    """Tells progress in lines on stderr: at every tenth of the way, when it begins to wait, and now and then."""
    from monitor.client.batches import in_words

    last: tuple[Any, ...] = ()
    last_at = float("-inf")

    def tell(progress: Progress) -> None:
        nonlocal last, last_at
        finished, now = progress.done + progress.failed, clock.now()
        step = (finished * _TENTHS // max(1, progress.total), progress.waits_until)
        if step == last and now - last_at < LINE_SECONDS:
            return
        last, last_at = step, now
        more = in_words(progress)
        out.note(f"{finished} of {progress.total}{f', {more}' if more else ''}")

    return tell


def summary(found: BatchResult, out: Path | None) -> dict[str, Any]:
    """As `batch --json` tells it; instants are epoch seconds."""
    plan = found.plan
    return {
        "name": found.name,
        "out": None if out is None else str(out),
        "items": len(found),
        "done": len(found.done),
        "failed": len(found.failed),
        "planned": len(found.planned),
        "stopped": found.stopped or None,
        "plan": {
            "requests": plan.requests,
            "ends_at": plan.ends_at,
            "unplanned": plan.unplanned,
            "days": [{"starts_at": day.starts_at, "ends_at": day.ends_at, "items": day.items} for day in plan.days],
        },
        "failures": [
            {"index": item.index, "custom_id": item.custom_id, "reason": item.reason, "error": item.error}
            for item in found.failed
        ],
    }


def show_plan(out: Output, found: BatchResult, quota: Quota, now: float) -> None:
    """What a dry run finds."""
    plan, done = found.plan, len(found.done)
    left = len(found) - done
    out.line(f"{count(len(found), 'question')}: {done} answered already, {left} to ask.")
    if not left:
        return
    out.line(
        f"{count(plan.requests, 'request')} needed; left today are {quota.app_left} of {quota.day_limit}, "
        f"{quota.minute_limit} may go a minute."
    )
    _show_days(out, plan, now)


def show_result(out: Output, found: BatchResult, file: Path, now: float) -> None:
    """What came of a run."""
    failed, planned = found.failed, found.planned
    parts = [f"{len(found.done)} answered"]
    parts += [f"{len(failed)} failed"] if failed else []
    parts += [f"{len(planned)} left for later"] if planned else []
    why = f" ({found.stopped})" if found.stopped else ""
    out.line(f"{count(len(found), 'question')}: {', '.join(parts)}{why}. The answers are in {file}.")
    if failed:
        columns = (
            Column("item", right=True),
            Column("custom_id", wide=True),
            Column("reason"),
            Column("error", fold=True),
        )
        out.blank()
        out.table(
            columns,
            [[item.index + 1, item.custom_id, Styled(item.reason or "failed", "red"), item.error]
             for item in failed[:_SHOWN_FAILURES]],
        )  # fmt: skip
        if len(failed) > _SHOWN_FAILURES:
            out.line(f"and {len(failed) - _SHOWN_FAILURES} more, in {file}.")
        out.blank()
    if failed or planned:
        _show_days(out, found.plan, now)
        again = " The failed ones are tried again." if failed else ""
        out.line(f"The same command again goes on from here.{again}")


def _show_days(out: Output, plan: Plan, now: float) -> None:
    if plan.unplanned:
        out.line(f"{plan.unplanned} of them fit into no day: the quota leaves this app none.")
    if plan.ends_at is not None:
        out.line(f"The last can go at {clock_time(plan.ends_at, now)}, {span(plan.ends_at - now)} from now.")
    if len(plan.days) > 1:
        shown = plan.days[:_SHOWN_DAYS]
        columns = (Column("from"), Column("to"), Column("items", right=True))
        out.table(columns, [[_instant(day.starts_at), _instant(day.ends_at), day.items] for day in shown])
        if len(plan.days) > len(shown):
            out.line(f"and {len(plan.days) - len(shown)} days more.")


def _instant(at: float) -> str:
    from monitor.clock import iso

    return iso(at).replace("T", " ")[:16] + "Z"
