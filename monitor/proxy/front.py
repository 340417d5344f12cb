"""The proxy: every request below `/api/v1` comes here, and is passed, judged, or turned away."""

from __future__ import annotations

import asyncio
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from monitor.clock import Clock
from monitor.config import Settings
from monitor.errors import ConfigError
from monitor.metrics.proxied import Proxied
from monitor.model import Action, Endpoint, Reason, Verdict
from monitor.openrouter.endpoints import Kind, classify
from monitor.proxy.answers import Passed, joined
from monitor.proxy.bodies import check_type, is_form_of_curl, read_body
from monitor.proxy.callers import Callers
from monitor.proxy.desk import Desk
from monitor.proxy.exchange import Exchange, Means, refused, shell_of, turned
from monitor.proxy.listing import only_allowed
from monitor.proxy.passing import to_upstream
from monitor.proxy.problems import SERVER, STOPPING, Problem, Turned
from monitor.proxy.turns import Turns
from monitor.proxy.upstream import Pairs, Reply, Upstream, UpstreamError
from monitor.proxy.veil import Veil
from monitor.refresh import Fetch
from monitor.serving.messages import Answer, Request, Response
from monitor.transport.course import Guard
from monitor.transport.headers import lower_case
from monitor.transport.refusal import refusal

ROOT = "/api/v1"
BESIDE = "/api/alpha/decisions"
"""The one inference endpoint of OpenRouter's that is not below `/api/v1`."""

PATH_LIMIT = 1024
"""Letters of a path; OpenRouter has none that comes near. What is found out about paths is kept, here and below."""

THREADS = 8
CUT_SECONDS = 10.0
"""How long calls that were cut off may take to be booked."""

_LISTS = frozenset({"/models", "/models/user"})
_METHODS = "GET, HEAD, POST"
_UNPLAIN = re.compile(r"[^\x21-\x7e]|[\\#]")

_FAILED = Problem(500, "other", "That failed; the daemon's log says why.", closes=True)

log = logging.getLogger("monitor.proxy")


class _Way(NamedTuple):
    """Where a request goes, and whether a POST there would manage an account."""

    path: str
    url: str
    manages: bool


class Proxy:
    """Answers requests by the upstream, as far as the guard lets them. Enter it on the running loop."""

    def __init__(
        self, settings: Settings, clock: Clock, desk: Desk, upstream: Upstream, callers: Callers, fetch: Fetch
    ) -> None:
        self.settings, self.clock = settings, clock
        self._callers, self._upstream = callers, upstream
        self.figures = Proxied()
        turns = Turns({name: app.priority for name, app in settings.apps.items()})
        self.figures.waiting = lambda: turns.waiting
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="monitor-proxy")
        self._means = Means(desk, upstream, turns, self.figures, self._threads, shell_of(fetch, self._threads))
        # Looked up, for a path is spelled out, decoded and judged in a hundred steps, and apps know few of them.
        self._known_way = lru_cache(maxsize=1024)(self._find_way)
        self._guards: dict[str, Guard] = {}
        self._key = b""
        self._open: set[asyncio.Task[object]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False

    def __repr__(self) -> str:
        return f"<Proxy to {self._upstream!r}, {len(self._open)} in flight>"

    def know_key(self, key: str | None) -> None:
        """The key that is sent to the upstream from now on. Raises ConfigError for one that no header can hold."""
        if key is not None and not (key.isascii() and key.isprintable()):
            raise ConfigError("the API key holds a character that no key has.", hint="It is one line of plain text.")
        self._key = b"" if key is None else key.encode("ascii")

    async def drain(self, seconds: float) -> None:
        """Take no new requests; let those under way finish for so long, then cut them off, and have all booked.

        Calls in line have sent nothing yet: they are told to come again, as new ones are.
        """
        self._draining = True
        self._means.turns.close()
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            log.warning("%d calls are cut off: they did not end within %g s", len(self._open), seconds)
            cut = list(self._open)
            for task in cut:
                task.cancel()
            if cut:  # the last may have ended in this very turn
                await asyncio.wait(cut, timeout=CUT_SECONDS)
        await self._means.desk.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def handle(self, request: Request) -> Answer:
        """The answer to one request."""
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self._idle.clear()
        self.figures.in_flight += 1
        try:
            return await self._answer(request)
        except Turned as exc:
            self.figures.turned_away(exc.problem.why)
            return exc.problem.response(request.path)
        except Exception:
            log.exception("%s %a failed", request.method, request.target)
            return _FAILED.response(request.path)
        finally:
            self.figures.in_flight -= 1
            self._open.discard(task)
            if not self._open:
                self._idle.set()

    async def _answer(self, request: Request) -> Answer:
        app = self._callers.app_of(request)
        if self._draining:
            raise Turned(STOPPING)
        method, way = request.method, self._way(request.target)
        if way is None:
            raise Turned(Problem(400, "path_wrong", "The path cannot be passed on.", closes=True))
        if method not in ("GET", "HEAD", "POST"):
            raise Turned(Problem(405, "method_unknown", f"{method} does not pass.", {"Allow": _METHODS}, True))
        if not self._key:
            message = "The daemon has no API key: start it with OPENROUTER_API_KEY, or set api_key_file."
            raise Turned(Problem(401, "no_key", message, closes=True))
        return await (self._judge(request, app, way) if method == "POST" else self._pass(request, way))

    def _way(self, target: str) -> _Way | None:
        # A long one is no usual path, and must not fill the memory with what is kept.
        return self._known_way(target) if len(target) <= PATH_LIMIT else self._find_way(target)

    def _find_way(self, target: str) -> _Way | None:
        """Where a request for `target` goes; None for what could lead out of `/api/v1`."""
        path = target.partition("?")[0]
        if len(path) > PATH_LIMIT or not is_plain(target) or not (path.startswith(f"{ROOT}/") or path == BESIDE):
            return None
        base = self.settings.base_url
        url = self._upstream.root + target if path == BESIDE else base + target[len(ROOT) :]
        return _Way(path, url, classify("POST", url, base).kind is Kind.FREE)

    def _headers(self, request: Request) -> Pairs:
        return [*to_upstream(request.raw_headers), (b"Authorization", b"Bearer " + self._key)]

    async def _judge(self, request: Request, app: str, way: _Way) -> Answer:
        check_type(request, way.path)
        headers, veil = self._headers(request), Veil(self._key)
        if is_form_of_curl(request):
            headers = [pair for pair in headers if pair[0].lower() != b"content-type"]
            headers.append((b"Content-Type", b"application/json"))
        if way.manages:
            # It manages an account, with a key that is not the caller's.
            return self._no_management()
        body = await read_body(request, self.settings.proxy.max_body_bytes)
        return await Exchange(self._means, self._guard(app), request, way.url, headers, body, veil).run()

    def _guard(self, app: str) -> Guard:
        guard = self._guards.get(app)
        if guard is None:
            guard = Guard(app, self.settings, clock=self.clock, ledger=self._means.desk)
            self._guards[app] = guard
        return guard

    def _no_management(self) -> Answer:
        self.figures.turned_away("management")
        detail = "it manages the account, and the key is the daemon's"
        hint = "Call it with a key of your own, at OpenRouter itself."
        verdict = Verdict(Action.REFUSE, reason=Reason.ENDPOINT_UNKNOWN, detail=detail, hint=hint)
        return refused(refusal(verdict, Endpoint.UNKNOWN, self.clock.now()), closes=True)  # its body is not read

    # ---- what bills nothing ----

    async def _pass(self, request: Request, way: _Way) -> Answer:
        """A GET, which passes as it is."""
        headers, url = self._headers(request), way.url
        if classify(request.method, url, self.settings.base_url, lower_case(headers)).kind is not Kind.FREE:
            # A header that overrides the method would make another request of it, and the key is the daemon's.
            raise Turned(Problem(405, "method_unknown", "The method is overridden.", {"Allow": _METHODS}, True))
        reply: Reply | None = None
        try:
            reply = await self._upstream.send(request.method, url, headers, None)
            is_list = request.method == "GET" and way.path[len(ROOT) :] in _LISTS
            if is_list and self.settings.proxy.models == "allowed" and reply.status == 200:
                return await self._listed(reply)
            return await self._hand_on(request, reply)
        except UpstreamError as exc:
            raise turned(exc) from None
        finally:
            if reply is not None:
                reply.abort()

    async def _listed(self, reply: Reply) -> Answer:
        loop, guard = asyncio.get_running_loop(), self.settings.guard
        body, encoding = Veil(self._key).over(await reply.read()), reply.header(b"content-encoding")
        listed = await loop.run_in_executor(self._threads, only_allowed, body, encoding, guard)
        if listed is None:
            raise Turned(Problem(502, "upstream_broken", "OpenRouter's list of models cannot be read."))
        return Response(200, listed, {"Content-Type": "application/json", "Server": SERVER})

    async def _hand_on(self, request: Request, reply: Reply) -> Answer:
        veil = Veil(self._key)
        answer = Passed(request, reply, veil)
        with joined(request.line, reply):
            try:
                answer.begin()
                await reply.take(veil.before(answer.take))
                if rest := veil.rest():
                    answer.take(rest)
                answer.end()
            except (UpstreamError, ConnectionError):
                answer.break_off()
        return answer


def is_ours(target: str) -> bool:
    """Whether the proxy answers a request for this path, however it goes on."""
    return target.startswith((f"{ROOT}/", BESIDE)) or target.partition("?")[0] == ROOT


def is_plain(target: str) -> bool:
    """Whether every reader sees the same path in it, and none a way up."""
    path = target.partition("?")[0]
    return not _UNPLAIN.search(target) and not any(part.strip() in (".", "..") for part in _segments(path))


def _segments(path: str) -> list[str]:
    """The path's parts as the most lenient server would read them."""
    for _ in range(8):
        decoded = unquote(path)
        if decoded == path:
            break
        path = decoded
    return [part.partition(";")[0] for part in path.replace("\\", "/").split("/")]
