"""`status`: how things stand, on one screen. What `--json` holds is described in `monitor.status`."""

from __future__ import annotations

from typing import Any

import click

from monitor.cli.context import JSON, Command, Invocation, passes_invocation
from monitor.cli.output import Column, Output, Styled
from monitor.words import ago, clock_time, count, dollars, span, until

_BAR = 24
_BLOCKS = " ▁▂▃▄▅▆▇█"
_AMPLE = 1.2
"""Attempts per call; above it the dashboards are coloured as well."""

_LEVELS = {"ok": "green", "warn": "yellow", "bad": "red"}
Parts = list[str | Styled]


@click.command(cls=Command)
@click.option("--watch", "-w", "watching", is_flag=True, help="Draw it anew every two seconds, until Ctrl-C.")
@JSON
@passes_invocation
def status(run: Invocation, watching: bool, as_json: bool) -> None:
    """How things stand: quota, apps, key, spend, catalogue.

    Reads the store only: it sends nothing, and waits for nobody. In a pipe --watch prints it again after each change;
    with --json, one object a line.
    """
    if watching:
        from monitor.cli.watching import watch

        watch(run, lambda: _looked(run), lambda found: show(run.out, found), as_json=as_json)
        return
    from monitor.status import gather

    with run.reader() as reader:
        found = gather(reader, run.settings, run.clock.now())
    if as_json:
        run.out.json(found)
    else:
        show(run.out, found)


def _looked(run: Invocation) -> dict[str, Any]:
    from monitor.views.overview import overview
    from monitor.views.traffic import Asked

    with run.reader() as reader:
        return overview(reader, run.settings, run.clock.now(), Asked())


def show(out: Output, found: dict[str, Any]) -> None:
    """The status for people."""
    now = found["at"]
    if not found["store"]["recorded"]:
        out.line(Styled("Nothing recorded yet.", "bold"), f" The store {found['store']['path']} does not exist.")
        out.line("It is made by the first guarded call; see it happen with `openrouter-monitor demo`.")
        return
    from monitor.views.glance import glance

    first = glance(found)
    out.line(Styled(first.text, f"bold {_LEVELS[first.level]}"), f" {first.more}" if first.more else "")
    pairs: list[tuple[str, Parts]] = [
        ("guard", _guard(found)),
        *[("ALERT", _alert(alert, now)) for alert in found["alerts"]["firing"] if alert["severity"] != "none"],
        *[("PAUSED", _pause(pause, now)) for pause in found["paused"]],
        ("today", _day(found["day"], now, bar=out.terminal)),
        ("this minute", _minute(found["minute"], now, bar=out.terminal)),
        ("refused today", _refused(found["refused_today"])),
        ("in flight", _in_flight(found["in_flight"])),
        ("per call", _amplification(found["amplification"])),
        ("spend", _spend(found["spend"])),
        ("key", _key(found["key"], now)),
        ("catalogue", _catalogue(found["catalogue"], now)),
    ]
    pairs += [("cooling down", [each["subject"], f", {until(each['until'], now)}"]) for each in found["cooling"]]
    alone = [each for each in found["circuits"] if each["state"] == "open"]
    pairs += [("left alone", [each["model"], f", it failed; again {until(each['until'], now)}"]) for each in alone]
    if "traffic" in found:
        pairs.append(("24 hours", _traffic(found["traffic"], bar=out.terminal)))
    out.facts([*pairs, ("store", [found["store"]["path"]])])
    if found["failures"]:
        out.blank()
        _failures(out, found["failures"], now)
    if found["apps"]:
        out.blank()
        _apps(out, found["apps"])
    if found["events"]:
        out.blank()
        events_table(out, found["events"], now)


def _guard(found: dict[str, Any]) -> Parts:
    guard = found["guard"]
    style = "green" if guard["mode"] == "enforce" else "bold yellow"
    allow = {"free": "only free models", "listed": "only listed models", "any": "any model"}[guard["allow"]]
    return [Styled(guard["mode"], style), f", lets through {allow}; {guard['base_url']}"]


def _pause(pause: dict[str, Any], now: float) -> Parts:
    who = pause["app"] or "every app"
    end = "until resumed" if pause["until"] is None else f"for {span(pause['until'] - now + 0.999)} more"
    note = f": {pause['note']}" if pause["note"] else ""
    return [Styled(f"{who}, {end}{note}", "bold red")]


def _alert(alert: dict[str, Any], now: float) -> Parts:
    style = "bold red" if alert["severity"] == "critical" else "yellow"
    return [Styled(alert["summary"] or alert["alert"], style), f" since {clock_time(alert['since'], now)}"]


def _traffic(traffic: dict[str, Any], *, bar: bool) -> Parts:
    """Attempts of the last day; in a terminal with a bar for each hour."""
    outcomes = ", ".join(f"{n} {outcome}" for outcome, n in sorted(traffic["outcomes"].items(), key=lambda x: -x[1]))
    parts: Parts = []
    if bar:
        hours = [sum(slot["outcomes"].values()) for slot in traffic["slots"]]
        high = max(1, *hours)
        parts.append(Styled("".join(_BLOCKS[-(-n * (len(_BLOCKS) - 1) // high)] for n in hours) + " ", "green"))
    return [*parts, f"{traffic['attempts']} attempts" + (f": {outcomes}" if outcomes else "")]


def _failures(out: Output, failures: list[dict[str, Any]], now: float) -> None:
    from monitor.clock import iso
    from monitor.views.stories import failure_text

    columns = [Column("failed"), Column("app"), Column("times", right=True), Column("what"), Column("why", fold=True)]
    rows = [
        [
            clock_time(each["at"], now) if out.terminal else iso(each["at"]),
            Styled(each["app"], "bold"),
            each["times"],
            Styled(each["reason"] or each["limit_kind"] or each["outcome"], "yellow"),
            failure_text(each),
        ]
        for each in failures
    ]
    out.table(columns, rows)


def _day(day: dict[str, Any], now: float, *, bar: bool) -> Parts:
    sources = {"openrouter": "OpenRouter's own count", "counted": "counted here"}
    limits = {"settings": "limit as set", "openrouter": "OpenRouter's limit", "assumed": "limit assumed"}
    where = f"{sources[day['used_source']]}, {limits[day['limit_source']]}"
    parts = _left(day, bar=bar)
    parts.append(f"; {day['used']} used ({where}), resets {until(day['resets_at'], now)}, 00:00Z")
    if day["elsewhere"]:
        parts.append(Styled(f"; {day['elsewhere']} used elsewhere", "yellow"))
    if day["closed_until"]:
        parts.append(Styled("; OpenRouter says that the day is spent", "red"))
    elif day["exhausted_at"] is not None and day["left"]:
        when = f"{until(day['exhausted_at'], now)}, {clock_time(day['exhausted_at'], now)}"
        parts.append(Styled(f"; at the current pace ({day['pace_per_hour']:.0f} an hour) it ends {when}", "yellow"))
    return parts


def _minute(minute: dict[str, Any], now: float, *, bar: bool) -> Parts:
    parts = _left(minute, bar=bar)
    if minute["opens_at"] is not None:
        parts.append(f"; the next {until(minute['opens_at'], now)}, {clock_time(minute['opens_at'], now)}")
    elif minute["resets_at"] is not None:
        parts.append(f"; all {until(minute['resets_at'], now)}, {clock_time(minute['resets_at'], now)}")
    return parts


def _left(window: dict[str, Any], *, bar: bool) -> Parts:
    left, limit = window["left"], window["limit"]
    part = left / limit if limit else 0.0
    style = "green" if part > 0.5 else "yellow" if left else "red"
    parts: Parts = []
    if bar:
        full = round(part * _BAR)
        parts += [Styled("━" * full, style), Styled("━" * (_BAR - full), "bright_black"), " "]
    return [*parts, Styled(f"{left} of {limit}", f"bold {style}"), " free requests left"]


def _refused(refused: dict[str, Any]) -> Parts:
    atleast = "" if refused["complete"] else "at least "
    reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(refused["by_reason"].items(), key=lambda x: -x[1]))
    parts: Parts = [f"{atleast}{refused['total']}"]
    if reasons:
        parts.append(f" ({reasons})")
    if refused["shadow"]:
        shadow = ", ".join(f"{reason} {n}" for reason, n in refused["shadow"].items())
        parts.append(Styled(f"; left, but would have been refused: {shadow}", "yellow"))
    return parts


def _in_flight(flight: dict[str, Any]) -> Parts:
    parts: Parts = [str(flight["attempts"])]
    if flight["expired"]:
        parts.append(f" ({flight['expired']} of a process that died; settled at the next call)")
    return parts


def _amplification(told: dict[str, Any]) -> Parts:
    """What retries cost, and what kept answers saved."""
    ratio = told["ratio"]
    parts: Parts = ["nothing has ended yet"]
    if ratio is not None:
        style = "green" if ratio <= _AMPLE else "yellow"
        parts = [Styled(f"{ratio:.2f} attempts", style), f" ({told['attempts']} for {count(told['calls'], 'call')})"]
    if told["last_hour"]["retries"]:
        parts.append(f"; {told['last_hour']['retries']} retries in the last hour")
    if told["saved"]:
        parts += ["; ", Styled(count(told["saved"], "request"), "green"), " saved by kept answers"]
    return parts


def _spend(spend: dict[str, Any]) -> Parts:
    style = "green" if not spend["month_usd"] else "bold red"
    parts: Parts = [Styled(dollars(spend["day_usd"]), style), " today"]
    if spend["budget_day_usd"] is not None:
        parts.append(f" of {dollars(spend['budget_day_usd'])}")
    parts += [", ", Styled(dollars(spend["month_usd"]), style), " this month"]
    if spend["budget_month_usd"] is not None:
        parts.append(f" of {dollars(spend['budget_month_usd'])}")
    if spend["reserved_usd"]:
        parts.append(f"; {dollars(spend['reserved_usd'])} reserved")
    return [*parts, ", by our log"]


def _key(key: dict[str, Any], now: float) -> Parts:
    parts: Parts = [] if key["present"] else [Styled("not set here", "yellow"), "; "]
    if key["read_at"] is None and key["error"] is None:
        return [*parts, "OpenRouter has not been asked about it yet"]
    if key["read_at"] is not None:
        if key["usage_usd"] is not None:
            parts.append(f"{dollars(key['usage_usd'])} used")
        limit = "no spending limit" if key["limit_usd"] is None else f"of a limit of {dollars(key['limit_usd'])}"
        parts.append(f", {limit}" if key["limit_usd"] is None else f" {limit}")
        if key["limit_remaining_usd"] is not None:
            parts.append(f", {dollars(key['limit_remaining_usd'])} left")
        if key["is_free_tier"]:
            parts.append(", free tier")
        if key["expires_at"] is not None:
            parts.append(f", expires {until(key['expires_at'], now)}")
        parts.append(f"; read {ago(key['read_at'], now)}")
    if key["error"]:
        parts += ["; ", Styled(f"last try failed: {key['error']}", "red")]
    return parts


def _catalogue(catalogue: dict[str, Any] | None, now: float) -> Parts:
    if catalogue is None:
        return [Styled("none yet", "yellow"), "; the first call fetches it, or `openrouter-monitor models --refresh`"]
    parts: Parts = [
        f"{count(catalogue['models'], 'model')}, ",
        Styled(f"{catalogue['free']} free", "green"),
        f"; read {ago(catalogue['fetched_at'], now)} from {catalogue['source']}",
    ]
    if not catalogue["usable"]:
        parts.append(Styled("; too old, or of another address: fetched anew by the next call", "yellow"))
    return parts


def _apps(out: Output, apps: list[dict[str, Any]]) -> None:
    columns = [Column("app"), Column("used today", right=True), Column("share", right=True)]
    columns += [Column("promised", right=True), Column("own limit", right=True)]
    rows = [
        [
            Styled(app["app"], "bold"),
            app["used"],
            f"{app['share']:.0%}" if app["share"] else None,
            app["promised"] or None,
            app["per_day"],
        ]
        for app in apps
    ]
    out.table(columns, rows)


def events_table(out: Output, events: list[dict[str, Any]], now: float) -> None:
    """Events under titles; also what `events` shows."""
    from monitor.clock import iso

    columns = [Column("when"), Column("event"), Column("subject", fold=True)]
    columns += [Column(name, fold=True) for name in ("before", "after", "note")]
    rows = [
        [
            clock_time(event["at"], now) if out.terminal else iso(event["at"]),
            Styled(event["kind"], "magenta"),
            event["subject"] or None,
            event["before"],
            event["after"],
            event["note"] or None,
        ]
        for event in events
    ]
    out.table(columns, rows)
