"""Retry storms: one request, sent again and again by a client that does not know when to stop.

An SDK that retries for an hour, or a loop around one, burns the day's requests on something that keeps failing. The
guard sees it as the same body that fails every time. The fourth try in a row is slowed, then each after it more, and
from the eighth on it is refused, for five minutes; then one try may leave, for the world may have changed. One success
ends it all. Who sends a body often and gets answers is never slowed.

Kept in the memory of one process, for a storm is one process's doing, and at no cost while nothing fails.
"""

from __future__ import annotations

from dataclasses import dataclass

SLOWED_FROM = 3
"""Failures in a row that are nobody's fault: SDKs of good manners try three times."""

REFUSED_FROM = 7
FIRST_DELAY = 1.0
QUIET_SECONDS = 300.0
"""What has not been tried for so long is forgotten; and how long a storm is refused."""

MOST = 512
"""Bodies that are remembered."""


@dataclass(slots=True)
class _Storm:
    failures: int
    last: float
    refused_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Brake:
    """What to do with a try: wait `delay` seconds first, or refuse it, open again at `until` (monotonic seconds)."""

    failures: int
    delay: float = 0.0
    until: float | None = None


class Storms:
    """The bodies that keep failing, by a hash of them. Times are seconds of a clock that never steps back."""

    __slots__ = ("_by_body",)

    def __init__(self) -> None:
        self._by_body: dict[int, _Storm] = {}

    def __bool__(self) -> bool:
        """Whether anything failed lately: while nothing did, nobody needs to ask."""
        return bool(self._by_body)

    def brake(self, body: int, now: float, told: int = 0) -> Brake | None:
        """What to do with a try of this body; None: let it go. `told`: retries of it that the client itself counts."""
        storm = self._by_body.get(body)
        if storm is not None and now - storm.last > QUIET_SECONDS:
            del self._by_body[body]
            storm = None
        # By its own count too: its tries may have come through another process.
        failures = max(storm.failures if storm is not None else 0, told)
        if storm is None:
            return _brake(failures, now)
        if now < storm.refused_until:
            storm.last = now
            return Brake(failures, until=storm.refused_until)
        if storm.refused_until:
            # The one try after the pause; those beside it are refused until it is known what became of it.
            storm.refused_until = now + QUIET_SECONDS
            return None
        return _brake(failures, now)

    def failed(self, body: int, now: float) -> None:
        """A try of this body left, and failed."""
        storm = self._by_body.get(body)
        if storm is None or now - storm.last > QUIET_SECONDS:
            if len(self._by_body) >= MOST:
                self._by_body.clear()
            self._by_body[body] = _Storm(1, now)
            return
        storm.failures += 1
        storm.last = now
        if storm.failures >= REFUSED_FROM:
            storm.refused_until = now + QUIET_SECONDS

    def succeeded(self, body: int) -> None:
        """A try of this body was answered."""
        self._by_body.pop(body, None)


def advice_for(user_agent: str) -> str:
    """How to keep the client that names itself so from retrying without end."""
    agent = user_agent.lower()
    if "speakeasy" in agent or "openrouter" in agent:
        return (
            "By default this SDK sends a failed call again for an hour. Bound it: OpenRouter(retry_config=RetryConfig("
            "'backoff', BackoffStrategy(500, 5000, 1.5, 20000), False))."
        )
    if "openai" in agent or "anthropic" in agent:
        name = "Anthropic" if "anthropic" in agent else "OpenAI"
        return f"Bound its retries: {name}(max_retries=1), and no loop around it that tries for ever."
    return "Bound your client's retries, and wait longer after each."


def _brake(failures: int, now: float) -> Brake | None:
    if failures >= REFUSED_FROM:
        return Brake(failures, until=now + QUIET_SECONDS)
    if failures >= SLOWED_FROM:
        return Brake(failures, delay=FIRST_DELAY * 2.0 ** (failures - SLOWED_FROM))
    return None
