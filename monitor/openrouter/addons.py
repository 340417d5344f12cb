"""What bills besides the model: plugins, server tools, files that are parsed, and the ways to ask for them.

Prices are in OpenRouter's docs (plugins, server tools, PDF inputs): a web search costs from 0.1 to 1.5 cents, a page
of OCR 0.2 cents, and "even free models" pay them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from monitor.model import Objection, Reason
from monitor.openrouter.fields import has_lookalike
from monitor.openrouter.modelids import models_in
from monitor.openrouter.unreadable import Unreadable
from monitor.redact import redact

_FREE_PLUGINS = frozenset({"response-healing", "context-compression"})
# `cloudflare-ai` is free; `native` hands the file to the model, which bills its own tokens.
_FREE_ENGINES = frozenset({"cloudflare-ai", "native"})
_PLUGIN_KEYS = frozenset({"id", "enabled", "pdf"})
_TOOL_KEYS = frozenset({"type", "function", "name", "tools"})
_CLIENT_TOOLS = frozenset({"function", "custom"})
_CLIENT_CHOICES = frozenset({"auto", "none", "any", "required", "function", "tool", "custom"})
_FILE_TYPES = frozenset({"file", "input_file", "document"})
_MEDIA_TYPE = re.compile(r"image|audio|video|file|document|reference")
_MEDIA_KEYS = frozenset({"image", "image_url", "video_url", "file_id", "file_url", "input_audio"})
_MAX_NAMESPACES = 8


def judge_plugins(value: object, found: list[Objection], models: list[str]) -> bool:
    """Judge `plugins`; add objections to `found`, models to `models`. True when files are parsed for nothing.

    A plugin that is switched off is harmless, and the only way to refuse one that the account has on by default.
    Raises `Unreadable` when the field is no list of objects.
    """
    parses_free = False
    for plugin in _objects(value, "plugins"):
        if has_lookalike(plugin, _PLUGIN_KEYS):
            raise Unreadable("a plugin's field is spelled almost like one that is judged")
        name = plugin.get("id")
        if plugin.get("enabled") is False:
            continue
        models.extend(models_in(plugin))
        if name == "file-parser" and _parses_free(plugin):
            parses_free = True
        elif not isinstance(name, str) or name not in _FREE_PLUGINS:
            found.append(Objection(Reason.PAID_PLUGIN, f"plugin {_shown(name)} bills, or calls what bills"))
    return parses_free


def _parses_free(plugin: dict[str, Any]) -> bool:
    pdf = plugin.get("pdf")
    if not isinstance(pdf, dict) or has_lookalike(pdf, frozenset({"engine"})):
        return False
    engine = pdf.get("engine")
    return isinstance(engine, str) and engine in _FREE_ENGINES


def judge_tools(value: object, found: list[Objection], models: list[str]) -> None:
    """Judge `tools`: functions that the app itself runs are harmless, whatever else is named runs at a price.

    OpenRouter turns shorthands such as `web_search` into server tools, and takes new ones without notice: an unknown
    type is a server tool. Raises `Unreadable` when the field is no list of objects.
    """
    waiting = [(tool, 0) for tool in _objects(value, "tools")]
    while waiting:
        tool, depth = waiting.pop()
        if has_lookalike(tool, _TOOL_KEYS):
            raise Unreadable("a tool's field is spelled almost like one that is judged")
        if tool.get("type") == "namespace" and depth < _MAX_NAMESPACES:
            # A namespace only groups functions under one name.
            waiting.extend((inner, depth + 1) for inner in _objects(tool.get("tools"), "tools of a namespace"))
        elif not _is_client_tool(tool):
            models.extend(models_in(tool))
            found.append(_server_tool(tool.get("type")))


def _is_client_tool(tool: dict[str, Any]) -> bool:
    kind = tool.get("type")
    function = tool.get("function")
    if function is not None and not isinstance(function, dict):
        return False
    name = (function or tool).get("name")
    if not isinstance(name, str) or name.startswith("openrouter:"):
        return False
    if kind is None:
        # Anthropic's shape has no type; without a schema it would be nothing that a client runs.
        return "input_schema" in tool or function is not None
    return isinstance(kind, str) and kind in _CLIENT_TOOLS


def judge_tool_choice(value: object, found: list[Objection]) -> None:
    """Judge `tool_choice`: a server tool's type named there forces that tool (OpenRouter's SDK, server tool choice)."""
    if isinstance(value, str):
        if value not in _CLIENT_CHOICES:
            found.append(_server_tool(value))
        return
    if not isinstance(value, dict) or has_lookalike(value, _TOOL_KEYS):
        raise Unreadable("tool_choice is neither a word nor an object")
    kind = value.get("type")
    if kind == "allowed_tools":
        group = value.get("allowed_tools", value)
        for tool in _objects(group.get("tools") if isinstance(group, dict) else None, "allowed tools"):
            judge_tool_choice(tool, found) if tool.get("type") != "allowed_tools" else found.append(_server_tool(kind))
        return
    named = value.get("function")
    name = named.get("name") if isinstance(named, dict) else value.get("name")
    if not isinstance(kind, str) or kind not in _CLIENT_CHOICES:
        found.append(_server_tool(kind))
    elif isinstance(name, str) and name.startswith("openrouter:"):
        found.append(_server_tool(name))


def may_hold_media(raw: bytes) -> bool:
    """Whether looking for media is worth it: none of the marks of one is in the body, nor a way to hide one."""
    # Quoted words stand for types and keys; inside a text their quotes would be escaped. Written out: a loop over
    # the marks costs more than the searches. And not `in`, which asks first whether a mark is the number of a byte.
    find = raw.find
    return (
        find(b'"image') >= 0
        or find(b'"input_') >= 0
        or find(b'"video') >= 0
        or find(b'"audio') >= 0
        or find(b'"file') >= 0
        or find(b'"document') >= 0
        or find(b"reference") >= 0
        or find(b"data:application/") >= 0
        or find(b"\\u00") >= 0
    )


def survey(value: object) -> tuple[bool, bool]:
    """Whether these messages hold a document, and whether they hold any content but text.

    OpenRouter parses a PDF sent to a model without file input by paid OCR unless told otherwise (docs, PDF inputs).
    Media, whether inline or named by address, cost tokens that the body's length does not bound.
    """
    document = media = False
    waiting: list[object] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, dict):
            kind = item.get("type")
            if isinstance(kind, str):
                document = document or kind.casefold() in _FILE_TYPES
                media = media or _MEDIA_TYPE.search(kind.casefold()) is not None
            media = media or not _MEDIA_KEYS.isdisjoint(item)
            waiting.extend(item.values())
        elif isinstance(item, str) and item[:17].casefold() == "data:application/":
            document = media = True
    return document, media or document


def _objects(value: object, what: str) -> Iterator[dict[str, Any]]:
    if not isinstance(value, list):
        raise Unreadable(f"{what} is not a list")
    for item in value:
        if not isinstance(item, dict):
            raise Unreadable(f"{what} holds something that is not an object")
        yield item


def _server_tool(kind: object) -> Objection:
    return Objection(Reason.SERVER_TOOL, f"tool {_shown(kind)} is run by OpenRouter or a provider, and bills")


def _shown(name: object) -> str:
    return f'"{redact(name, limit=60)}"' if isinstance(name, str) and name else "without a name"
