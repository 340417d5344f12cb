"""What the server truly received, served and billed: the truth that a ledger is compared with."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

_SECRET_HEADERS = frozenset({"authorization", "x-api-key", "cookie", "proxy-authorization"})


class Post(NamedTuple):
    """One POST that reached the server. `at` is epoch seconds, `cost_usd` what it billed. (A tuple, as one is made for
    every request of a benchmark, and tuples are made fastest.)"""

    at: float
    path: str
    status: int
    """0 when the connection was closed without an answer."""
    body: bytes
    all_headers: Mapping[str, str]
    """As received, with the credential; `headers` is what may be shown."""
    account: str | None = None
    model_asked: str | None = None
    model_served: str | None = None
    cost_usd: float = 0.0
    free: bool = False
    """Served, and nothing was billed."""
    counted: bool = False
    """It used one of the day's free requests."""
    overshoot: bool = False
    """The platform refused it for the free quota."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    generation_id: str | None = None
    fault: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """All headers but those that carry a credential, names in lower case."""
        named = ((name.lower(), value) for name, value in self.all_headers.items())
        return {name: value for name, value in named if name not in _SECRET_HEADERS}

    def __repr__(self) -> str:
        return f"Post({self.path}, {self.model_asked} -> {self.model_served}, {self.status}, ${self.cost_usd})"

    def as_json(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in self._fields if name not in ("body", "all_headers")}
        return {**plain, "body": self.body.decode("utf-8", "replace"), "headers": self.headers}


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over every POST, also those no longer kept in full."""

    requests: int = 0
    served: int = 0
    free_served: int = 0
    counted: int = 0
    overshoots: int = 0
    cost_usd: float = 0.0


class Books:
    """Written by the server's thread, read by any."""

    def __init__(self, keep: int) -> None:
        self._changed = threading.Condition()
        self._posts: deque[Post] = deque(maxlen=keep)
        self._clear()

    def _clear(self) -> None:
        self._posts.clear()
        self._requests = self._served = self._free_served = self._counted = self._overshoots = 0
        self._cost = 0.0
        self._statuses: Counter[int] = Counter()

    def write(self, post: Post) -> None:
        with self._changed:
            self._posts.append(post)
            self._requests += 1
            self._served += post.status == 200
            self._free_served += post.status == 200 and post.free
            self._counted += post.counted
            self._overshoots += post.overshoot
            self._cost += post.cost_usd
            self._statuses[post.status] += 1
            self._changed.notify_all()

    def reset(self) -> None:
        with self._changed:
            self._clear()

    def wait_for(self, requests: int, timeout: float = 5.0) -> bool:
        """Block until that many POSTs arrived; False when `timeout` seconds passed first."""
        with self._changed:
            return self._changed.wait_for(lambda: self._requests >= requests, timeout)

    @property
    def posts(self) -> list[Post]:
        """The newest POSTs, oldest first."""
        with self._changed:
            return list(self._posts)

    @property
    def totals(self) -> Totals:
        with self._changed:
            return Totals(
                requests=self._requests,
                served=self._served,
                free_served=self._free_served,
                counted=self._counted,
                overshoots=self._overshoots,
                cost_usd=round(self._cost, 12),
            )

    @property
    def statuses(self) -> dict[int, int]:
        """How many POSTs were answered with each status."""
        with self._changed:
            return dict(self._statuses)

    @property
    def requests(self) -> int:
        """POSTs received."""
        return self.totals.requests

    @property
    def free_served(self) -> int:
        """POSTs answered 200 that billed nothing."""
        return self.totals.free_served

    @property
    def counted(self) -> int:
        """POSTs that used one of the day's free requests."""
        return self.totals.counted

    @property
    def overshoots(self) -> int:
        """Platform 429s given out because a free window was full. Injected ones are not among them."""
        return self.totals.overshoots

    @property
    def cost_usd(self) -> float:
        """USD billed."""
        return self.totals.cost_usd

    def as_json(self, *, posts: int = 100) -> dict[str, Any]:
        """Totals and the newest `posts`."""
        kept = self.posts
        newest = kept[-posts:] if posts > 0 else []
        statuses = {str(status): count for status, count in self.statuses.items()}
        return {**asdict(self.totals), "statuses": statuses, "posts": [post.as_json() for post in newest]}
