"""What the groups of statements have in common."""

from __future__ import annotations

import sqlite3


class Rows:
    """Statements inside the transaction whose connection this is."""

    __slots__ = ("_db",)

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
