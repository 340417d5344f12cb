"""The pages over a day that was lived through, at a clock that stands still: for looking at them, and for pictures.

`python -m tests.fakes.site docs` draws the pictures of the documentation with the system's Chromium.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from monitor.alerting.watch import Watch
from monitor.cli.demo_past import replay
from monitor.clock import DAY, FakeClock
from monitor.config import Settings
from monitor.metrics.collector import StoreCollector, registry
from monitor.openrouter.catalogue import parse_catalogue
from monitor.serving.server import Server
from monitor.simulator.server import Simulator
from monitor.store import SQLiteStore
from monitor.store.sqlite.hours import count_hours
from monitor.web.access import Access
from monitor.web.app import Pages
from tests.fakes.daemon import fetch

AFTERNOON = 20_781 * DAY + 16.6 * 3600
"""A Tuesday, UTC, epoch seconds."""
LIMIT = 1000
APPS = {"billing-bot": {"share": 0.4}, "summariser": {}, "notebook": {"per_day": 200}}


def live_through(path: Path, base_url: str, until: float = AFTERNOON) -> Settings:
    """A store with a day in it, up to `until` (epoch seconds), counted as the daemon does."""
    settings = Settings(store=str(path), base_url=base_url, api_key="sk-or-v1-of-a-picture", apps=APPS)
    store = SQLiteStore(path)
    models = parse_catalogue(fetch(f"{base_url}/models?output_modalities=all")).models
    replay(store, settings, models, until, LIMIT)
    store.close()
    count_hours(path, FakeClock(until))
    return settings


@contextmanager
def serving(settings: Settings, clock: FakeClock) -> Iterator[str]:
    """The address of the pages while the block runs."""
    loop, started = asyncio.new_event_loop(), threading.Event()
    urls: list[str] = []
    stop = asyncio.Event()

    async def serve() -> None:
        with ThreadPoolExecutor(2) as workers:
            made = registry(StoreCollector(settings, clock))
            pages = Pages(settings, clock, made, Access("127.0.0.1:0", None), workers)
            listening = socket.create_server(("127.0.0.1", 0))
            async with Server(pages.handle, clock).serving(listening):
                urls.append(f"http://127.0.0.1:{listening.getsockname()[1]}")
                started.set()
                await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert started.wait(60)
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def judge(settings: Settings, until: float, minutes: int = 20) -> None:
    """Have the alerts looked at as the daemon does, for some minutes before `until` (epoch seconds)."""
    clock, store = FakeClock(until - 60 * minutes), SQLiteStore(settings.store_path)
    collector = StoreCollector(settings, clock)
    watch = Watch(store, settings, clock, collector.collect, holder="picture", instance="laptop")
    while clock.now() < until:
        watch.look()
        clock.advance(settings.alerts.evaluate_seconds)
    store.close()


def draw(folder: Path) -> None:
    """The status page on a desk and on a phone, light and dark, and a call's page."""
    from tests.fakes.browser import browser, visiting

    with ExitStack() as ending:
        sim = ending.enter_context(Simulator())
        path = Path(ending.enter_context(tempfile.TemporaryDirectory())) / "monitor.db"
        settings = live_through(path, sim.base_url)
        judge(settings, AFTERNOON)
        url = ending.enter_context(serving(settings, FakeClock(AFTERNOON)))
        chromium = ending.enter_context(browser())
        for name, address, width, scheme, whole in (
            ("status-desk", "/", 1280, "light", True),
            ("status-desk-dark", "/", 1280, "dark", False),
            ("status-phone", "/", 390, "light", False),
            ("status-phone-dark", "/", 390, "dark", False),
            ("call", "/calls/300", 1280, "light", False),
        ):
            with visiting(chromium, width, scheme) as page:
                page.goto(url + address)
                size = {"x": 0, "y": 0, "width": width, "height": 1340}
                page.screenshot(path=folder / f"{name}.png", full_page=whole, **({"clip": size} if whole else {}))


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
