"""The world as last polled: the catalogue, the key, events, and the lease that lets one process poll for all."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping

from monitor.clock import AHEAD
from monitor.model import Event, KeyFacts, ModelFacts, PriceClass
from monitor.store.protocol import CatalogueState
from monitor.store.sqlite.rows import Rows

_POLICY_COLUMNS = (
    "id, price, prompt_usd, completion_usd, request_usd, worst_prompt_usd, worst_completion_usd, bounded, "
    "context_length, max_completion_tokens"
)
_REST_COLUMNS = (
    "name, input_modalities, output_modalities, supported_parameters, created, expires, alias_target, image_usd"
)
PRESENT_COLUMN = 18
"""Where, after the columns of `model_columns`, stands whether the newest catalogue lists it."""

SNAPSHOTS_KEPT = 2000
"""Rows of the poll history an account and poller keep: a month of hourly looks, or a day of every minute's."""


class WorldRows(Rows):
    """What was seen of OpenRouter, and what changed in it."""

    __slots__ = ()

    def catalogue(self) -> CatalogueState | None:
        row = self._db.execute("SELECT source, fetched_at, models FROM catalogue WHERE id = 1").fetchone()
        return CatalogueState(*row) if row and row[0] else None

    def facts(self, models: Iterable[str]) -> dict[str, ModelFacts]:
        """What the newest catalogue says of these models, as far as a verdict needs it; unlisted ones are left out."""
        found = {}
        for model in models:
            row = self._db.execute(
                f"SELECT {_POLICY_COLUMNS} FROM models WHERE id = ? AND present = 1", (model,)
            ).fetchone()
            if row is not None:
                found[model] = policy_facts(row)
        return found

    def all_facts(self) -> dict[str, tuple[ModelFacts, bool]]:
        """Every model ever seen, with whether the newest catalogue lists it."""
        rows = self._db.execute(f"SELECT {model_columns()} FROM models").fetchall()
        return {row[0]: (full_facts(row), bool(row[PRESENT_COLUMN])) for row in rows}

    def save_models(self, changed: Iterable[ModelFacts], gone: Iterable[str], at: float) -> None:
        """Write what is new or different, and mark what the catalogue no longer lists. History is not deleted."""
        self._db.executemany(
            f"INSERT INTO models ({_POLICY_COLUMNS}, {_REST_COLUMNS}, present, first_seen, changed_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?) ON CONFLICT (id) DO UPDATE SET "
            + ", ".join(f"{name} = excluded.{name}" for name in f"{_POLICY_COLUMNS}, {_REST_COLUMNS}".split(", ")[1:])
            + ", present = 1, changed_at = excluded.changed_at",
            [(*_columns(facts), at, at) for facts in changed],
        )
        self._db.executemany(
            "UPDATE models SET present = 0, changed_at = ? WHERE id = ?", [(at, model) for model in gone]
        )

    def save_catalogue(self, source: str, at: float, models: int) -> None:
        self._db.execute(
            "INSERT INTO catalogue (id, source, fetched_at, models) VALUES (1, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " source = excluded.source, fetched_at = excluded.fetched_at, models = excluded.models",
            (source, at, models),
        )

    def key_error(self, account: str) -> str | None:
        """Why the last look at `/key` said nothing; None after one that did."""
        row = self._db.execute("SELECT key_error FROM accounts WHERE account = ?", (account,)).fetchone()
        return None if row is None else row[0]

    def save_key(self, account: str, facts: KeyFacts | None, at: float, error: str | None) -> None:
        """Keep what `/key` said; after an error the last facts stay, and the error stands beside them."""
        self._db.execute("INSERT INTO accounts (account) VALUES (?) ON CONFLICT DO NOTHING", (account,))
        if facts is None:
            self._db.execute("UPDATE accounts SET key_error = ? WHERE account = ?", (error, account))
            return
        self._db.execute(
            "UPDATE accounts SET key_facts = ?, key_at = ?, key_error = NULL, key_remaining_usd = ? WHERE account = ?",
            (json.dumps(dataclasses.asdict(facts)), at, _remaining(facts), account),
        )

    def add_snapshot(self, at: float, poller: str, account: str, summary: Mapping[str, object]) -> None:
        row = self._db.execute(
            "INSERT INTO snapshots (at, poller, account, summary) VALUES (?, ?, ?, ?) RETURNING id",
            (at, poller, account, json.dumps(summary)),
        ).fetchone()
        self._db.execute("DELETE FROM snapshots WHERE id <= ?", (row[0] - SNAPSHOTS_KEPT,))

    def add_event(self, event: Event, times: int = 1) -> None:
        """Record an event, which tells of something that happened `times`: to so many models, say."""
        self._db.execute(
            "INSERT INTO events (at, kind, subject, before, after, note) VALUES (?, ?, ?, ?, ?, ?)",
            (event.at, event.kind, event.subject, event.before, event.after, event.note),
        )
        self._db.execute(
            "INSERT INTO event_totals (kind, n) VALUES (?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n",
            (event.kind, times),
        )

    # One poller for all: a lease is taken, worked under, and ended with what came of it

    def take_lease(self, name: str, holder: str, until: float, now: float) -> bool:
        """Take the lease unless somebody's still runs.

        One that runs longer than the one asked for was taken before the clock stepped back, and has run out.
        """
        held = self._db.execute("SELECT holder, until FROM leases WHERE name = ?", (name,)).fetchone()
        if held is not None and held[0] != holder and now < held[1] <= until + AHEAD:
            return False
        self._db.execute(
            "INSERT INTO leases (name, holder, until, note) VALUES (?, ?, ?, '') ON CONFLICT DO UPDATE SET"
            " holder = excluded.holder, until = excluded.until, note = ''",
            (name, holder, until),
        )
        return True

    def end_lease(self, name: str, holder: str, note: str, until: float) -> None:
        """Say what came of it. A `note` is a failure; until `until` nobody needs to try again."""
        self._db.execute(
            "UPDATE leases SET note = ?, until = ?, holder = '' WHERE name = ? AND holder = ?",
            (note, until, name, holder),
        )

    def lease(self, name: str) -> tuple[str, float, str] | None:
        """(holder, until, note) of a lease, whoever has it."""
        row = self._db.execute("SELECT holder, until, note FROM leases WHERE name = ?", (name,)).fetchone()
        return None if row is None else (row[0], row[1], row[2])

    def pause(self, app: str, at: float, until: float | None, note: str) -> None:
        self._db.execute(
            "INSERT INTO pauses (app, at, until, note) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " at = excluded.at, until = excluded.until, note = excluded.note",
            (app, at, until, note),
        )

    def resume(self, app: str) -> bool:
        return self._db.execute("DELETE FROM pauses WHERE app = ?", (app,)).rowcount > 0


def model_columns() -> str:
    """The columns that `full_facts` reads, and whether the model is listed."""
    return f"{_POLICY_COLUMNS}, {_REST_COLUMNS}, present"


def policy_facts(row: tuple[object, ...]) -> ModelFacts:
    """Facts from the columns that a verdict needs."""
    return ModelFacts(
        id=str(row[0]),
        price=PriceClass(str(row[1])),
        prompt_usd=row[2],  # type: ignore[arg-type]
        completion_usd=row[3],  # type: ignore[arg-type]
        request_usd=row[4],  # type: ignore[arg-type]
        worst_prompt_usd=row[5],  # type: ignore[arg-type]
        worst_completion_usd=row[6],  # type: ignore[arg-type]
        bounded=bool(row[7]),
        context_length=row[8],  # type: ignore[arg-type]
        max_completion_tokens=row[9],  # type: ignore[arg-type]
    )


def full_facts(row: tuple[object, ...]) -> ModelFacts:
    """Facts from the policy columns and the rest after them."""
    return dataclasses.replace(
        policy_facts(row),
        name=str(row[10]),
        input_modalities=_split(row[11]),
        output_modalities=_split(row[12]),
        supported_parameters=_split(row[13]),
        created=row[14],  # type: ignore[arg-type]
        expires=row[15],  # type: ignore[arg-type]
        alias_target=row[16],  # type: ignore[arg-type]
        image_usd=row[17],  # type: ignore[arg-type]
    )


def _columns(facts: ModelFacts) -> tuple[object, ...]:
    return (
        facts.id,
        facts.price,
        facts.prompt_usd,
        facts.completion_usd,
        facts.request_usd,
        facts.worst_prompt_usd,
        facts.worst_completion_usd,
        facts.bounded,
        facts.context_length,
        facts.max_completion_tokens,
        facts.name,
        ",".join(facts.input_modalities),
        ",".join(facts.output_modalities),
        ",".join(facts.supported_parameters),
        facts.created,
        facts.expires,
        facts.alias_target,
        facts.image_usd,
    )


def key_facts_of(stored: str | None) -> KeyFacts | None:
    """Facts that `save_key` kept; None when there are none, or none that can be read."""
    if not stored:
        return None
    known = {field.name for field in dataclasses.fields(KeyFacts)}
    try:
        content = json.loads(stored)
    except ValueError:
        return None
    # A later version may have written more than this one knows.
    return KeyFacts(**{name: value for name, value in content.items() if name in known})


def _split(value: object) -> tuple[str, ...]:
    return tuple(str(value).split(",")) if value else ()


def _remaining(facts: KeyFacts) -> float | None:
    """Dollars that the key may still spend: its own cap, or a budget above it, whichever is less."""
    caps = [cap for cap in (facts.limit_remaining_usd, facts.effective_budget_remaining_usd) if cap is not None]
    return min(caps, default=None)
