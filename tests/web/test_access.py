"""Who may ask: names, origins and the token."""

from __future__ import annotations

import base64

import pytest

from monitor.config.addresses import is_loopback, split
from monitor.errors import ConfigError
from monitor.redact import Secret
from monitor.web import access
from monitor.web.access import Access

TOKEN = "a-long-random-text"
BEYOND = "0.0.0.0:8377"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8377", "localhost", "LOCALHOST:8377", "localhost.", "[::1]:8377", "127.9.9.9", None],
)
async def test_names_of_this_machine_are_answered(pages, store, host):
    """Whatever port or spelling: these names cannot be made to mean another machine."""
    client = await pages(store)
    headers = {} if host is None else {"Host": host}
    assert (await client.get("/metrics", headers=headers)).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8377", "127.0.0.1.evil.example", "localhost.evil.example", "192.168.1.5", "", "[",
     "evil.example@127.0.0.1:x", "0.0.0.0:8377"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/metrics", "/api/status", "/-/healthy", "/nope"])
async def test_a_foreign_host_is_refused(pages, store, host, path):
    """A page that makes its own name mean this machine (DNS rebinding) reads nothing, not even what there is."""
    answer = await (await pages(store)).get(path, headers={"Host": host})
    assert answer.status == 403
    assert (await answer.json())["error"]["code"] == 403


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8377", 200),
        ("http://localhost:3000", 200),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://127.0.0.1.evil.example", 403),
        ("http://[", 403),
        ("", 403),
    ],
)
async def test_a_foreign_origin_is_refused(pages, store, origin, status):
    """What a page of another place asks from the user's browser is not answered."""
    answer = await (await pages(store)).get("/api/status", headers={"Origin": origin})
    assert answer.status == status


@pytest.mark.parametrize("listen", [BEYOND, "[::]:8377", "192.168.1.5:8377", "example.org:80", "[2001:db8::1]:80"])
def test_beyond_this_machine_needs_a_token(listen):
    """Without one the daemon does not begin: figures and, later, quota would be anybody's."""
    with pytest.raises(ConfigError, match=r"proxy\.token"):
        Access(listen, None)
    assert not Access(listen, Secret(TOKEN)).loopback


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:8377", "[::1]:8377", "127.3.2.1:80"])
def test_this_machine_needs_none(listen):
    """The default is usable as it is."""
    assert Access(listen, None).loopback


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN} ", 200),
        (None, 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        (TOKEN, 401),
        (f"Basic {TOKEN}", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        ("Bearer \u00e9", 401),
    ],
)
@pytest.mark.parametrize("listen", [BEYOND, "127.0.0.1:8377"])
async def test_a_token_that_is_set_is_asked_for(pages, store, authorization, status, listen):
    """Everything but health wants it; a wrong one is told nothing of how wrong it is."""
    client = await pages(store, listen, TOKEN)
    headers = {} if authorization is None else {"Authorization": authorization}
    for path in ("/", "/metrics", "/api/status", "/-/ready"):
        answer = await client.get(path, headers=headers)
        assert answer.status == status
        assert (answer.headers.get("WWW-Authenticate") == "Bearer") is (status == 401)
        assert TOKEN not in await answer.text()
    assert (await client.get("/-/healthy", headers=headers)).status == 200
    assert (await client.get("/nope", headers=headers)).status == (404 if status == 200 else 401)


async def test_beyond_this_machine_any_name_is_answered(pages, store):
    """There the token protects: what the machine is called by others cannot be known."""
    client = await pages(store, BEYOND, TOKEN)
    headers = {"Host": "monitor.example.org", "Authorization": f"Bearer {TOKEN}"}
    assert (await client.get("/metrics", headers=headers)).status == 200


@pytest.mark.parametrize(("typed", "status"), [(f":{TOKEN}", 200), (f"me:{TOKEN}", 200), (TOKEN, 401), ("me:no", 401)])
async def test_a_browser_asks_for_the_token_as_a_password(pages, store, typed, status):
    """A person cannot add a header; any name will do, and programs are not told of it."""
    client = await pages(store, BEYOND, TOKEN)
    asked = await client.get("/", headers={"Accept": "text/html,*/*"})
    assert asked.status == 401
    assert asked.headers["WWW-Authenticate"].startswith('Basic realm="openrouter-monitor')
    credentials = base64.b64encode(typed.encode()).decode()
    assert (await client.get("/", headers={"Authorization": f"Basic {credentials}"})).status == status


def test_tokens_are_compared_in_constant_time(monkeypatch):
    """A comparison that stops at the first difference would give the token away, letter by letter."""
    compared = []
    monkeypatch.setattr(access.hmac, "compare_digest", lambda a, b: bool(compared.append((a, b))))
    assert Access(BEYOND, Secret(TOKEN)).refusal("/metrics", {"authorization": "Bearer guess"})
    assert compared == [(b"guess", TOKEN.encode())]


def test_the_token_is_not_shown():
    """Not by `repr` either, which ends up in logs."""
    assert TOKEN not in repr(Access(BEYOND, Secret(TOKEN)))


@pytest.mark.parametrize(
    ("listen", "parts"), [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:8377", ("::1", 8377)), ("h:0", ("h", 0))]
)
def test_an_address_has_a_host_and_a_port(listen, parts):
    """An IPv6 host loses its brackets, which sockets do not know."""
    assert split(listen) == parts


@pytest.mark.parametrize("host", ["", "localhost.evil.example", "0.0.0.0", "::", "127.1.evil", "example.org"])
def test_what_could_be_reached_from_elsewhere_is_not_this_machine(host):
    """In doubt an address counts as one that others can reach."""
    assert not is_loopback(host)
