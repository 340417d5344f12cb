"""Hours in the settings: spans and instants of every day, in UTC or a zone of one's own."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from monitor import Settings
from monitor.config.hours import daily, span
from monitor.errors import ConfigError

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def test_a_span_may_cross_midnight():
    """Its first minute is in it, its last is not."""
    night = span("22:00-07:00")
    inside = [at(f"2026-11-25T{time}") for time in ("22:00:00", "23:59:59", "00:00:00", "06:59:59")]
    outside = [at(f"2026-11-25T{time}") for time in ("07:00:00", "12:00:00", "21:59:59")]
    assert all(map(night.holds, inside))
    assert not any(map(night.holds, outside))
    noon = span("12:00 - 13:30")
    assert noon.holds(at("2026-11-25T12:00:00"))
    assert not noon.holds(at("2026-11-25T11:59:59"))
    assert noon.holds(at("2026-11-25T13:29:59"))
    assert not noon.holds(at("2026-11-25T13:30:00"))


def test_a_zone_of_ones_own_follows_its_summer_time():
    """22:00 in Berlin is 20:00 UTC in summer and 21:00 in winter."""
    night = span("22:00-07:00 Europe/Berlin")
    assert night.holds(at("2026-07-01T20:00:00"))
    assert not night.holds(at("2026-12-01T20:59:59"))
    assert night.holds(at("2026-12-01T21:00:00"))


def test_an_instant_of_the_day_was_last_today_or_yesterday():
    """Asked at the very instant, it is now; a second before, it was yesterday's."""
    morning = daily("08:00 Europe/Berlin")
    today = at("2026-11-25T08:00:00", "Europe/Berlin")
    assert morning.last(today) == today
    assert morning.last(today - 1) == today - 86400
    # Over the night in which summer time ends the day has 25 hours.
    assert morning.last(at("2026-10-25T07:59:59", "Europe/Berlin")) == at("2026-10-24T08:00:00", "Europe/Berlin")


@pytest.mark.parametrize("text", ["", "22-7", "24:00-07:00", "22:00", "22:60-07:00", "22:00-22:00", "22:00-07:00 Mars"])
def test_what_is_no_span_says_what_would_be_right(text):
    """A mistyped hour is an error of the settings, not a night without messages."""
    with pytest.raises(ConfigError, match=r"alerts\.quiet_hours"):
        Settings(alerts={"quiet_hours": text})


@pytest.mark.parametrize("text", ["8", "25:00", "08:00-09:00", "08:00 Nowhere/At_All", "08:00 ../../etc/passwd"])
def test_what_is_no_instant_says_what_would_be_right(text):
    """The same for the summary and the hint."""
    for name in ("daily_summary", "unused_hint"):
        with pytest.raises(ConfigError, match=name):
            Settings(alerts={name: text})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook_url", "hooks.example/T-s3cr3t"),
        ("webhook_url", "ftp://host/T-s3cr3t"),
        ("webhook_url", "https:///T-s3cr3t"),
        ("webhook_url", "https://host:99999/T-s3cr3t"),
        ("smtp_url", "https://user:T-s3cr3t@host"),
    ],
)
def test_an_address_that_is_none_is_not_repeated(name, value):
    """The error names the setting and what would be right, never the address: it holds a token."""
    with pytest.raises(ConfigError, match=f"alerts.{name} is wrong: expected an address that begins with") as told:
        Settings(alerts={name: value})
    assert "s3cr3t" not in str(told.value)


def test_a_severity_is_one_of_three():
    """What is not told of must not hang on a typing error."""
    assert Settings(alerts={"severity": "warning"}).alerts.severity == "warning"
    with pytest.raises(ConfigError, match=r"alerts\.severity"):
        Settings(alerts={"severity": "warn"})
