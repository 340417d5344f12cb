"""The status page, by the log's size: read from the store and filled in, as the daemon does on a worker thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from monitor.clock import FakeClock
from monitor.config import Settings
from monitor.ledger import Ledger
from monitor.store import open_store
from monitor.store.sqlite.hours import count_hours
from monitor.store.sqlite.reader import Reader
from monitor.views.traffic import Asked
from monitor.web.site import Site
from tests.bench.measure import Result, interleaved

FEW, MANY = 500_000, 5_000_000
SPAN_SECONDS = 30 * 86_400.0
END = 1_790_000_000.0
"""The newest row is of then, the oldest of thirty days before, however many there are."""


def page(base_url: str, folder: Path) -> Result:
    """Sixty pairs of app and model, four outcomes, all of them in each hour: as many sums, of few calls or of many.

    They repeat after 420 calls, and an hour of the small log has 690: else it would have fewer sums, and look faster.
    """
    candidates = {f"{rows:,} rows in the log": _page(base_url, folder / f"{rows}.db", rows) for rows in (FEW, MANY)}
    return interleaved("The status page, by the log's size", candidates, rounds=10, calls=5, bound=1.3)


def _page(base_url: str, path: Path, rows: int) -> Callable[[], object]:
    settings, clock = Settings(store=str(path), base_url=base_url, api_key="sk-or-v1-bench"), FakeClock(END)
    store = open_store(settings.store_path)
    with store.transaction() as tx:
        tx.save_catalogue(base_url, END, 1)
    _fill(path, rows)
    Ledger(store, settings, clock).sweep()
    count_hours(path, clock)
    store.close()
    site = Site(settings, clock, lambda work: work())  # type: ignore[arg-type,return-value]

    def read_and_fill_in() -> str:
        with Reader(path) as reader:
            return site._status(reader, END, Asked())

    return read_and_fill_in


def _fill(path: Path, rows: int) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)"
            " INSERT INTO calls (started_at, ended_at, app, account, endpoint, model_requested, model_served, tier,"
            " stream, attempt, call_id, status, outcome, reason, limit_kind, prompt_tokens, completion_tokens,"
            " cost_usd, estimated_cost_usd, duration_ms, counted)"
            " SELECT ?2 - (?1 - i) * ?3, ?2 - (?1 - i) * ?3, 'app' || (i % 20), 'default', 'chat', 'lab/m' || (i % 12),"
            " 'lab/m' || (i % 12), 'free', 0, 1, printf('%016x', i), 200,"
            " CASE i % 7 WHEN 0 THEN 'refused' WHEN 1 THEN 'rate_limited' WHEN 2 THEN 'server_error'"
            " ELSE 'success' END,"
            " CASE i % 7 WHEN 0 THEN 'model_not_free' END, CASE i % 7 WHEN 1 THEN 'upstream' END,"
            " 100, 200, 0.0, 0.0, 1000.0, 1 FROM n",
            (rows, END, SPAN_SECONDS / rows),
        )
