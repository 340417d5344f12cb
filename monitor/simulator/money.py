"""What a request costs, as the server reckons: tokens by the catalogue's price, and everything that costs besides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from monitor.simulator.catalogue import Entry
from monitor.simulator.reading import Ask, list_of

WEB_SEARCH_USD = 0.007
"""One search by OpenRouter's default engine."""
_OCR_USD = 0.002
_PLUGINS = {"web": WEB_SEARCH_USD, "web-fetch": 0.001, "fusion": 0.05, "armor": 0.001, "moderation": 0.001}
_ROUTER_PLUGINS = frozenset({"auto-router", "pareto-router", "jev-router", "switchyard-router"})
_ROUTER_PLUGIN_USD = 0.004
_FREE_PLUGINS = frozenset({"response-healing", "context-compression", "file-parser"})
_UNKNOWN_PLUGIN_USD = 0.001
_SERVER_TOOLS = {
    "web_search": WEB_SEARCH_USD,
    "web_fetch": 0.001,
    "image_generation": 0.04,
    "fusion": 0.05,
    "advisor": 0.02,
    "subagent": 0.02,
}
_SERVER_TOOL_USD = 0.003
_CLIENT_TOOL_TYPES = frozenset({"function", "custom"})
_FLAT_USD = {"images": 0.04, "audio.speech": 0.015, "audio.transcriptions": 0.006, "videos": 0.5, "batches": 0.01}
_OTHER_USD = 0.005
_UNIT_DOCUMENTS = 100
_SONG_USD = {"google/lyria-3-pro-preview": 0.08, "google/lyria-3-clip-preview": 0.04}
_TOKEN_ENDPOINTS = frozenset({"chat", "completions", "responses", "messages", "embeddings", "rerank"})
_TIERS = {"priority": 2.0, "fast": 2.0, "ultrafast": 3.0, "flex": 0.5}


@dataclass(frozen=True, slots=True)
class Bill:
    """What one answer costs, USD. `tools` is what add-ons cost, `searches` how often the web was searched."""

    prompt: float = 0.0
    completion: float = 0.0
    tools: float = 0.0
    searches: int = 0

    @property
    def total(self) -> float:
        cost = self.prompt + self.completion + self.tools
        return round(cost, 12) if cost else 0.0


NO_BILL = Bill()


def add_ons(ask: Ask, entry: Entry, suffixes: Iterable[str], default_plugins: tuple[str, ...]) -> tuple[float, int]:
    """USD and web searches for what the request asks besides the model, or what the account's settings add."""
    body = ask.body
    if not (
        ask.files or default_plugins or suffixes or "plugins" in body or "tools" in body or "web_search_options" in body
    ):
        return 0.0, 0
    plugins = _plugins(body, default_plugins)
    if "online" in suffixes or isinstance(body.get("web_search_options"), dict):
        plugins.setdefault("web", {})
    cost, searches = 0.0, 0
    for name, settings in plugins.items():
        cost += _plugin_cost(name, settings, ask)
        searches += name == "web"
    if ask.files and "file-parser" not in plugins and "file" not in entry.reads:
        cost += _OCR_USD * ask.files
    for tool in _server_tools(body):
        cost += _SERVER_TOOLS.get(tool, _SERVER_TOOL_USD)
        searches += tool == "web_search"
    return cost, searches


def _plugins(body: dict[str, Any], defaults: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The plugins that run: the account's, then the request's, which may switch one off."""
    plugins: dict[str, dict[str, Any]] = {name: {} for name in defaults}
    for each in list_of(body, "plugins"):
        settings = each if isinstance(each, dict) else {"id": each}
        name = str(settings.get("id"))
        if settings.get("enabled") is False:
            plugins.pop(name, None)
        else:
            plugins[name] = settings
    return plugins


def _plugin_cost(name: str, settings: dict[str, Any], ask: Ask) -> float:
    if name == "file-parser":
        pdf = settings.get("pdf")
        engine = pdf.get("engine") if isinstance(pdf, dict) else "mistral-ocr"
        return _OCR_USD * max(1, ask.files) if engine in (None, "mistral-ocr") else 0.0
    if name in _FREE_PLUGINS:
        return 0.0
    return _ROUTER_PLUGIN_USD if name in _ROUTER_PLUGINS else _PLUGINS.get(name, _UNKNOWN_PLUGIN_USD)


def _server_tools(body: dict[str, Any]) -> list[str]:
    """Tools that run on the server: `openrouter:…`, and the shorthands and dated names that become one."""
    found = []
    for tool in list_of(body, "tools"):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if not isinstance(kind, str) or kind in _CLIENT_TOOL_TYPES:
            continue
        name = kind.removeprefix("openrouter:")
        found.append(next((known for known in _SERVER_TOOLS if name.startswith(known)), name))
    return found


def compresses(ask: Ask) -> bool:
    """Whether a prompt that is too long is to be shortened to the model's context."""
    plugin = _plugins(ask.body, ()).get("context-compression")
    return plugin is not None or "middle-out" in list_of(ask.body, "transforms")


def search_units(ask: Ask) -> int:
    """How often reranking is billed: once for each hundred documents."""
    return max(1, -(-len(list_of(ask.body, "documents")) // _UNIT_DOCUMENTS)) if ask.endpoint == "rerank" else 1


def bill(
    ask: Ask, entry: Entry, prompt_tokens: int, completion_tokens: int, now: float, extras: tuple[float, int]
) -> Bill:
    """The whole bill of one answer. Free variants bill their listed price too: it may have stopped being zero."""
    tools, searches = extras
    if entry.costs_nothing and not tools:
        return NO_BILL
    if ask.endpoint not in _TOKEN_ENDPOINTS:
        flat = 0.0 if entry.free_variant else _FLAT_USD.get(ask.endpoint, _OTHER_USD)
        return Bill(0.0, flat, tools, searches)
    prompt_rate, completion_rate = entry.rates(prompt_tokens, now)
    factor = _TIERS.get(str(ask.body.get("service_tier")), 1.0)
    per_request = entry.request * search_units(ask)
    prompt = (prompt_tokens * prompt_rate + per_request + ask.images * entry.image) * factor
    completion = completion_tokens * completion_rate * factor + _SONG_USD.get(entry.id, 0.0)
    if "image" in entry.writes and ("text" not in entry.writes or "image" in list_of(ask.body, "modalities")):
        completion += _FLAT_USD["images"]
    return Bill(round(prompt, 12), round(completion, 12), tools, searches)


def too_dear(entry: Entry, limits: dict[str, float]) -> bool:
    """Whether `provider.max_price` excludes the model. Limits are USD per million tokens, per request, per image."""
    million = 1_000_000.0
    listed = {
        "prompt": entry.prompt * million,
        "completion": entry.completion * million,
        "request": entry.request,
        "image": entry.image,
    }
    return any(listed.get(name, 0.0) > limit + 1e-12 for name, limit in limits.items())
