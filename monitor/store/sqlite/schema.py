"""The schema, as numbered migrations. A migration that has been released is never edited: add the next one.

`PRAGMA user_version` is the number of migrations applied, so that opening an up-to-date file costs no import of
sqlite-utils. `application_id` tells our files from anybody else's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from monitor.store.sqlite import tables

if TYPE_CHECKING:
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

APPLICATION_ID = 0x4F524D4E
"""'ORMN'. `file` and other tools read it from byte 68 of the header."""


def _run(db: Database, statements: Iterable[str]) -> None:
    for statement in statements:
        db.conn.execute(statement)


def build_migrations() -> Migrations:
    """All migrations in order. Imports sqlite-utils: call it only when there is something to apply."""
    from sqlite_utils.migrations import Migrations  # noqa: PLC0415 - 80 ms that an up-to-date store never pays

    migrations = Migrations("openrouter-monitor")

    @migrations()
    def m001_initial(db: Database) -> None:
        _run(
            db,
            (
                tables.CALLS,
                tables.MARKS,
                tables.FIRST_MARK,
                tables.HOLDS,
                tables.WINDOWS,
                tables.SENDS,
                tables.ACCOUNTS,
                tables.SPEND,
                tables.COOLDOWNS,
                tables.PAUSES,
            ),
        )
        _run(
            db,
            (
                tables.CATALOGUE,
                tables.NO_CATALOGUE,
                tables.MODELS,
                tables.LEASES,
                tables.SNAPSHOTS,
                tables.EVENTS,
                tables.REFUSALS,
                tables.BODIES,
                tables.totals(),
            ),
        )

    @migrations()
    def m002_beliefs(db: Database) -> None:
        _run(db, (tables.BELIEFS,))

    @migrations()
    def m003_names_and_event_totals(db: Database) -> None:
        _run(db, (tables.EVENT_TOTALS, tables.EVENTS_SO_FAR, tables.LABEL_NAMES, tables.NAMES_SO_FAR))

    @migrations()
    def m004_semconv_and_snapshots_by_poller(db: Database) -> None:
        _run(db, (tables.SNAPSHOTS_BY_POLLER, tables.SEMCONV_OPEN, tables.semconv()))

    @migrations()
    def m005_friendly_client(db: Database) -> None:
        _run(
            db,
            (
                tables.CIRCUITS,
                tables.RETRY_SPANS,
                tables.ANSWERS,
                tables.ANSWERS_BY_USE,
                tables.ANSWERS_BY_END,
                tables.ANSWERS_SIZE,
                tables.SAVED,
                tables.BATCHES,
                tables.BATCH_ITEMS,
            ),
        )

    @migrations()
    def m006_price_of_images(db: Database) -> None:
        _run(db, (tables.IMAGE_PRICE,))

    @migrations()
    def m007_alerts(db: Database) -> None:
        _run(
            db,
            (
                tables.ALERT_STATES,
                tables.ALERT_NOTICES,
                tables.ALERT_WAYS,
                tables.ALERT_TICKS,
                tables.ALERT_SAMPLES,
            ),
        )

    @migrations()
    def m008_hours(db: Database) -> None:
        _run(db, (tables.HOURS, tables.HOURS_OPEN))

    return migrations


VERSION = 8
"""How many migrations there are: what `user_version` of an up-to-date file says. A test holds it to the list."""
