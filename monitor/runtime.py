"""Builds the parts that run outside an app's own client, from the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from monitor.clock import Clock
from monitor.config import Settings
from monitor.errors import PollError
from monitor.ledger import Ledger
from monitor.refresh import Fetch, Fetched, Refresher
from monitor.store import open_store

if TYPE_CHECKING:
    import httpx

FETCH_TIMEOUT_SECONDS = 15.0


@contextmanager
def plain_client() -> Iterator[httpx.Client]:
    """A client for our own polls: no guard, for GETs spend no quota."""
    import httpx  # noqa: PLC0415 - the command line's help must not pay for it

    with httpx.Client(timeout=FETCH_TIMEOUT_SECONDS, follow_redirects=False) as client:
        yield client


def fetching(client: httpx.Client) -> Fetch:
    """What a `Refresher` fetches with."""

    def fetch(url: str, headers: Mapping[str, str]) -> Fetched:
        answer = client.get(url, headers=dict(headers))
        return Fetched(answer.status_code, answer.content)

    return fetch


def _fetch_models(refresher: Refresher, fetch: Fetch, asked_at: float) -> None:
    try:
        fetched = refresher.models(fetch, newer_than=asked_at)
    except PollError as exc:
        hint = exc.hint or "`openrouter-monitor doctor --online` tells more."
        raise PollError(exc.message.rstrip(".") + ".", hint=hint) from exc
    if not fetched:
        raise PollError("another process is still fetching the catalogue.", hint="Try again in a moment.")


def refresh_now(settings: Settings, clock: Clock) -> str | None:
    """Fetch the catalogue into the store, and the key's figures if a key is set.

    Returns what went wrong with the key, for the catalogue is of use without it. Raises PollError when the catalogue
    cannot be had, ConfigError, StoreUnreachable or StoreDamaged.
    """
    key = settings.key()
    store = open_store(settings.store_path)
    refresher = Refresher(Ledger(store, settings, clock))
    try:
        with plain_client() as client:
            fetch = fetching(client)
            asked_at = clock.now()
            _fetch_models(refresher, fetch, asked_at)
            if not key:
                return None
            try:
                refresher.key(fetch, key.reveal(), newer_than=asked_at)
            except PollError as exc:
                return str(exc)
            return None
    finally:
        store.close()
