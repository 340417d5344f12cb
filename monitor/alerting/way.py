"""What a way of telling people is, and how one that failed says so without saying a secret.

An address of a way is a secret as a whole: Slack's and Telegram's hold a token in the path. Only its host is told.
"""

from __future__ import annotations

from typing import Protocol
from urllib.parse import unquote, urlsplit

from monitor.alerting.messages import Message
from monitor.redact import Secret, redact

SECONDS = 15.0
"""How long a server may take to answer at a time."""

_SHORT = 4
"""Parts of an address shorter than this are no secrets, and their letters are in any text."""


class Way(Protocol):
    """One way. `name` tells it from the others, `channel` is its kind, `place` may be shown: a host, not an address."""

    name: str
    channel: str
    place: str

    def send(self, message: Message) -> None:
        """Deliver it. Raises Undelivered."""
        ...


class Undelivered(Exception):
    """A message was not taken. The text holds no secret; `again_after` is how many seconds the server asked to wait.

    `alone`: it may be this message's own fault, so that others may well arrive. `partly`: some have it, and the rest
    will not take it later either, so it is not to be sent again.
    """

    def __init__(
        self, text: str, again_after: float | None = None, *, alone: bool = False, partly: bool = False
    ) -> None:
        super().__init__(text)
        self.again_after, self.alone, self.partly = again_after, alone or partly, partly


def place_of(url: Secret) -> str:
    """The host of an address, which may be shown."""
    try:
        return urlsplit(url.reveal()).hostname or ""
    except ValueError:
        return ""


def masked(text: str, url: Secret) -> str:
    """What a server or a library said, without any part of the address but its host, and without credentials."""
    whole = url.reveal()
    try:
        parts = urlsplit(whole)
        pieces = [parts.username or "", parts.password or "", *parts.path.split("/"), parts.query, parts.fragment]
        pieces += [value for pair in parts.query.split("&") for value in pair.split("=", 1)]
    except ValueError:
        pieces = []
    for piece in sorted({whole, *pieces, *map(unquote, pieces)}, key=len, reverse=True):
        if len(piece) >= _SHORT:
            text = text.replace(piece, "[hidden]")
    return redact(text, limit=200)
