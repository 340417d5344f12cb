"""Model ids as a request names them: whether one can be read, and what it asks for besides a model.

The catalogue decides whether an id is free; here only what no catalogue lists: presets, suffixes that change the route,
routers that choose another model.
"""

from __future__ import annotations

import re
from functools import lru_cache

from monitor.model import Objection, Reason
from monitor.openrouter.fields import squash
from monitor.openrouter.unreadable import Unreadable
from monitor.redact import redact

_PLAIN = re.compile(r"[!-~]{1,512}")
# OpenRouter's FAQ: these work on any id, are not listed, and may choose a dearer endpoint or service tier.
_DYNAMIC = frozenset({"nitro", "floor", "exacto"})
_ROUTERS = frozenset(
    {
        "openrouter/auto",
        "openrouter/auto-beta",
        "openrouter/fusion",
        "openrouter/bodybuilder",
        "typesafe/jev-router",
    }
)
_NAMES_MODEL = re.compile(r"(?!excluded|ignored?)\w*models?")


def model_id(value: object) -> str:
    """`value` as a model id. Raises `Unreadable` for what is no string of printable ASCII without spaces."""
    if not isinstance(value, str):
        raise Unreadable("a model id is not a string")
    if not _PLAIN.fullmatch(value):
        raise Unreadable("a model id holds a space, a control character or a letter beyond ASCII")
    return value


@lru_cache(maxsize=1024)
def is_plain_model(name: str) -> bool:
    """Whether this is an id that can be read and that nothing speaks against, whatever it costs."""
    return _PLAIN.fullmatch(name) is not None and judge_model(name) is None


@lru_cache(maxsize=1024)
def judge_model(name: str) -> Objection | None:
    """What speaks against this id whatever it costs."""
    if name == "openrouter/free":
        return None
    folded = name.casefold()
    shown = redact(name, limit=80)
    if folded.startswith("@") or "@preset" in folded:
        return Objection(Reason.PRESET, f'"{shown}" is a preset: it may bring models, tools and plugins', name)
    base, *suffixes = folded.split(":")
    if "online" in suffixes:
        return Objection(Reason.PAID_PLUGIN, f'the suffix ":online" of "{shown}" bills web searches', name)
    if not _DYNAMIC.isdisjoint(suffixes):
        return Objection(Reason.ROUTER_MODEL, f'the suffix of "{shown}" lets OpenRouter choose a dearer route', name)
    if "free" in suffixes and len(suffixes) > 1:
        return Objection(Reason.ROUTER_MODEL, f'"{shown}" has another suffix beside ":free"', name)
    if base in _ROUTERS or base.startswith(("~", "openrouter/pareto")) or base.endswith("-router") or "*" in base:
        return Objection(
            Reason.ROUTER_MODEL, f'"{shown}" lets OpenRouter choose the model, which may be a paid one', name
        )
    return None


def models_in(value: object) -> list[str]:
    """Every string that stands, at any depth, below a key that names models (`model`, `allowed_models`, …).

    Plugins and server tools name the models that they call in this way. The shape below is not walked by recursion:
    a deep body must not exhaust the stack. Raises `Unreadable` for an id that cannot be read.
    """
    found: list[str] = []
    waiting: list[tuple[object, bool]] = [(value, False)]
    while waiting:
        item, named = waiting.pop()
        if isinstance(item, str):
            if named:
                found.append(model_id(item))
        elif isinstance(item, dict):
            for key, below in item.items():
                waiting.append((below, named or _NAMES_MODEL.fullmatch(squash(key)) is not None))
        elif isinstance(item, list):
            waiting.extend((below, named) for below in item)
    return found
