"""From a name in a request to the model that serves it: suffixes, routers, aliases, presets."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from monitor.simulator.catalogue import Entry, View
from monitor.simulator.refusals import Refusal, constraint_filtered, free_variant_ended, invalid_model, no_endpoints

FREE_ROUTER = "openrouter/free"
_DYNAMIC = frozenset({"online", "nitro", "floor", "exacto"})
"""Suffixes that work on any id and are not listed."""
_OUTPUTS = {"embeddings": "embeddings", "rerank": "rerank"}
_TEXT_ENDPOINTS = frozenset({"chat", "completions", "responses", "messages"})


@dataclass(frozen=True, slots=True)
class Route:
    """What serves a name. `asked` is the entry that the name stands for, `entry` the one that answers."""

    entry: Entry
    free_pool: bool
    """Gated by the free-model quota: a `:free` variant, or the router over them."""
    suffixes: tuple[str, ...] = ()
    preset: str | None = None
    router: str | None = None


def route(view: View, name: str | None, prompt: str) -> Route | Refusal:
    """The model for `name`; None and presets are the account's default, which is paid."""
    if name is None:
        return _default(view, "default")
    wanted, _, preset = name.strip().partition("@preset/")
    if preset:
        return _default(view, name, preset=preset)
    if wanted in view.entries:
        return _routed(view, view.entries[wanted], prompt)
    wanted, suffixes = _without_suffixes(view, wanted.lower())
    if wanted in view.entries:
        found = _routed(view, view.entries[wanted], prompt)
        return (
            found if isinstance(found, Refusal) else Route(found.entry, found.free_pool, suffixes, None, found.router)
        )
    base = wanted.removesuffix(":free")
    return free_variant_ended(wanted) if base != wanted and base in view.entries else invalid_model(name)


def _without_suffixes(view: View, name: str) -> tuple[str, tuple[str, ...]]:
    """The listed id in `name` and the dynamic suffixes after it."""
    suffixes: list[str] = []
    while name not in view.entries:
        base, colon, suffix = name.rpartition(":")
        if not colon or suffix not in _DYNAMIC:
            break
        name = base
        suffixes.append(suffix)
    return name, tuple(suffixes)


def _default(view: View, name: str, preset: str | None = None) -> Route | Refusal:
    if not view.paid:
        return no_endpoints(name)
    return Route(view.paid[0], free_pool=False, preset=preset)


def _routed(view: View, entry: Entry, prompt: str) -> Route | Refusal:
    if entry.id == FREE_ROUTER:
        if not view.free:
            return no_endpoints(entry.id)
        chosen = view.free[zlib.crc32(prompt.encode("utf-8", "replace")) % len(view.free)]
        return Route(chosen, free_pool=True, router=entry.id)
    if entry.alias is not None:
        target = view.entries.get(entry.alias)
        return Route(target, target.free_variant, router=entry.id) if target else no_endpoints(entry.id)
    if entry.variable:
        return Route(view.paid[0], free_pool=False, router=entry.id) if view.paid else no_endpoints(entry.id)
    return Route(entry, entry.free_variant)


def wrong_output(entry: Entry, endpoint: str, modalities: object) -> Refusal | None:
    """A refusal when the model cannot answer this endpoint, or cannot give the outputs that were asked."""
    needed = _OUTPUTS.get(endpoint)
    if needed is not None and needed not in entry.writes:
        return no_endpoints(entry.id)
    if endpoint in _TEXT_ENDPOINTS and "text" not in entry.writes and "image" not in entry.writes:
        return no_endpoints(entry.id)
    wanted = {each for each in modalities if isinstance(each, str)} if isinstance(modalities, list) else set()
    return None if wanted <= entry.writes else constraint_filtered(entry.id, "output_modalities")
