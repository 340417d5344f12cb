"""The list of models as the policy sees it: without those that it would refuse anyway."""

from __future__ import annotations

import json
from typing import Any

from monitor.config import GuardSettings
from monitor.errors import PollError
from monitor.model import Endpoint
from monitor.openrouter.catalogue import parse_catalogue
from monitor.openrouter.decoding import Undecodable, decoder
from monitor.openrouter.intent import read_intent
from monitor.policy.balances import Balances, DayWindow, MinuteWindow
from monitor.policy.request import objection_to

LARGEST = 32 * 1024 * 1024


def only_allowed(body: bytes, encoding: str, guard: GuardSettings) -> bytes | None:
    """The answer of `/models` with the rows of models that may be called; None when it cannot be read."""
    try:
        decode = decoder(encoding)
        plain = body if decode is None else decode(body)
        listed = json.loads(plain)
        rows = listed["data"]
        facts = parse_catalogue(listed).models
    except (Undecodable, PollError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if len(plain) > LARGEST or not isinstance(rows, list):
        return None
    balances = Balances(0.0, MinuteWindow(1), DayWindow(1), facts, catalogue_age=0.0)
    listed["data"] = [row for row in rows if _is_allowed(row, guard, balances)]
    if "total_count" in listed:
        listed["total_count"] = len(listed["data"])
    return json.dumps(listed, ensure_ascii=False).encode()


def _is_allowed(row: Any, guard: GuardSettings, balances: Balances) -> bool:
    name = row.get("id") if isinstance(row, dict) else None
    if not isinstance(name, str):
        return False
    intent = read_intent(Endpoint.CHAT, {}, json.dumps({"model": name, "messages": []}).encode())
    return objection_to(intent, guard, balances) is None
