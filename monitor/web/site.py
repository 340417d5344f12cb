"""The pages for people: the status, one app, one model, one call. Read and filled in on a worker thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

from monitor.bookings import minute_limit
from monitor.clock import Clock
from monitor.config import Settings
from monitor.errors import StoreError
from monitor.serving.messages import Request, Response
from monitor.serving.routes import NotFound, Route
from monitor.status import gather
from monitor.store.sqlite.reader import Reader
from monitor.views.glance import glance, lasting, money
from monitor.views.overview import overview
from monitor.views.stories import call_story, last_calls, model_story
from monitor.views.traffic import WINDOWS, Asked, traffic
from monitor.web.charts import bars, use_line
from monitor.web.rendering import Rendering, app_url, model_url

T = TypeVar("T")

NAME_LIMIT = 300
"""Letters of a name that is asked for; a longer one is nobody's."""

KEPT = "private, max-age=31536000, immutable"
"""For files whose address changes with their content."""


class BadQuery(Exception):
    """A query asks for what there is none of."""


class OffLoop(Protocol):
    """Runs work on a thread that may read the store."""

    def __call__(self, work: Callable[[], T]) -> Awaitable[T]: ...


class Site:
    """Answers with pages."""

    def __init__(self, settings: Settings, clock: Clock, off_loop: OffLoop) -> None:
        self._settings, self._clock, self._off_loop = settings, clock, off_loop
        self._rendering = Rendering()

    def routes(self) -> list[Route]:
        """Which page is where."""
        return [
            Route("/", self.status),
            Route("/apps(?:/(?P<name>.+))?", self.app),
            Route("/models(?:/(?P<name>.+))?", self.model),
            Route("/calls/(?P<row>[0-9]{1,18})", self.call),
            Route("/static/(?P<name>[^/]+)", self.asset),
        ]

    async def asset(self, request: Request, name: str) -> Response:
        asset = self._rendering.assets.get(name)
        if asset is None:
            raise NotFound
        return Response(
            200, asset.body, {"Content-Type": f"{asset.content_type}; charset=utf-8", "Cache-Control": KEPT}
        )

    async def status(self, request: Request) -> Response:
        """Everything, for the window, app and model asked for."""
        asked = asked_for(request.query)
        return await self._answer(lambda reader, now: self._status(reader, now, asked))

    async def app(self, request: Request, name: str | None) -> Response:
        """One app."""
        asked = asked_for({"window": request.query.get("window", "")})._replace(app=_name(request, name))
        return await self._answer(lambda reader, now: self._app(reader, now, asked))

    async def model(self, request: Request, name: str | None) -> Response:
        """One model."""
        asked = asked_for({"window": request.query.get("window", "")})._replace(model=_name(request, name))
        return await self._answer(lambda reader, now: self._model(reader, now, asked))

    async def call(self, request: Request, row: str) -> Response:
        """One attempt."""
        return await self._answer(lambda reader, now: self._call(reader, now, int(row)))

    async def _answer(self, make: Callable[[Reader, float], str | None]) -> Response:
        def work() -> tuple[int, str]:
            now = self._clock.now()
            try:
                with Reader(self._settings.store_path) as reader:
                    made = make(reader, now)
            except StoreError as exc:
                return 503, self._error("The store cannot be read.", str(exc))
            if made is None:
                return 404, self._error("There is nothing here.", "It may have been pruned, or never was.")
            return 200, made

        status, text = await self._off_loop(work)
        return Response(status, text.encode(), {"Content-Type": "text/html; charset=utf-8"})

    def _error(self, title: str, message: str) -> str:
        return self._rendering.page("error", title=title, message=message)

    def _status(self, reader: Reader, now: float, asked: Asked) -> str:
        found = overview(reader, self._settings, now, asked)
        whole = found["traffic"]
        return self._rendering.page(
            "status",
            status=found,
            traffic=whole,
            now=now,
            asked=asked,
            windows=WINDOWS,
            here=_here(asked),
            glance=glance(found),
            money=money(found),
            lasting=lasting(found),
            users=sorted((app for app in found["apps"] if app["used"]), key=lambda app: -app["used"]),
            known_apps=_names((app["app"] for app in found["apps"]), whole["apps"], asked.app),
            known_models=_names((), whole["models"], asked.model),
            drawn=bars(whole),
            line=use_line(found, found["use_of_day"]),
        )

    def _app(self, reader: Reader, now: float, asked: Asked) -> str | None:
        found = gather(reader, self._settings, now)
        whole, calls = traffic(reader, asked, now), last_calls(reader, asked.app)
        unused = {"used": 0, "share": 0.0, "promised": 0, "per_day": None}
        own = next((app for app in found["apps"] if app["app"] == asked.app), None)
        if own is None and not whole["attempts"] and not calls["rows"]:
            return None
        return self._rendering.page(
            "app",
            name=asked.app,
            status=found,
            own=own or unused,
            pauses=[pause for pause in found["paused"] if pause["app"] in (None, asked.app)],
            calls=calls,
            **self._common(whole, now, asked, app_url(asked.app or "")),
        )

    def _model(self, reader: Reader, now: float, asked: Asked) -> str | None:
        name = asked.model or ""
        story, whole = model_story(reader, name), traffic(reader, asked, now)
        calls = last_calls(reader, model=name)
        if story is None and not whole["attempts"] and not calls["rows"]:
            return None
        cooling = [each for each in gather(reader, self._settings, now)["cooling"] if each["subject"] == name]
        return self._rendering.page(
            "model",
            name=name,
            story=story,
            cooling=cooling,
            calls=calls,
            **self._common(whole, now, asked, model_url(name)),
        )

    def _common(self, whole: Mapping[str, Any], now: float, asked: Asked, here: str) -> dict[str, Any]:
        given = {"traffic": whole, "now": now, "asked": asked, "windows": WINDOWS, "here": here}
        return given | {"drawn": bars(whole)}

    def _call(self, reader: Reader, now: float, row: int) -> str | None:
        story = call_story(reader, self._settings, row)
        if story is None:
            return None
        with reader.moment() as reports:
            account = reports.account(story["call"]["account"])
        limit = minute_limit(account.minute_limit, account.minute_limit_at, self._settings, now)
        return self._rendering.page("call", story=story, call=story["call"], now=now, minute_limit=limit)


def asked_for(query: Mapping[str, str]) -> Asked:
    """What a query asks for. Raises BadQuery for a window there is none of, and for a name nobody has."""
    window = query.get("window") or Asked().window
    if window not in WINDOWS:
        raise BadQuery(f"window is one of {', '.join(WINDOWS)}")
    return Asked(window, _short(query.get("app")), _short(query.get("model")))


def _short(name: str | None) -> str | None:
    if name is not None and len(name) > NAME_LIMIT:
        raise BadQuery("that name is too long")
    return name or None


def _name(request: Request, by_path: str | None) -> str:
    return _short(by_path or request.query.get("name", "")) or ""


def _here(asked: Asked) -> str:
    """The page's address without a window."""
    kept = {name: value for name, value in (("app", asked.app), ("model", asked.model)) if value}
    return f"/?{urlencode(kept)}" if kept else "/"


def _names(first: Any, rows: list[dict[str, Any]], asked: str | None) -> list[str]:
    return sorted({*first, *(row["name"] for row in rows if row["name"]), *([asked] if asked else [])})
