"""The pages for people: what each shows, that what came from outside is text, and that nothing is loaded from there."""

from __future__ import annotations

import re
import zipfile
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

from monitor.clock import FakeClock
from monitor.ledger import Ledger
from monitor.model import Ending, Event, LimitKind, Outcome
from monitor.policy.alert_states import AlertState, Phase
from monitor.web.rendering import Rendering, app_url, is_web_address, model_url
from tests.fakes.builders import FREE, NOON, PAID, ask, fill, key_facts, ledger, one, refused_by, success, take
from tests.fakes.processes import ROOT

HOSTILE = (
    "<script>window.hacked=1</script>",
    '"><img src=//evil.example/x onerror=window.hacked=1>',
    "javascript:window.hacked=1//",
    "{{ 7 * 7 }}{% raw %}",
    "' onmouseover='window.hacked=1",
    "..",
    "a/../../b c?d#e&f%2F",
    "‮gnp.<svg/onload=window.hacked=1>",
)
"""Names and texts that would do something on a page that does not escape them."""


def hostile_store(path: Path, clock: FakeClock) -> Ledger:
    """Everything that comes from outside is hostile: apps, models, errors, events, notes, the key's error."""
    book = ledger(
        path, clock, store=str(path), quota={"per_minute": 10_000, "per_day": 100_000}, api_key="sk-or-v1-of-a-test"
    )
    for text in HOSTILE:
        book.reserve(ask(text, app=text, call_id=text))
        book.settle(take(book, app=text), Ending(Outcome.SERVER_ERROR, status=502, error=text, model_served=text))
        book.settle(take(book, app=text), refused_by(LimitKind.UPSTREAM, retry_after=0.001))
        clock.advance(1)
        book.settle(take(book, app=text), success(model_served=text, provider=text, generation_id=text))
        with book.store.transaction() as tx:
            tx.add_event(Event(clock.now(), "model_missing", text, text, text, text))
            tx.pause(text, clock.now(), None, text)
            tx.save_key(book.settings.account, None, clock.now(), text)
    return book


@pytest.fixture
def lived_in(tmp_path: Path, clock: FakeClock) -> Path:
    """A free call, a refusal, a 502 and a busy provider; and what `/key` says."""
    book = ledger(tmp_path / "monitor.db", clock)
    book.settle(take(book, app="billing-bot"), success())
    book.reserve(ask(PAID, app="notebook"))
    book.settle(take(book, app="notebook"), Ending(Outcome.SERVER_ERROR, status=502, error="502: broken"))
    book.settle(take(book, app="notebook"), refused_by(LimitKind.UPSTREAM))
    book.note_key(key_facts(12, 50, usage_usd=0.0), asked_at=clock.now())
    book.store.close()
    return tmp_path / "monitor.db"


def figures_of(html: str) -> dict[str, str]:
    """What stands on the page, by where it is in `/api/status`."""
    return {name: unescape(text) for name, text in re.findall(r'<span data-figure="([^"]+)">([^<]*)</span>', html)}


def at(status: dict[str, Any], name: str) -> Any:
    for part in name.split("."):
        status = status[part]
    return status


def shown(value: Any, name: str) -> str:
    return f"${value:,.2f}" if name.endswith("_usd") else str(value)


async def test_the_figures_are_those_of_the_status(pages, lived_in):
    """Every figure of the page is the one that `/api/status` tells."""
    client = await pages(lived_in)
    figures = figures_of(await (await client.get("/")).text())
    status = await (await client.get("/api/status")).json()
    assert len(figures) >= 12
    assert figures == {name: shown(at(status, name), name) for name in figures}
    assert (figures["traffic.attempts"], figures["minute.left"], figures["spend.day_usd"]) == ("4", "17", "$0.00")


async def test_the_first_questions_have_an_answer(pages, lived_in):
    """What costs money, what is left and until when, whether it lasts, who uses it, what failed and why."""
    text = await (await (await pages(lived_in)).get("/")).text()
    for answer in (
        "Nothing costs money, and today&#39;s requests last.",
        "Resets <time",
        "to spare, at",
        'href="/apps/billing-bot"',
        f"The model {PAID} is not free",
        "502: broken",
        "provider is busy; your quota is untouched",
    ):
        assert answer in text, answer


@pytest.mark.parametrize("query", ["", "?window=7d", f"?app=notebook&window=today&model={FREE}", "?app=&model="])
async def test_filters_hold_on_the_page_and_in_json(pages, lived_in, query):
    """Both tell of the same attempts."""
    client = await pages(lived_in)
    status = await (await client.get(f"/api/status{query}")).json()
    text = await (await client.get(f"/{query}")).text()
    assert figures_of(text)["traffic.attempts"] == str(status["traffic"]["attempts"])
    assert status["traffic"]["attempts"] == (2 if "app=notebook" in query else 4)
    assert len(status["calls"]["rows"]) == (2 if "app=notebook" in query else 4)


@pytest.mark.parametrize("query", ["window=forever", "app=" + "a" * 301, "model=" + "m" * 301])
@pytest.mark.parametrize("path", ["/", "/api/status"])
async def test_a_filter_that_cannot_be_is_refused(pages, lived_in, path, query):
    """With what would be right, and without an echo of what was sent."""
    answer = await (await pages(lived_in)).get(f"{path}?{query}")
    assert answer.status == 400
    assert "forever" not in await answer.text()


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/apps/notebook", "<h1>notebook</h1>"),
        (f"/models/{FREE}", f"<h1>{FREE}</h1>"),
        (f"/models/{PAID}?window=today", "1 attempt that asked for it"),
        ("/calls/2", "Refused: model_not_free"),
        ("/calls/3", "server_error, 502"),
    ],
)
async def test_there_is_a_page_of_each(pages, lived_in, path, says):
    """Of an app, a model and a call."""
    answer = await (await pages(lived_in)).get(path)
    assert answer.status == 200
    assert says in await answer.text()


@pytest.mark.parametrize("path", ["/apps/nobody", "/models/lab/nothing", "/models", "/calls/99", "/static/nothing.js"])
async def test_what_is_not_there_is_a_404(pages, lived_in, path):
    """An app that never called, a model that nobody knows, a call that was pruned."""
    assert (await (await pages(lived_in)).get(path)).status == 404


async def test_a_store_that_cannot_be_read_is_said(pages, lived_in):
    """A damaged store is a page that says so, with 503."""
    lived_in.write_bytes(b"")
    answer = await (await pages(lived_in)).get("/")
    assert answer.status == 503
    assert str(lived_in) in await answer.text()


async def test_a_store_that_is_not_there_yet_is_no_error(pages, tmp_path):
    """Before the first call there is a page all the same, and it claims nothing."""
    answer = await (await pages(tmp_path / "none.db")).get("/")
    assert answer.status == 200
    text = await answer.text()
    assert "Nothing recorded yet." in text
    assert "Nothing costs money" not in text


async def test_whatever_comes_from_outside_is_text(pages, tmp_path, clock):
    """No tag, attribute, address or template of it is one of the page's."""
    book = hostile_store(tmp_path / "monitor.db", clock)
    fill(book.store, book.settings, clock.now())
    client = await pages(tmp_path / "monitor.db")
    rows = one(book, "SELECT max(id) FROM calls")
    paths = ["/", *(f"/calls/{row}" for row in range(1, rows + 1))]
    paths += [make(text) for text in HOSTILE for make in (app_url, model_url)]
    for path in paths:
        answer = await client.get(path)
        text = await answer.text()
        assert answer.status == 200, path
        assert "<script>window" not in text
        assert not re.search(r"<(img|svg/onload)", text)
        assert "49{%" not in text
        assert "\u202e" not in text  # it would turn round what stands beside it
        assert not re.search(r"<[^>]*\son\w+\s*=", re.sub(r'"[^"]*"', '""', text)), path
        for address in re.findall(r'(?:href|src|action)="([^"]*)"', text):
            assert address.startswith(("/", "#")), address


def state(phase: Phase, severity: str = "critical", **more: Any) -> AlertState:
    labels = {"alertname": "OpenRouterSpend", "severity": severity, "component": "spend"}
    texts = {"summary": f"Money {phase}.", "description": "<b>0.12 USD</b>", **more}
    times = {"fired_at": NOON - 60, "resolved_at": NOON if phase is Phase.RESOLVED else None}
    return AlertState("rule", phase, labels, texts, 0.12, NOON - 120, **times)


def put_alerts(book: Ledger, *states: AlertState) -> None:
    with book.store.transaction() as tx:
        tx.save_alert_tick(1, NOON - 15, [])
        tx.save_alert_states({str(number): each.written() for number, each in enumerate(states)})


async def test_alerts_that_fire_are_told_first(pages, tmp_path, clock):
    """In the headline, and with what to do; what is over is kept for a day, and texts are texts."""
    book = ledger(tmp_path / "monitor.db", clock)
    runbook, bad = "https://example.org/runbook.md", "javascript:window.hacked=1"
    firing = state(Phase.FIRING, runbook_url=runbook, dashboard_url=bad)
    put_alerts(
        book, firing, state(Phase.PENDING), state(Phase.RESOLVED), state(Phase.FIRING, "none", summary="Watchdog")
    )
    text = await (await (await pages(tmp_path / "monitor.db")).get("/")).text()
    assert "<h1>Alert: Money firing.</h1>" in text
    assert f'href="{runbook}"' in text
    assert bad not in text
    assert "<b>0.12" not in text
    for words in ("Soon, if it goes on: Money pending.", "Money resolved.", "1 alert of the last day, over"):
        assert words in text
    assert "Watchdog" not in text


async def test_it_is_said_when_no_alert_fires_or_none_is_looked_at(pages, tmp_path, clock):
    """Silence of a daemon that looks is not the same as that of one that does not."""
    book = ledger(tmp_path / "monitor.db", clock)
    client = await pages(tmp_path / "monitor.db")
    book.settle(take(book), success())
    assert "No alerts are evaluated." in await (await client.get("/")).text()
    put_alerts(book)
    text = await (await client.get("/")).text()
    assert "None is firing; looked at" in text
    only = (await (await client.get("/api/status")).json())["alerts"]["prometheus_only"]
    assert "OpenRouterMonitorDown" in only
    assert f"{len(only)} alerts more only with Prometheus" in text


@pytest.mark.parametrize("name", [*HOSTILE, FREE, "", "."])
def test_a_name_comes_through_an_address_whole(name):
    """Whatever is in it: no browser takes a part of it for a step, a query or a fragment."""
    for make in (app_url, model_url):
        path = make(name)
        assert not re.search(r"/\.{0,2}(/|$|\?.*/)", path.removeprefix("/"))
        assert re.fullmatch(r"/(apps|models)(/|\?name=)[A-Za-z0-9._~%-]*", path)


@pytest.mark.parametrize(
    ("address", "fine"),
    [
        ("https://example.org/a", True),
        ("http://localhost:3000/d/x", True),
        ("javascript:alert(1)", False),
        (None, False),
    ],
)
def test_an_alerts_link_leads_to_the_web_or_nowhere(address, fine):
    """Runbooks and dashboards may be set by hand."""
    assert is_web_address(address) is fine


async def test_pages_may_load_nothing_from_elsewhere(pages, lived_in):
    """The policy forbids it, and nothing inline: style and script come as files, kept while they are the same."""
    client = await pages(lived_in)
    answer = await client.get("/")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "img-src", "connect-src", "form-action")} == {"'self'"}
    text = await answer.text()
    assert "style=" not in text
    assert not re.search(r"<style|<script>", text)
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', text)
    assert len(files) == 3
    for path in files:
        file = await client.get(path)
        assert file.status == 200
        assert "immutable" in file.headers["Cache-Control"]
        assert file.headers["X-Content-Type-Options"] == "nosniff"


def colours(css: str) -> tuple[dict[str, str], dict[str, str]]:
    """Of the light and of the dark theme."""
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    found = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]+)", part)) for part in (light, dark)]
    return found[0], {**found[0], **found[1]}


def contrast(one_colour: str, other: str) -> float:
    """By the formula of WCAG 2.2."""

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one_colour), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_there_is_contrast_enough(theme):
    """Text 4.5 to 1 on whatever it stands, what is drawn 3 to 1 on its sheet: WCAG's level AA."""
    css = Rendering().assets["style.css"].body.decode()
    colour = colours(css)[theme]
    texts = [(ink, sheet) for ink in ("ink", "muted", "link") for sheet in ("page", "sheet")]
    texts += [
        (f"{level}-ink", sheet) for level in ("ok", "warn", "bad") for sheet in ("sheet", "page", f"{level}-sheet")
    ]
    texts += [("ink", f"{level}-sheet") for level in ("ok", "warn", "bad")]
    for ink, sheet in texts:
        assert contrast(colour[ink], colour[sheet]) >= 4.5, (ink, sheet)
    for drawn in ("good", "failed", "refused", "open"):
        assert contrast(colour[drawn], colour["sheet"]) >= 3, drawn


def test_nothing_moves():
    """Who asks for reduced motion has it, for there is none."""
    css = Rendering().assets["style.css"].body.decode()
    assert not re.search(r"animation|transition|@keyframes|scroll-behavior", css)


def test_templates_are_in_the_package(tmp_path):
    """The wheel has the templates, the stylesheet, the script and the icon."""
    built = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(next(iter(built))) as wheel:
        names = set(wheel.namelist())
    folder = ROOT / "monitor" / "web" / "templates"
    assert {f"monitor/web/templates/{file.name}" for file in folder.iterdir()} <= names
