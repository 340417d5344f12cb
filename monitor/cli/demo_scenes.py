"""What the example apps of `demo` do: right things, mistakes, bad luck, and too much at once."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from monitor.clock import Clock

if TYPE_CHECKING:
    import httpx

LET_THROUGH, REFUSED, LOST = "let through", "refused", "lost"
BURST = 24
REASON_HEADER = "x-openrouter-monitor-reason"


@dataclass(frozen=True, slots=True)
class Told:
    """How one call fared: `verdict` is one of the three above; `reason` of a refusal, and what to say of it."""

    verdict: str
    text: str
    reason: str = ""
    times: int = 1


@dataclass(frozen=True, slots=True)
class Cast:
    """Models to ask for: free, another free one (for bad luck), and one that bills."""

    free: str
    unlucky: str
    paid: str


@dataclass(frozen=True, slots=True)
class Stage:
    """Where scenes play: a guarded client for each app, the address, and the key that they show."""

    clients: Mapping[str, httpx.Client]
    base_url: str
    api_key: str
    cast: Cast
    clock: Clock

    def chat(self, app: str, **body: Any) -> Told:
        """One call that is not streamed."""
        started = self.clock.monotonic()
        answer = self._post(app, body)
        return judged(answer.status_code, answer.headers, answer.content, self.clock.monotonic() - started)

    def _post(self, app: str, body: Mapping[str, Any]) -> httpx.Response:
        return self.clients[app].post(f"{self.base_url}/chat/completions", headers=self._headers(), json=body)

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.api_key}"}

    def stream(self, app: str, *, stop_after: int | None = None, **body: Any) -> Told:
        """One streamed call; the app goes away after `stop_after` chunks of text."""
        import httpx

        chunks, usage = 0, ""
        request = {"stream": True, **body}
        address = f"{self.base_url}/chat/completions"
        with self.clients[app].stream("POST", address, headers=self._headers(), json=request) as answer:
            if answer.status_code != 200:
                return judged(answer.status_code, answer.headers, answer.read(), 0.0)
            try:
                for event in _events(answer.iter_lines()):
                    usage = _spent(event) or usage
                    chunks += bool(event.get("choices") and event["choices"][0].get("delta", {}).get("content"))
                    if chunks == stop_after:
                        return Told(
                            LET_THROUGH, f"the app went away after {chunks} chunks; the books are closed all the same"
                        )
            except httpx.TransportError as exc:
                return Told(LOST, f"{type(exc).__name__} after {chunks} chunks; on record all the same")
        return Told(LET_THROUGH, f"200, streamed in {chunks} chunks{usage}")

    def burst(self, app: str, **body: Any) -> list[Told]:
        """Many calls at once, summed up by how they fared."""
        with ThreadPoolExecutor(max_workers=BURST) as pool:
            answers = list(pool.map(lambda _: self.chat(app, **body), range(BURST)))
        kinds = Counter((told.verdict, told.reason) for told in answers)
        summed = []
        for (verdict, reason), times in kinds.items():
            text = next(told.text for told in answers if (told.verdict, told.reason) == (verdict, reason))
            summed.append(Told(verdict, text, reason, times))
        return summed


@dataclass(frozen=True, slots=True)
class Scene:
    """One thing that an app does. `fault` is what befalls the next call at the simulator."""

    app: str
    what: str
    play: Callable[[Stage], list[Told]]
    fault: Mapping[str, Any] | None = None


def scenes(*, simulated: bool) -> list[Scene]:
    """In the order in which they are played. At the real OpenRouter only those that spend no more than two requests."""
    first = [
        Scene(
            "billing-bot", "a question to a free model", lambda s: [s.chat("billing-bot", model=s.cast.free, **_ask())]
        ),
        Scene("summariser", "a streamed answer", lambda s: [s.stream("summariser", model=s.cast.free, **_ask())]),
        Scene(
            "billing-bot",
            "the same model, without :free",
            lambda s: [s.chat("billing-bot", model=s.cast.paid, **_ask())],
        ),
        Scene(
            "summariser",
            "a free model with a paid fallback",
            lambda s: [s.chat("summariser", model=s.cast.free, models=[s.cast.free, s.cast.paid], **_ask())],
        ),
        Scene(
            "notebook",
            "a free model with the web plugin",
            lambda s: [s.chat("notebook", model=s.cast.free, plugins=[{"id": "web"}], **_ask())],
        ),
    ]
    if not simulated:
        return first
    return [
        *first,
        Scene(
            "notebook",
            "the auto router",
            lambda s: [s.chat("notebook", model="openrouter/auto", **_ask())],
        ),
        Scene(
            "summariser",
            "a stream that breaks off midway",
            lambda s: [s.stream("summariser", model=s.cast.free, **_ask())],
            fault={"match": {"times": 1}, "do": {"kind": "cut", "after_chunks": 3}},
        ),
        Scene(
            "notebook",
            "a stream that the app gives up",
            lambda s: [s.stream("notebook", stop_after=2, model=s.cast.free, **_ask())],
        ),
        Scene(
            "billing-bot",
            "a provider that is busy",
            lambda s: [s.chat("billing-bot", model=s.cast.unlucky, **_ask()) for _ in range(2)],
            fault={"match": {"times": 1}, "do": "upstream_429"},
        ),
        Scene(
            "notebook",
            f"{BURST} calls at once, of 20 a minute",
            lambda s: s.burst("notebook", model=s.cast.free, **_ask()),
        ),
    ]


def _ask() -> dict[str, Any]:
    text = "In one sentence: why is it good to know what a call costs before it is made?"
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 60}


def judged(status: int, headers: Mapping[str, str], body: bytes, seconds: float) -> Told:
    """What became of a call, from its answer."""
    content: dict[str, Any] = {}
    with contextlib.suppress(ValueError):
        content = json.loads(body)
    error = content.get("error") or {}
    if REASON_HEADER in headers:
        return Told(REFUSED, str(error.get("message", "")), headers[REASON_HEADER])
    if status == 200 and not error:
        return Told(LET_THROUGH, f"200{_spent(content)}, {seconds * 1000:.0f} ms")
    return Told(LET_THROUGH, f"{status}: {error.get('message', 'no message')}")


def _spent(content: Mapping[str, Any]) -> str:
    usage = content.get("usage")
    if not usage:
        return ""
    return f", {usage.get('prompt_tokens')}+{usage.get('completion_tokens')} tokens, ${usage.get('cost') or 0:.2f}"


def _events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The JSON objects of a stream of server-sent events."""
    for line in lines:
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))
