"""One app, one model, one attempt: all that is on record of it, as plain values. Each look is bounded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from monitor.clock import DAY, day_of
from monitor.config import Settings
from monitor.model import Action, LimitKind, Outcome, Reason, Verdict
from monitor.policy.hints import NOT_SENT, message_for
from monitor.policy.windows import SLOT
from monitor.status import event_row
from monitor.store.protocol import ALL_APPS
from monitor.store.sqlite.reader import Reader

CALLS_SHOWN = 20
LOOKED_AT = 10_000
"""Rows of the log that are looked at for the calls of one app or model."""

EVENTS_SHOWN = 8
NOTE_SECONDS = 900.0

LIMIT_KINDS: dict[str | None, str] = {
    LimitKind.FREE_DAILY: "the account's free requests of the day were used",
    LimitKind.FREE_MINUTE: "more than the free requests of a minute",
    LimitKind.UPSTREAM: "the model's provider is busy; your quota is untouched",
    LimitKind.ADMISSION: "OpenRouter turned it away before any provider saw it",
    LimitKind.EDGE: "too many requests from one address",
    LimitKind.IN_FLIGHT_BUDGET: "too much money is held by requests in flight",
    LimitKind.CREDITS: "the account has no credits left",
    LimitKind.KEY_LIMIT: "the key's own spending limit is reached",
    LimitKind.BUDGET: "a budget set at OpenRouter is reached",
    LimitKind.UNKNOWN: "the answer does not say whose limit it was",
}
"""Whose limit a 429, 402 or 403 told of, for people."""


def last_calls(reader: Reader, app: str | None = None, model: str | None = None) -> dict[str, Any]:
    """The newest attempts: `rows`, as in `calls --json`, and `looked_at`: null, or after how many it gave up."""
    if not reader.exists:
        return {"rows": [], "looked_at": None}
    with reader.moment() as reports:
        rows, complete = reports.newest_calls(CALLS_SHOWN, LOOKED_AT, app, model)
    return {"rows": rows, "looked_at": None if complete else LOOKED_AT}


def use_of_day(reader: Reader, settings: Settings, now: float) -> list[dict[str, Any]]:
    """How the day's use rose: `at` (epoch seconds), `used`, `limit` (requests), a quarter of an hour apart."""
    if not reader.exists:
        return []
    with reader.moment() as reports:
        notes = reports.day_notes(settings.account, day_of(now) * DAY, NOTE_SECONDS)
    return [note._asdict() for note in notes]


def model_story(reader: Reader, model: str) -> dict[str, Any] | None:
    """What the catalogue and the events say of a model; None when neither does."""
    if not reader.exists:
        return None
    with reader.moment() as reports:
        known = reports.model_known(model)
        events = reports.events_of(model, EVENTS_SHOWN)
        looked_at, uptimes = reports.uptimes(model)
    told: dict[str, Any] = {"facts": None, "listed": None, "first_seen": None, "changed_at": None}
    if known is not None:
        facts, listed, first_seen, changed_at = known
        told = {
            "facts": dataclasses.asdict(facts),
            "listed": listed,
            "first_seen": first_seen,
            "changed_at": changed_at,
        }
    if known is None and not events:
        return None
    providers = {"at": looked_at, "uptime": uptimes}
    return {"model": model, **told, "events": [event_row(event) for event in events], "providers": providers}


def call_story(reader: Reader, settings: Settings, row: int) -> dict[str, Any] | None:
    """One attempt: its row, the verdict in words, the windows at that moment, the attempts of its call.

    None when there is no such row (any more). `windows` has `minute_used` (free requests in the minute before it),
    `day_used` and `day_limit` (by then), and `day_total`: how many free requests its day had in the end, or has so far;
    each null where nothing tells.
    """
    if not reader.exists:
        return None
    with reader.moment() as reports:
        call = reports.call(row)
        if call is None:
            return None
        at, account = call["started_at"], call["account"]
        note = reports.note_before(account, at, day_of(at) * DAY)
        before = reports.free_before(row, account, at, SLOT, None if note is None else note.at)
        ended = reports.day_windows(account, day_of(at)).get(ALL_APPS)
        attempts = reports.attempts_of(row, call["call_id"])
    day_used = None if note is None or before.since_note is None else note.used + before.since_note
    return {
        "call": call,
        "verdict": verdict_of(call),
        "windows": {
            "minute_used": before.in_minute,
            "day_used": day_used,
            "day_limit": None if note is None else note.limit,
            "day_total": None if ended is None else ended[0] - ended[1],
        },
        "attempts": attempts,
    }


def verdict_of(call: dict[str, Any]) -> dict[str, Any]:
    """`action` (admitted, refused, shadow: it left, but would have been refused), and why in one sentence."""
    reason = call["reason"]
    if reason is None:
        return {"action": "admitted", "reason": None, "text": _admitted(call)}
    detail = (call["error"] or "") if call["outcome"] == "refused" else ""
    text = reason
    if reason in list(Reason):
        told = Verdict(Action.REFUSE, reason=Reason(reason), model=call["model_requested"], detail=detail)
        text = message_for(told)
    if call["outcome"] == "refused":
        return {"action": "refused", "reason": reason, "text": text}
    what = text.partition(NOT_SENT)[0].strip()
    return {"action": "shadow", "reason": reason, "text": f"It left, for the guard did not enforce. {what}"}


def failure_text(failure: Mapping[str, Any]) -> str:
    """Why it failed, in a sentence: of one of the `failures` of `monitor.status`."""
    if failure["outcome"] == Outcome.REFUSED:
        text = verdict_of({**failure, "model_requested": failure["model"]})["text"]
        return str(text.partition(NOT_SENT)[0].strip())
    told = LIMIT_KINDS.get(failure["limit_kind"]) or failure["error"] or failure["outcome"]
    model = failure["model"]
    return f"{model}: {told}" if model else str(told)


def _admitted(call: dict[str, Any]) -> str:
    if call["tier"] == "free":
        return "Let through: every model that it could reach was free by the newest catalogue."
    if call["estimated_cost_usd"]:
        return "Let through: paid models were allowed, and the worst case was held back from the budgets."
    return "Let through."
