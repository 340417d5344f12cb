"""Who may ask: where the daemon listens, which names it goes by, and the token.

A page in the user's browser can send requests to this machine, and by DNS rebinding read the answers as if they were
its own: the `Host` header then names the page's host, and is refused.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from monitor.config.addresses import is_loopback, split
from monitor.errors import ConfigError
from monitor.redact import Secret

OPEN_PATHS = frozenset({"/-/healthy"})
"""Told to anybody: a load balancer has no token."""

_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]*)?")


class Refused(NamedTuple):
    """Why a request is not answered."""

    status: int
    message: str


class Access:
    """The rules for one address. Raises ConfigError for one beyond this machine without a token."""

    def __init__(self, listen: str, token: Secret | None) -> None:
        self.host, self.port = split(listen)
        self.loopback = is_loopback(self.host)
        if not self.loopback and not token:
            raise ConfigError(
                f"listening on {listen} would let other machines in, and no proxy.token is set.",
                hint="Set proxy.token to a long random text, or listen on 127.0.0.1.",
            )
        self._token = token
        self._names = {"localhost", self.host.lower()}

    def __repr__(self) -> str:
        return f"<Access at {self.host}:{self.port}{', with a token' if self._token else ''}>"

    def refusal(self, path: str, headers: Mapping[str, str]) -> Refused | None:
        """Why a request must not be answered; None when it may be. `headers` have lower-case names."""
        misdirected = self.misdirected(headers)
        if misdirected is not None:
            return misdirected
        if self._token and path not in OPEN_PATHS and not self._knows(headers.get("authorization", "")):
            return Refused(
                401, "This needs the token of the setting proxy.token, as Authorization: Bearer …, or as a password."
            )
        return None

    def misdirected(self, headers: Mapping[str, str]) -> Refused | None:
        """Why a request is not for this machine, by what it calls it; None when it is."""
        if self.loopback:
            for header in ("Host", "Origin"):
                value = headers.get(header.lower())
                if value is not None and not self._is_ours(value if header == "Host" else _netloc(value)):
                    return Refused(403, f"The {header} header names another place than this machine.")
        return None

    def _knows(self, authorization: str) -> bool:
        assert self._token is not None
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() == "basic":
            scheme, given = "bearer", _password(given)
        # Compared in constant time, so that a wrong guess does not tell how much of it was right.
        right = hmac.compare_digest(
            given.strip().encode("utf-8", "surrogateescape"), self._token.reveal().encode("utf-8", "surrogateescape")
        )
        return right and scheme.lower() == "bearer"

    def _is_ours(self, authority: str) -> bool:
        name = _host_of(authority) if len(authority) <= 300 else ""
        return name in self._names or is_loopback(name)


def _password(credentials: str) -> str:
    """The password of `Authorization: Basic`, as browsers send what a person typed; any user's name will do."""
    try:
        return base64.b64decode(credentials.strip(), validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


@lru_cache(maxsize=256)
def _host_of(authority: str) -> str:
    """The name in `name:port` or `[address]:port`, in lower case; "" when it is neither."""
    found = _AUTHORITY.fullmatch(authority)
    return "" if found is None else (found[1] or found[2]).rstrip(".").lower()
