"""What a scheduler asks of a job, and how a job tells of trouble. A job can be run by hand, without a scheduler."""

from __future__ import annotations

import logging
from typing import Protocol

from monitor.redact import redact

log = logging.getLogger("monitor.poller")


class Job(Protocol):
    """What a scheduler asks of a job. `seconds` is its usual interval, `first` the delay of its first run."""

    name: str
    seconds: float
    first: float

    def delay(self) -> float:
        """Seconds from now until it wants to run again."""
        ...

    def run(self) -> bool:
        """Do it. False when it did not work; what it raises is a defect."""
        ...


class Trouble:
    """Tells of a trouble once, and once that it is over: a store that is locked for an hour is one event."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._told: str | None = None

    def met(self, text: str) -> None:
        said = redact(text)
        if said != self._told:
            self._told = said
            log.warning("%s: %s", self._what, said)

    def over(self) -> None:
        if self._told is not None:
            self._told = None
            log.info("%s: works again", self._what)
