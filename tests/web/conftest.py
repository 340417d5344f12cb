"""Pages over a store of their own, asked through a real socket."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from monitor.clock import FakeClock
from monitor.config import Settings
from monitor.metrics.collector import StoreCollector, registry
from monitor.redact import Secret
from monitor.serving.server import Server
from monitor.web.access import Access
from monitor.web.app import Pages
from tests.fakes.builders import ledger, success, take


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Path:
    """A store with a catalogue and one call."""
    book = ledger(tmp_path / "monitor.db", clock)
    book.settle(take(book), success())
    book.store.close()
    return tmp_path / "monitor.db"


@pytest.fixture
async def pages(clock: FakeClock) -> AsyncIterator[Callable[..., Any]]:
    """Serves a store's pages; `listen` is what the settings say, whatever socket is really used."""
    async with AsyncExitStack() as stack:

        async def serve(path: Path, listen: str = "127.0.0.1:8377", token: str | None = None) -> ClientSession:
            settings = Settings(store=str(path), listen=listen)
            workers = ThreadPoolExecutor(2)
            stack.callback(workers.shutdown)
            access = Access(listen, None if token is None else Secret(token))
            made = registry(StoreCollector(settings, clock))
            server = Server(Pages(settings, clock, made, access, workers).handle, clock)
            listening = socket.create_server(("127.0.0.1", 0))
            await stack.enter_async_context(server.serving(listening))
            return await stack.enter_async_context(ClientSession(f"http://127.0.0.1:{listening.getsockname()[1]}"))

        yield serve
