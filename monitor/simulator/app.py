"""The web application: reads a request, lets the desk decide, writes the books, sends the answer."""

from __future__ import annotations

import re

from aiohttp import web

from monitor.clock import Clock
from monitor.simulator import control, reads
from monitor.simulator.books import Post
from monitor.simulator.chat import completion_reply
from monitor.simulator.delivery import deliver
from monitor.simulator.desk import Served, Ticket
from monitor.simulator.faults import Plan
from monitor.simulator.messages import messages_reply
from monitor.simulator.options import SimulatorOptions
from monitor.simulator.other import embeddings_reply, plain_reply, rerank_reply
from monitor.simulator.paths import EXACT, POSTS, normal
from monitor.simulator.platform import Platform
from monitor.simulator.reading import Ask, Body, read_ask
from monitor.simulator.refusals import Refusal, plain, unauthorized
from monitor.simulator.repeats import Readings, printed_chat
from monitor.simulator.reply import JSON_TYPE, Reply
from monitor.simulator.responses import responses_reply
from monitor.simulator.wrong_answers import spoil

PLATFORM = web.AppKey("platform", Platform)
_MULTIPART_MODEL = re.compile(rb'name="model"\r?\n(?:[^\r\n]+\r?\n)*\r?\n([^\r\n]+)')


def build_app(options: SimulatorOptions, clock: Clock, platform: Platform | None = None) -> web.Application:
    """An application that answers as OpenRouter does, under `/api/v1`, and tells its books under `/_sim`."""
    app = web.Application(client_max_size=options.max_body_bytes)
    app[PLATFORM] = platform if platform is not None else Platform(options, clock)
    front = _Front(app[PLATFORM])
    control.add_routes(app, app[PLATFORM])
    # Well-known paths are found by name; everything else, however oddly written, comes by the last route.
    for path in EXACT:
        app.router.add_route("*", path, front.handle)
    app.router.add_route("*", "/{any:.*}", front.handle)
    return app


class _Front:
    """Handles every request under `/api/v1`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._readings = Readings()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = EXACT.get(request.raw_path) or normal(request.raw_path)
        if path is None:
            return await self._send_refusal(request, plain(404, "Not Found"), "")
        if request.method == "POST":
            return await self._post(request, path)
        if request.method not in ("GET", "HEAD"):
            return await self._send_refusal(request, plain(405, "Method Not Allowed"), "")
        plan = self._platform.faults.take("GET", path, None)
        reply = reads.read_reply(self._platform, request, path, plan)
        return await deliver(request, reply, plan, self._platform.options)

    async def _post(self, request: web.Request, path: str) -> web.StreamResponse:
        endpoint = POSTS.get(path, "")
        platform = self._platform
        raw: bytes | Refusal = await _body_of(request)
        key = reads.key_of(request)
        account = platform.accounts.of_key(key)
        if account is None:
            refusal = unauthorized(missing=not key)
            self._book_stranger(request, path, raw)
            return await self._send_refusal(request, refusal, endpoint)
        ask = _understood(self._readings, request, endpoint, path, raw)
        ticket = platform.desk.ticket(account, key)
        answer = ask if isinstance(ask, Refusal) else platform.desk.serve(ask, ticket)
        self._book(request, path, raw, ask, ticket, answer)
        if isinstance(answer, Refusal):
            reply = refusal_reply(answer, endpoint, ticket.generation_id)
        else:
            platform.generations.keep(answer, ticket.now)
            reply = _reply(answer, ticket.plan, platform.options.chunks)
        return await deliver(request, reply, ticket.plan, platform.options)

    async def _send_refusal(self, request: web.Request, refusal: Refusal, endpoint: str) -> web.StreamResponse:
        return await deliver(request, refusal_reply(refusal, endpoint), Plan(), self._platform.options)

    def _book(
        self,
        request: web.Request,
        path: str,
        raw: bytes | Refusal,
        ask: Ask | Refusal,
        ticket: Ticket,
        answer: Served | Refusal,
    ) -> None:
        served = answer if isinstance(answer, Served) else None
        cost = served.bill.total if served else 0.0
        self._platform.books.write(
            Post(
                at=ticket.now,
                path=path,
                status=_status(answer, ticket.plan),
                body=raw if isinstance(raw, bytes) else b"",
                all_headers=request.headers,
                account=ticket.account.name,
                model_asked=ask.models[0] if isinstance(ask, Ask) and ask.models else None,
                model_served=served.entry.id if served else None,
                cost_usd=cost,
                free=served is not None and cost == 0,
                counted=ticket.counted,
                overshoot=ticket.rejected,
                prompt_tokens=served.prompt_tokens if served else 0,
                completion_tokens=served.completion_tokens if served else 0,
                generation_id=ticket.generation_id,
                fault=ticket.plan.name,
            )
        )

    def _book_stranger(self, request: web.Request, path: str, raw: bytes | Refusal) -> None:
        now, body = self._platform.clock.now(), raw if isinstance(raw, bytes) else b""
        self._platform.books.write(Post(now, path, 401, body, request.headers))


def _status(answer: Served | Refusal, plan: Plan) -> int:
    if "close" in plan.delivery:
        return 0
    return 200 if isinstance(answer, Served) else answer.status


async def _body_of(request: web.Request) -> bytes | Refusal:
    """The body, decompressed; a body that cannot be read is an answer, not a crash."""
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        return plain(413, "Request body is too large")
    except (web.RequestPayloadError, ValueError):
        return plain(400, "Request body cannot be decoded", "400_json")


def _understood(
    readings: Readings, request: web.Request, endpoint: str, path: str, raw: bytes | Refusal
) -> Ask | Refusal:
    if isinstance(raw, Refusal):
        return raw
    if not endpoint:
        return plain(404, "Not Found")
    form = request.content_type.startswith("multipart/")
    return read_ask(endpoint, path, _form_body(raw)) if form else readings.read(endpoint, path, raw)


def _form_body(raw: bytes) -> Body:
    """All that is read of an upload is which model is to hear it."""
    found = _MULTIPART_MODEL.search(raw)
    return {"model": found.group(1).decode("utf-8", "replace").strip()} if found else {}


def refusal_reply(refusal: Refusal, endpoint: str, generation_id: str | None = None) -> Reply:
    """An error as a reply; it is plain JSON also when a stream was asked for."""
    headers = dict(refusal.headers)
    if generation_id is not None:
        headers["X-Generation-Id"] = generation_id
    content_type = "text/html; charset=UTF-8" if refusal.html is not None else JSON_TYPE
    return Reply(refusal.status, refusal.body(endpoint), content_type=content_type, headers=headers)


def _reply(served: Served, plan: Plan, chunks: int) -> Reply:
    match served.ask.endpoint:
        case "chat":
            reply = printed_chat(served, chunks)
        case "completions":
            reply = completion_reply(served, chunks)
        case "responses":
            reply = responses_reply(served, chunks)
        case "messages":
            reply = messages_reply(served, chunks)
        case "embeddings":
            reply = embeddings_reply(served)
        case "rerank":
            reply = rerank_reply(served)
        case _:
            reply = plain_reply(served)
    return reply if plan.answer is None else spoil(reply, served, plan.answer)
