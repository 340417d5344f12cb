"""Bringing messages: once each, again after a failure, without a word twice, whatever else fails."""

from __future__ import annotations

import logging
import socket
import threading
from dataclasses import dataclass

import pytest
from courier_kit import URL, Desk
from sinks import webhook

from monitor.alerting.messages import single
from monitor.alerting.notify import END_SECONDS, FIRST_RETRY_SECONDS, RETRY_AT_MOST, Courier, Couriers
from monitor.alerting.told import Told
from monitor.alerting.way import Undelivered
from monitor.alerting.webhook import Webhook
from monitor.clock import DAY
from monitor.policy.notices import BUNDLES_AT_MOST, Health
from monitor.redact import Secret
from monitor.store.sqlite.reader import Reader
from tests.fakes.builders import MIDNIGHT, NOON


@pytest.fixture
def desk(tmp_path, clock):
    made = Desk(tmp_path / "monitor.db", clock)
    yield made
    made.store.close()


def test_nothing_is_told_twice_not_even_after_a_restart(desk, clock):
    """What was told is in the store before the next message goes."""
    desk.standing.fires("A", "B")
    assert desk.round() is None
    assert desk.box.names() == ["A", "B"]
    for _ in range(2):
        desk.round()
        desk.restart()
    assert desk.box.names() == ["A", "B"]
    desk.standing.over(clock.now())
    desk.round()
    assert [message.bundle.firing for message in desk.box.taken] == [True, True, False, False]
    desk.restart()
    desk.round()
    assert desk.box.tried == 4


def test_only_the_daemon_that_looks_tells(desk):
    """One that does not lead sends nothing, and reads anew what was told when it leads again."""
    desk.standing.fires("A")
    desk.standing.leading = False
    assert desk.round() is None
    assert desk.box.tried == 0
    desk.standing.leading = True
    desk.round()
    desk.standing.leading = False
    desk.round()
    with desk.store.transaction() as tx:
        tx.save_alert_notices("box", {}, forgotten=tx.alert_notices("box"))
    desk.standing.leading = True
    desk.round()
    assert desk.box.names() == ["A", "A"]


def test_a_failure_is_tried_again_less_and_less_often(desk, clock, caplog):
    """After 5, 10, 20 seconds and so on to a quarter of an hour; not sooner; counted, and said once."""
    desk.box.fails = [Undelivered("host answered 500") for _ in range(12)]
    desk.standing.fires("A")
    waits = []
    with caplog.at_level(logging.INFO, "monitor.alerting"):
        while desk.box.fails:
            wait = desk.round()
            waits.append(wait)
            clock.advance(wait - 0.5)
            assert desk.round() == 0.5
            clock.advance(0.5)
        assert desk.box.tried == 12
        assert waits[:4] == [FIRST_RETRY_SECONDS, 10, 20, 40]
        assert waits[-1] == RETRY_AT_MOST
        assert desk.health() == Health("host", None, NOON, "host answered 500")
        assert desk.round() is None
    assert (desk.counted("failure"), desk.counted("success")) == (12, 1)
    assert desk.box.names() == ["A"]
    assert desk.health() == Health("host", clock.now())
    assert [record.message for record in caplog.records] == [
        "messages by box do not arrive: host answered 500", "messages by box arrive again",
    ]  # fmt: skip


def test_a_server_that_says_when_is_left_alone_until_then(desk):
    """Longer than it would have been, but never for more than a quarter of an hour."""
    desk.box.fails = [Undelivered("busy", 40.0), Undelivered("busy", 1e9)]
    desk.standing.fires("A")
    assert desk.round() == 40.0
    desk.clock.advance(40.0)
    assert desk.round() == RETRY_AT_MOST


def test_what_arrived_is_not_sent_again_with_what_did_not(desk, clock):
    """Of two messages the second fails: only it is tried again, and if its alert is over by then, as over."""
    desk.standing.fires("A", "B")
    desk.box.fails = []
    send, second = desk.box.send, []

    def fail_second(message):
        if message.bundle.alertname == "B" and not second:
            second.append(message)
            raise Undelivered("no")
        send(message)

    desk.box.send = fail_second
    wait = desk.round()
    assert desk.box.names() == ["A"]
    clock.advance(wait)
    desk.standing.over(clock.now())
    desk.round()
    assert [(m.bundle.alertname, m.bundle.firing) for m in desk.box.taken] == [("A", True), ("A", False), ("B", False)]


def test_while_the_store_fails_nothing_is_told_twice(desk):
    """What was told is known, and is written down when the store is back."""
    desk.standing.fires("A")
    desk.round()
    with desk.damaged_store():
        desk.standing.fires("B")
        for _ in range(3):
            desk.round()
        assert desk.box.names() == ["A", "B"]
    desk.round()
    desk.standing.fires("C")
    desk.round()
    desk.restart()
    desk.round()
    assert desk.box.names() == ["A", "B", "C"]


def test_what_was_told_must_be_known_before_anything_is(desk):
    """A daemon that cannot read what its predecessor told waits, rather than tell it all again."""
    desk.standing.fires("A")
    desk.round()
    desk.restart()
    with desk.damaged_store():
        assert desk.round() == FIRST_RETRY_SECONDS
    desk.clock.advance(FIRST_RETRY_SECONDS)
    assert desk.round() is None
    assert desk.box.names() == ["A"]


def test_a_new_way_is_not_told_of_the_past(desk, clock):
    """Who sets up mail today does not get yesterday's alerts, but what fires."""
    desk.standing.fires("Old")
    desk.standing.over(NOON)
    desk.standing.fires("New")
    desk.box.name = "fresh"
    desk.restart()
    desk.round()
    assert desk.box.names() == ["New"]
    with Reader(desk.store.path) as reader, reader.moment() as moment:
        assert {"box", "fresh"} == moment.alert_ways().keys()


def test_many_alerts_are_one_message(desk):
    """A flood is told at once, not name by name."""
    desk.standing.fires(*(f"A{n}" for n in range(BUNDLES_AT_MOST + 1)))
    desk.round()
    assert len(desk.box.taken) == 1
    assert len(desk.box.taken[0].bundle.due) == BUNDLES_AT_MOST + 1


def test_quiet_hours_and_severity_are_those_of_the_settings(tmp_path, clock):
    """At night only what is critical; the rest in the morning; what is not grave enough never."""
    desk = Desk(tmp_path / "monitor.db", clock, quiet_hours="22:00-07:00", severity="warning", repeat_seconds=36000)
    clock.set(MIDNIGHT + 3600)
    desk.standing.fires("W")
    desk.standing.fires("I", severity="info")
    desk.standing.fires("C", severity="critical")
    desk.round()
    assert desk.box.names() == ["C"]
    clock.set(MIDNIGHT + 7 * 3600)
    desk.round()
    assert desk.box.names() == ["C", "W"]
    desk.store.close()


def test_notices_of_alerts_that_are_no_more_are_dropped(desk):
    """What is told once a day stays as long as the state that it is about, and no longer."""
    desk.standing.fires("A")
    desk.round()
    desk.standing.states.clear()
    desk.round()
    with Reader(desk.store.path) as reader, reader.moment() as moment:
        assert moment.alert_notices("box") == {}


@dataclass
class Daily:
    """Something told each noon."""

    key: str = "daily"
    empty: bool = False

    def at(self, now):
        return now - now % DAY + DAY / 2 if now % DAY >= DAY / 2 else None

    def bundle(self, now):
        return None if self.empty else single("Daily", "info", "quota", "So it goes.", "", now)


def test_an_occasion_comes_once_each_time(desk, clock):
    """Once a day, also after a restart; a failure is tried again; what has nothing to say is silent."""
    desk.occasions.append(Daily())
    desk.box.fails = [Undelivered("no")]
    clock.advance(desk.round())
    desk.round()
    desk.restart()
    clock.advance(3600)
    desk.round()
    assert desk.box.names() == ["Daily"]
    clock.advance(DAY)
    desk.round()
    assert desk.box.names() == ["Daily", "Daily"]
    clock.advance(DAY)
    desk.occasions[0].empty = True
    desk.round()
    assert len(desk.box.taken) == 2


# Threads


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_way_that_hangs_holds_up_neither_the_others_nor_the_end(desk, tmp_path, clock):
    """Each has a thread of its own; the end does not wait for a server that never answers."""
    with webhook() as hook, socket.create_server(("127.0.0.1", 0)) as deaf:
        urls = {"deaf": f"http://127.0.0.1:{deaf.getsockname()[1]}/", "hears": hook.url}
        couriers = []
        for name, url in urls.items():
            way = Webhook(Secret(url))
            way.name = name
            told = Told(desk.store, name)
            couriers.append(Courier(way, desk.standing, told, desk.alerts, clock, desk.polls, URL))
        both = Couriers(couriers, desk.store)
        both.start()
        desk.standing.fires("A")
        both.wake()
        connection, _ = deaf.accept()
        assert hook.next()["groupLabels"] == {"alertname": "A"}
        ended = threading.Thread(target=both.end)
        ended.start()
        ended.join(10 * END_SECONDS)
        assert not ended.is_alive()
        connection.close()


def test_a_defect_of_one_way_is_told_by_its_kind_alone(desk, clock, caplog):
    """A way that raises what it should not is tried again later, and no word of a library is logged or kept."""

    def send(message):
        raise RuntimeError("https://host/T0KEN-s3cr3t")

    desk.box.send = send
    desk.standing.fires("A")
    with caplog.at_level(logging.DEBUG):
        assert desk.round() == FIRST_RETRY_SECONDS
    assert "s3cr3t" not in caplog.text
    assert desk.health() == Health("host", None, clock.now(), "host: RuntimeError")
