"""The page in a real Chromium, as the real daemon serves it: nothing from outside, nothing in the console, and live."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from monitor.clock import FakeClock, SystemClock
from monitor.config import Settings
from monitor.ledger import Ledger
from monitor.simulator.server import Simulator
from monitor.store import SQLiteStore
from monitor.web.rendering import app_url, model_url
from tests.fakes.browser import HEIGHTS, INSTALL, browser, program, visiting
from tests.fakes.builders import NOON, ask, fill, success
from tests.fakes.daemon import WAIT, DaemonProcess, fetch
from tests.fakes.site import live_through, serving
from tests.web.test_site import HOSTILE, at, hostile_store, shown

pytestmark = pytest.mark.processes

SIZES = sorted(HEIGHTS)
PATHS = ("/", "/?window=7d&app=summariser", "/apps/notebook", "/models", "/calls/7")
KEY_SECONDS = 3600
"""The key is read once: no figure changes while it is compared."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Without Chromium the tests are skipped, but in CI they fail: there they would be skipped for ever."""
    if program() is None:
        if os.environ.get("CI", "").lower() in ("true", "1"):
            pytest.fail(INSTALL)
        pytest.skip(INSTALL)
    with browser() as found:
        yield found


class Site:
    """A daemon whose store a day was put into."""

    def __init__(self, url: str, settings: Settings, daemon: DaemonProcess) -> None:
        self.url, self.settings, self.daemon = url, settings, daemon

    def status(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(fetch(f"{self.url}/api/status"))
        return told

    def call(self, app: str) -> None:
        """One free call that is answered."""
        model = next(row["name"] for row in self.status()["traffic"]["models"] if row["name"].endswith(":free"))
        book = Ledger(SQLiteStore(self.settings.store_path), self.settings, SystemClock())
        hold = book.reserve(ask(model, app=app)).hold
        assert hold is not None
        book.settle(hold, success())
        book.store.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with Simulator() as sim:
        settings = live_through(folder / "monitor.db", sim.base_url, time.time())
        given = {"STORE": settings.store_path, "BASE_URL": sim.base_url, "POLL__KEY_SECONDS": KEY_SECONDS}
        with DaemonProcess(folder, **given) as daemon:
            yield Site(daemon.url(), settings, daemon)


@contextmanager
def watched(chromium: Any, width: int, scheme: str = "light", **options: Any) -> Iterator[Any]:
    """A page of which nothing may be heard: no message in the console, no error, no dialog, nothing asked elsewhere."""
    heard: list[str] = []
    with visiting(chromium, width, scheme, **options) as page:
        page.set_default_timeout(WAIT * 1000)
        page.on("console", lambda message: heard.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: heard.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (heard.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: heard.append(request.url) if "//127.0.0.1:" not in request.url else None)
        page.on("requestfailed", lambda request: heard.append(f"failed: {request.url} {request.failure}"))
        page.on(
            "response", lambda answer: heard.append(f"{answer.status}: {answer.url}") if answer.status >= 400 else 0
        )
        yield page
        assert heard == []


def figures_on(page: Any) -> dict[str, str]:
    found: dict[str, str] = page.eval_on_selector_all(
        "[data-figure]", "all => Object.fromEntries(all.map(each => [each.dataset.figure, each.textContent]))"
    )
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", SIZES)
def test_the_first_answers_need_no_scrolling(chromium, site, width, scheme):
    """On a laptop and on a phone the sentence and all tiles are within the first screen; none is wider than it."""
    with watched(chromium, width, scheme) as page:
        page.goto(site.url)
        boxes = page.eval_on_selector_all(
            ".glance, .tile",
            "all => all.map(each => each.getBoundingClientRect()).map(r => [r.left, r.right, r.bottom])",
        )
        assert len(boxes) == 7
        for left, right, bottom in boxes:
            assert left >= 0
            assert right <= width
            assert bottom <= HEIGHTS[width]
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 19, 17)"
        assert dark is (scheme == "dark")


@pytest.mark.parametrize("width", SIZES)
def test_no_page_is_wider_than_its_screen(chromium, site, width):
    """Nor is one of those of apps, models and calls; a long table scrolls by itself."""
    model = next(row["name"] for row in site.status()["traffic"]["models"])
    with watched(chromium, width) as page:
        for path in PATHS:
            page.goto(site.url + (model_url(model) if path == "/models" else path))
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert page.locator("h1").count() == 1, path


def test_the_figures_are_those_of_the_status(chromium, site):
    """What a person reads is what `/api/status` tells."""
    with watched(chromium, 1280) as page:
        before = site.status()
        page.goto(site.url)
        figures, after = figures_on(page), site.status()
        assert len(figures) >= 12
        for name, figure in figures.items():
            # A slot of the minute may have become free meanwhile.
            assert figure in {shown(at(status, name), name) for status in (before, after)}, name
        assert int(figures["day.used"]) > 0


def test_without_javascript_the_page_is_whole(chromium, site):
    """Figures, charts, tables and filters; only live it is not."""
    with watched(chromium, 390, java_script_enabled=False) as page:
        page.goto(site.url)
        assert page.locator(".chart svg[role=img]").count() == 2
        app = page.locator("select[name=app] option:not([value=''])").first.text_content()
        page.select_option("select[name=app]", app)
        page.click("button:text('Show')")
        assert f"app={app}" in page.url
        assert page.locator("#traffic h2").text_content() == f"Calls, 24h, {app}"
        page.click("#by-time-table summary")
        assert page.locator("#by-time-table table").is_visible()


def test_each_chart_is_a_table_too(chromium, site):
    """Its bars add up to what the table says, and a reader of screens is told that there is one."""
    with watched(chromium, 1280) as page:
        page.goto(f"{site.url}/?window=today")
        status = json.loads(fetch(f"{site.url}/api/status?window=today"))
        for chart in page.locator(".chart").all():
            assert "table below" in chart.locator("svg[role=img]").get_attribute("aria-label")
            assert chart.locator("details table").count() == 1
        page.click("#by-time-table summary")
        cells = page.locator("#by-time-table td.n").all_text_contents()
        assert sum(int(cell) for cell in cells if cell) == status["traffic"]["attempts"] > 0


def test_the_keyboard_is_enough(chromium, site):
    """The first key leads past the head; then filters, links and tables are reached in their order, each seen."""
    with watched(chromium, 1280) as page:
        page.goto(site.url)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
        reached = []
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.parentElement.id || document.activeElement.tagName"))
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none"
        order = [reached.index(name) for name in ("A", "SELECT", "BUTTON", "by-time-table", "day-table")]
        assert order == sorted(order)
        page.focus("#by-time-table summary")
        page.keyboard.press("Enter")
        assert page.locator("#by-time-table table").is_visible()


def test_it_is_live(chromium, site):
    """A call is seen without a reload; what was opened stays open, and what has the focus is left alone."""
    with watched(chromium, 1280) as page:
        page.clock.install()
        page.goto(site.url)
        page.evaluate("window.same = true")
        page.click("#day-table summary")  # takes the focus, too
        before = figures_on(page)
        site.call("notebook")
        with page.expect_response(lambda answer: answer.url.rstrip("/") == site.url):
            page.clock.fast_forward(5000)
        more = str(int(before["traffic.attempts"]) + 1)
        page.locator("[data-figure='traffic.attempts']", has_text=more).wait_for()
        assert page.evaluate("window.same")
        assert page.locator("#day-table table").is_visible()
        assert figures_on(page)["day.used"] == before["day.used"]  # in the part that has the focus
        page.evaluate("document.activeElement.blur()")
        with page.expect_response(lambda answer: answer.url.rstrip("/") == site.url):
            page.clock.fast_forward(5000)
        page.wait_for_function(
            "used => document.querySelector('[data-figure=\"day.used\"]').textContent !== used", arg=before["day.used"]
        )
        assert page.locator("#day-table table").is_visible()


def test_a_lost_daemon_is_told(chromium, site):
    """The last figures stay, and the page says that they are not live."""
    with visiting(chromium, 390) as page:
        page.clock.install()
        with serving(site.settings, FakeClock(time.time())) as url:
            page.goto(url)
            assert not page.locator("#lost").is_visible()
        page.clock.fast_forward(5000)
        page.locator("#lost").wait_for(timeout=WAIT * 1000)
        assert page.locator("h1").is_visible()


def test_a_daemon_that_hangs_is_told(chromium, site):
    """One that takes the request and never answers is as lost as one that is gone; when it answers, all is well."""
    with visiting(chromium, 390) as page:
        page.clock.install()
        page.goto(site.url)
        page.route(f"{site.url}/", lambda _: None)
        with page.expect_request(f"{site.url}/"):
            page.clock.fast_forward(5000)
        assert not page.locator("#lost").is_visible()
        page.clock.fast_forward(20_000)
        page.locator("#lost").wait_for(timeout=WAIT * 1000)
        page.unroute(f"{site.url}/")
        page.clock.fast_forward(10_000)
        page.locator("#lost").wait_for(state="hidden", timeout=WAIT * 1000)


def test_hostile_names_do_nothing(chromium, tmp_path):
    """Models, apps, errors, events and notes that would run a script if any page took one for more than text."""
    clock = FakeClock(NOON)
    book = hostile_store(tmp_path / "monitor.db", clock)
    fill(book.store, book.settings, clock.now())
    with serving(book.settings, clock) as url, watched(chromium, 1280) as page:
        for path in ("/", *(make(text) for text in HOSTILE for make in (app_url, model_url)), "/calls/2"):
            page.goto(url + path)
            assert page.evaluate("window.hacked") is None, path
            assert page.locator("img, iframe, object, embed").count() == 0
        page.goto(url)
        page.locator("#models a.model", has_text="<script>").first.click()
        assert page.locator("h1").text_content() == HOSTILE[0]
        page.goto(url)
        page.select_option("select[name=app]", HOSTILE[3])
        page.click("button:text('Show')")
        assert page.locator("#traffic h2").text_content() == f"Calls, 24h, {HOSTILE[3]}"
        assert page.evaluate("window.hacked") is None
