"""Which apps and models have a name of their own in the metrics: those that came first, for good.

A counter must never go back. Were the named ones chosen anew by volume, each change of places would move sums between a
name and `other`, in one direction or the other. So a place is given in the transaction that first counts something
under a name, is never taken away, and whoever comes after the last place is `other` from the first count on.
"""

from __future__ import annotations

from collections.abc import Iterable

from monitor.store.sqlite.rows import Rows

APP, MODEL, APP_MODEL = "app", "model", "app_model"


def pair(app: str, model: str) -> str:
    """The name of an app and a model together; an app's name has no space in it."""
    return f"{app} {model}"


class NameRows(Rows):
    """Giving places."""

    __slots__ = ()

    def give_places(self, label: str, values: Iterable[str]) -> None:
        """Give the next places of `label` to those of `values` that have none, in their order."""
        self._db.executemany(
            "INSERT INTO label_names (label, place, value)"
            " SELECT ?1, ifnull(max(place), 0) + 1, ?2 FROM label_names WHERE label = ?1 ON CONFLICT DO NOTHING",
            [(label, value) for value in values],
        )
