"""Reading one JSON body field by field; `intent` makes an `Intent` of what was found."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from monitor.model import Endpoint, Objection, Reason
from monitor.openrouter.addons import judge_plugins, judge_tool_choice, judge_tools, may_hold_media, survey
from monitor.openrouter.fields import HARMLESS, has_lookalike, is_suspicious, judge_field
from monitor.openrouter.modelids import model_id
from monitor.openrouter.prompts import ONE, Prompts, prompts_in
from monitor.openrouter.unreadable import Unreadable
from monitor.redact import redact

_PLAIN_TIERS = frozenset({"auto", "default", "standard", "standard_only"})
MOST_TOKENS = 10**9
_PROVIDER_KEYS = frozenset({"max_price", "options"})


@dataclass(slots=True)
class Reading:
    """What was found so far; filled by the handlers below, one field at a time."""

    endpoint: Endpoint
    raw: bytes
    model: str | None = None
    names_model: bool = False
    """A model is named, though it may be no id that can be read."""
    fallbacks: list[str] = field(default_factory=list)
    tool_models: list[str] = field(default_factory=list)
    objections: list[Objection] = field(default_factory=list)
    stream: bool = False
    limits: list[int | None] = field(default_factory=list)
    choices: int = 1
    prompts: Prompts = ONE
    by_reference: bool = False
    holds_file: bool = False
    parses_free: bool = False

    def object_to(self, reason: Reason, detail: str) -> None:
        self.objections.append(Objection(reason, detail))

    def fields(self, fields: dict[str, Any]) -> None:
        """Judge every top-level field of one body; what was found before stays."""
        self.parses_free = False
        self.holds_file = False
        for name, value in fields.items():
            handler = _HANDLERS.get(name)
            if handler is None:
                if name not in HARMLESS:
                    objection = judge_field(name)
                    if objection is not None:
                        self.objections.append(objection)
            elif value is not None:
                try:
                    handler(self, value)
                except Unreadable as why:
                    self.object_to(Reason.BODY_UNREADABLE, f'"{name}" cannot be judged: {why}')
        if self.holds_file and not self.parses_free:
            self.object_to(Reason.PAID_PLUGIN, "a document without a free parser named for it may be read by paid OCR")
        self.prompts = prompts_in(self.endpoint, fields, len(self.raw))
        if self.endpoint is Endpoint.COMPLETIONS:
            self.choices *= self.prompts.count  # each prompt of a list is answered


def _model(reading: Reading, value: object) -> None:
    if value != "":
        reading.names_model = True
        reading.model = model_id(value)


def _models(reading: Reading, value: object) -> None:
    if not isinstance(value, list):
        raise Unreadable("it is not a list")
    reading.fallbacks.extend(model_id(item) for item in value)


def _fallbacks(reading: Reading, value: object) -> None:
    if not isinstance(value, list):
        raise Unreadable("it is not a list")
    for item in value:
        if isinstance(item, dict):
            # OpenRouter's docs, model fallbacks: an item of `/messages` holds the model and nothing else.
            if item.keys() != {"model"}:
                raise Unreadable("an item holds more than a model")
            item = item["model"]
        reading.fallbacks.append(model_id(item))


def _preset(reading: Reading, value: object) -> None:
    reading.object_to(Reason.PRESET, "a preset may bring models, tools and plugins that only OpenRouter knows")


def _plugins(reading: Reading, value: object) -> None:
    reading.parses_free = judge_plugins(value, reading.objections, reading.tool_models)


def _tools(reading: Reading, value: object) -> None:
    judge_tools(value, reading.objections, reading.tool_models)


def _deferred_tools(reading: Reading, value: object) -> None:
    if isinstance(value, list):
        _tools(reading, value)
    else:
        reading.object_to(Reason.SERVER_TOOL, "deferred tools are searched and called by OpenRouter")


def _tool_choice(reading: Reading, value: object) -> None:
    judge_tool_choice(value, reading.objections)


def _server_side(what: str) -> Callable[[Reading, object], None]:
    def handler(reading: Reading, value: object) -> None:
        reading.object_to(Reason.SERVER_TOOL, what)

    return handler


def _container(reading: Reading, value: object) -> None:
    # The id of a container names one that exists; an object asks for one with skills.
    if not isinstance(value, str):
        reading.object_to(Reason.SERVER_TOOL, "a container runs code at a provider, and bills")


def _modalities(reading: Reading, value: object) -> None:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Unreadable("it is not a list of words")
    for item in value:
        if item != "text":
            reading.object_to(Reason.PAID_MODALITY, f'output of the kind "{redact(item, limit=30)}" bills')


def _media_settings(what: str) -> Callable[[Reading, object], None]:
    def handler(reading: Reading, value: object) -> None:
        if reading.endpoint is not Endpoint.TRANSCRIPTIONS:
            reading.object_to(Reason.PAID_MODALITY, what)

    return handler


def _service_tier(reading: Reading, value: object) -> None:
    if not isinstance(value, str) or value not in _PLAIN_TIERS:
        shown = redact(value, limit=30) if isinstance(value, str) else "?"
        reading.object_to(Reason.PAID_SERVICE_TIER, f'service tier "{shown}" has its own price')


def _speed(reading: Reading, value: object) -> None:
    # A number is the playback speed of `/audio/speech`.
    if not isinstance(value, int | float) and value != "standard":
        reading.object_to(Reason.PAID_SERVICE_TIER, "a speed other than standard has its own price")


def _route(reading: Reading, value: object) -> None:
    if value != "fallback":
        reading.object_to(Reason.ROUTER_MODEL, 'a "route" other than "fallback" lets OpenRouter choose the model')


def _provider(reading: Reading, value: object) -> None:
    if not isinstance(value, dict):
        raise Unreadable("it is not an object")
    if has_lookalike(value, _PROVIDER_KEYS):
        raise Unreadable("a field is spelled almost like one that is judged")
    if "options" in value and _asks_more(value["options"]):
        reading.object_to(Reason.PAID_PLUGIN, "provider options may switch on a search or a tool that bills")


def _asks_more(options: object) -> bool:
    """Options are keyed by provider, then by whatever that provider takes."""
    waiting: list[object] = list(options.values()) if isinstance(options, dict) else [options]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if any(is_suspicious(name) or "tool" in name.casefold() for name in item):
                return True
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return False


def _stream(reading: Reading, value: object) -> None:
    reading.stream = reading.stream or (value not in (False, 0, "", "false"))


def _max_tokens(reading: Reading, value: object) -> None:
    # What is no count is left to the server to refuse; until then the model's own maximum is the worst case.
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS
    reading.limits.append(math.ceil(value) if good and isinstance(value, int | float) else None)


def _choices(reading: Reading, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1 or not 1 <= value <= 1024:
        raise Unreadable("it is not a count")
    reading.choices = max(reading.choices, int(value))


def _content(reading: Reading, value: object) -> None:
    if not isinstance(value, str) and may_hold_media(reading.raw):
        document, media = survey(value)
        reading.holds_file = reading.holds_file or document
        reading.by_reference = reading.by_reference or media


def _referred(reading: Reading, value: object) -> None:
    # What the server remembers is sent to the model again, and paid for again.
    reading.by_reference = True


def _prompt(reading: Reading, value: object) -> None:
    if isinstance(value, dict):
        reading.object_to(Reason.PRESET, "a stored prompt may bring a model and tools that only OpenRouter knows")
        _referred(reading, value)
    else:
        _content(reading, value)


_HANDLERS: dict[str, Callable[[Reading, Any], None]] = {
    "model": _model,
    "models": _models,
    "fallbacks": _fallbacks,
    "preset": _preset,
    "plugins": _plugins,
    "tools": _tools,
    "deferred_tools": _deferred_tools,
    "tool_choice": _tool_choice,
    "web_search_options": _server_side("web search bills per search"),
    "mcp_servers": _server_side("servers of tools are called by the provider, and may bill"),
    "container": _container,
    "modalities": _modalities,
    "image_config": _media_settings("images as output bill"),
    "audio": _media_settings("audio as output bills"),
    "service_tier": _service_tier,
    "speed": _speed,
    "route": _route,
    "provider": _provider,
    "stream": _stream,
    "max_tokens": _max_tokens,
    "max_completion_tokens": _max_tokens,
    "max_output_tokens": _max_tokens,
    "n": _choices,
    "best_of": _choices,
    "previous_response_id": _referred,
    "conversation": _referred,
    "input_audio": _referred,
    "file": _referred,
    "messages": _content,
    "input": _content,
    "system": _content,
    "documents": _content,
    "prompt": _prompt,
}
