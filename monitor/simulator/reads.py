"""Every GET that the platform answers."""

from __future__ import annotations

import re
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from monitor.simulator.desk import injected
from monitor.simulator.faults import Plan
from monitor.simulator.key_page import activity_page, credits_page, generation_page, key_page
from monitor.simulator.models_page import count_page, endpoints_page, models_page
from monitor.simulator.named_errors import NAMED_KINDS, Scene
from monitor.simulator.paths import POSTS
from monitor.simulator.platform import Platform
from monitor.simulator.refusals import Refusal, plain, unauthorized
from monitor.simulator.reply import JSON_TYPE, Reply, as_json

_PRIVATE = {"Cache-Control": "private, no-store"}
_ONE_MODEL = re.compile(r"/models?/(?P<id>[^/]+/[^/]+?)(?P<endpoints>/endpoints)?")


def key_of(request: web.Request) -> str:
    """The API key of a request, as `Authorization: Bearer …`, or as Anthropic's SDK sends it."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    return request.headers.get("x-api-key", "").strip()


def read_reply(platform: Platform, request: web.Request, path: str, plan: Plan) -> Reply:
    """The answer to a GET of `path`, or the fault that a rule has for it."""
    wrong = _wrong(platform, plan)
    answer = wrong if wrong is not None else _answer(platform, request, path)
    if isinstance(answer, Refusal):
        content_type = "text/html; charset=UTF-8" if answer.html is not None else JSON_TYPE
        answer = Reply(answer.status, answer.body(""), content_type=content_type, headers=answer.headers)
    # By the simulator's own clock: a poller compares its own with it.
    answer.headers = {**answer.headers, "Date": formatdate(platform.clock.now(), usegmt=True)}
    return answer


def _wrong(platform: Platform, plan: Plan) -> Refusal | Reply | None:
    if plan.answer is None:
        return None
    kind = plan.answer.kind
    if kind in NAMED_KINDS or kind == "status":
        return injected(kind, plan.answer.parameters, Scene(platform.clock.now(), "", "", platform.options))
    if kind == "garbage":
        return Reply(200, bytes(range(256)) * (int(plan.answer.get("bytes", 4096)) // 256))
    if kind == "huge":
        size = int(plan.answer.get("megabytes", 100)) * 1024 * 1024
        return Reply(200, b'{"data":[' + b" " * size + b"]}")
    error = {"code": plan.answer.get("code", 502), "message": plan.answer.get("message", "Internal error")}
    return Reply(200, as_json({"error": error}))


def _answer(platform: Platform, request: web.Request, path: str) -> Reply | Refusal:
    match path:
        case "/models":
            return _models(platform, request)
        case "/models/count":
            return _page(count_page(platform.catalogue.view, request.query))
        case "/models/user" | "/key" | "/auth/key" | "/credits" | "/activity" | "/generation":
            return _with_key(platform, request, path)
        case _ if path in POSTS:
            return plain(405, "Method Not Allowed")
        case _:
            return _one_model(platform, request, path)


def _page(value: dict[str, Any]) -> Reply:
    return Reply(200, as_json(value), headers=_PRIVATE)


def _models(platform: Platform, request: web.Request) -> Reply | Refusal:
    zipped = "gzip" in request.headers.get("Accept-Encoding", "").lower()
    page = models_page(platform.catalogue.view, request.query, zipped=zipped)
    if isinstance(page, Refusal):
        return page
    age = platform.options.models_max_age
    headers = {
        "Cache-Control": f"public, max-age={age}, stale-while-revalidate=3600, stale-if-error=3600",
        "CF-Cache-Status": "HIT",
        "Age": str(int(platform.clock.now()) % max(1, age)),
        "Vary": "Accept-Encoding",
    }
    if zipped:
        headers["Content-Encoding"] = "gzip"
    return Reply(200, page, headers=headers)


def _with_key(platform: Platform, request: web.Request, path: str) -> Reply | Refusal:
    key = key_of(request)
    account = platform.accounts.of_key(key)
    if account is None:
        return unauthorized(missing=not key)
    match path:
        case "/models/user":
            page = models_page(platform.catalogue.view, request.query, zipped=False)
            return page if isinstance(page, Refusal) else Reply(200, page, headers=_PRIVATE)
        case "/credits" | "/activity":
            if key not in platform.options.management_keys:
                return plain(403, "Only management keys can perform this operation")
            if path == "/activity":
                return _page(activity_page(platform, account, request.query))
            return _page(credits_page(platform, account))
        case "/generation":
            wanted = request.query.get("id", "")
            before = platform.clock.now() - platform.options.generation_lag_seconds
            served = platform.generations.find(wanted, before)
            return _page(generation_page(served)) if served else plain(404, f"Generation {wanted} not found")
        case _:
            return _page(key_page(platform, account, key))


def _one_model(platform: Platform, request: web.Request, path: str) -> Reply | Refusal:
    found = _ONE_MODEL.fullmatch(path)
    entry = platform.catalogue.view.entries.get(unquote(found["id"])) if found else None
    if found is None:
        return plain(404, "Not Found")
    if entry is None:
        return plain(404, "Model not found")
    if found["endpoints"]:
        known = platform.accounts.of_key(key_of(request)) is not None
        return _page(endpoints_page(entry, authenticated=known))
    return _page({"data": entry.row})
