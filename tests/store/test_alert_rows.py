"""What the daemon remembers of its alerts."""

from __future__ import annotations

import pytest

from monitor.store import SQLiteStore
from monitor.store.sqlite.alerts import SeriesChange
from monitor.store.sqlite.reader import Reader


@pytest.fixture
def store(tmp_path):
    made = SQLiteStore(tmp_path / "monitor.db")
    yield made
    made.close()


def test_states_notices_and_ways_are_kept_by_name(store):
    """What is saved is found, by a transaction and by a reader; saved again it is replaced, forgotten it is gone."""
    with store.transaction() as tx:
        tx.save_alert_states({"a": "1", "b": "2"})
        tx.save_alert_states({"a": "3"}, forgotten=["b", "never"])
        tx.save_alert_notices("mail", {"a": "told", "b": "told"})
        tx.save_alert_notices("mail", {"a": "again"}, forgotten=["b"])
        tx.save_alert_notices("webhook", {"a": "other"})
        tx.save_alert_way("mail", "well")
        tx.save_alert_way("webhook", "ill")
        assert tx.alert_states() == {"a": "3"}
    with Reader(store.path) as reader, reader.moment() as moment:
        assert moment.alert_states() == {"a": "3"}
        assert moment.alert_notices("mail") == {"a": "again"}
        assert moment.alert_ways() == {"mail": "well", "webhook": "ill"}
    with store.transaction() as tx:
        tx.forget_alert_ways(but=["mail"])
        assert tx.alert_ways() == {"mail": "well"}
        assert tx.alert_notices("webhook") == {}
        tx.forget_alert_ways(but=[])
        assert tx.alert_notices("mail") == {}


def test_history_is_given_back_in_the_order_of_its_ticks(store):
    """Ticks and changes come back as written; forgetting spares what each series still needs."""
    changes = [SeriesChange("m", "x", 0, 1.0), SeriesChange("m", "y", 0, 0.5)]
    with store.transaction() as tx:
        assert tx.newest_alert_tick() is None
        tx.save_alert_tick(0, 100.0, changes)
        tx.save_alert_tick(1, 130.0, [])
        tx.save_alert_tick(2, 160.0, [SeriesChange("m", "x", 2, None), SeriesChange("m", "y", 2, 2.0)])
    with store.transaction() as tx:
        ticks, told = tx.alert_history()
        assert ticks == [(0, 100.0), (1, 130.0), (2, 160.0)]
        assert sorted(told[:2]) == changes
        assert sorted(told[2:]) == [SeriesChange("m", "x", 2, None), SeriesChange("m", "y", 2, 2.0)]
        assert tx.newest_alert_tick() == (2, 160.0)
        tx.forget_alert_history(1, [("m", "y", 2)])
        tx.shift_alert_ticks(-60.0)
        ticks, told = tx.alert_history()
        assert ticks == [(1, 70.0), (2, 100.0)]
        assert [(row.labels, row.tick) for row in told] == [("x", 0), ("x", 2), ("y", 2)]
        tx.forget_all_alert_history()
        assert tx.alert_history() == ([], [])
