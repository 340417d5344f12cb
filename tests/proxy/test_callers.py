"""Who asks: tokens, names, and who may take which."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.config import Settings
from monitor.proxy import callers as callers_module
from monitor.proxy.callers import Callers
from monitor.proxy.problems import Turned
from monitor.serving.messages import Request
from monitor.web.access import Access

TOKEN, BOT, OWN = "a-long-random-text", "token-of-the-bot", "token-of:the:other"


def _request(headers: dict[str, str]) -> Request:
    request = Request(None)  # type: ignore[arg-type]
    request.raw_headers = [(name.encode(), value.encode("utf-8")) for name, value in headers.items()]
    request.head_is_here()
    return request


def app_of(settings: Settings, **headers: str) -> str:
    """The app's name, or the word for why there is none."""
    given = {"host": "127.0.0.1", **{name.replace("_", "-").lower(): value for name, value in headers.items()}}
    access = Access(settings.listen, settings.proxy.token)
    try:
        return Callers(settings, access.misdirected).app_of(_request(given))
    except Turned as turned:
        return turned.problem.why


def settings(token: str | None = None, **more: Any) -> Settings:
    apps = {"bot": {"token": BOT}, "other:own": {"token": OWN}, "open": {"share": 0.1}}
    return Settings(app="mine", apps=apps, proxy={"token": token}, **more)


@pytest.mark.parametrize(
    ("headers", "app"),
    [
        ({}, "mine"),
        ({"Authorization": "Bearer sk-or-v1-whatever"}, "mine"),
        ({"X_Openrouter_Monitor_App": "new"}, "new"),
        ({"X_Openrouter_Monitor_App": "open"}, "open"),
        ({"Authorization": "Bearer app:new"}, "new"),
        ({"Authorization": "Bearer app:team:new"}, "team:new"),
        ({"Authorization": f"Bearer {BOT}"}, "bot"),
        ({"Authorization": f"bearer  {BOT} "}, "bot"),
        ({"x_api_key": BOT}, "bot"),
        ({"Authorization": f"Bearer {OWN}", "X_Openrouter_Monitor_App": "new"}, "other:own"),
        ({"X_Openrouter_Monitor_App": "bot"}, "token_wrong"),
        ({"Authorization": "Bearer app:bot"}, "token_wrong"),
        ({"X_Openrouter_Monitor_App": "a b"}, "app_name_wrong"),
        ({"X_Openrouter_Monitor_App": ""}, "app_name_wrong"),
        ({"Authorization": "Bearer app:"}, "app_name_wrong"),
        ({"X_Openrouter_Monitor_App": "a" * 65}, "app_name_wrong"),
        ({"Host": "evil.example"}, "host_foreign"),
        ({"Origin": "https://evil.example"}, "host_foreign"),
    ],
)
def test_on_this_machine_an_app_may_name_itself(headers, app):
    """Without `proxy.token` any key is as good as none; but an app with a token is named by nothing else."""
    assert app_of(settings(), **headers) == app


@pytest.mark.parametrize(
    ("headers", "app"),
    [
        ({"Authorization": f"Bearer {TOKEN}"}, "mine"),
        ({"Authorization": f"Bearer {TOKEN}", "X_Openrouter_Monitor_App": "new"}, "new"),
        ({"Authorization": f"Bearer app:new:{TOKEN}"}, "new"),
        ({"Authorization": f"Bearer app:team:new:{TOKEN}"}, "team:new"),
        ({"x_api_key": TOKEN}, "mine"),
        ({"Authorization": f"Bearer {BOT}"}, "bot"),
        ({}, "token_wrong"),
        ({"Authorization": f"Bearer {TOKEN}x"}, "token_wrong"),
        ({"Authorization": f"Bearer {TOKEN[:-1]}"}, "token_wrong"),
        ({"Authorization": f"Basic {TOKEN}"}, "token_wrong"),
        ({"Authorization": "Bearer app:new"}, "token_wrong"),
        ({"Authorization": f"Bearer app:new{TOKEN}"}, "token_wrong"),
        ({"Authorization": f"Bearer app:new:{TOKEN[:-1]}"}, "token_wrong"),
        ({"Authorization": "Bearer "}, "token_wrong"),
        ({"Authorization": "Bearer é"}, "token_wrong"),
        ({"Authorization": f"Bearer {TOKEN}", "X_Openrouter_Monitor_App": "bot"}, "token_wrong"),
    ],
)
@pytest.mark.parametrize("listen", ["127.0.0.1:8377", "0.0.0.0:8377"])
def test_where_there_is_a_token_it_is_asked_for(headers, app, listen):
    """The proxy's token, or an app's, which names the app too."""
    assert app_of(settings(TOKEN, listen=listen), **headers) == app


def test_beyond_this_machine_the_name_does_not_matter():
    """There the token protects."""
    beyond = settings(TOKEN, listen="0.0.0.0:8377")
    assert app_of(beyond, Host="monitor.example.org", Authorization=f"Bearer {TOKEN}") == "mine"


def test_tokens_are_compared_in_constant_time(monkeypatch):
    """Every token is compared whole, whatever the guess begins with."""
    compared: list[bytes] = []
    monkeypatch.setattr(callers_module.hmac, "compare_digest", lambda one, other: bool(compared.append(other)))
    assert app_of(settings(TOKEN), Authorization="Bearer guess") == "token_wrong"
    assert compared == [BOT.encode(), OWN.encode(), TOKEN.encode()]


def test_names_met_are_bounded_and_known_ones_are_not():
    """Those that the settings name always have their name."""
    one = settings()
    callers = Callers(one, lambda headers: None)

    def named(name: str) -> str:
        return callers.app_of(_request({"host": "x", "x-openrouter-monitor-app": name}))

    names = [named(f"app-{number}") for number in range(100)]
    assert (names[63], names[64], names[99], named("app-0"), named("open")) == (
        "app-63", "other", "other", "app-0", "open",
    )  # fmt: skip
