"""The models that exist, and what each costs: the list that `/models` shows and that billing reads.

A change at run time builds a new, immutable view and swaps it in, so a request sees one state of the world.
"""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from monitor.errors import ConfigError
from monitor.simulator.rows import Row, own_rows

_PROVIDERS = ("DeepInfra", "Chutes", "Novita", "Together", "Parasail", "Google AI Studio", "Nebius", "Venice")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _price(value: Any) -> float:
    try:
        return float(Decimal(str(value)))
    except InvalidOperation:
        return 0.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A model of the catalogue, read once. Prices are USD per token, per request, per image."""

    id: str
    row: Row
    served_name: str
    """The `model` of an answer: the id of a free variant, the dated slug of a paid one."""
    provider: str
    prompt: float
    completion: float
    request: float
    image: float
    context: int
    """Tokens that a prompt may have; 0 where the catalogue does not say."""
    reads: frozenset[str]
    writes: frozenset[str]
    alias: str | None
    overrides: tuple[dict[str, Any], ...]

    costs_nothing: bool
    """A `:free` variant that lists no price but zero."""

    @property
    def free_variant(self) -> bool:
        return self.id.endswith(":free")

    @property
    def variable(self) -> bool:
        """Priced by where it is routed, as `openrouter/auto` is."""
        return self.prompt < 0 or self.completion < 0

    @property
    def thinks(self) -> bool:
        return "reasoning" in self.row

    def rates(self, prompt_tokens: int, now: float) -> tuple[float, float]:
        """USD per prompt and per completion token for a prompt of this size at this time."""
        prompt, completion = self.prompt, self.completion
        for override in self.overrides:
            if _applies(override, prompt_tokens, now):
                prompt = _price(override.get("prompt", prompt))
                completion = _price(override.get("completion", completion))
        return prompt, completion


def _charges(pricing: dict[str, Any]) -> bool:
    """Whether any listed price, or any conditional one, is more than zero."""
    conditional = [value for each in pricing.get("overrides") or () for value in each.values()]
    listed = [value for name, value in pricing.items() if name not in ("overrides", "discount")]
    return any(_price(value) != 0 for value in (*listed, *conditional) if not isinstance(value, list))


def _applies(override: dict[str, Any], prompt_tokens: int, now: float) -> bool:
    """Whether every condition of a conditional price holds; the clock window is HHMM numbers and may wrap."""
    least = override.get("min_prompt_tokens")
    if least is not None and prompt_tokens <= float(least):
        return False
    at = datetime.fromtimestamp(now, UTC)
    days = override.get("utc_days")
    if days and _WEEKDAYS[at.weekday()] not in {str(day).lower()[:3] for day in days}:
        return False
    start, end = override.get("utc_start"), override.get("utc_end")
    if start is None and end is None:
        return True
    clock, start, end = at.hour * 100 + at.minute, float(start or 0), float(2400 if end is None else end)
    return start <= clock < end if start <= end else clock >= start or clock < end


def read_entry(row: Row) -> Entry:
    """An entry from a catalogue row of any year; fields that the year did not have are guessed."""
    model_id = str(row["id"])
    pricing = row.get("pricing") or {}
    architecture = row.get("architecture") or {}
    modality = str(architecture.get("modality") or "text->text")
    reads, _, writes = modality.partition("->")
    prompt, completion = _price(pricing.get("prompt", 0)), _price(pricing.get("completion", 0))
    free = model_id.endswith(":free") or (prompt == 0 and completion == 0)
    return Entry(
        id=model_id,
        row=row,
        served_name=model_id if free else str(row.get("canonical_slug") or model_id),
        provider=_PROVIDERS[sum(model_id.encode()) % len(_PROVIDERS)],
        prompt=prompt,
        completion=completion,
        request=_price(pricing.get("request", 0)),
        image=_price(pricing.get("image", 0)),
        context=int(row.get("context_length") or 0),
        reads=frozenset(architecture.get("input_modalities") or reads.split("+")),
        writes=frozenset(architecture.get("output_modalities") or (writes or "text").split("+")),
        alias=(row.get("alias_target") or {}).get("slug"),
        overrides=tuple(pricing.get("overrides") or ()),
        costs_nothing=model_id.endswith(":free") and not _charges(pricing),
    )


@dataclass(frozen=True, slots=True)
class View:
    """One state of the catalogue."""

    rows: tuple[Row, ...]
    entries: dict[str, Entry]
    free: tuple[Entry, ...]
    """What `openrouter/free` chooses from."""
    paid: tuple[Entry, ...]
    """Paid text models, the one that serves by default first."""
    pages: dict[tuple[str, bool], bytes] = field(default_factory=dict)
    """Answers already rendered, by query and by whether they are compressed."""


def build_view(rows: Iterable[Row], default_model: str | None = None) -> View:
    kept = tuple(rows)
    entries = {entry.id: entry for entry in map(read_entry, kept)}
    chat = [entry for entry in entries.values() if entry.writes == {"text"} and not entry.id.startswith("openrouter/")]
    paid = [entry for entry in chat if (entry.prompt > 0 or entry.completion > 0) and not entry.free_variant]
    # A paid twin of a free model is the cheapest mistake; the default is a model that shows the mistake.
    paid.sort(key=lambda entry: (entry.id != default_model, f"{entry.id}:free" in entries, entry.alias is not None))
    return View(kept, entries, tuple(entry for entry in chat if entry.free_variant), tuple(paid))


def load_rows(path: Path) -> list[Row]:
    """The rows of a recorded body of `GET /models`: `{"data": […]}` or a bare list, plain or gzip."""
    try:
        raw = path.read_bytes()
        body = json.loads(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"The catalogue {path} cannot be read: {error}.", hint="Give a JSON or .json.gz file."
        ) from None
    rows = body.get("data") if isinstance(body, dict) else body
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "id" in row for row in rows):
        raise ConfigError(f"The catalogue {path} is not a list of models.", hint="Record GET /api/v1/models.")
    return rows


class Catalogue:
    """The view of now. Changes may come from any thread."""

    def __init__(self, path: Path | None = None, default_model: str | None = None) -> None:
        self._lock = threading.Lock()
        self._default_model = default_model
        self._first = load_rows(path) if path is not None else own_rows()
        self.view = build_view(self._first, default_model)

    def set(self, rows: Iterable[Row]) -> None:
        """Replace the whole list."""
        with self._lock:
            self.view = build_view(rows, self._default_model)

    def reset(self) -> None:
        """Back to the list that the simulator started with."""
        self.set(self._first)

    def update(self, model_id: str, **changes: Any) -> None:
        """Change fields of one model; `pricing` and other objects are merged, key by key, None removes a price."""
        with self._lock:
            if model_id not in self.view.entries:
                raise KeyError(model_id)
            rows = [_changed(row, changes) if row["id"] == model_id else row for row in self.view.rows]
            self.view = build_view(rows, self._default_model)

    def add(self, row: Row) -> None:
        with self._lock:
            self.view = build_view([*self.view.rows, row], self._default_model)

    def remove(self, model_id: str) -> None:
        with self._lock:
            if model_id not in self.view.entries:
                raise KeyError(model_id)
            rows = [row for row in self.view.rows if row["id"] != model_id]
            self.view = build_view(rows, self._default_model)


def _changed(row: Row, changes: dict[str, Any]) -> Row:
    new = dict(row)
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(new.get(name), dict):
            merged = {**new[name], **value}
            new[name] = {key: each for key, each in merged.items() if each is not None}
        else:
            new[name] = value
    return new
