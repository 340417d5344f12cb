"""Looks at OpenRouter that only the daemon takes: credits, activity, the providers of models. Each ends as a snapshot.

Plain GETs, which spend no quota. A lease makes it one look an interval, however many daemons share the store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from monitor.errors import PollError
from monitor.openrouter.activity import parse_activity
from monitor.openrouter.key import parse_credits
from monitor.openrouter.providers import endpoints_path, parse_uptimes
from monitor.redact import redact
from monitor.refresh import Fetch, Refresher, Stopped, ask, bearer, body_of, get
from monitor.store.pollers import ACTIVITY_POLLER, ENDPOINTS_POLLER
from monitor.store.protocol import CREDITS_POLLER

NOT_FOUND = 404
FAILURES_AT_MOST = 2
"""After so many models whose providers were not told, the others are not asked for."""


class _Told(NamedTuple):
    """What a look brought, and what went wrong with a part of it."""

    summary: Mapping[str, object]
    failure: PollError | None = None


def look_at_credits(refresher: Refresher, fetch: Fetch, api_key: str, *, newer_than: float) -> bool:
    """Note the account's credits, which OpenRouter tells a management key only.

    False when a process has asked since `newer_than` (epoch seconds), or is asking. Raises PollError, StoreUnreachable
    or StoreDamaged.
    """
    settings = refresher.settings
    url = f"{settings.base_url}/credits"
    return _note(
        refresher,
        CREDITS_POLLER,
        settings.account,
        newer_than,
        lambda: _Told(parse_credits(get(fetch, url, bearer(api_key)))),
    )


def look_at_activity(refresher: Refresher, fetch: Fetch, api_key: str, *, newer_than: float) -> bool:
    """Note what the account used on its newest whole UTC day; otherwise as `look_at_credits`."""
    settings = refresher.settings
    url = f"{settings.base_url}/activity"
    return _note(
        refresher,
        ACTIVITY_POLLER,
        settings.account,
        newer_than,
        lambda: _Told(parse_activity(get(fetch, url, bearer(api_key)))),
    )


def look_at_providers(refresher: Refresher, fetch: Fetch, models: Sequence[str], *, newer_than: float) -> bool:
    """Note how often each provider of these models answered of late; returns and raises as `look_at_credits`.

    One GET a model, without a key. What was told is kept also when PollError is raised because some of it was not.
    """
    return _note(refresher, ENDPOINTS_POLLER, "", newer_than, lambda: _uptimes(refresher, fetch, models))


def _uptimes(refresher: Refresher, fetch: Fetch, models: Sequence[str]) -> _Told:
    base_url = refresher.settings.base_url
    uptime: dict[str, dict[str, float]] = {}
    failures: list[PollError] = []
    for model in models:
        url = f"{base_url}{endpoints_path(model)}"
        try:
            answer = ask(fetch, url, {})
            if answer.status != NOT_FOUND:  # else it has gone since, or is not for everybody
                uptime[model] = parse_uptimes(body_of(answer, url))
        except PollError as exc:
            if isinstance(exc.__cause__, Stopped):
                raise
            failures.append(exc)
            if len(failures) == FAILURES_AT_MOST:
                break  # it is not this one model's trouble
    return _Told({"source": base_url, "uptime": uptime}, failures[0] if failures else None)


def _note(refresher: Refresher, poller: str, account: str, newer_than: float, look: Callable[[], _Told]) -> bool:
    """Keep what `look` was told, unless somebody has looked since `newer_than`, or is at it."""
    name, now = f"{poller}:{account}" if account else poller, refresher.clock.now()
    holder = refresher.holder()
    with refresher.store.transaction() as tx:
        # The lease stands until the figures are due again: they need no other mark of their age.
        if not tx.take_lease(name, holder, 2 * now - newer_than, now):
            return False
    told: _Told | None = None
    try:
        told = look()
        failure = told.failure
    except PollError as exc:
        failure = exc
    with refresher.store.transaction() as tx:
        if told is not None:
            tx.add_snapshot(now, poller, account, told.summary)
        if failure is not None:
            tx.end_lease(name, holder, redact(failure.message, limit=200), 0.0)
    if failure is not None:
        raise failure
    return True
