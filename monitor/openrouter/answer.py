"""Reading one response as it passes, keeping only what the ledger needs.

The bytes belong to the app: nothing here changes or delays them, nothing raises, and what cannot be read leaves a gap
in the record, not in the answer. Most events of a stream are not parsed at all: a search for a few marks says that
they hold nothing of interest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache

from monitor.model import Ending, Endpoint, LimitHit, LimitKind, Outcome
from monitor.openrouter.decoding import Undecodable, decoder
from monitor.openrouter.excerpt import Excerpt
from monitor.openrouter.findings import Findings, outcome_of
from monitor.openrouter.limits import classify_limit, error_code, error_text
from monitor.openrouter.sse import SSEParser
from monitor.openrouter.usage import read_usage
from monitor.openrouter.values import count, loads
from monitor.redact import redact

_MAX_TEXT = 1024 * 1024
_MEDIA_TYPES = ("audio/", "image/", "video/", "application/octet-stream")
_LIMIT_STATUSES = frozenset({402, 403, 429})
# What else marks an event worth parsing: the wrapper of the whole response, the last event, a reason to end.
_MARKS = {Endpoint.RESPONSES: b'"response":', Endpoint.MESSAGES: b"message_stop"}
_GENERATION = re.compile(r"gen-[A-Za-z0-9-]{1,100}")
_CHAT_MARK = b"network_error"
# What an answer that went well consists of.
_USUAL_KEYS = frozenset({"id", "object", "created", "model", "provider", "choices", "usage", "system_fingerprint"})
_WELL_ENDED = ("stop", "length", "tool_calls", None)
_BADLY_ENDED = ("error", "network_error")
_NO_EVENTS = SSEParser()
"""For answers that are no streams, whose parser is never fed."""


class AnswerReader:
    """Reads one response: `feed` every chunk as it came from the network, then ask for the `ending`.

    `headers` have lower-case names. With `keep_text` the decoded body is kept too, up to 1 MiB.
    """

    __slots__ = (
        "_body",
        "_decode",
        "_events",
        "_expected",
        "_findings",
        "_headers",
        "_lean",
        "_mark",
        "_opaque",
        "_parser",
        "_received",
        "_seen",
        "_status",
        "_streams",
        "_text",
        "_text_size",
        "_ttft",
        "skims",
    )

    def __init__(self, endpoint: Endpoint, status: int, headers: Mapping[str, str], *, keep_text: bool = False) -> None:
        self._status = status
        self._headers = headers
        self._findings = Findings()
        self._ttft: float | None = None
        self._seen = False
        self._events = 0
        # An event is parsed until the model is known and the answer has begun; then only marked ones are.
        self._lean = False
        self.skims = False
        """The same for whole chunks, when there is nothing to decode or to keep."""
        self._mark = _MARKS.get(endpoint, _CHAT_MARK)
        self._received = 0
        self._text: list[bytes] | None = [] if keep_text else None
        self._text_size = 0
        content_type = headers.get("content-type", "").lower()
        streams = content_type.startswith("text/event-stream")
        self._streams = streams
        self._parser = SSEParser() if streams else _NO_EVENTS
        media = content_type.startswith(_MEDIA_TYPES) or endpoint is Endpoint.SPEECH
        self._body = None if streams or (media and status < 300) else Excerpt()
        self._expected = _content_length(headers) if not streams else None
        self._opaque = False
        self._decode: Callable[[bytes], bytes] | None = None
        if "content-encoding" in headers:
            try:
                self._decode = decoder(headers["content-encoding"])
            except Undecodable:
                self._opaque = True

    def feed(self, chunk: bytes, at: float, started: float) -> bool:
        """Take the next chunk, read at `at` of an attempt begun at `started` (seconds of one clock, any epoch).

        True once all that is of interest was seen (usage, the end mark, or all of the announced bytes): the attempt may
        be settled, since SDKs rarely read on to the stream's end.
        """
        if self._opaque:
            self._received += len(chunk)
            return self._is_whole()
        if self.skims and chunk[-2:] == b"\n\n" and self._parser.idle and not _is_marked(chunk, self._mark):
            # The common chunk of a stream: whole events, nothing in them.
            return self._seen
        return self._take(chunk, at, started)

    def ending(self, *, complete: bool, now: float, broken: Outcome | None = None) -> Ending:
        """How the attempt ended, as far as it was seen; may be asked for again after more chunks.

        `complete`: the response was read to its end. If it was not, and nothing in it said that it was over, the
        outcome is `broken`, which the caller knows (cancelled, or a network error, which is the default). `now` is
        epoch seconds.
        """
        if self._body is not None and not self._opaque and (usual := self._usual(self._body.content())):
            return usual
        return self._ending(complete, now, broken)

    def _usual(self, content: object) -> Ending | None:
        """The ending of a JSON answer that says nothing but what it holds and what it cost; None for any other.

        It returns what a close look returns, at a third of the time, which every call pays.
        """
        if self._status != 200 or self._text is not None or type(content) is not dict:
            return None
        if not content.keys() <= _USUAL_KEYS or not _all_well(content.get("choices")):
            return None
        names = (content.get("id"), content.get("model"), content.get("provider"), content.get("usage"))
        name, model, provider, usage = names
        if type(name) is not str or type(model) is not str or type(provider) is not str or type(usage) is not dict:
            return None
        if not _GENERATION.fullmatch(name) or not model or not provider or len(model) + len(provider) > 200:
            return None
        return Ending(
            Outcome.SUCCESS,
            200,
            read_usage(usage),
            _shown(model),
            _shown(provider),
            _generation(self._headers.get("x-generation-id") or name),
        )

    def _ending(self, complete: bool, now: float, broken: Outcome | None) -> Ending:
        if complete and self._streams and not self._opaque:
            for name, data in self._parser.flush():
                self._event(name, data, None)
        found = self._findings
        problem = self._read_body()
        # An HTTP error without an error object in it: Cloudflare's page, or an empty body.
        error = found.error if found.error is not None or problem is None else problem
        outcome = self._outcome(complete, broken, problem)
        return Ending(
            outcome=outcome,
            status=self._status,
            usage=found.usage,
            model_served=_shown(found.model),
            provider=_shown(found.provider or self._headers.get("x-provider-name")),
            generation_id=_generation(self._headers.get("x-generation-id") or found.id),
            limit=self._limit(error, outcome, now),
            ttft=self._ttft,
            error=self._error_text(outcome, error),
            answer=self._answer(),
        )

    def _take(self, chunk: bytes, at: float, started: float) -> bool:
        self._received += len(chunk)
        if self._decode is not None:
            try:
                chunk = self._decode(chunk)
            except Undecodable:
                self._opaque = True
                return self._is_whole()
        if self._text is not None and self._text_size < _MAX_TEXT:
            self._text.append(chunk[: _MAX_TEXT - self._text_size])
            self._text_size += len(self._text[-1])
        if not self._streams:
            if self._body is not None:
                self._body.add(chunk)
            return self._is_whole()
        for name, data in self._parser.feed(chunk):
            self._event(name, data, at - started)
        return self._seen

    def _event(self, name: str | None, data: bytes, after: float | None) -> None:
        self._events += 1
        if data == b"[DONE]":
            self._seen = self._findings.over = True
            return
        if self._lean and name != "error" and not _is_marked(data, self._mark):
            return
        event = loads(data)
        if not isinstance(event, dict):
            return
        found = self._findings
        carries = found.add(event, name)
        if carries and self._ttft is None and after is not None:
            self._ttft = max(0.0, after)
        self._lean = self._ttft is not None and found.model is not None
        self.skims = self._lean and self._decode is None and self._text is None
        # `message_start` has a usage too, of the prompt alone: only chat's usage chunk is the last word.
        self._seen = self._seen or found.over or (found.usage_seen and "choices" in event)

    def _is_whole(self) -> bool:
        return self._expected is not None and self._received >= self._expected

    def _read_body(self) -> object:
        """Parse a body that is no stream; what it holds when that is no JSON object (a text, or None)."""
        if self._body is None or self._opaque or self._findings.over:
            return None
        content = self._body.content()
        if isinstance(content, dict):
            self._findings.add(content)
            # Parsed to its end: it is whole, whatever the connection did.
            self._findings.over = True
            return content if self._status >= 300 and self._findings.error is None else None
        if self._body.is_cut:
            self._body.dig(self._findings)
            return None
        return content if content is not None else self._body.text()

    def _outcome(self, complete: bool, broken: Outcome | None, problem: object) -> Outcome:
        if self._status >= 300:
            return outcome_of(self._status)
        found = self._findings
        if found.error is not None:
            return found.outcome()
        if not complete and not found.over and not self._seen and not self._is_whole():
            return broken or Outcome.NETWORK_ERROR
        if self._opaque:
            return Outcome.SUCCESS
        as_json = "json" in self._headers.get("content-type", "")
        silent = self._events == 0 if self._streams else as_json and self._received == 0
        unread = as_json and problem is not None
        return Outcome.SERVER_ERROR if silent or unread else Outcome.SUCCESS

    def _limit(self, error: object, outcome: Outcome, now: float) -> LimitHit | None:
        if self._status >= 300:
            return classify_limit(self._status, self._headers, error, now)
        code = error_code(error) if error is not None else None
        if outcome is not Outcome.RATE_LIMITED and code not in _LIMIT_STATUSES:
            return None
        hit = classify_limit(code or 429, {}, error, now)
        # OpenRouter's own limits refuse before they accept: one told of inside a 200 is a provider's.
        return replace(hit, kind=LimitKind.UPSTREAM) if hit and hit.kind is LimitKind.UNKNOWN else hit

    def _error_text(self, outcome: Outcome, error: object) -> str | None:
        if isinstance(error, dict):
            return error_text(error)
        if self._status >= 300:
            return f"HTTP {self._status} without an error that can be read"
        if outcome is Outcome.SERVER_ERROR:
            return "an answer with nothing in it that can be read"
        return None

    def _answer(self) -> str | None:
        if self._text is None:
            return None
        return redact(b"".join(self._text).decode("utf-8", "replace"), limit=_MAX_TEXT)


def _all_well(choices: object) -> bool:
    """Whether each of these choices ended as models end, without an error of its own."""
    if type(choices) is not list:
        return False
    for choice in choices:
        if type(choice) is not dict or "error" in choice:
            return False
        if choice.get("finish_reason") not in _WELL_ENDED or choice.get("native_finish_reason") in _BADLY_ENDED:
            return False
    return True


def _is_marked(data: bytes, mark: bytes) -> bool:
    # Quotes inside a text are escaped, so a quoted word is a key or a value of its own. Written out, since a loop over
    # the marks costs more than the searches: this runs for every event of every stream.
    # Not `in`, which asks first whether a mark is the number of a byte.
    find = data.find
    return find(b'"usage"') >= 0 or find(b'"error"') >= 0 or find(b"[DONE]") >= 0 or find(mark) >= 0


@lru_cache(maxsize=256)
def _shown(name: str | None) -> str | None:
    return None if name is None else redact(name, limit=200)


def _generation(name: str | None) -> str | None:
    # Every answer has an id of its own: a match is cheaper than masking what cannot be a key.
    return name if name is None or _GENERATION.fullmatch(name) else redact(name, limit=200)


def _content_length(headers: Mapping[str, str]) -> int | None:
    length = headers.get("content-length", "")
    return count(int(length)) if length.isascii() and length.isdigit() and len(length) < 16 else None
