"""What the core of a call asks of its shell: besides `Run` and `Sleep` of the guard's course, to send and to read."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

from monitor.client.answers import Answer
from monitor.transport.effects import CallTag, Run, Sleep

__all__ = ["Effect", "Lost", "Post", "Read", "Reply", "Run", "Sleep", "Talk"]


@dataclass(slots=True)
class Post:
    """Send this body to the chat endpoint; send back a `Reply`, or `Lost` when no answer came."""

    body: bytes
    tag: CallTag
    stream: bool


@dataclass(slots=True)
class Read:
    """Read on in the open stream; send back its next bytes, None at its end, or `Lost` when it broke off."""


@dataclass(slots=True)
class Reply:
    """An answer's status, headers (names in lower case) and decoded body; None for a stream that is open to be read."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None


@dataclass(slots=True)
class Lost:
    """No answer, or only the beginning of one. `sent`: something may have left this machine."""

    sent: bool
    said: str


Effect = Post | Read | Run | Sleep
Talk = Generator[Effect | str, Any, Answer]
"""One call: yields effects, and texts of the answer as they come, and returns the whole answer."""
