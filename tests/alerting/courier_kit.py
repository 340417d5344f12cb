"""A courier over a store, with alerts that stand as a test says, and a way that fails as it says."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from monitor.alerting.messages import Message
from monitor.alerting.notify import Courier
from monitor.alerting.told import Told
from monitor.alerting.way import Undelivered
from monitor.config.sections import AlertSettings
from monitor.metrics.polls import Polls
from monitor.metrics.sheet import Sheet
from monitor.policy.alert_states import AlertState, Phase, fingerprint
from monitor.policy.notices import Health
from monitor.store import SQLiteStore
from monitor.store.sqlite.reader import Reader
from tests.fakes.builders import NOON

URL = "http://127.0.0.1:8377"


@dataclass
class Standing:
    """How alerts stand, as a test says."""

    states: dict[str, AlertState] = field(default_factory=dict)
    leading: bool = True

    def fires(self, *names: str, at: float = NOON, severity: str = "warning") -> None:
        for name in names:
            labels = {"alertname": name, "severity": severity}
            self.states[fingerprint(labels)] = AlertState(name, Phase.FIRING, labels, {}, 1.0, at, int(at), at)

    def over(self, at: float) -> None:
        self.states = {
            key: AlertState(s.rule, Phase.RESOLVED, s.labels, {}, 1.0, s.active_at, s.incident, s.fired_at, at, at)
            for key, s in self.states.items()
        }


@dataclass
class Box:
    """A way that fails as often as a test says, and keeps what it took."""

    name: str = "box"
    channel: str = "webhook"
    place: str = "host"
    fails: list[Undelivered] = field(default_factory=list)
    taken: list[Message] = field(default_factory=list)
    tried: int = 0

    def send(self, message: Message) -> None:
        self.tried += 1
        if self.fails:
            raise self.fails.pop(0)
        self.taken.append(message)

    def names(self) -> list[str]:
        return [message.bundle.alertname for message in self.taken]


class Desk:
    """A courier by a box over a store; `restart` forgets all that is not in the store."""

    def __init__(self, path, clock, **alerts) -> None:
        self.store, self.clock, self.alerts = SQLiteStore(path), clock, AlertSettings(**alerts)
        self.standing, self.box, self.occasions = Standing(), Box(), []
        with self.store.transaction() as tx:
            tx.save_alert_way("box", Health("host").written())  # it has been there before
        self.restart()

    def restart(self) -> None:
        self.polls = Polls({})
        self.polls.tells_by(self.box.channel)
        told = Told(self.store, self.box.name)
        self.courier = Courier(self.box, self.standing, told, self.alerts, self.clock, self.polls, URL, self.occasions)

    def round(self):
        return self.courier.round()

    @contextlib.contextmanager
    def damaged_store(self):
        """While this lasts, the store's file holds something else."""
        path = self.store.path
        aside = path.with_name("aside.db")
        self.store.close()
        path.rename(aside)
        path.write_bytes(b"no database of ours " * 200)
        yield
        aside.replace(path)

    def counted(self, result: str) -> float:
        sheet = Sheet()
        self.polls.fill(sheet)
        return next(
            sample.value
            for metric in sheet.metrics()
            for sample in metric.samples
            if sample.name == "openrouter_monitor_notifications_total" and sample.labels["result"] == result
        )

    def health(self) -> Health:
        with Reader(self.store.path) as reader, reader.moment() as moment:
            return Health.read(moment.alert_ways()["box"])
