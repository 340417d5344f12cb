"""One call of the friendly client, written once and without I/O: the tries, and what is made of each failure.

`Calls.chat` is a generator, as the guard's own course is: it yields what it needs done and gets the result back, so the
blocking client and the asynchronous one each are a loop of a few lines around it. Every attempt goes through the guard,
under the one call's id.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any

from monitor.client import failures
from monitor.client.answers import Answer, Attempt, read_answer
from monitor.client.assembling import Assembler
from monitor.client.cache import Cache
from monitor.client.choosing import Call, Chooser
from monitor.client.effects import Effect, Lost, Post, Read, Reply, Run, Sleep, Talk
from monitor.client.wishes import Wish
from monitor.errors import NotFree
from monitor.model import Ending, Endpoint, LimitKind, Outcome, Reason
from monitor.openrouter.answer import AnswerReader
from monitor.policy.picking import Pick
from monitor.policy.retry import Next, RetryDecision, after
from monitor.redact import redact
from monitor.refresh import Fetch
from monitor.transport.course import Guard
from monitor.transport.effects import CallTag
from monitor.transport.headers import without_encoding

NO_CHOICE = "an answer without a choice in it"

_OF_A_MODEL = frozenset({Reason.MODEL_UNKNOWN, Reason.MODEL_NOT_FREE, Reason.MODEL_DENIED, Reason.PAID_MODALITY})
"""Refusals that another model may escape; what else is wrong with a request is wrong with all of them."""


@dataclass(slots=True)
class _Tried:
    """What came of one attempt; `raw` is the answer, if it is one."""

    ending: Ending
    seconds: float
    raw: dict[str, Any] | None = None
    first_token: float | None = None
    lost: Lost | None = None


class Calls:
    """The core of a client; any number of calls may be under way."""

    def __init__(self, guard: Guard, *, draw: Callable[[], float] = random.random) -> None:
        self.guard = guard
        self.chooser = Chooser(guard)
        self._clock = guard.clock
        self._cache = Cache(guard)
        self._attempts = guard.settings.client.attempts
        self._draw = draw

    def chat(self, wish: Wish, fetch: Fetch) -> Talk:
        """One call. Raises CallFailed, one of GuardRefused's family, ConfigError, PollError or StoreError."""
        call = Call(wish, self.guard.new_call_id(), self._clock.monotonic() + wish.wait)
        kept = yield from self._cache.look_up(wish, call.id)
        if kept is not None:
            return kept
        while True:
            chosen: Pick = yield Run(lambda: self.chooser.choose(call, fetch))
            if chosen.at > self._clock.now():
                yield self._pause(call, chosen.model, chosen.at - self._clock.now())
                continue
            answer = yield from self._attempt(call, chosen.model)
            if answer is not None:
                yield from self._cache.keep(wish, answer, call.pieces)
                return answer

    def _pause(self, call: Call, model: str, seconds: float) -> Sleep:
        """Wait, as far as the call's patience goes."""
        if seconds > call.deadline - self._clock.monotonic():
            raise failures.out_of_patience(call.attempts, model, self._clock.now() + seconds, alone=call.alone)
        return Sleep(max(0.0, seconds))

    def _attempt(self, call: Call, model: str) -> Generator[Effect | str, Any, Answer | None]:
        """Ask `model`. None when it did not answer, and another attempt is worth its price."""
        wish = call.wish
        body: dict[str, Any] = {"model": model, **wish.body}
        if wish.stream:
            body["stream"] = True
        patience = max(0.0, call.deadline - self._clock.monotonic())
        tag = CallTag(call.id, len(call.attempts) + 1, patience, cooldowns=len(call.candidates) == 1)
        started = self._clock.monotonic()
        reply: Reply | Lost = yield Post(_encoded(body), tag, wish.stream)
        if isinstance(reply, Reply) and failures.is_refusal(reply):
            self._refused(call, model, reply)
            return None
        if isinstance(reply, Lost):
            ending = Ending(Outcome.NETWORK_ERROR, error=redact(reply.said, limit=200))
            tried = _Tried(ending, self._clock.monotonic() - started, lost=reply)
        elif reply.body is None:
            tried = yield from self._read(call, model, reply, started)
        else:
            tried = self._whole(reply, reply.body, started)
        answer = self._answer(call, model, tried)
        if answer is None:
            yield from self._failed(call, model, tried)
            return None
        if call.troubled:
            yield Run(lambda: self.chooser.note_success(model))
        if wish.stream and isinstance(reply, Reply) and reply.body is not None:
            yield answer.text  # a stream was asked for, and the answer came whole
        return answer

    def _whole(self, reply: Reply, body: bytes, started: float) -> _Tried:
        at = self._clock.monotonic()
        reader = AnswerReader(Endpoint.CHAT, reply.status, without_encoding(dict(reply.headers)))
        reader.feed(body, at, started)
        ending = reader.ending(complete=True, now=self._clock.now())
        return _Tried(ending, at - started, _object(body))

    def _read(self, call: Call, model: str, reply: Reply, started: float) -> Generator[Effect | str, Any, _Tried]:
        """Read a stream to its end, and hand on its text as it comes."""
        reader = AnswerReader(Endpoint.CHAT, reply.status, without_encoding(dict(reply.headers)))
        assembler = Assembler()
        first: float | None = None
        chunk: bytes | Lost | None = yield Read()
        while isinstance(chunk, bytes):
            at = self._clock.monotonic()
            reader.feed(chunk, at, started)
            for piece in assembler.feed(chunk):
                call.pieces.append(piece)
                yield piece
            if first is None and assembler.begun:
                first = at - started
            chunk = yield Read()
        if chunk is None:
            yield from assembler.flush()
        ending = reader.ending(complete=chunk is None, now=self._clock.now(), broken=Outcome.NETWORK_ERROR)
        if chunk is not None and ending.error is None:
            ending = replace(ending, error=redact(chunk.said, limit=200))
        tried = _Tried(ending, self._clock.monotonic() - started, assembler.whole(), first, chunk)
        if assembler.text and self._answer(call, model, tried) is None:
            # Its beginning is with the app already, and cannot be taken back: another model would begin anew.
            yield Run(lambda: self.chooser.note_failure(model, ending, never_sent=False))
            attempt = Attempt(model, ending.outcome, ending.status, tried.seconds, "the stream broke off")
            raise failures.broke_off((*call.attempts, attempt), ending, assembler.text)
        return tried

    def _answer(self, call: Call, model: str, tried: _Tried) -> Answer | None:
        """The complete answer that an attempt brought; None when it brought none."""
        if tried.ending.outcome is not Outcome.SUCCESS or tried.raw is None:
            return None
        return read_answer(
            tried.raw,
            model,
            seconds=tried.seconds,
            call_id=call.id,
            attempts=(*call.attempts, Attempt(model, Outcome.SUCCESS, tried.ending.status, tried.seconds)),
            first_token_seconds=tried.first_token,
            why=call.why.get(model, ()),
        )

    def _refused(self, call: Call, model: str, reply: Reply) -> None:
        """The guard said no, and nothing was sent. Another model may do; if none may, the refusal is raised."""
        refusal = failures.refusal_of(reply.body or b"")
        others = tuple(each for each in call.candidates if each != model)
        cooled = failures.cooled_model(reply)
        if cooled is not None and refusal.resets_at is not None and others:
            # Another client of the account ran into its limit meanwhile.
            call.cooling[model] = refusal.resets_at
            return
        of_model = isinstance(refusal, NotFree) and refusal.reason in _OF_A_MODEL
        if of_model and model != call.wish.model and others:
            # The catalogue changed between our look at it and the guard's.
            self.chooser.routes.forget()
            call.candidates = others
            return
        raise refusal

    def _failed(self, call: Call, model: str, tried: _Tried) -> Generator[Effect | str, Any, None]:
        """Note what a failure says of its model, and prepare the next attempt; raises when there is to be none."""
        ending, lost = tried.ending, tried.lost
        if ending.outcome is Outcome.SUCCESS:
            ending = Ending(Outcome.SERVER_ERROR, status=ending.status, error=NO_CHOICE)
        never_sent = lost is not None and not lost.sent
        yield Run(lambda: self.chooser.note_failure(model, ending, never_sent=never_sent))
        decision = after(
            ending,
            attempt=len(call.attempts) + 1,
            now=self._clock.now(),
            billed_unknown=lost is not None and lost.sent,
            free=model in call.free or model.endswith(":free"),
            jitter=self._draw(),
        )
        told = _told(ending, decision)
        call.attempts.append(Attempt(model, ending.outcome, ending.status, tried.seconds, told, not never_sent))
        if ending.limit is not None and ending.limit.kind is LimitKind.FREE_DAILY:
            raise failures.day_is_spent(ending.limit)
        if decision.never_again:
            call.candidates = tuple(each for each in call.candidates if each != model)
        alone = call.alone and decision.next is Next.OTHER_MODEL
        if decision.next is Next.STOP or not call.candidates:
            raise failures.gave_up(call.attempts, ending, decision.why, alone=alone)
        if len(call.attempts) >= self._attempts:
            most = f"{self._attempts} attempts are the most for one call"
            raise failures.gave_up(call.attempts, ending, most, alone=alone)
        if decision.next is Next.OTHER_MODEL:
            call.tried.add(model)
            call.again_at = self._clock.now() + decision.wait
        else:
            yield self._pause(call, model, decision.wait)


def _encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _told(ending: Ending, decision: RetryDecision) -> str:
    said = ending.limit.message if ending.limit is not None else ending.error
    return f"{decision.why} ({said})" if said else decision.why


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
