"""One process at a time works on a batch: a lease in the store, which a process of this machine loses when it dies."""

from __future__ import annotations

import itertools
import os
import socket

from monitor.errors import MonitorError
from monitor.store.protocol import Transaction

LEASE_SECONDS = 900.0
_runs = itertools.count()


class BatchLease:
    """The lease of one run; methods belong into a transaction."""

    def __init__(self, batch: str) -> None:
        self._batch = batch
        self._name = f"batch:{batch}"
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{next(_runs)}"
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

    def keep(self, tx: Transaction, now: float) -> None:
        """Renew it when half of it is over."""
        due = now > self._until - LEASE_SECONDS / 2
        if due and tx.take_lease(self._name, self._holder, now + LEASE_SECONDS, now):
            self._until = now + LEASE_SECONDS

    def end(self, tx: Transaction) -> None:
        """Give it back."""
        if self._until:
            tx.end_lease(self._name, self._holder, "", 0.0)
            self._until = 0.0


def _is_dead(holder: str) -> bool:
    """Whether the process of this machine that held a lease has ended without giving it back."""
    host, pid, *_ = [*holder.split(":"), "", ""]
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False
