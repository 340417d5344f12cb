"""The daemon: store, polls and pages in one process, from the settings, until it is told to stop. No globals."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from typing import NamedTuple

from aiohttp import web

from monitor.clock import Clock
from monitor.config import Settings
from monitor.errors import MonitorError, StoreError
from monitor.fetching import LoopFetch, session
from monitor.ledger import Ledger
from monitor.metrics.collector import StoreCollector, name_apps, registry
from monitor.metrics.polls import Polls
from monitor.poller.jobs import jobs
from monitor.poller.scheduler import Scheduler
from monitor.store import SQLiteStore, open_store
from monitor.web.access import Access
from monitor.web.app import Pages

READERS = 2
"""Threads that read the store for pages: more would only wait for each other."""

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
        ledger = Ledger(store, self.settings, self.clock)
        polls = Polls({})
        async with AsyncExitStack() as ending:
            workers = ThreadPoolExecutor(READERS, thread_name_prefix="monitor-read")
            ending.callback(workers.shutdown)
            collector = StoreCollector(self.settings, self.clock, polls)
            pages = Pages(self.settings, self.clock, registry(collector), self._access, workers)
            runner = web.AppRunner(
                pages.app(), access_log=None, handle_signals=False, shutdown_timeout=self.settings.proxy.drain_seconds
            )
            await runner.setup()
            ending.push_async_callback(runner.cleanup)
            await web.SockSite(runner, listening, backlog=128).start()

            client = await ending.enter_async_context(session(self.settings.base_url))
            fetch = LoopFetch(client, asyncio.get_running_loop())
            scheduler = Scheduler(jobs(ledger, store, fetch, polls), self.clock, polls)
            scheduler.start()
            ending.push_async_callback(asyncio.to_thread, ledger.write_left_over)
            ending.push_async_callback(asyncio.to_thread, scheduler.stop)
            ending.callback(fetch.stop)
            running = Running(url_of(listening), self.settings.store_path, self.settings.base_url)
            log.info("listening at %s; store %s; upstream %s", *running)
            self._ready(running)
            await stop.wait()
            log.info("stopping: no new polls, open requests are finished")


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


def url_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


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
