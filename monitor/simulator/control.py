"""What OpenRouter does not have: its books, and levers, for other processes. All under `/_sim`.

| call | does |
|---|---|
| `GET /_sim/books?posts=100` | totals, and the newest POSTs in full |
| `POST /_sim/reset` | empty books, fresh quotas, the catalogue of the start |
| `POST /_sim/used {"used": n, "account": "default"}` | the account's free requests of today, as if used elsewhere |
| `POST /_sim/faults [rule, …]`, `DELETE /_sim/faults` | add fault rules; forget all |
| `POST /_sim/models {"id": …, "changes": {…}}` or `{"remove": id}` | change or remove a model |
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from monitor.errors import ConfigError
from monitor.simulator.platform import Platform


def add_routes(app: web.Application, platform: Platform) -> None:
    desk = _Control(platform)
    app.router.add_get("/_sim/books", desk.books)
    app.router.add_post("/_sim/reset", desk.reset)
    app.router.add_post("/_sim/used", desk.used)
    app.router.add_post("/_sim/faults", desk.add_faults)
    app.router.add_delete("/_sim/faults", desk.clear_faults)
    app.router.add_post("/_sim/models", desk.models)


class _Control:
    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def books(self, request: web.Request) -> web.Response:
        try:
            posts = int(request.query.get("posts", 100))
        except ValueError:
            return _wrong("posts must be a number")
        return web.json_response(self._platform.books.as_json(posts=posts))

    async def reset(self, request: web.Request) -> web.Response:
        self._platform.reset()
        return _done()

    async def used(self, request: web.Request) -> web.Response:
        body = await _json(request)
        used = body.get("used") if isinstance(body, dict) else None
        if not isinstance(used, int) or used < 0:
            return _wrong('give {"used": a number of requests}')
        self._platform.set_used(used, str(body.get("account", "default")))
        return _done()

    async def add_faults(self, request: web.Request) -> web.Response:
        body = await _json(request)
        try:
            self._platform.faults.add(*(body if isinstance(body, list) else [body]))
        except ConfigError as error:
            return _wrong(str(error))
        return _done()

    async def clear_faults(self, request: web.Request) -> web.Response:
        self._platform.faults.clear()
        return _done()

    async def models(self, request: web.Request) -> web.Response:
        body = await _json(request)
        catalogue = self._platform.catalogue
        try:
            if "remove" in body:
                catalogue.remove(body["remove"])
            else:
                catalogue.update(body["id"], **body.get("changes", {}))
        except (KeyError, TypeError) as error:
            return _wrong(f"no such model: {error}")
        return _done()


async def _json(request: web.Request) -> Any:
    try:
        return json.loads(await request.read())
    except ValueError:
        return None


def _done() -> web.Response:
    return web.json_response({"ok": True})


def _wrong(message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "code": 400}}, status=400)
