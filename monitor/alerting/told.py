"""What people have been told by one way, and how that way fares: in memory, and in the store as soon as it can be.

A store that fails must not make a message come again and again: memory knows better, and writes when it can.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from monitor.errors import StoreError
from monitor.policy.notices import Health, Notice
from monitor.store import SQLiteStore
from monitor.store.sqlite.reader import Reader

log = logging.getLogger("monitor.alerting")


class Told:
    """Notices by alert, of one way."""

    def __init__(self, store: SQLiteStore, way: str) -> None:
        self._store, self._way = store, way
        self._notices: dict[str, Notice] | None = None
        self._unwritten: dict[str, Notice] = {}
        self._forgotten: set[str] = set()
        self.fresh = False
        """Whether nothing was ever told by this way; known after `notices`."""

    def __repr__(self) -> str:
        return f"<Told by {self._way}>"

    def notices(self) -> Mapping[str, Notice]:
        """What has been told. Raises StoreError when that is not known yet, and cannot be read."""
        if self._notices is None:
            with Reader(self._store.path) as reader, reader.moment() as moment:
                self.fresh = self._way not in moment.alert_ways()
                read = {key: Notice.read(text) for key, text in moment.alert_notices(self._way).items()}
            self._notices = {key: notice for key, notice in read.items() if notice is not None}
        return self._notices

    def note(self, told: Mapping[str, Notice], forgotten: Iterable[str] = ()) -> None:
        """Remember what has just been told, and forget alerts that are no more."""
        assert self._notices is not None
        self._notices.update(told)
        self._unwritten.update(told)
        # One that was to be forgotten, while the store failed, and has been told of anew meanwhile, is not forgotten.
        self._forgotten.difference_update(told)
        self._forgotten.update(forgotten)
        for key in self._forgotten:
            self._notices.pop(key, None)
            self._unwritten.pop(key, None)
        self.write()

    def write(self, health: Health | None = None) -> None:
        """Write what is not written yet; when the store fails, it stays for the next time."""
        if not self._unwritten and not self._forgotten and health is None:
            return
        try:
            with self._store.transaction() as tx:
                notices = {key: notice.written() for key, notice in self._unwritten.items()}
                tx.save_alert_notices(self._way, notices, self._forgotten)
                if health is not None:
                    tx.save_alert_way(self._way, health.written())
        except StoreError as exc:
            log.warning("what was told by %s cannot be written down: %s", self._way, exc)
            return
        self._unwritten.clear()
        self._forgotten.clear()

    def drop(self) -> None:
        """Another daemon tells people now."""
        self._notices = None
        self._unwritten.clear()
        self._forgotten.clear()
