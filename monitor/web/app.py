"""What is answered: pages, metrics, health, status. Whatever reads the store does so on a worker thread."""

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
from monitor.store.sqlite.reader import Reader
from monitor.version import __version__
from monitor.views.overview import overview
from monitor.views.traffic import Asked
from monitor.web.access import Access
from monitor.web.site import Site, asked_for

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
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
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/-/healthy", self.healthy)
        app.router.add_get("/-/ready", self.ready)
        app.router.add_get("/api/status", self.status)
        Site(self._settings, self._clock, self._off_loop).add_to(app.router)
        app.on_response_prepare.append(_dress)
        return app

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
        """What the status page shows, for the window, app and model asked for."""
        asked = asked_for(request.query)
        try:
            return _json(await self._off_loop(lambda: self._gathered(asked)))
        except StoreError as exc:
            return _error(503, str(exc))

    def _gathered(self, asked: Asked) -> dict[str, Any]:
        with Reader(self._settings.store_path) as reader:
            return overview(reader, self._settings, self._clock.now(), asked)

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
            return _error(refused.status, refused.message, _way_in(request) if refused.status == 401 else None)
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
    return _json({"error": {"code": status, "message": message}}, status, headers)


def _way_in(request: web.Request) -> dict[str, str]:
    """How to show the token: a browser asks the person for a password, a program is told of the header."""
    if "text/html" in request.headers.get("Accept", ""):
        return {"WWW-Authenticate": 'Basic realm="openrouter-monitor: the password is proxy.token", charset="UTF-8"'}
    return {"WWW-Authenticate": "Bearer"}


async def _dress(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in SECURITY.items():
        response.headers.setdefault(name, value)
    response.headers.popall("Server", None)  # no word of what could be attacked
