"""One process at a time works on a batch: a lease in the store, which a process of this machine loses when it dies."""

from __future__ import annotations

import itertools
import os
import socket
from pathlib import Path

from monitor.errors import MonitorError
from monitor.store.protocol import Transaction

LEASE_SECONDS = 900.0
_runs = itertools.count()


class BatchLease:
    """The lease of one run; methods belong into a transaction."""

    def __init__(self, batch: str) -> None:
        self._batch = batch
        self._name = f"batch:{batch}"
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{_began(os.getpid())}:{next(_runs)}"
        self._until = 0.0

    def take(self, tx: Transaction, now: float) -> None:
        """Raises MonitorError when another process works on the batch."""
        held = tx.lease(self._name)
        if held is not None and held[0] and _is_dead(held[0]):
            tx.end_lease(self._name, held[0], "", 0.0)
        if not tx.take_lease(self._name, self._holder, now + LEASE_SECONDS, now):
            host, pid, *_ = [*(held[0] if held else "").split(":"), "?", "?"]
            raise MonitorError(
                f"the batch {self._batch} is being worked on by process {pid} of {host}.",
                hint="Wait for it, or end it; its answers are not lost.",
            )
        self._until = now + LEASE_SECONDS

    def is_due(self, now: float) -> bool:
        """Whether it should be renewed: half of it is over."""
        return now > self._until - LEASE_SECONDS / 2

    def keep(self, tx: Transaction, now: float) -> bool:
        """Renew it, if that is due. False when it ran out, and another process has taken the batch since."""
        if self.is_due(now):
            if not tx.take_lease(self._name, self._holder, now + LEASE_SECONDS, now):
                return False
            self._until = now + LEASE_SECONDS
        return True

    def end(self, tx: Transaction) -> None:
        """Give it back."""
        if self._until:
            tx.end_lease(self._name, self._holder, "", 0.0)
            self._until = 0.0


def _is_dead(holder: str) -> bool:
    """Whether the process of this machine that held a lease has ended without giving it back."""
    host, pid, began, *_ = [*holder.split(":"), "", "", ""]
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    # In a container that was started anew everybody has the number of somebody before.
    return began.startswith("s") and began != _began(int(pid))


def _began(pid: int) -> str:
    """When a process began, by the system's own count, which tells it from another one of its number; "" if untold."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return f"s{line.rpartition(')')[2].split()[19]}"
    except (OSError, IndexError):
        return ""
