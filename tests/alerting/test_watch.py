"""One look after another at the daemon's figures: over restarts, two daemons, a clock set, a store that fails."""

from __future__ import annotations

import shutil

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from monitor.alerting.figures import figures
from monitor.alerting.watch import Watch, program_of
from monitor.clock import DAY, FakeClock
from monitor.config import Settings
from monitor.errors import ConfigError, StoreError
from monitor.policy.alert_states import Phase
from monitor.store import SQLiteStore
from tests.fakes.builders import NOON, rows
from tests.metrics.metrics_kit import Scene

EVERY = 30.0


class World:
    """Figures that a test sets, a store, and daemons that look at both."""

    def __init__(self, folder, **alerts) -> None:
        self.clock, self.path = FakeClock(NOON), folder / "monitor.db"
        self.settings = Settings(store=str(self.path), alerts=alerts)
        self.gauges: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self.stores: list[SQLiteStore] = []
        self.set("openrouter_monitor_build_info", 1, version="1")

    def set(self, name: str, value: float | None, **labels: str) -> None:
        key = (name, tuple(labels.items()))
        if value is None:
            self.gauges.pop(key, None)
        else:
            self.gauges[key] = value

    def collect(self):
        for (name, labels), value in self.gauges.items():
            names, values = [n for n, _ in labels], [v for _, v in labels]
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            metric = kind(name, "A figure.", labels=names)
            metric.add_metric(values, value)
            yield metric

    def daemon(self, holder: str = "one") -> Watch:
        store = SQLiteStore(self.path)
        self.stores.append(store)
        return Watch(store, self.settings, self.clock, self.collect, holder=holder, instance="host")

    def go(self, watch: Watch, seconds: float) -> None:
        """Look as a daemon does for so long."""
        for _ in range(int(seconds / EVERY)):
            self.clock.advance(EVERY)
            watch.look()

    def close(self) -> None:
        for store in self.stores:
            store.close()


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()


def phases(watch: Watch) -> dict[str, str]:
    return {f"{s.name}/{s.severity}": s.phase.value for s in watch.states.values()}


KEY = ("openrouter_key_valid",)
INVALID = "OpenRouterKeyInvalid/critical"


def test_an_alert_goes_from_pending_to_firing_to_over(world):
    """As its rule says: for 5 minutes before it fires, 15 minutes on after its end."""
    watch = world.daemon()
    world.set("openrouter_account_credits_usd", -1.0, account="default")
    name = "OpenRouterAccountCreditsNegative/critical"
    watch.look()
    assert phases(watch) == {name: "pending"}
    world.go(watch, 270)
    assert phases(watch) == {name: "pending"}
    world.go(watch, 30)
    assert phases(watch) == {name: "firing"}
    world.set("openrouter_account_credits_usd", 5.0, account="default")
    world.go(watch, 900)
    assert phases(watch) == {name: "firing"}
    world.go(watch, 30)
    assert phases(watch) == {name: "resolved"}


def test_a_restart_goes_on_where_it_was(world):
    """`for`, what fires, and the history that rules look back at are those of before; nothing fires or ends by it."""
    first = world.daemon()
    world.set("openrouter_account_credits_usd", -1.0, account="default")
    world.set("openrouter_model_free", 1, model="lab/m:free")
    world.set("openrouter_model_available", 1, model="lab/m:free")
    first.look()
    world.go(first, 150)
    first.end()
    again = world.daemon("two")
    world.set("openrouter_model_free", 0, model="lab/m:free")
    world.go(again, 30)
    assert phases(again) == {
        "OpenRouterAccountCreditsNegative/critical": "pending", "OpenRouterModelNoLongerFree/critical": "firing",
    }  # fmt: skip
    world.go(again, 120)
    assert phases(again)["OpenRouterAccountCreditsNegative/critical"] == "firing"
    incidents = {key: state.incident for key, state in again.states.items()}
    again.end()
    third = world.daemon("three")
    world.go(third, 60)
    assert {key: state.incident for key, state in third.states.items()} == incidents


def test_what_was_spent_while_it_was_away_is_seen(world):
    """A sum that grew while no daemon ran is compared with what was known before."""
    first = world.daemon()
    world.set("openrouter_key_usage_usd_total", 1.0, key="default")
    world.set("openrouter_tier_requests_total", 3, app="bot", tier="paid")
    first.look()
    world.go(first, 60)
    first.end()
    world.clock.advance(6 * 3600)
    world.set("openrouter_key_usage_usd_total", 1.5, key="default")
    world.set("openrouter_tier_requests_total", 5, app="bot", tier="paid")
    again = world.daemon("two")
    again.look()
    assert phases(again) == {
        "OpenRouterSpendDetected/warning": "firing",
        "OpenRouterNonFreeModelUsed/critical": "firing",
    }
    texts = {state.name: state.annotations["description"] for state in again.states.values()}
    assert "0.5000 USD" in texts["OpenRouterSpendDetected"]
    assert ": 2." in texts["OpenRouterNonFreeModelUsed"]


def test_time_without_a_daemon_does_not_count_for_an_alert(world):
    """Pending for four minutes, then nobody looked for an hour: it is still pending, for one minute more."""
    first = world.daemon()
    world.set("openrouter_account_credits_usd", -1.0, account="default")
    first.look()
    world.go(first, 240)
    first.end()
    world.clock.advance(3600)
    again = world.daemon("two")
    again.look()
    assert set(phases(again).values()) == {"pending"}
    world.go(again, 30)
    assert set(phases(again).values()) == {"firing"}


def test_one_of_several_daemons_looks(world):
    """The other waits, and goes on with the first one's story when that one is silent for long enough, or has ended."""
    one, two = world.daemon("one"), world.daemon("two")
    world.set("openrouter_account_credits_usd", -1.0, account="default")
    one.look()
    two.look()
    assert (one.leading, two.leading, two.states) == (True, False, {})
    world.go(one, 300)
    world.clock.advance(2 * EVERY)
    two.look()
    assert not two.leading
    world.clock.advance(EVERY)
    two.look()
    assert two.leading
    assert set(phases(two).values()) == {"firing"}
    incident = [state.incident for state in one.states.values()]
    assert [state.incident for state in two.states.values()] == incident
    one.look()
    assert (one.leading, one.states) == (False, {})
    two.end()
    one.look()
    assert one.leading
    assert [state.incident for state in one.states.values()] == incident


def test_a_clock_that_is_set_back_changes_nothing(world):
    """What was is dated anew: no alert fires or ends by it, and none waits for the old time to come again."""
    watch = world.daemon()
    world.set("openrouter_account_credits_usd", -1.0, account="default")
    world.set("openrouter_key_valid", 1, key="default")
    watch.look()
    world.go(watch, 240)
    world.clock.set(world.clock.now() - DAY)
    watch.look()
    assert set(phases(watch).values()) == {"pending"}
    world.go(watch, 30)
    assert phases(watch) == {"OpenRouterAccountCreditsNegative/critical": "firing"}
    assert all(at <= world.clock.now() for (at,) in rows(world.stores[0], "SELECT at FROM alert_ticks"))
    world.set("openrouter_account_credits_usd", 1.0, account="default")
    world.go(watch, 930)
    assert phases(watch) == {"OpenRouterAccountCreditsNegative/critical": "resolved"}
    watch.end()
    world.clock.set(world.clock.now() - DAY)
    again = world.daemon("two")
    world.go(again, 60)
    assert phases(again) == {"OpenRouterAccountCreditsNegative/critical": "resolved"}


def test_a_clock_that_is_set_forward_fires_nothing(world):
    """Eight hours of sleep are no eight hours in which it lasted."""
    watch = world.daemon()
    world.set("openrouter_account_credits_usd", -1.0, account="default")
    watch.look()
    world.clock.set(world.clock.now() + 8 * 3600)
    world.go(watch, 270)
    assert set(phases(watch).values()) == {"pending"}
    world.go(watch, 30)
    assert set(phases(watch).values()) == {"firing"}


def test_while_the_store_fails_it_goes_on_from_memory(world, tmp_path):
    """That the store cannot be read becomes an alert all the same; when it is back, nothing of it is missing there."""
    watch = world.daemon()
    world.set("openrouter_monitor_scrape_ok", 1)
    watch.look()
    world.go(watch, 60)
    world.stores[0].close()
    shutil.move(world.path, tmp_path / "aside.db")
    world.path.write_bytes(b"no database of ours " * 200)
    world.set("openrouter_monitor_scrape_ok", 0)
    for _ in range(25):
        world.clock.advance(EVERY)
        with pytest.raises(StoreError):
            watch.look()
    assert phases(watch) == {"OpenRouterStoreUnreadable/critical": "firing"}
    shutil.move(tmp_path / "aside.db", world.path)
    world.go(watch, 30)
    assert phases(watch) == {"OpenRouterStoreUnreadable/critical": "firing"}
    assert rows(world.stores[0], "SELECT count(*), max(tick) FROM alert_ticks") == [(29, 28)]
    watch.end()
    again = world.daemon("two")
    world.go(again, 60)
    assert phases(again) == {"OpenRouterStoreUnreadable/critical": "firing"}


def test_a_daemon_that_never_looked_does_not_begin_without_the_store(world):
    """It cannot know what another does."""
    world.path.write_bytes(b"no database of ours " * 200)
    watch = world.daemon()
    with pytest.raises(StoreError):
        watch.look()
    assert not watch.leading


def test_what_is_kept_stays_small(world):
    """What the rules look back at is kept, in the store too: changes only, and no series that nobody asks for."""
    watch = world.daemon()
    for n in range(20):
        world.set("openrouter_requests_total", n, app="bot", model=f"m{n}", tier="free", code="200", outcome="success")
        world.set("openrouter_tokens_total", n, app="bot", model=f"m{n}", type="input")
    watch.look()
    for turn in range(180):
        world.set("openrouter_requests_total", turn, app="bot", model="m0", tier="free", code="200", outcome="success")
        world.go(watch, EVERY)
    store = world.stores[0]
    assert rows(store, "SELECT DISTINCT metric FROM alert_samples WHERE metric LIKE '%tokens%'") == []
    ((kept,),) = rows(store, "SELECT count(*) FROM alert_samples WHERE labels LIKE '%\"m0\"%'")
    assert 120 <= kept <= 120 + 10 + 20 + 1, "an hour, five minutes of looking back, and what is dropped at a time"
    assert rows(store, "SELECT count(*) FROM alert_samples WHERE labels LIKE '%\"m7\"%'") == [(1,)]
    again = world.daemon("two")
    watch.end()
    again.look()
    assert again.leading


def test_its_figures_are_those_of_a_scrape(tmp_path, clock):
    """The same samples, with the labels that Prometheus adds."""
    scene = Scene(tmp_path, clock)
    scene.call()
    from monitor.metrics.polls import Polls

    scene.polls = Polls({"models": 600.0})
    scene.restart()
    names = {"openrouter_requests_total", "openrouter_monitor_job_runs_total", "openrouter_free_daily_requests_used"}
    told = figures(scene.registry.collect(), job="openrouter-monitor", instance="host", wanted=names)
    assert told.keys() == names
    for name, series in told.items():
        assert len(series) == len(scene.all(name))
        for labels, value in series.items():
            own = dict(labels)
            assert (own.pop("job"), own.pop("instance")) == ("openrouter-monitor", "host")
            assert scene.value(name, **own) == value


def test_the_settings_choose_thresholds_and_alerts(tmp_path):
    """Another threshold, an alert less; with only free models allowed a paid call is critical."""
    told = program_of(Settings(alerts={"thresholds": ["quota_warning=0.5"], "without": ["OpenRouterClockSkew"]}))
    assert "OpenRouterClockSkew" not in {alert.name for alert in told.alerts}
    used = {alert.id for alert in told.alerts if alert.name == "OpenRouterNonFreeModelUsed"}
    assert used == {"OpenRouterNonFreeModelUsed/critical"}
    paid = program_of(Settings(guard={"allow": "any"}))
    assert "OpenRouterNonFreeModelUsed/warning" in {alert.id for alert in paid.alerts}
    for wrong in ({"thresholds": ["quota_warnin=0.5"]}, {"without": ["OpenRouterClockSkw"]}, {"thresholds": ["x"]}):
        with pytest.raises(ConfigError):
            program_of(Settings(alerts=wrong))


def test_an_alert_that_is_left_out_is_over(world):
    """What fired under other settings is told to be over, not left firing for ever."""
    watch = world.daemon()
    world.set("openrouter_account_credits_usd", -1.0, account="default")
    watch.look()
    world.go(watch, 300)
    watch.end()
    world.settings = Settings(store=str(world.path), alerts={"without": ["OpenRouterAccountCreditsNegative"]})
    again = world.daemon("two")
    world.go(again, 30)
    assert [state.phase for state in again.states.values()] == [Phase.RESOLVED]
