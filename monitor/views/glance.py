"""The state of things in one sentence, and how bad it is: what a page and a terminal say first.

The worst comes first: money, then what stops calls now, then what will stop them today.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from monitor.clock import day_of
from monitor.words import clock_time, count, dollars, span, until

OK, WARN, BAD = "ok", "warn", "bad"


class Glance(NamedTuple):
    """`level` is ok, warn or bad; `text` one short sentence, `more` what else there is to know."""

    level: str
    text: str
    more: str = ""


def glance(status: Mapping[str, Any]) -> Glance:
    """What `monitor.status.gather` found, in one sentence."""
    if not status["store"]["recorded"]:
        return Glance(WARN, "Nothing recorded yet.", "The first guarded call makes the store.")
    found = list(_troubles(status))
    for level in (BAD, WARN):
        for trouble in found:
            if trouble.level == level:
                return trouble
    return Glance(OK, "Nothing costs money, and today's requests last.")


def lasting(status: Mapping[str, Any]) -> str:
    """Whether what is left of the day lasts until midnight UTC, in words."""
    day, now = status["day"], status["at"]
    if day["closed_until"]:
        return "OpenRouter says that the day is spent."
    if not day["left"]:
        return "Used up."
    pace = day["pace_per_hour"]
    if not pace:
        return "Nothing uses it."
    if day["exhausted_at"] is not None:
        return f"Ends {until(day['exhausted_at'], now)}, {clock_time(day['exhausted_at'], now)}, at {pace:.0f} an hour."
    spare = day["left"] - pace * (day["resets_at"] - now) / 3600
    return f"About {max(0, int(spare))} to spare, at {max(1, round(pace))} an hour."


def money(status: Mapping[str, Any]) -> Glance:
    """Whether anything costs money today (UTC), by our log and by OpenRouter's own figure for the key."""
    spend, key = status["spend"], status["key"]
    here, there = spend["day_usd"], key.get("usage_daily_usd") or 0.0
    read_at = key.get("read_at")
    if read_at is None or day_of(read_at) != day_of(status["at"]):
        there = 0.0
    expected = status["guard"]["allow"] != "free"
    budget = spend["budget_day_usd"]
    if here > 0:
        of = "" if budget is None else f", of a budget of {dollars(budget)}"
        over = budget is not None and here >= budget
        return Glance(WARN if expected and not over else BAD, f"{dollars(here)} spent today{of}.")
    if there > 0:
        return Glance(BAD, f"{dollars(there)} spent today past the guard.", "By OpenRouter's own figure for the key.")
    reserved = f"{dollars(spend['reserved_usd'])} reserved." if spend["reserved_usd"] else ""
    return Glance(OK, "Nothing costs money.", reserved)


def _troubles(status: Mapping[str, Any]) -> Iterator[Glance]:
    now, day, minute = status["at"], status["day"], status["minute"]
    spent = money(status)
    if spent.level != OK:
        yield spent
    for pause in status["paused"]:
        who = "Calls are" if pause["app"] is None else f"{pause['app']} is"
        end = "until resumed" if pause["until"] is None else f"for {span(pause['until'] - now + 0.999)} more"
        yield Glance(BAD if pause["app"] is None else WARN, f"{who} paused, {end}.", pause["note"])
    if day["left"] == 0:
        yield Glance(BAD, f"Today's free requests are used up; they reset {until(day['resets_at'], now)}.")
    catalogue = status["catalogue"]
    if catalogue is None or not catalogue["usable"]:
        text = "There is no catalogue yet." if catalogue is None else "The catalogue is too old to judge by."
        yield Glance(WARN, text, "The next call fetches it, or is refused.")
    if minute["left"] == 0:
        opens = "" if minute["opens_at"] is None else f"; the next opens {until(minute['opens_at'], now)}"
        yield Glance(WARN, f"This minute's free requests are used{opens}.")
    if day["left"] and day["exhausted_at"] is not None:
        when = f"{until(day['exhausted_at'], now)}, {clock_time(day['exhausted_at'], now)}"
        yield Glance(WARN, f"At this pace today's requests end {when}.", f"{day['left']} of {day['limit']} are left.")
    if status["guard"]["mode"] != "enforce":
        yield Glance(WARN, f"The guard does not refuse anything: its mode is {status['guard']['mode']}.")
    if not status["key"]["present"] and status["key"]["error"]:
        yield Glance(WARN, "OpenRouter does not tell of the key.", status["key"]["error"])
    firing = [alert for alert in status["alerts"]["firing"] if alert["severity"] in ("critical", "warning")]
    if firing:
        others = f"And {count(len(firing) - 1, 'other alert')}." if firing[1:] else ""
        level = BAD if firing[0]["severity"] == "critical" else WARN
        yield Glance(level, f"Alert: {firing[0]['summary']}", others)
