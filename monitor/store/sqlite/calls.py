"""The call log: one row an attempt, open while it is in flight. Raw sqlite3: this is the path of every call."""

from __future__ import annotations

from functools import cache

from monitor.model import Ending, Reason, Tier
from monitor.store.buckets import DURATION_BOUNDS, TTFT_BOUNDS, bucket
from monitor.store.protocol import OpenCall, OpenRow
from monitor.store.sqlite.names import APP, APP_MODEL, MODEL, NameRows, pair

_COLUMNS = (
    "started_at, app, account, endpoint, model_requested, tier, stream, attempt, call_id, estimated_cost_usd,"
    " counted, lease_until, outcome, reason"
)
_OPEN = f"INSERT INTO calls ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_USUAL = f"INSERT INTO calls ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)"
_OVER = f"INSERT INTO calls ({_COLUMNS}, ended_at, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

_ENDING = (
    "ended_at", "model_served", "provider", "tier", "generation_id", "status", "outcome", "limit_kind",
    "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "cost_usd", "duration_ms", "ttft_ms",
    "error",
)  # fmt: skip
_AMEND = (
    f"UPDATE calls SET {', '.join(f'{name} = ?' for name in _ENDING)}, lease_until = NULL"
    " WHERE id = ? AND outcome = 'abandoned'"
)


class CallRows(NameRows):
    """Opening, settling and counting attempts."""

    __slots__ = ()

    def open_call(self, call: OpenCall) -> int:
        """Write the row of an attempt that is about to leave; with `lease_until` it is a hold."""
        # To bind None costs three times as much as a text, for sqlite3 asks whether anybody adapts it.
        values = _values(call, "in_flight")
        made = (
            self._db.execute(_USUAL, values)
            if call.reason is None
            else self._db.execute(_OPEN, (*values, str(call.reason)))
        )
        return int(made.lastrowid or 0)

    def record_refusal(self, call: OpenCall, at: float, error: str) -> int:
        """Write the row of an attempt that was refused and never left."""
        return self._record(call, "refused", at, error)

    def _record(self, call: OpenCall, outcome: str, at: float, error: str | None) -> int:
        """Write the row of an attempt that was over at once."""
        reason = None if call.reason is None else str(call.reason)
        return int(self._db.execute(_OVER, (*_values(call, outcome), reason, at, error)).lastrowid or 0)

    def close_call(self, row: int, ending: Ending, *, tier: Tier, cost_usd: float | None, at: float, ms: float) -> bool:
        """Settle an open row. False when it was settled before, by whoever came first."""
        told = _told(ending, tier, cost_usd, at, ms)
        # What is not known is NULL already, and to bind None is dear, as above.
        known = [value for value in told if value is not None]
        statement = _closing(tuple([value is not None for value in told]))
        return self._db.execute(statement, (*known, row)).rowcount == 1

    def amend_call(self, row: int, ending: Ending, *, tier: Tier, cost_usd: float | None, at: float, ms: float) -> bool:
        """Put the truth in place of what a sweep had to assume. False when the row holds a true ending already."""
        told = _told(ending, tier, cost_usd, at, ms)
        return self._db.execute(_AMEND, (*told, row)).rowcount == 1

    def add_totals(
        self, call: OpenCall, ending: Ending, *, tier: Tier, cost_usd: float | None, seconds: float, again: bool = False
    ) -> None:
        """Add an ended attempt to the sums that a scrape reads. `again`: it was counted before, add only its usage."""
        usage, ttft = ending.usage, None if again else ending.ttft
        duration_bucket = -1 if again else bucket(seconds, DURATION_BOUNDS)
        ttft_bucket = -1 if ttft is None else bucket(ttft, TTFT_BOUNDS)
        once = 0 if again else 1
        values = (
            once,
            once if call.attempt == 1 else 0,
            usage.prompt_tokens or 0,
            usage.completion_tokens or 0,
            usage.cached_tokens or 0,
            usage.reasoning_tokens or 0,
            cost_usd or 0.0,
            0.0 if again else seconds,
            ttft or 0.0,
            call.app,
            call.model or "",
            str(tier),
            "none" if ending.status is None else str(ending.status),
            str(ending.outcome),
            str(ending.limit.kind) if ending.limit else "",
        )
        update = _totals_update(duration_bucket, ttft_bucket)
        if self._db.execute(update, values).rowcount == 0:
            self._db.execute(
                "INSERT INTO totals (app, model, tier, code, outcome, kind) VALUES (?, ?, ?, ?, ?, ?)", values[9:]
            )
            self._db.execute(update, values)
            self.give_places(APP, (call.app,))
            self.give_places(MODEL, (call.model or "",))
            self.give_places(APP_MODEL, (pair(call.app, call.model or ""),))

    def count_refusal(self, app: str, reason: Reason, *, shadow: bool) -> None:
        row = self._db.execute(
            "INSERT INTO refusals (app, reason, shadow, n) VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET n = n + 1"
            " RETURNING n",
            (app, str(reason), int(shadow)),
        ).fetchone()
        if row[0] == 1:
            self.give_places(APP, (app,))

    def renew(self, row: int, lease_until: float) -> None:
        """Keep the hold of a call that is still running."""
        self._db.execute(
            "UPDATE calls SET lease_until = ? WHERE id = ? AND lease_until IS NOT NULL", (lease_until, row)
        )

    def open_rows(self, limit: int, above: int = -1) -> list[OpenRow]:
        """Holds, oldest first, at most `limit` of those with a higher number than `above`."""
        rows = self._db.execute(
            "SELECT id, started_at, app, account, endpoint, model_requested, tier, stream, attempt, call_id, reason,"
            " estimated_cost_usd, counted, lease_until FROM calls"
            " WHERE id > max(?, (SELECT value FROM marks WHERE name = 'open_from') - 1) AND lease_until IS NOT NULL"
            " ORDER BY id LIMIT ?",
            (above, limit),
        ).fetchall()
        return [_open_row(row) for row in rows]

    def newest_row(self) -> int:
        """The number of the newest row; 0 when there is none."""
        return int(self._db.execute("SELECT ifnull(max(id), 0) FROM calls").fetchone()[0])

    def nothing_open_below(self, row: int) -> None:
        """Remember that no row with a lower number is open; such a mark only moves on."""
        self._db.execute("UPDATE marks SET value = max(value, ?) WHERE name = 'open_from'", (row,))

    def keep_bodies(self, row: int, request: str | None, answer: str | None) -> None:
        self._db.execute(
            "INSERT INTO bodies (call, request, answer) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET"
            " request = ifnull(excluded.request, request), answer = ifnull(excluded.answer, answer)",
            (row, request, answer),
        )


def _values(call: OpenCall, outcome: str) -> tuple[object, ...]:
    """The values of `_COLUMNS` but for the last, the reason."""
    # For what is not exactly a str, an int or a float sqlite3 looks for adapters, which costs more than all the rest.
    return (
        call.started_at,
        call.app,
        call.account,
        str(call.endpoint),
        call.model,
        str(call.tier),
        int(call.stream),
        call.attempt,
        call.call_id,
        call.estimate_usd,
        int(call.counted),
        call.lease_until,
        outcome,
    )


def _told(ending: Ending, tier: Tier, cost_usd: float | None, at: float, ms: float) -> tuple[object, ...]:
    """The values of `_ENDING`."""
    usage, limit, ttft = ending.usage, ending.limit, ending.ttft
    return (
        at,
        ending.model_served,
        ending.provider,
        str(tier),
        ending.generation_id,
        ending.status,
        str(ending.outcome),
        None if limit is None else str(limit.kind),
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.cached_tokens,
        usage.reasoning_tokens,
        cost_usd,
        ms,
        None if ttft is None else ttft * 1000.0,
        ending.error,
    )


@cache
def _closing(known: tuple[bool, ...]) -> str:
    """The statement that ends an open row, for the columns of `_ENDING` that are known."""
    columns = "".join(f"{name} = ?, " for name, is_known in zip(_ENDING, known, strict=True) if is_known)
    return f"UPDATE calls SET {columns}lease_until = NULL WHERE id = ? AND lease_until IS NOT NULL"


@cache
def _totals_update(duration: int, ttft: int) -> str:
    """The statement that adds one to these buckets (-1: to none); there are as many as pairs of buckets."""
    counted = [f"d{duration:02}"] if duration >= 0 else []
    counted += [f"t{ttft:02}"] if ttft >= 0 else []
    steps = "".join(f", {name} = {name} + 1" for name in counted)
    return (
        "UPDATE totals SET n = n + ?, calls = calls + ?, prompt_tokens = prompt_tokens + ?,"
        " completion_tokens = completion_tokens + ?, cached_tokens = cached_tokens + ?,"
        " reasoning_tokens = reasoning_tokens + ?, cost_usd = cost_usd + ?, duration_seconds = duration_seconds + ?,"
        f" ttft_seconds = ttft_seconds + ?{steps}"
        " WHERE app = ? AND model = ? AND tier = ? AND code = ? AND outcome = ? AND kind = ?"
    )


def _open_row(row: tuple[object, ...]) -> OpenRow:
    (
        row_id,
        started_at,
        app,
        account,
        endpoint,
        model,
        tier,
        stream,
        attempt,
        call_id,
        reason,
        estimate,
        counted,
        lease,
    ) = row
    call = OpenCall(
        started_at=float(started_at),  # type: ignore[arg-type]
        app=str(app),
        account=str(account),
        endpoint=str(endpoint),
        model=None if model is None else str(model),
        tier=Tier(str(tier)),
        stream=bool(stream),
        attempt=int(attempt),  # type: ignore[call-overload]
        call_id=str(call_id),
        reason=None if reason is None else Reason(str(reason)),
        estimate_usd=float(estimate or 0.0),  # type: ignore[arg-type]
        counted=bool(counted),
        lease_until=float(lease),  # type: ignore[arg-type]
    )
    return OpenRow(id=int(row_id), call=call)  # type: ignore[call-overload]
