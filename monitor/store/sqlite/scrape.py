"""What a scrape reads: sums, windows, the newest polls. As many rows as there are series, never the log of calls.

The one look at `calls` is at those in flight, whose view begins where the oldest of them stands.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from monitor.clock import DAY, MINUTE, day_of
from monitor.model import KeyFacts, ModelFacts
from monitor.store.buckets import DURATION_BOUNDS, TTFT_BOUNDS, columns
from monitor.store.pollers import ACTIVITY_POLLER, ENDPOINTS_POLLER
from monitor.store.protocol import (
    ALL_APPS,
    CREDITS_POLLER,
    LEDGER_POLLER,
    AccountState,
    CatalogueState,
    CircuitRow,
)
from monitor.store.sqlite.names import APP, APP_MODEL, MODEL
from monitor.store.sqlite.quota import QuotaRows
from monitor.store.sqlite.routing import RoutingRows
from monitor.store.sqlite.semconv import SemconvRow, SemconvRows
from monitor.store.sqlite.world import PRESENT_COLUMN, WorldRows, full_facts, key_facts_of, model_columns

ACCOUNTS_READ = 10
PACE_SECONDS = 3600.0


class Caps(NamedTuple):
    """How many apps, models, and pairs of them have a name of their own."""

    apps: int = 20
    models: int = 50
    pairs: int = 150


CAPS = Caps()


class Summed(NamedTuple):
    """A row of the totals, without its buckets."""

    app: str
    model: str
    tier: str
    code: str
    outcome: str
    kind: str
    n: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_usd: float


class Latency(NamedTuple):
    """Attempts of a model by their duration and by the time to the first token: a count a bucket, and sums (s)."""

    model: str
    success: bool
    duration_seconds: float
    durations: Sequence[int]
    ttft_seconds: float
    ttfts: Sequence[int]


class Named(NamedTuple):
    """The values of a label that have a place, in their order, and how many have come in all."""

    values: tuple[str, ...]
    seen: int


class Snapshot(NamedTuple):
    """What one poll saw, and when it asked (epoch seconds); empty and None when there was none."""

    at: float | None = None
    summary: Mapping[str, object] = MappingProxyType({})


class AccountMoment(NamedTuple):
    """An account as it stands: windows (requests), money of the day (USD, settled), the key's last look.

    `mark` is an instant about an hour ago, if the day is that old, and what was used of the day by then.
    `activity_spent_usd` is what is on record here for the day that `activity` tells of. `circuits`: by model, what its
    failures left.
    """

    name: str
    state: AccountState
    attempts: int
    uncounted: int
    sent: int
    spent_usd: float
    key: KeyFacts | None
    key_error: str | None
    mark: tuple[float, int] | None
    credits: Snapshot
    activity: Snapshot
    activity_spent_usd: float
    circuits: Mapping[str, CircuitRow]


@dataclass(frozen=True, slots=True)
class Scrape:
    """Everything that the metrics are made from, of one moment."""

    totals: Sequence[Summed]
    latencies: Sequence[Latency]
    refusals: Sequence[tuple[str, str, bool, int]]
    names: Mapping[str, Named]
    in_flight: Mapping[str, int]
    accounts: Sequence[AccountMoment]
    catalogue: CatalogueState | None
    models: Mapping[str, int]
    watched: Mapping[str, tuple[ModelFacts, bool]]
    events: Mapping[str, int]
    endpoints: Snapshot
    saved: Mapping[str, int]
    semconv: Sequence[SemconvRow] = ()


class ScrapeRows(QuotaRows, WorldRows, RoutingRows):
    """Reading for a scrape, inside one transaction."""

    __slots__ = ()

    def scrape(
        self,
        account: str,
        now: float,
        *,
        watched: Iterable[str] = (),
        caps: Caps = CAPS,
        semconv: bool = False,
    ) -> Scrape:
        """All of it. `account` comes first among the accounts; `watched` models are looked up besides the named.

        `semconv`: whether what is counted for OpenTelemetry's conventions is wanted too.
        """
        names = {APP: self.named(APP, caps.apps), MODEL: self.named(MODEL, caps.models)}
        names[APP_MODEL] = self.named(APP_MODEL, caps.pairs)
        look_up = tuple(dict.fromkeys((*watched, *names[MODEL].values)))[: caps.models]
        return Scrape(
            totals=self._summed(),
            latencies=self._latencies(),
            refusals=[
                (app, reason, bool(shadow), n)
                for app, reason, shadow, n in self._db.execute("SELECT app, reason, shadow, n FROM refusals").fetchall()
            ],
            names=names,
            in_flight=dict(
                self._db.execute(
                    "SELECT app, count(*) FROM holds WHERE lease_until >= ? GROUP BY app", (now,)
                ).fetchall()
            ),
            accounts=[self._account(name, now) for name in self._accounts(account)],
            catalogue=self.catalogue(),
            models=dict(
                self._db.execute("SELECT price, count(*) FROM models WHERE present = 1 GROUP BY price").fetchall()
            ),
            watched=self._watched(look_up),
            events=dict(self._db.execute("SELECT kind, n FROM event_totals").fetchall()),
            endpoints=self._newest(ENDPOINTS_POLLER, ""),
            saved=self.saved(),
            semconv=SemconvRows(self._db).semconv() if semconv else (),
        )

    def named(self, label: str, cap: int) -> Named:
        """The first `cap` values of a label."""
        rows = self._db.execute(
            "SELECT value FROM label_names WHERE label = ? AND place <= ? ORDER BY place", (label, cap)
        ).fetchall()
        seen = self._db.execute("SELECT ifnull(max(place), 0) FROM label_names WHERE label = ?", (label,)).fetchone()
        return Named(tuple(row[0] for row in rows), int(seen[0]))

    def pace_mark(self, account: str, now: float) -> tuple[float, int] | None:
        """When, an hour ago or as long ago as today's notes go, how much of the day's quota was used (requests)."""
        midnight = day_of(now) * DAY
        query = (
            "SELECT at, summary FROM snapshots WHERE poller = ? AND account = ? AND at >= ? AND at <= ? ORDER BY id {}"
            " LIMIT 1"
        )
        look = (LEDGER_POLLER, account, midnight)
        row = self._db.execute(query.format("DESC"), (*look, now - PACE_SECONDS)).fetchone()
        if row is None:
            row = self._db.execute(query.format("ASC"), (*look, now)).fetchone()
        used = None if row is None else json.loads(row[1]).get("used")
        return (float(row[0]), used) if isinstance(used, int) else None

    def _summed(self) -> list[Summed]:
        rows = self._db.execute(f"SELECT {', '.join(Summed._fields)} FROM totals").fetchall()
        return [Summed._make(row) for row in rows]

    def _latencies(self) -> list[Latency]:
        durations, ttfts = columns("d", DURATION_BOUNDS), columns("t", TTFT_BOUNDS)
        sums = ", ".join(f"sum({name})" for name in ("duration_seconds", *durations, "ttft_seconds", *ttfts))
        rows = self._db.execute(
            f"SELECT model, outcome = 'success' AS success, {sums} FROM totals GROUP BY model, success"
        ).fetchall()
        middle = 3 + len(durations)
        return [Latency(row[0], bool(row[1]), row[2], row[3:middle], row[middle], row[middle + 1 :]) for row in rows]

    def saved(self) -> dict[str, int]:
        """By app, how many calls kept answers have answered: requests that were not sent."""
        return dict(self._db.execute("SELECT app, n FROM saved").fetchall())

    def _accounts(self, first: str) -> list[str]:
        rows = self._db.execute("SELECT account FROM accounts ORDER BY account LIMIT ?", (ACCOUNTS_READ,)).fetchall()
        return list(dict.fromkeys((first, *(row[0] for row in rows))))[:ACCOUNTS_READ]

    def _account(self, name: str, now: float) -> AccountMoment:
        day = day_of(now)
        attempts, uncounted = self.day_windows(name, day).get(ALL_APPS, (0, 0))
        key = self._db.execute("SELECT key_facts, key_error FROM accounts WHERE account = ?", (name,)).fetchone()
        activity = self._newest(ACTIVITY_POLLER, name)
        active_day = activity.summary.get("day")
        return AccountMoment(
            name=name,
            state=self.account(name),
            attempts=attempts,
            uncounted=uncounted,
            sent=self.sends_since(name, now - MINUTE),
            spent_usd=self._spent_on(name, day),
            key=None if key is None else key_facts_of(key[0]),
            key_error=None if key is None else key[1],
            mark=self.pace_mark(name, now),
            credits=self._newest(CREDITS_POLLER, name),
            activity=activity,
            activity_spent_usd=self._spent_on(name, active_day) if isinstance(active_day, int) else 0.0,
            circuits=self.circuits(name),
        )

    def _spent_on(self, account: str, day: int) -> float:
        row = self._db.execute(
            "SELECT usd FROM spend WHERE account = ? AND period = 'day' AND start_day = ?", (account, day)
        ).fetchone()
        return 0.0 if row is None else float(row[0])

    def _newest(self, poller: str, account: str) -> Snapshot:
        row = self._db.execute(
            "SELECT at, summary FROM snapshots WHERE poller = ? AND account = ? ORDER BY id DESC LIMIT 1",
            (poller, account),
        ).fetchone()
        return Snapshot() if row is None else Snapshot(float(row[0]), json.loads(row[1]))

    def _watched(self, models: Sequence[str]) -> dict[str, tuple[ModelFacts, bool]]:
        marks = ", ".join("?" * len(models))
        rows = self._db.execute(f"SELECT {model_columns()} FROM models WHERE id IN ({marks})", models).fetchall()
        return {row[0]: (full_facts(row), bool(row[PRESENT_COLUMN])) for row in rows}
