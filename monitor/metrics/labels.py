"""Label values within bounds: the first come have names, the rest is `other`, and neither ever changes."""

from __future__ import annotations

from collections.abc import Iterable

from monitor.metrics.families import CODES, NO_MODEL, OTHER
from monitor.store.sqlite.names import APP, APP_MODEL, MODEL, pair
from monitor.store.sqlite.scrape import CAPS, Caps, Scrape


class Labels:
    """Puts what the store says into label values. `configured` apps take what places are left."""

    def __init__(self, scrape: Scrape, configured: Iterable[str] = (), caps: Caps = CAPS) -> None:
        names = scrape.names
        self._apps = dict.fromkeys(names[APP].values)
        for app in configured:
            if len(self._apps) < caps.apps:
                self._apps.setdefault(app)
        self._models = frozenset(names[MODEL].values)
        self._pairs = frozenset(names[APP_MODEL].values)
        # A first count under `other` must be a step from 0, which Prometheus sees, and not the series' first sample.
        full = len(self._apps) >= caps.apps
        self.apps = (*self._apps, OTHER) if full else tuple(self._apps)
        self.overflow = {
            label: max(0, names[label].seen - cap)
            for label, cap in ((APP, caps.apps), (MODEL, caps.models), (APP_MODEL, caps.pairs))
        }

    def app(self, name: str) -> str:
        return name if name in self._apps else OTHER

    def model(self, name: str) -> str:
        return (name or NO_MODEL) if name in self._models else OTHER

    def app_model(self, app: str, model: str) -> tuple[str, str]:
        """The app's and the model's label, where both stand together: each pair needs a place of its own as well."""
        known = pair(app, model) in self._pairs
        return self.app(app), self.model(model) if known else OTHER


def code(status: str) -> str:
    """The HTTP status as a label: those that OpenRouter is known to give, or `other`."""
    return status if status in CODES else OTHER
