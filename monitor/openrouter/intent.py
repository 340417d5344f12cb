"""What a request asks for: every model that it may reach, and everything in it that could bill besides.

All objections are collected, not only the first, so that one refusal tells the whole story. Whether an objection
matters (only while only free calls are allowed) and whether the models are free is the policy's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from monitor.model import Endpoint, Intent, Objection, Reason
from monitor.openrouter.addons import may_hold_media
from monitor.openrouter.bodies import Body, read_object
from monitor.openrouter.fields import HARMLESS
from monitor.openrouter.modelids import is_plain_model, judge_model
from monitor.openrouter.prompts import Prompts
from monitor.openrouter.reading import MOST_TOKENS, Reading
from monitor.openrouter.unreadable import Unreadable
from monitor.redact import redact

_MEDIA = {Endpoint.IMAGES: "images", Endpoint.SPEECH: "speech", Endpoint.VIDEOS: "videos"}
# OpenRouter's SDK 1.3 types `provider` of these as ProviderPreferences, which has `max_price`. `/completions` is not
# typed there; the docs give it the routing fields of `/chat/completions`.
_TAKE_MAX_PRICE = frozenset(
    {
        Endpoint.CHAT,
        Endpoint.COMPLETIONS,
        Endpoint.RESPONSES,
        Endpoint.MESSAGES,
        Endpoint.EMBEDDINGS,
        Endpoint.RERANK,
        Endpoint.DECISIONS,
    }
)
# OpenRouter's SDK, batch submit body: the endpoints that a batch may be for.
_BATCHED = {
    "/v1/chat/completions": Endpoint.CHAT,
    "/v1/responses": Endpoint.RESPONSES,
    "/v1/messages": Endpoint.MESSAGES,
    "/v1/embeddings": Endpoint.EMBEDDINGS,
}
_ADDS_TEXT = frozenset({Reason.PAID_PLUGIN, Reason.SERVER_TOOL, Reason.PRESET})
_OPENROUTER_HEADER = "x-openrouter-"
_FREE_HEADERS = (
    "x-openrouter-metadata",
    "x-openrouter-experimental-metadata",
    "x-openrouter-cache",
    "x-openrouter-title",
    "x-openrouter-app",
    "x-openrouter-categories",
    "x-openrouter-monitor-",
)


# What most requests consist of, and nothing else.
_USUAL_FIELDS = HARMLESS | {"model", "messages", "stream", "max_tokens"}


def read_intent(endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> Intent:
    """What the request with this `body` asks of `endpoint`. Header names are lower-case. Never raises.

    A body that cannot be read, or could be read in two ways, is an objection like any other.
    """
    objections = list(_judge_headers(tuple(headers)))
    if endpoint is Endpoint.UNKNOWN:
        objections.append(Objection(Reason.ENDPOINT_UNKNOWN, "no endpoint that is known to run this request"))
    try:
        read = read_object(headers, body, form=endpoint is Endpoint.TRANSCRIPTIONS)
    except Unreadable as why:
        objections.append(Objection(Reason.BODY_UNREADABLE, f"the body cannot be judged: {why}"))
        return Intent(endpoint, objections=tuple(objections), prompt_bytes=len(body))
    if not objections and (usual := _usual(endpoint, read)) is not None:
        return usual
    return _read_closely(endpoint, read, objections)


def _usual(endpoint: Endpoint, read: Body) -> Intent | None:
    """The intent of a request in which there is nothing to judge but one plain model; None for any other.

    Half of the time of a call's judging went into looking closely at requests like this; what it returns is what a
    close look returns.
    """
    fields = read.value
    model, stream, limit = fields.get("model"), fields.get("stream"), fields.get("max_tokens", 1)
    if (
        endpoint in _TAKE_MAX_PRICE
        and read.plain
        and fields.keys() <= _USUAL_FIELDS
        and type(model) is str
        and is_plain_model(model)
        and (stream is None or type(stream) is bool)
        and type(limit) is int
        and 0 <= limit <= MOST_TOKENS
        and not may_hold_media(read.raw)
    ):
        return Intent(
            endpoint,
            model,
            stream=stream is True,
            prompt_bytes=len(read.raw),
            max_output_tokens=limit if "max_tokens" in fields else None,
            accepts_max_price=True,
        )
    return None


def _read_closely(endpoint: Endpoint, read: Body, objections: list[Objection]) -> Intent:
    reading = Reading(endpoint, read.raw, objections=objections)
    if endpoint is Endpoint.BATCHES:
        _read_batch(reading, read.value)
    else:
        reading.fields(read.value)
    return _finish(reading, read)


def _finish(reading: Reading, read: Body) -> Intent:
    endpoint = reading.endpoint
    if reading.model is None and not reading.names_model:
        reading.object_to(Reason.MODEL_MISSING, "no model is named: the account's default may be a paid one")
    models = [reading.model] if reading.model is not None else []
    for name in dict.fromkeys(models + reading.fallbacks + reading.tool_models):
        objection = judge_model(name)
        if objection is not None:
            reading.objections.append(objection)
    if endpoint in _MEDIA:
        reading.object_to(Reason.PAID_MODALITY, f"{_MEDIA[endpoint]} are billed by the piece, whatever tokens cost")
    limits = [limit for limit in reading.limits if limit is not None]
    known = limits and len(limits) == len(reading.limits)
    return Intent(
        endpoint=endpoint,
        model=reading.model,
        fallbacks=tuple(reading.fallbacks),
        tool_models=tuple(reading.tool_models),
        objections=tuple(dict.fromkeys(reading.objections)) if reading.objections else (),
        stream=reading.stream,
        prompt_bytes=len(read.raw) + reading.prompts.repeated,
        prompts=reading.prompts.count,
        requests=reading.prompts.requests,
        max_output_tokens=max(limits) if known else None,
        choices=reading.choices,
        by_reference=_is_unbounded(reading),
        accepts_max_price=read.plain and endpoint in _TAKE_MAX_PRICE,
    )


def _is_unbounded(reading: Reading) -> bool:
    if reading.by_reference or reading.endpoint is Endpoint.TRANSCRIPTIONS:
        return True
    # A search, a tool or a preset puts text before the model that is not in the body.
    return any(found.reason in _ADDS_TEXT for found in reading.objections)


def _read_batch(reading: Reading, fields: dict[str, Any]) -> None:
    endpoint, requests = fields.get("endpoint"), fields.get("requests")
    inner = _BATCHED.get(endpoint) if isinstance(endpoint, str) else None
    if inner is None or not isinstance(requests, list) or not requests:
        reading.object_to(Reason.BODY_UNREADABLE, "the batch has no list of requests for a known endpoint")
        return
    reading.fields({name: value for name, value in fields.items() if name not in ("endpoint", "requests")})
    model, choices, prompts, due = reading.model, 0, 0, 0
    for request in requests:
        body = request.get("body") if isinstance(request, dict) else None
        if not isinstance(body, dict) or not request.keys() <= {"body", "custom_id"}:
            reading.object_to(Reason.BODY_UNREADABLE, "a request of the batch has no body that can be judged")
            continue
        reading.model, reading.choices, reading.endpoint = None, 1, inner
        before = len(reading.limits)
        reading.fields(body)
        if len(reading.limits) == before:
            reading.limits.append(None)
        if reading.model is not None and reading.model != model:
            reading.fallbacks.append(reading.model)
        choices += reading.choices
        prompts += reading.prompts.count
        due += reading.prompts.requests
    # Every request of a batch is answered: for the estimate that is as many choices of one request.
    reading.model, reading.choices, reading.endpoint = model, max(1, choices), Endpoint.BATCHES
    reading.prompts = Prompts(max(1, prompts), max(1, due))


@lru_cache(maxsize=256)
def _judge_headers(names: tuple[str, ...]) -> tuple[Objection, ...]:
    """Objections to headers by their names: a client sends the same ones with each of its requests."""
    found: list[Objection] = []
    for name in names:
        if name.startswith(_OPENROUTER_HEADER) and not name.startswith(_FREE_HEADERS):
            found.append(
                Objection(Reason.PAID_PLUGIN, f'the unknown header "{redact(name, limit=60)}" may add a paid service')
            )
    return tuple(found)
