"""What people are told of alerts, and what they are not told again."""

from __future__ import annotations

import pytest

from monitor.clock import DAY
from monitor.policy.alert_states import AlertState, Phase, fingerprint
from monitor.policy.notices import (
    BUNDLES_AT_MOST,
    Health,
    Manners,
    Notice,
    begun,
    bundled,
    due,
    outlived,
)
from tests.fakes.builders import MIDNIGHT, NOON

HOUR = 3600.0


def alert(name: str = "Failing", severity: str = "warning", *, at: float = NOON, phase=Phase.FIRING, **labels: str):
    """An alert that has been so since `at`."""
    whole = {"alertname": name, "severity": severity, **labels}
    over = at if phase is Phase.RESOLVED else None
    fired = None if phase is Phase.PENDING else at
    return AlertState(f"{name}/{severity}", phase, whole, {}, 1.0, at, int(at), fired, over, over)


def standing(*states: AlertState):
    return {fingerprint(state.labels): state for state in states}


def told(states, notices, now: float = NOON, manners: Manners | None = None, **more):
    """Tell what is due; what was told, and why."""
    found = due(states, notices, manners or Manners(), now, **more)
    notices.update({each.key: each.notice(now) for each in found})
    return [(each.state.name, each.state.severity, each.why.value) for each in found]


def test_each_is_told_once_and_that_it_is_over_once():
    """However often one looks; what never fired, or was never told of, is not told to be over."""
    notices: dict[str, Notice] = {}
    assert told(standing(alert(phase=Phase.PENDING)), notices) == []
    firing = standing(alert())
    assert told(firing, notices) == [("Failing", "warning", "new")]
    assert told(firing, notices) == []
    over = standing(alert(phase=Phase.RESOLVED))
    assert told(over, notices) == [("Failing", "warning", "over")]
    assert told(over, notices) == []
    assert told({}, notices) == []


def test_it_is_told_again_after_the_stated_time():
    """At exactly `repeat_seconds`, not before, and counted from the last time."""
    firing, notices, manners = standing(alert()), dict[str, Notice](), Manners(repeat_seconds=HOUR)
    told(firing, notices, manners=manners)
    assert told(firing, notices, NOON + HOUR - 0.1, manners) == []
    assert told(firing, notices, NOON + HOUR, manners) == [("Failing", "warning", "repeat")]
    assert told(firing, notices, NOON + 2 * HOUR - 0.1, manners) == []
    assert told(firing, notices, NOON + 2 * HOUR, manners) == [("Failing", "warning", "repeat")]


def test_a_clock_set_far_back_does_not_silence_it():
    """A notice from the future is from before the clock was set: the alert is told once more, and goes on."""
    firing, notices = standing(alert()), dict[str, Notice]()
    told(firing, notices, NOON + 90 * DAY)
    assert told(firing, notices, NOON) == [("Failing", "warning", "repeat")]
    assert told(firing, notices, NOON + 60) == []


def test_the_same_alert_later_is_another_incident():
    """What fires anew is told anew, also if its end could not be told in between."""
    notices: dict[str, Notice] = {}
    told(standing(alert()), notices)
    assert told(standing(alert(at=NOON + 60)), notices, NOON + 60) == [("Failing", "warning", "new")]


@pytest.mark.parametrize(
    ("least", "names"),
    [("info", ["c", "w", "i"]), ("warning", ["c", "w"]), ("critical", ["c"])],
)
def test_only_what_is_grave_enough_is_told_the_gravest_first(least, names):
    """From the severity on that is asked for; Watchdog, which always fires, never."""
    states = standing(alert("i", "info"), alert("w", "warning"), alert("c", "critical"), alert("n", "none"))
    assert [name for name, *_ in told(states, {}, manners=Manners(least))] == names


def test_in_quiet_hours_only_what_is_critical_is_told():
    """The rest is told when they end; what was over by then is told as over, once."""
    notices: dict[str, Notice] = {}
    night = standing(alert("w"), alert("gone"), alert("c", "critical"))
    assert told(night, notices, quiet=True) == [("c", "critical", "new")]
    assert told(night, notices, NOON + 9 * HOUR, quiet=True) == [("c", "critical", "repeat")]
    morning = standing(alert("w"), alert("gone", phase=Phase.RESOLVED), alert("c", "critical", phase=Phase.RESOLVED))
    assert told(morning, notices, NOON + 9 * HOUR) == [
        ("c", "critical", "over"), ("gone", "warning", "missed"), ("w", "warning", "new"),
    ]  # fmt: skip
    assert told(morning, notices, NOON + 9 * HOUR) == []


def quota(severity: str, at: float, phase=Phase.FIRING):
    return alert("Quota", severity, at=at, phase=phase, quota="daily", account="default")


def test_the_days_quota_is_told_of_once_a_day():
    """80 % and 95 % once each in a UTC day, whatever becomes of them; the next day again; no repeat in between."""
    notices: dict[str, Notice] = {}
    assert told(standing(quota("warning", NOON)), notices) == [("Quota", "warning", "new")]
    both = standing(quota("warning", NOON), quota("critical", NOON + HOUR))
    assert told(both, notices, NOON + HOUR) == [("Quota", "critical", "new")]
    assert told(both, notices, NOON + 11 * HOUR) == []
    over = standing(quota("warning", NOON, Phase.RESOLVED), quota("critical", NOON, Phase.RESOLVED))
    assert told(over, notices, NOON + 2 * HOUR) == [("Quota", "critical", "over"), ("Quota", "warning", "over")]
    again = standing(quota("warning", NOON + 3 * HOUR), quota("critical", NOON + 3 * HOUR))
    assert told(again, notices, NOON + 3 * HOUR) == []
    ended = standing(quota("warning", NOON + 3 * HOUR, Phase.RESOLVED))
    assert told(ended, notices, NOON + 4 * HOUR) == []
    tomorrow = MIDNIGHT + DAY
    assert told(standing(quota("warning", tomorrow)), notices, tomorrow) == [("Quota", "warning", "new")]


def test_nearly_gone_is_not_told_beside_as_good_as_gone():
    """The graver of one quota silences the others, of the same account only; their end is told all the same."""
    notices: dict[str, Notice] = {}
    other = alert("Quota", "warning", quota="daily", account="other")
    both = standing(quota("warning", NOON), quota("critical", NOON), other)
    assert told(both, notices) == [("Quota", "critical", "new"), ("Quota", "warning", "new")]
    assert [notice.firing for notice in notices.values()] == [True, True]
    minute = alert("Minute", "warning", quota="minute", account="default")
    assert told(standing(minute, quota("critical", NOON)), notices) == [("Minute", "warning", "new")]
    early = dict[str, Notice]()
    told(standing(quota("warning", NOON)), early)
    ended = standing(quota("warning", NOON, Phase.RESOLVED), quota("critical", NOON))
    assert told(ended, early) == [("Quota", "critical", "new"), ("Quota", "warning", "over")]


def test_many_come_in_one_message():
    """Alerts of one name always; alerts of many names when there would be too many messages."""
    few = due(standing(*(alert("A", model=f"m{n}") for n in range(9)), alert("B", "critical")), {}, Manners(), NOON)
    assert [(bundle.alertname, len(bundle.due)) for bundle in bundled(few)] == [("B", 1), ("A", 9)]
    names = [f"A{n}" for n in range(BUNDLES_AT_MOST + 1)]
    at_most = due(standing(*map(alert, names[:-1])), {}, Manners(), NOON)
    assert [bundle.alertname for bundle in bundled(at_most)] == names[:-1]
    many = due(standing(*map(alert, names)), {}, Manners(), NOON)
    assert [(bundle.alertname, len(bundle.due)) for bundle in bundled(many)] == [("", len(names))]
    assert bundled([]) == []


def test_a_way_that_begins_now_is_told_nothing_of_the_past():
    """What was over before it was there is not news; what fires is."""
    states = standing(alert("over", phase=Phase.RESOLVED), alert("now"))
    assert told(states, begun(states, NOON)) == [("now", "warning", "new")]


def test_notices_of_alerts_that_are_no_more_are_known():
    """They can be forgotten."""
    states = standing(alert("A"))
    assert outlived(states, [*states, "gone"]) == ["gone"]


def test_notices_and_health_can_be_written_down_and_read():
    """They survive a restart; of what cannot be read nothing is believed."""
    notice = due(standing(alert()), {}, Manners(), NOON)[0].notice(NOON)
    assert Notice.read(notice.written()) == notice
    assert notice == Notice(int(NOON), True, NOON, int(NOON // DAY))
    health = Health("host", NOON, NOON + 1, "refused")
    assert Health.read(health.written()) == health
    for text in ("", "[]", "null", "nonsense", '{"incident": 1}'):
        assert Notice.read(text) is None
        assert Health.read(text) == Health()
