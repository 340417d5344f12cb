"""The proxy as the daemon serves it, on a thread of this process, so that clients of every kind can call it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import socket
import threading
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Self

from monitor.clock import Clock, SystemClock
from monitor.config import Settings
from monitor.fetching import LoopFetch
from monitor.proxy.callers import Callers
from monitor.proxy.desk import Desk
from monitor.proxy.doors import certificate, open_doors
from monitor.proxy.front import Proxy
from monitor.proxy.upstream import Upstream
from monitor.serving.messages import Request, Response, told
from monitor.serving.server import Server
from monitor.store import open_store
from monitor.web.access import Access

WAIT = 60.0


class ServedProxy:
    """The proxy of these settings on any free port. `drain` is how long its end waits for what is under way."""

    proxy: Proxy
    desk: Desk
    connections: Server

    def __init__(self, settings: Settings, *, clock: Clock | None = None, drain: float = 5.0) -> None:
        self.settings = settings
        self._tls = certificate(settings)
        self._clock = clock or SystemClock()
        self._drain = drain
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._started: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, name="served-proxy", daemon=True)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.root}/api/v1"

    @property
    def chat(self) -> str:
        return f"{self.base_url}/chat/completions"

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.result(WAIT)
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT)
        assert not self._thread.is_alive()

    def do(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run a coroutine on the proxy's loop; what it returned."""
        return asyncio.run_coroutine_threadsafe(work(), self.loop).result(WAIT)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as exc:
            if self._started.done():
                raise
            self._started.set_exception(exc)

    async def _serve(self) -> None:
        self.loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        settings, store = self.settings, open_store(self.settings.store_path)
        try:
            async with AsyncExitStack() as ending:
                polls = await ending.enter_async_context(Upstream(settings.base_url, None))
                fetch = LoopFetch(polls, self.loop)
                self.desk = Desk(store, settings, self._clock)
                self.desk.open()
                upstream = await ending.enter_async_context(Upstream(settings.base_url, None))
                callers = Callers(settings, Access(settings.listen, settings.proxy.token).misdirected)
                self.proxy = Proxy(settings, self._clock, self.desk, upstream, callers, fetch)
                key = settings.key()
                self.proxy.know_key(key.reveal() if key else None)
                self.connections = await open_doors(ending, self.proxy, _no_pages, self._listening, self._tls)
                ending.callback(fetch.stop)
                ending.push_async_callback(self.proxy.drain, self._drain)
                self._started.set_result(None)
                await self._stop.wait()
        finally:
            store.close()


async def _no_pages(request: Request) -> Response:
    return told(404, "There are no pages here.")
