"""The same request again: what was read and printed for it once is used again.

A benchmark sends one body a hundred thousand times, and wants to measure its guard, not this server. Decisions are
never kept: quota, money and faults are looked at every time.
"""

from __future__ import annotations

from dataclasses import replace

from monitor.simulator.chat import chat_reply
from monitor.simulator.desk import Served
from monitor.simulator.reading import Ask, read_ask, read_body
from monitor.simulator.refusals import Refusal
from monitor.simulator.reply import Reply, generation_headers

_KEPT = 256
_LARGEST = 16_384
_BLANK_ID = "gen-blank-to-be-filled-in"
_BLANK_CREATED = 4_102_444_800
_BLANK_ID_BYTES = _BLANK_ID.encode()
_BLANK_CREATED_BYTES = f'"created":{_BLANK_CREATED}'.encode()


class Readings:
    """Requests as they were understood, by their bytes."""

    def __init__(self) -> None:
        self._asks: dict[tuple[str, bytes], Ask] = {}

    def read(self, endpoint: str, path: str, raw: bytes) -> Ask | Refusal:
        known = self._asks.get((path, raw))
        if known is not None:
            known.again = True
            return known
        body = read_body(raw)
        ask = body if isinstance(body, Refusal) else read_ask(endpoint, path, body)
        if isinstance(ask, Ask) and len(raw) <= _LARGEST:
            if len(self._asks) >= _KEPT:
                self._asks.clear()
            self._asks[path, raw] = ask
        return ask


def printed_chat(served: Served, chunks: int) -> Reply:
    """A chat answer; when the request has come before, from a form in which only id and time are filled in."""
    if not served.ask.again or served.ask.function is not None:
        return chat_reply(served, chunks)
    entry = served.entry
    key = (entry.id, entry.served_name, served.thought, served.route.router, served.bill)
    form = served.ask.forms.get(key)
    if form is None:
        form = chat_reply(replace(served, generation_id=_BLANK_ID, created=_BLANK_CREATED), chunks)
        served.ask.forms[key] = form
    events = None if form.events is None else tuple(_filled(each, served) for each in form.events)
    return Reply(200, _filled(form.body, served), events, form.content_type, generation_headers(served), form.first)


def _filled(form: bytes, served: Served) -> bytes:
    named = form.replace(_BLANK_ID_BYTES, served.generation_id.encode())
    return named.replace(_BLANK_CREATED_BYTES, b'"created":%d' % served.created)
