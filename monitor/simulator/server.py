"""Runs the simulator: in a thread of this process for tests and the demo, or in the foreground for the command."""

from __future__ import annotations

import asyncio
import concurrent.futures
import signal
import socket
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import web

from monitor.clock import Clock, SystemClock
from monitor.errors import ConfigError
from monitor.simulator.app import build_app
from monitor.simulator.books import Books
from monitor.simulator.catalogue import Catalogue
from monitor.simulator.faults import Faults
from monitor.simulator.options import SimulatorOptions
from monitor.simulator.paths import PREFIX
from monitor.simulator.platform import Platform
from monitor.simulator.rows import Row

_T = TypeVar("_T")
_START_SECONDS = 10.0
_SHUTDOWN_SECONDS = 0.05
"""Handlers that hang on purpose are cancelled after so long."""


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket: the port is known, and taken, before the loop starts."""
    try:
        return socket.create_server((host, port), backlog=512)
    except OSError as error:
        raise ConfigError(
            f"The simulator cannot listen on {host}:{port}: {error.strerror or error}.",
            hint="Choose another port, or 0 for any free one.",
        ) from None


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{PREFIX}"


async def _run(app: web.Application, listening: socket.socket, ready: Callable[[], None], stop: asyncio.Event) -> None:
    """Serve until `stop` is set."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        ready()
        await stop.wait()
    finally:
        await runner.cleanup()


class Simulator:
    """A simulated OpenRouter in a background thread. Use it as a context manager.

    >>> with Simulator() as sim:
    ...     client = OpenAI(base_url=sim.base_url, api_key="sk-or-v1-anything")
    ...     assert sim.books.cost_usd == 0
    """

    def __init__(
        self,
        options: SimulatorOptions | None = None,
        *,
        clock: Clock | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.options = options if options is not None else SimulatorOptions()
        self.clock: Clock = clock if clock is not None else SystemClock()
        self._platform = Platform(self.options, self.clock)
        self._host, self._port = host, port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None
        self._base_url = ""

    def start(self) -> Self:
        """Listen; returns when requests are answered."""
        if self._thread is not None:
            raise RuntimeError("this simulator has been started already")
        listening = _listen(self._host, self._port)
        self._base_url = _url(listening)
        started: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(
            target=self._serve, args=(listening, started), name="openrouter-simulator", daemon=True
        )
        self._thread.start()
        started.result(_START_SECONDS)
        return self

    def _serve(self, listening: socket.socket, started: concurrent.futures.Future[None]) -> None:
        async def main() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            app = build_app(self.options, self.clock, self._platform)
            await _run(app, listening, lambda: started.set_result(None), self._stop)

        try:
            asyncio.run(main())
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread that waits for the start must hear of it
            if not started.done():
                started.set_exception(error)
        finally:
            listening.close()

    def stop(self) -> None:
        """Close every connection and end the thread. Stopping twice is fine."""
        if self._thread is None or self._loop is None or self._stop is None:
            return
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """`http://127.0.0.1:PORT/api/v1`."""
        return self._base_url

    @property
    def root_url(self) -> str:
        """The same without `/api/v1`: for `/_sim`, and with `/api` as Anthropic's base."""
        return self._base_url.removesuffix(PREFIX)

    @property
    def books(self) -> Books:
        return self._platform.books

    @property
    def faults(self) -> Faults:
        return self._platform.faults

    @property
    def catalogue(self) -> Catalogue:
        return self._platform.catalogue

    def set_models(self, rows: Iterable[Row]) -> None:
        """Replace the catalogue."""
        self.catalogue.set(rows)

    def update_model(self, model_id: str, **changes: Any) -> None:
        """Change fields of a model, e.g. `pricing={"prompt": "0.000001"}`; objects are merged key by key."""
        self.catalogue.update(model_id, **changes)

    def add_model(self, row: Row) -> None:
        self.catalogue.add(row)

    def remove_model(self, model_id: str) -> None:
        self.catalogue.remove(model_id)

    def set_used(self, used: int, account: str = "default") -> None:
        """The account's free requests of today, as if something else had used them."""
        self._in_loop(lambda: self._platform.set_used(used, account))

    def used(self, account: str = "default") -> int:
        """The account's free requests of today as enforcement counts them, without the lag of `/key`."""
        return self._in_loop(lambda: self._platform.accounts.named(account).quota.used(self.clock.now()))

    def reset(self) -> None:
        """Empty books, fresh quotas, no money spent, the catalogue of the start. Fault rules stay."""
        self._in_loop(self._platform.reset)

    def _in_loop(self, work: Callable[[], _T]) -> _T:
        """Run `work` on the server's thread, which alone may touch quotas and accounts."""
        if self._loop is None or self._thread is None or not self._thread.is_alive():
            return work()

        async def run() -> _T:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(_START_SECONDS)


def serve(
    options: SimulatorOptions,
    host: str,
    port: int,
    on_ready: Callable[[str], None],
    *,
    clock: Clock | None = None,
) -> None:
    """Serve in the foreground until SIGINT or SIGTERM. `on_ready` is told the base URL once requests are answered."""
    listening = _listen(host, port)

    async def main() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        app = build_app(options, clock if clock is not None else SystemClock())
        await _run(app, listening, lambda: on_ready(_url(listening)), stop)

    with listening:
        asyncio.run(main())
