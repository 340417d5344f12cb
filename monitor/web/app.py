"""What is answered: pages, metrics, health, status. Whatever reads the store does so on a worker thread."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry

from monitor.clock import Clock
from monitor.config import Settings
from monitor.errors import StoreError
from monitor.metrics.exposition import render
from monitor.serving.messages import Request, Response, told
from monitor.serving.routes import NotFound, Route, find
from monitor.store.sqlite.reader import Reader
from monitor.version import __version__
from monitor.views.overview import overview
from monitor.views.traffic import Asked
from monitor.web.access import Access
from monitor.web.site import BadQuery, Site, asked_for

T = TypeVar("T")

SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

log = logging.getLogger("monitor.web")


class Pages:
    """Answers requests. `workers` is where the store is read."""

    def __init__(
        self, settings: Settings, clock: Clock, registry: CollectorRegistry, access: Access, workers: Executor
    ) -> None:
        self._settings, self._clock, self._registry = settings, clock, registry
        self._access, self._workers = access, workers
        self._routes: list[Route] = [
            Route("/metrics", self.metrics),
            Route("/-/healthy", self.healthy),
            Route("/-/ready", self.ready),
            Route("/api/status", self.status),
            *Site(settings, clock, self._off_loop).routes(),
        ]

    async def handle(self, request: Request) -> Response:
        """The answer to a request."""
        response = await self._answer(request)
        for name, value in SECURITY.items():
            response.headers.setdefault(name, value)
        return response

    async def _answer(self, request: Request) -> Response:
        path = request.path
        refused = self._access.refusal(path, request.headers)
        if refused is not None:
            return told(refused.status, refused.message, _way_in(request) if refused.status == 401 else None)
        try:
            answer, parts = find(self._routes, path)
            if request.method not in ("GET", "HEAD"):
                return told(405, f"There is nothing to {request.method} at {path}.", {"Allow": "GET, HEAD"})
            return await answer(request, **parts)
        except NotFound:
            return told(404, f"There is nothing at {path}.")
        except BadQuery as exc:
            return told(400, f"The query is wrong: {exc}.")
        except Exception:
            log.exception("%s %a failed", request.method, path)
            return told(500, "That failed; the daemon's log says why.")

    async def healthy(self, request: Request) -> Response:
        """The process is there and its loop turns: nothing else is asked."""
        return _json({"healthy": True, "version": __version__})

    async def ready(self, request: Request) -> Response:
        """The store can be read and holds this upstream's catalogue, so calls can be judged."""
        why = await self._off_loop(self._unready)
        return _json({"ready": True}) if why is None else _json({"ready": False, "why": why}, 503)

    async def metrics(self, request: Request) -> Response:
        accept, encoding = request.headers.get("accept", ""), request.headers.get("accept-encoding", "")
        shown = await self._off_loop(lambda: render(self._registry, accept, encoding))
        headers = {"Content-Type": shown.content_type, "Vary": "Accept, Accept-Encoding"}
        if shown.encoding:
            headers["Content-Encoding"] = shown.encoding
        return Response(200, shown.body, headers)

    async def status(self, request: Request) -> Response:
        """What the status page shows, for the window, app and model asked for."""
        asked = asked_for(request.query)
        try:
            return _json(await self._off_loop(lambda: self._gathered(asked)))
        except StoreError as exc:
            return told(503, str(exc))

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


def _json(value: Any, status: int = 200) -> Response:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return Response(status, text.encode(), {"Content-Type": "application/json; charset=utf-8"})


def _way_in(request: Request) -> dict[str, str]:
    """How to show the token: a browser asks the person for a password, a program is told of the header."""
    if "text/html" in request.headers.get("accept", ""):
        return {"WWW-Authenticate": 'Basic realm="openrouter-monitor: the password is proxy.token", charset="UTF-8"'}
    return {"WWW-Authenticate": "Bearer"}
