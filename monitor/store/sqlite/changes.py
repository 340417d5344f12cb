"""What is believed of each model while the catalogue is judged for news; see `policy/changes`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from monitor.store.sqlite.rows import Rows


class ChangeRows(Rows):
    """Beliefs by model, as texts that this module does not read."""

    __slots__ = ()

    def beliefs(self) -> dict[str, str]:
        return dict(self._db.execute("SELECT model, belief FROM beliefs").fetchall())

    def save_beliefs(self, changed: Mapping[str, str], forgotten: Iterable[str] = ()) -> None:
        """Write those that changed, and forget models that never were."""
        self._db.executemany("DELETE FROM beliefs WHERE model = ?", [(model,) for model in forgotten])
        self._db.executemany(
            "INSERT INTO beliefs (model, belief) VALUES (?, ?) ON CONFLICT DO UPDATE SET belief = excluded.belief",
            changed.items(),
        )
