"""The pages: metrics, health, status. Whatever reads the store does so on a worker thread, never on the event loop."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

from aiohttp import web
from prometheus_client import CollectorRegistry

from monitor.clock import Clock
from monitor.config import Settings
from monitor.errors import StoreError
from monitor.metrics.exposition import render
from monitor.status import gather
from monitor.store.sqlite.reader import Reader
from monitor.version import __version__
from monitor.web.access import Access
from monitor.web.front import PAGE

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
BODY_LIMIT = 64 * 1024

log = logging.getLogger("monitor.web")


class Pages:
    """Answers requests. `workers` is where the store is read."""

    def __init__(
        self, settings: Settings, clock: Clock, registry: CollectorRegistry, access: Access, workers: Executor
    ) -> None:
        self._settings, self._clock, self._registry = settings, clock, registry
        self._access, self._workers = access, workers

    def app(self) -> web.Application:
        """The application that answers with these pages."""
        app = web.Application(middlewares=[self._guard], client_max_size=BODY_LIMIT)
        app.router.add_get("/", self.front)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/-/healthy", self.healthy)
        app.router.add_get("/-/ready", self.ready)
        app.router.add_get("/api/status", self.status)
        app.on_response_prepare.append(_dress)
        return app

    async def front(self, request: web.Request) -> web.Response:
        return web.Response(text=PAGE.format(version=__version__), content_type="text/html")

    async def healthy(self, request: web.Request) -> web.Response:
        """The process is there and its loop turns: nothing else is asked."""
        return _json({"healthy": True, "version": __version__})

    async def ready(self, request: web.Request) -> web.Response:
        """The store can be read and holds this upstream's catalogue, so calls can be judged."""
        why = await self._off_loop(self._unready)
        return _json({"ready": True}) if why is None else _json({"ready": False, "why": why}, 503)

    async def metrics(self, request: web.Request) -> web.Response:
        accept = ",".join(request.headers.getall("Accept", []))
        encoding = ",".join(request.headers.getall("Accept-Encoding", []))
        told = await self._off_loop(lambda: render(self._registry, accept, encoding))
        headers = {"Content-Type": told.content_type, "Vary": "Accept, Accept-Encoding"}
        if told.encoding:
            headers["Content-Encoding"] = told.encoding
        return web.Response(body=told.body, headers=headers)

    async def status(self, request: web.Request) -> web.Response:
        try:
            return _json(await self._off_loop(self._gathered))
        except StoreError as exc:
            return _error(503, str(exc))

    def _gathered(self) -> dict[str, Any]:
        with Reader(self._settings.store_path) as reader:
            return gather(reader, self._settings, self._clock.now())

    def _unready(self) -> str | None:
        try:
            with Reader(self._settings.store_path) as reader, reader.moment() as moment:
                catalogue = moment.catalogue()
        except StoreError as exc:
            return str(exc)
        if catalogue is None or catalogue.source != self._settings.base_url:
            return "The catalogue has not been fetched yet."
        return None

    async def _off_loop(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._workers, work)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = self._access.refusal(request.path, request.headers)
        if refused is not None:
            return _error(refused.status, refused.message)
        try:
            return await handler(request)
        except web.HTTPException as exc:
            if exc.status < 400:
                raise
            allowed = {"Allow": exc.headers["Allow"]} if "Allow" in exc.headers else {}
            return _error(exc.status, f"{exc.reason}: {request.method} {request.path}", allowed)
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return _error(500, "That failed; the daemon's log says why.")


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return web.Response(text=text, status=status, headers=headers, content_type="application/json")


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """In the shape of OpenRouter's own errors."""
    headers = {"WWW-Authenticate": "Bearer", **(headers or {})} if status == 401 else headers
    return _json({"error": {"code": status, "message": message}}, status, headers)


async def _dress(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY)
    response.headers.popall("Server", None)  # no word of what could be attacked
