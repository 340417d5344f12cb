"""Which answer is at which path."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from monitor.serving.messages import Response


class NotFound(Exception):
    """There is nothing at that path."""


@dataclass(frozen=True, slots=True)
class Route:
    """What answers at the paths that `pattern` matches whole; its named groups are given to `answer` as arguments."""

    pattern: str
    answer: Callable[..., Awaitable[Response]]


def find(routes: Iterable[Route], path: str) -> tuple[Callable[..., Awaitable[Response]], dict[str, str]]:
    """What answers at the (decoded) path, and the path's parts. Raises NotFound."""
    for route in routes:
        found = re.fullmatch(route.pattern, path, re.DOTALL)
        if found is not None:
            return route.answer, found.groupdict()
    raise NotFound
