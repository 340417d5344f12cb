"""What a course and its shell say to each other: the request as the one knows it, and what the other is asked to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from monitor.refresh import Fetch
from monitor.store.protocol import Transaction

TAG = "openrouter_monitor"
"""The extension of a request that holds a `CallTag`."""


@dataclass(slots=True)
class Run:
    """Run a function that may block for a moment; send back what it returned.

    `undo` is for a shell whose caller goes away while `work` runs, and who will never see what it returned. `at_once`
    does the same without waiting for anybody, or raises StoreUnreachable: for a shell on an event loop to try first.
    `within` does it inside a transaction that the shell has begun, for one that books several calls in one.
    """

    work: Callable[[], Any]
    undo: Callable[[Any], None] | None = None
    at_once: Callable[[], Any] | None = None
    within: Callable[[Transaction], Any] | None = None


@dataclass(slots=True)
class Sleep:
    """Wait so many seconds, and then ask again, for a window to open: that of the account, or of `model` alone."""

    seconds: float
    model: str = ""


@dataclass(slots=True)
class Pause:
    """Wait so many seconds, for nothing in particular: this one request is slowed, and nobody else."""

    seconds: float


@dataclass(slots=True)
class Send:
    """Send the request with this body (None: as it is); send back its `Head`, or throw what the library raised."""

    body: bytes | None = None


@dataclass(slots=True)
class Head:
    """The answer's first lines. Header names are lower case."""

    status: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CallTag:
    """What a client of our own says of an attempt, as an extension of the request, which never leaves this process.

    `wait` is how many seconds it would queue, instead of `guard.wait`; with `cooldowns` also for a model that cools
    down, where another client would rather ask another model.
    """

    call_id: str
    attempt: int
    wait: float
    cooldowns: bool = True


@dataclass(slots=True)
class Request:
    """What the course knows of a request. Header names are lower case; `body` is read only when it must be."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: Callable[[], bytes]
    tag: CallTag | None = None


@dataclass(frozen=True, slots=True)
class Shell:
    """What a shell can do for a course: fetch by the client's own way out, and put work in the background.

    `never_sent` tells the exceptions before which nothing can have left this machine.
    """

    fetch: Fetch
    never_sent: Callable[[BaseException], bool]
    background: Callable[[Callable[[], None]], None]


Effect = Run | Sleep | Pause | Send
