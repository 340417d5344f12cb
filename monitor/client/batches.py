"""What both clients do to begin a batch: read its items, name it, check what could stop it, and draw its progress."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.client.base import Base
from monitor.client.batching import BatchRun, Progress
from monitor.client.items import Item, name_of, read_items, split_words
from monitor.client.looking import supply_of
from monitor.client.wishes import Wish
from monitor.clock import iso
from monitor.errors import ConfigError
from monitor.openrouter.values import letters
from monitor.policy.pacing import Spread
from monitor.refresh import Fetch

Tell = Callable[[Progress], None]
"""Hears how a batch stands, now and then."""

FOREVER = float("inf")
MOST_WORKERS = 64


@dataclass(frozen=True, slots=True)
class Manner:
    """How a batch is worked on: its name, how many at once, at what pace; `words` hold for every item."""

    name: str | None = None
    concurrency: int = 8
    spread: str = Spread.NOW
    fresh: bool = False
    words: Mapping[str, Any] = field(default_factory=dict)


def prepare(base: Base, fetch: Fetch, questions: Iterable[Any], manner: Manner) -> BatchRun:
    """A run over the questions, not begun yet. Raises ConfigError and StoreError."""
    base.headers()  # without a key no item can be asked
    if not 1 <= manner.concurrency <= MOST_WORKERS:
        raise ConfigError(f"concurrency is {manner.concurrency}.", hint=f"Give a number from 1 to {MOST_WORKERS}.")
    if manner.spread not in list(Spread):
        raise ConfigError(f"spread is {manner.spread!r}.", hint=f"Say one of {', '.join(Spread)}.")
    if manner.name is not None and (not isinstance(manner.name, str) or letters(manner.name) != manner.name):
        raise ConfigError("the name of the batch is no text.", hint="Give one, or none: it is then made of the items.")
    items = list(_items(base, questions, manner.words))
    name = manner.name or name_of(items)
    base.calls.chooser.refresh_key(fetch)
    return BatchRun(base.guard, items, name, Spread(manner.spread), lambda: supply_of(base), fresh=manner.fresh)


def _items(base: Base, questions: Iterable[Any], words: Mapping[str, Any]) -> list[Item]:
    def make(question: Any, said: Mapping[str, Any]) -> Wish:
        own, parameters = split_words({**words, **said})
        given = {"model": None, "task": None, "system": None, "fallbacks": None, "cache": None, **own}
        return base.wish(question, stream=False, wait=FOREVER, parameters=parameters, **given)

    if isinstance(questions, str | Mapping):
        raise ConfigError("a batch is a list of questions.", hint="Use chat for a single one.")
    return read_items(questions, make, base.settings.base_url)


@contextlib.contextmanager
def telling(progress: bool | Tell) -> Iterator[Tell | None]:
    """Who is told of the progress: nobody, a function, or a person who sees a bar on stderr."""
    if not isinstance(progress, bool):
        yield progress
    elif not progress:
        yield None
    else:
        with _bar() as tell:
            yield tell


@contextlib.contextmanager
def _bar() -> Iterator[Tell]:
    from rich.console import Console  # noqa: PLC0415 - only who wants to see a bar pays for drawing it
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415
    from rich.progress import Progress as Bar  # noqa: PLC0415

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[told]}"), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("batch", total=None, told="")

        def tell(progress: Progress) -> None:
            finished = progress.done + progress.failed
            bar.update(task, completed=finished, total=progress.total, told=in_words(progress), refresh=True)

        yield tell


def in_words(progress: Progress) -> str:
    """What a bar does not show."""
    parts = [f"{progress.failed} failed"] if progress.failed else []
    if progress.waits_until is not None:
        parts.append(f"the next at {iso(progress.waits_until)}")
    if progress.done + progress.failed < progress.total:
        parts.append("never ends" if progress.ends_at is None else f"ends {iso(progress.ends_at)}")
    return ", ".join(parts)
