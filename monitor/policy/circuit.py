"""A circuit per model: when it fails, it is left alone for a while, and then tried with one real call.

Nothing is ever sent to find out whether a model is back: that would spend what the circuit is to save. When its time
is over, the next call that wants the model is the probe, alone, and what becomes of it closes or opens the circuit.

An example with a busy pool: a 429 at 00:00:00 opens it until 00:00:15. A call at 00:00:20 is the probe; calls beside it
go elsewhere. It gets a 429 too, and the circuit is open for 30 s, then for a minute, and so on to ten minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from monitor.model import Ending, LimitKind, Outcome


class Trouble(StrEnum):
    """What a failed attempt says of its model."""

    BUSY = "busy"
    """Its providers have no room: a 429 that is not the account's."""
    FAILED = "failed"
    """An error of its provider's, or an answer that was lost."""
    GONE = "gone"
    """Nobody serves it, at least not to this account."""


class State(StrEnum):
    """Whether a call may go to the model: yes, no, or one to see how it does."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Circuit:
    """What is remembered of a model's failures; times are epoch seconds.

    `failures` in a row, `trips`: how often in a row it opened, `open_until`, and `probe_until`: somebody's call is the
    probe, and is believed to be under way until then.
    """

    failures: int = 0
    trips: int = 0
    open_until: float = 0.0
    probe_until: float = 0.0


CLOSED = Circuit()

FAILURES_TO_OPEN = 2
"""One error of a provider's happens to all; of a busy pool one 429 says enough."""

FIRST_SECONDS = {Trouble.BUSY: 15.0, Trouble.FAILED: 30.0, Trouble.GONE: 600.0}
LONGEST_SECONDS = 600.0
LONGEST_ASKED = 3600.0
"""Seconds: a `Retry-After` above this is not believed."""

PROBE_SECONDS = 120.0
"""How long a probe is waited for; its process may have died."""


def state_of(circuit: Circuit, now: float) -> State:
    """How the circuit stands at `now` (epoch seconds)."""
    # Further ahead than anything opens for: the clock was set back since, and the stamp means nothing.
    if now < circuit.open_until <= now + LONGEST_ASKED:
        return State.OPEN
    return State.HALF_OPEN if circuit.trips else State.CLOSED


def admits(circuit: Circuit, now: float) -> bool:
    """Whether a call may go to the model; in a half-open circuit only while nobody's probe is under way."""
    match state_of(circuit, now):
        case State.CLOSED:
            return True
        case State.OPEN:
            return False
        case State.HALF_OPEN:
            return not now < circuit.probe_until <= now + PROBE_SECONDS


def opens_at(circuit: Circuit, now: float) -> float:
    """Epoch seconds from which on a call may go to the model: `now` if it may already."""
    if admits(circuit, now):
        return now
    return circuit.open_until if state_of(circuit, now) is State.OPEN else circuit.probe_until


def entered(circuit: Circuit, now: float) -> Circuit:
    """The circuit when a call that it admits goes to the model: if it is half open, that call is the probe."""
    if state_of(circuit, now) is not State.HALF_OPEN:
        return circuit
    return replace(circuit, probe_until=now + PROBE_SECONDS)


def failed(circuit: Circuit, trouble: Trouble, now: float, asked: float | None = None) -> Circuit:
    """The circuit after a failure. `asked`: seconds that the provider asked to wait, if it did."""
    failures = circuit.failures + 1
    if trouble is Trouble.FAILED and failures < FAILURES_TO_OPEN and not circuit.trips:
        return Circuit(failures=failures)
    seconds = min(LONGEST_SECONDS, FIRST_SECONDS[trouble] * 2.0 ** min(circuit.trips, 10))
    if asked is not None and asked > 0:
        seconds = min(LONGEST_ASKED, asked)
    if state_of(circuit, now) is State.OPEN:
        # A call that left before it opened: no new finding, and no reason to stay away twice as long.
        return replace(circuit, failures=failures, open_until=max(circuit.open_until, now + seconds * 0.5))
    return Circuit(failures, circuit.trips + 1, now + seconds)


def trouble_of(ending: Ending, *, never_sent: bool = False) -> Trouble | None:
    """What an attempt's end says of its model; None for what is not its doing: our limits, our request, our network."""
    if ending.limit is not None:
        return Trouble.BUSY if ending.limit.kind is LimitKind.UPSTREAM else None
    if ending.outcome is Outcome.SERVER_ERROR:
        return Trouble.FAILED
    if ending.outcome is Outcome.NETWORK_ERROR:
        return None if never_sent else Trouble.FAILED
    if ending.outcome is Outcome.CLIENT_ERROR:
        return {404: Trouble.GONE, 408: Trouble.FAILED}.get(ending.status or 0)
    return None
