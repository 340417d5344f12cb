"""Who asks: an app by its token, or by the name it gives itself.

An app that has a token of its own can be named by nothing else, or another could spend its share. Names that apps give
themselves are few: each has its rows in the store, and anybody on this machine could make up a million.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping

from monitor.config import Settings
from monitor.config.parsing import app_name
from monitor.proxy.problems import Problem, Turned
from monitor.redact import Secret
from monitor.serving.messages import Request

APP_HEADER = "X-Openrouter-Monitor-App"
_APP_HEADER = APP_HEADER.lower()
APP_KEY = "app:"
"""`app:NAME` in place of a key names the app where no header can be set; `app:NAME:TOKEN` where a token is needed."""

OTHER = "other"
NAMES_AT_MOST = 64
"""Names that apps give themselves, in one run of the daemon; whoever comes later is `other`."""

Misdirected = Callable[[Mapping[str, str]], "tuple[int, str] | None"]
"""Why a request is not for this machine, by its `host` and `origin`: status and message."""


class Callers:
    """Names the app behind each request, or turns the request away."""

    def __init__(self, settings: Settings, misdirected: Misdirected) -> None:
        self._misdirected = misdirected
        self._default = settings.app
        self._token = settings.proxy.token
        self._tokens = {name: app.token for name, app in settings.apps.items() if app.token}
        self._known = {*settings.apps, settings.app}
        self._met: set[str] = set()

    def __repr__(self) -> str:
        return f"<Callers: {len(self._known)} known, {len(self._met)} met>"

    def app_of(self, request: Request) -> str:
        """The app that asks. Raises Turned."""
        headers = request.headers
        misdirected = self._misdirected(headers)
        if misdirected is not None:
            raise Turned(Problem(misdirected[0], "host_foreign", misdirected[1]))
        given = _credential(headers)
        for name, token in self._tokens.items():
            if _same(given, token):
                return name
        named = headers.get(_APP_HEADER)
        if given.startswith(APP_KEY):
            by_key, given = self._taken_apart(given)
            named = by_key if named is None else named
        if self._token and not _same(given, self._token):
            raise Turned(
                Problem(401, "token_wrong", "This needs proxy.token or an app's token, as Authorization: Bearer ….")
            )
        return self._default if named is None else self._named(named)

    def _taken_apart(self, given: str) -> tuple[str, str]:
        """App and token of `app:NAME` or `app:NAME:TOKEN`; a name may hold colons, so the token's length tells."""
        rest = given[len(APP_KEY) :]
        if self._token is None:
            return rest, ""
        length = len(self._token.reveal())
        return rest[: -length - 1], rest[-length:] if rest[-length - 1 : -length] == ":" else ""

    def _named(self, given: str) -> str:
        try:
            name = app_name(given)
        except ValueError as exc:
            raise Turned(Problem(400, "app_name_wrong", f"The app's name in {APP_HEADER} is wrong: {exc}.")) from None
        if name in self._tokens:
            raise Turned(
                Problem(401, "token_wrong", f"The app {name} has a token: show it as Authorization: Bearer ….")
            )
        if name in self._known or name in self._met:
            return name
        if len(self._met) >= NAMES_AT_MOST:
            return OTHER
        self._met.add(name)
        return name


def _credential(headers: Mapping[str, str]) -> str:
    """What the caller shows: a bearer token, or Anthropic's way to give a key."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    return headers.get("x-api-key", "").strip()


def _same(given: str, token: Secret) -> bool:
    # In constant time, so that a wrong guess does not tell how much of it was right.
    return hmac.compare_digest(_bytes(given), _bytes(token.reveal()))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
