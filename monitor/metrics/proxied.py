"""The daemon's own count of what passes through its proxy. Written on its event loop, read on a scrape's thread.

No lock: one thread writes, and a scrape between two of its lines sees a call a moment early.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from monitor.metrics.families import ADDED_BOUNDS, TURNED_AWAY
from monitor.metrics.sheet import Sheet
from monitor.store.buckets import bucket


class _Histogram:
    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(ADDED_BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bucket(seconds, ADDED_BOUNDS)] += 1
        self.total += seconds


class Proxied:
    """Counts of this process; a restart begins anew."""

    def __init__(self) -> None:
        self._added, self._admission = _Histogram(), _Histogram()
        self._turned: Counter[str] = Counter()
        self.in_flight = 0
        self.waiting: Callable[[], int] = lambda: 0
        self.connections: Callable[[], int] = lambda: 0

    def added(self, seconds: float) -> None:
        """What the proxy itself added to a call."""
        self._added.observe(seconds)

    def admission(self, seconds: float) -> None:
        """What one verdict took, the wait for the store included."""
        self._admission.observe(seconds)

    def turned_away(self, why: str) -> None:
        """A request that was answered here before it was judged."""
        self._turned[why if why in TURNED_AWAY else TURNED_AWAY[-1]] += 1

    def fill(self, sheet: Sheet) -> None:
        """Put the figures on a scrape's sheet."""
        for name, told in (("added", self._added), ("admission", self._admission)):
            sheet.observe(f"openrouter_monitor_{name}_seconds", told.counts, told.total)
        for why in TURNED_AWAY:
            sheet.set("openrouter_monitor_proxy_turned_away_total", self._turned[why], why)
        sheet.set("openrouter_monitor_proxy_in_flight", self.in_flight)
        sheet.set("openrouter_monitor_proxy_waiting", self.waiting())
        sheet.set("openrouter_monitor_proxy_connections", self.connections())
