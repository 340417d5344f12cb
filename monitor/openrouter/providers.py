"""`GET /models/{author}/{slug}/endpoints`: who serves a model, and how often they could of late."""

from __future__ import annotations

from urllib.parse import quote

from monitor.errors import PollError
from monitor.openrouter.limits import error_text
from monitor.openrouter.values import loads, mapping, number, text
from monitor.redact import redact

PROVIDERS_AT_MOST = 20
"""Of one model; those that are up most often are kept."""

_NAME_LIMIT = 60


def endpoints_path(model: str) -> str:
    """Where the endpoints of a model are told, below the base URL."""
    return f"/models/{quote(model, safe='/:~@')}/endpoints"


def parse_uptimes(body: bytes | object) -> dict[str, float]:
    """The part of the last 30 minutes (0 to 1) in which each provider of a model answered, as OpenRouter reckons it.

    A provider with several endpoints has the figure of its best one; one without a figure is left out, and so is
    everything that cannot be read. Raises `PollError` when the answer is no object, or an error.
    """
    content = loads(body) if isinstance(body, bytes | bytearray | str) else body
    if not isinstance(content, dict) or "error" in content:
        said = error_text(content) if isinstance(content, dict) else "the answer holds no object"
        raise PollError(f"The endpoints of a model were not told: {said}")
    listed = mapping(content.get("data", content)).get("endpoints")
    found: dict[str, float] = {}
    for entry in map(mapping, listed if isinstance(listed, list) else ()):
        percent = number(entry.get("uptime_last_30m"))
        name = text(entry.get("provider_name")) or text(entry.get("tag"))
        if name is not None and percent is not None and 0 <= percent <= 100:
            name = redact(name, limit=_NAME_LIMIT)
            found[name] = max(found.get(name, 0.0), percent / 100)
    best = sorted(found, key=lambda name: (-found[name], name))[:PROVIDERS_AT_MOST]
    return {name: found[name] for name in best}
