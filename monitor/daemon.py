"""The daemon: store, polls and pages in one process, from the settings, until it is told to stop. No globals."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from typing import NamedTuple

from monitor.alerting.watch import program_of
from monitor.alerting.ways import ways
from monitor.clock import Clock
from monitor.config import Settings
from monitor.errors import ConfigError, MonitorError, StoreError
from monitor.fetching import LoopFetch, ssl_context
from monitor.metrics.collector import StoreCollector, name_apps, registry
from monitor.metrics.polls import Polls
from monitor.poller.alerts import AlertsJob
from monitor.poller.jobs import jobs
from monitor.poller.scheduler import Scheduler
from monitor.proxy.callers import Callers
from monitor.proxy.desk import Desk
from monitor.proxy.doors import certificate, open_doors, until_the_end
from monitor.proxy.front import Proxy
from monitor.proxy.upstream import Upstream
from monitor.store import SQLiteStore, open_store
from monitor.web.access import Access
from monitor.web.app import Pages

READERS = 2
"""Threads that read the store for pages: more would only wait for each other."""

KEY_FILE_SECONDS = 15.0
"""How often the file of the API key is read again."""

CUT_SHORT = 1
"""Exit code when a second signal cuts the orderly end."""

log = logging.getLogger("monitor.daemon")


class Running(NamedTuple):
    """What is told once the daemon answers."""

    url: str
    store: str
    base_url: str


class Daemon:
    """One process that polls, keeps the books in order and answers. `ready` is told when it does.

    Raises ConfigError when the settings contradict each other, StoreError when the store cannot be used, and
    MonitorError when the address is taken.
    """

    def __init__(self, settings: Settings, clock: Clock, ready: Callable[[Running], None]) -> None:
        self.settings = settings
        self.clock = clock
        self._ready = ready
        self._access = Access(settings.listen, settings.proxy.token)
        self._certificate = certificate(settings)
        self._ways = ways(settings)
        program_of(settings)

    def __repr__(self) -> str:
        return f"<Daemon at {self.settings.listen}>"

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; a second one cuts the orderly end short."""
        with bind(self._access) as listening:
            store = open_store(self.settings.store_path)
            try:
                name_apps(store, self.settings)
                asyncio.run(self._serve(listening, store))
                with suppress(StoreError):
                    store.checkpoint()
            finally:
                store.close()
        log.info("stopped")

    async def _serve(self, listening: socket.socket, store: SQLiteStore) -> None:
        stop = _stop_signal()
        desk, polls = Desk(store, self.settings, self.clock), Polls({})
        async with AsyncExitStack() as ending:
            workers = ThreadPoolExecutor(READERS, thread_name_prefix="monitor-read")
            ending.callback(workers.shutdown)
            fetch = LoopFetch(await self._upstream(ending), asyncio.get_running_loop())
            proxy = await self._proxy(desk, fetch, ending)
            collector = StoreCollector(self.settings, self.clock, polls, proxy.figures)
            figures = registry(collector)
            pages = Pages(self.settings, self.clock, figures, self._access, workers)
            await open_doors(ending, proxy, pages.handle, listening, self._certificate)
            url = url_of(listening, "http" if self._certificate is None else "https")
            alerts = AlertsJob(
                store, self.settings, self.clock, polls, collect=figures.collect, ways=self._ways, url=page_of(url)
            )
            scheduler = Scheduler([*jobs(desk, store, fetch, polls), alerts], self.clock, polls)
            alerts.start()
            scheduler.start()
            ending.push_async_callback(asyncio.to_thread, desk.write_left_over)
            ending.push_async_callback(asyncio.to_thread, alerts.end)
            ending.push_async_callback(asyncio.to_thread, scheduler.stop)
            ending.callback(fetch.stop)
            # First of all at the end, while everything else still works: pages are answered meanwhile.
            ending.push_async_callback(proxy.drain, self.settings.proxy.drain_seconds)
            running = Running(url, self.settings.store_path, self.settings.base_url)
            log.info("listening at %s; store %s; upstream %s", *running)
            self._ready(running)
            # What is loaded by now stays: each look of the collector at all of it would hold up every call.
            gc.collect()
            gc.freeze()
            await stop.wait()
            log.info("stopping: no new calls, those under way may end within %g s", self.settings.proxy.drain_seconds)

    async def _proxy(self, desk: Desk, fetch: LoopFetch, ending: AsyncExitStack) -> Proxy:
        settings = self.settings
        desk.open()
        upstream = await self._upstream(ending)
        proxy = Proxy(settings, self.clock, desk, upstream, Callers(settings, self._access.misdirected), fetch)
        proxy.know_key(await asyncio.to_thread(self._key))
        if settings.api_key is None and settings.api_key_file is not None:
            until_the_end(ending, self._follow_key(proxy))
        return proxy

    async def _upstream(self, ending: AsyncExitStack) -> Upstream:
        """Connections of their own for the polls and for the calls: what the one leaves open is not the other's."""
        base_url = self.settings.base_url
        tls = ssl_context() if base_url.startswith("https:") else None
        return await ending.enter_async_context(Upstream(base_url, tls))

    def _key(self) -> str | None:
        try:
            key = self.settings.key()
        except ConfigError as exc:
            log.warning("%s", exc)
            return None
        return key.reveal() if key else None

    async def _follow_key(self, proxy: Proxy) -> None:
        """A key file may be filled, or changed, while the daemon runs."""
        while True:
            await asyncio.sleep(KEY_FILE_SECONDS)
            try:
                proxy.know_key(await asyncio.to_thread(self._key))
            except ConfigError as exc:
                log.warning("%s", exc)


def bind(access: Access) -> socket.socket:
    """A bound socket: the port is taken before anything else is begun."""
    try:
        family = socket.AF_INET6 if ":" in access.host else socket.AF_INET
        return socket.create_server((access.host, access.port), family=family, backlog=128)
    except OSError as exc:
        raise MonitorError(
            f"cannot listen on {access.host}:{access.port}: {exc.strerror or exc}.",
            hint="Is another daemon running? Choose another address with --listen HOST:PORT.",
        ) from None


def url_of(listening: socket.socket, scheme: str = "http") -> str:
    host, port = listening.getsockname()[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def page_of(url: str) -> str:
    """Where a person finds it: who listens everywhere is found by the machine's name."""
    for everywhere in ("://0.0.0.0:", "://[::]:"):
        url = url.replace(everywhere, f"://{socket.gethostname()}:")
    return url


def _stop_signal() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; the second ends the process at once."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def caught() -> None:
        if stop.is_set():
            log.warning("stopped at once, on the second signal")
            os._exit(CUT_SHORT)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, caught)
    return stop
