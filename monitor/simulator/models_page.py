"""`/models` and its relatives: the catalogue as lists, pages, counts and endpoints."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from monitor.simulator.catalogue import Entry, View
from monitor.simulator.refusals import Refusal, plain
from monitor.simulator.reply import as_json

_MOST = 1_000
_PAGES_KEPT = 64


def listed(view: View, query: Mapping[str, str]) -> list[Entry]:
    """Models with one of the outputs asked for; text unless told otherwise, `all` for every one."""
    wanted = {each.strip() for each in query.get("output_modalities", "text").split(",")}
    entries = [entry for entry in view.entries.values() if "all" in wanted or entry.writes & wanted]
    needed = {each for each in query.get("supported_parameters", "").split(",") if each}
    return [entry for entry in entries if needed <= set(entry.row.get("supported_parameters") or ())]


def models_page(view: View, query: Mapping[str, str], *, zipped: bool) -> bytes | Refusal:
    """The body of `GET /models`, compressed or not. Rendered once for each state of the catalogue."""
    name = (urlencode(sorted(query.items())), zipped)
    page = view.pages.get(name)
    if page is None:
        body = _render(view, query)
        if isinstance(body, Refusal):
            return body
        page = gzip.compress(body, 6, mtime=0) if zipped else body
        if len(view.pages) >= _PAGES_KEPT:
            view.pages.clear()
        view.pages[name] = page
    return page


def _render(view: View, query: Mapping[str, str]) -> bytes | Refusal:
    entries = listed(view, query)
    try:
        offset = max(0, int(query.get("offset", 0)))
        limit = int(query.get("limit", _MOST if "offset" in query else len(entries) or 1))
    except ValueError:
        return plain(400, "offset and limit must be numbers")
    if not 1 <= limit <= max(_MOST, len(entries)):
        return plain(400, f"limit must be between 1 and {_MOST}")
    following = offset + limit
    more = None
    if following < len(entries):
        more = "/api/v1/models?" + urlencode({**query, "offset": following, "limit": limit})
    rows = [entry.row for entry in entries[offset:following]]
    return as_json({"data": rows, "total_count": len(entries), "links": {"next": more}})


def count_page(view: View, query: Mapping[str, str]) -> dict[str, Any]:
    return {"data": {"count": len(listed(view, query))}}


def endpoints_page(entry: Entry, *, authenticated: bool) -> dict[str, Any]:
    """The endpoints of one model: one provider each. Latencies are told only to those who have a key."""
    row = entry.row
    top = row.get("top_provider") or {}
    percentiles = {"p50": 420.0, "p75": 650.0, "p90": 1100.0, "p99": 2900.0} if authenticated else None
    speed = {"p50": 58.0, "p75": 44.0, "p90": 30.0, "p99": 11.0} if authenticated else None
    endpoint = {
        "name": f"{entry.provider} | {row.get('canonical_slug', entry.id)}",
        "tag": entry.provider.lower().replace(" ", "-"),
        "provider_name": entry.provider,
        "model_id": entry.id,
        "model_name": row.get("name", entry.id),
        "pricing": row.get("pricing") or {},
        "context_length": row.get("context_length") or 0,
        "max_completion_tokens": top.get("max_completion_tokens"),
        "max_prompt_tokens": None,
        "quantization": None,
        "supported_parameters": row.get("supported_parameters") or [],
        "supports_implicit_caching": False,
        "supports_diarization": False,
        "supports_tool_choice": {"auto": True, "none": True, "required": True, "function": True},
        "native_tools": {},
        "service_tier": None,
        "status": 0,
        "uptime_last_5m": 99.2,
        "uptime_last_30m": 98.7,
        "uptime_last_1d": 97.9,
        "latency_last_30m": percentiles,
        "throughput_last_30m": speed,
    }
    data = {
        "id": entry.id,
        "name": row.get("name", entry.id),
        "created": row.get("created", 0),
        "description": row.get("description", ""),
        "architecture": row.get("architecture") or {},
        "endpoints": [] if entry.id.startswith(("openrouter/", "~")) else [endpoint],
    }
    return {"data": data}
