"""Retry storms: one request, sent again and again by a client that does not know when to stop.

An SDK that retries for an hour, or a loop around one, burns the day's requests on something that keeps failing. The
guard sees it as the same body that fails every time. The fourth try in a row is slowed, then each after it more, and
from the eighth on it is refused, for five minutes; then one try may leave, for the world may have changed. One success
ends it all. Who sends a body often and gets answers is never slowed. Tries that were under way together fail together:
they count as one, for none of them was made in spite of another's failure.

Kept in the memory of one guard, for a storm is one program's doing, and at no cost while nothing fails. What never left
for lack of a connection spent nothing, and is no failure here.
"""

from __future__ import annotations

from dataclasses import dataclass

from monitor.model import Action, Outcome, Reason, Verdict

SLOWED_FROM = 3
"""Failures in a row that are nobody's fault: SDKs of good manners try three times."""

REFUSED_FROM = 7
FIRST_DELAY = 1.0
QUIET_SECONDS = 300.0
"""What has not been tried for so long is forgotten; and how long a storm is refused."""

MOST = 512
"""Bodies that are remembered."""

FAILURES = frozenset({Outcome.RATE_LIMITED, Outcome.CLIENT_ERROR, Outcome.SERVER_ERROR, Outcome.NETWORK_ERROR})
"""Ends of an attempt that count; who breaks off by itself is no storm."""


@dataclass(slots=True)
class _Storm:
    failures: int
    counted_at: float
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
            self._by_body.pop(body, None)
            storm = None
        if storm is None:
            # Its tries may have come through another process, or have met a closed door: slowed, and no more than that.
            return _brake(min(told, REFUSED_FROM - 1), now)
        failures = max(storm.failures, told)
        if now < storm.refused_until:
            storm.last = now
            return Brake(failures, until=storm.refused_until)
        if storm.refused_until:
            # The one try after the pause; those beside it are refused until it is known what became of it.
            storm.refused_until = now + QUIET_SECONDS
            return None
        return _brake(failures, now)

    def ended(self, body: int, outcome: Outcome, began: float, now: float) -> None:
        """A try of this body left at `began`, and ended so."""
        if outcome in FAILURES:
            self.failed(body, began, now)
        elif outcome is Outcome.SUCCESS and self._by_body:
            self.succeeded(body)

    def failed(self, body: int, began: float, now: float) -> None:
        """A try of this body left at `began`, and failed."""
        storm = self._by_body.get(body)
        if storm is None or now - storm.last > QUIET_SECONDS:
            if len(self._by_body) >= MOST:
                self._by_body.clear()
            self._by_body[body] = _Storm(1, now, now)
            return
        storm.last = now
        if began < storm.counted_at:
            return
        storm.failures += 1
        storm.counted_at = now
        if storm.failures >= REFUSED_FROM:
            storm.refused_until = now + QUIET_SECONDS

    def succeeded(self, body: int) -> None:
        """A try of this body was answered."""
        self._by_body.pop(body, None)


def refused(brake: Brake, model: str | None, user_agent: str, now: float, monotonic: float) -> Verdict:
    """The verdict on a try that is one too many; `now` is epoch seconds, `monotonic` the clock of `brake.until`."""
    assert brake.until is not None
    return Verdict(
        Action.REFUSE,
        reason=Reason.COOLDOWN,
        model=model,
        what="This very request keeps failing and is sent again and again",
        detail=f"{brake.failures} times in a row",
        hint=advice_for(user_agent),
        resets_at=now + brake.until - monotonic,
    )


def advice_for(user_agent: str) -> str:
    """How to keep the client that names itself so from retrying without end."""
    agent = user_agent.lower()
    if "speakeasy" in agent or "openrouter" in agent:
        return (
            "By default this SDK sends a failed call again for an hour. Bound it: OpenRouter(retry_config=RetryConfig("
            "'backoff', BackoffStrategy(500, 5000, 1.5, 20000), False)), both from openrouter.utils."
        )
    if "openai" in agent or "anthropic" in agent:
        name = "Anthropic" if "anthropic" in agent else "OpenAI"
        bound = "{ maxRetries: 1 }" if "/js" in agent else "max_retries=1"
        return f"Bound its retries: {name}({bound}), and no loop around it that tries for ever."
    return "Bound your client's retries, and wait longer after each."


def _brake(failures: int, now: float) -> Brake | None:
    if failures >= REFUSED_FROM:
        return Brake(failures, until=now + QUIET_SECONDS)
    if failures >= SLOWED_FROM:
        return Brake(failures, delay=FIRST_DELAY * 2.0 ** (failures - SLOWED_FROM))
    return None
