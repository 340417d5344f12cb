"""What the ledger asks of a store. SQLite implements it; another engine can stand beside it.

Every method of `Transaction` touches a bounded number of rows, found by their key: admission costs the same with ten
calls on record as with ten million.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from monitor.model import Ending, Event, KeyFacts, ModelFacts, PriceClass, Reason, Tier

R = TypeVar("R")

ALL_APPS = ""
"""The name under which the account's own row stands among those of its apps."""

LEDGER_POLLER = "ledger"
"""Under which the day's use is noted once a minute among the snapshots, for a forecast's pace."""

CREDITS_POLLER = "credits"
"""Under which snapshots of an account's credits are found, as `GET /credits` tells them."""


class AccountState(NamedTuple):
    """What is remembered of an account: OpenRouter's last figures, and what its 429s taught us."""

    server_used: int | None = None
    server_limit: int | None = None
    server_at: float | None = None
    elsewhere: int = 0
    minute_limit: int | None = None
    minute_limit_at: float = 0.0
    minute_closed_until: float = 0.0
    day_closed_until: float = 0.0
    day_closed_at: float = 0.0
    key_remaining_usd: float | None = None
    key_at: float | None = None


class CatalogueState(NamedTuple):
    """Where the newest catalogue came from and when (epoch seconds)."""

    source: str
    fetched_at: float
    models: int


class Standing(NamedTuple):
    """How things stand for one request, read at once: what an admission of the usual kind needs, and no more.

    `source` is "" without a catalogue; `last_send` numbers the account's newest free request; `attempts` and
    `uncounted` are the account's for the UTC day asked for; `price` is the asked model's, None when it is not listed.
    """

    server_used: int | None
    server_limit: int | None
    server_at: float | None
    elsewhere: int | None
    minute_limit: int | None
    minute_limit_at: float | None
    minute_closed_until: float | None
    day_closed_until: float | None
    key_remaining_usd: float | None
    key_at: float | None
    source: str
    fetched_at: float
    last_send: int | None
    any_pause: int
    any_cooldown: int
    attempts: int | None
    uncounted: int | None
    price: str | None


class ModelRecord(NamedTuple):
    """Our own experience of a model: attempts that say something of it, successes, and their mean time (s)."""

    attempts: int
    successes: int
    seconds: float | None


class CircuitRow(NamedTuple):
    """What is kept of a model's circuit; what it means is the policy's to say."""

    failures: int
    trips: int
    open_until: float
    probe_until: float


@dataclass(slots=True)
class OpenCall:
    """An attempt about to leave, or refused; what is known of it before the answer."""

    started_at: float
    app: str
    account: str
    endpoint: str
    model: str | None
    tier: Tier
    stream: bool
    attempt: int
    call_id: str
    reason: Reason | None = None
    estimate_usd: float = 0.0
    counted: bool = False
    lease_until: float | None = None


@dataclass(frozen=True, slots=True)
class OpenRow:
    """A call row that is still open: what a sweep needs to settle it."""

    id: int
    call: OpenCall


class Transaction(Protocol):
    """One write transaction. Either all of it happens or none."""

    def standing(self, account: str, model: str | None, day: int) -> Standing: ...
    def account(self, account: str) -> AccountState: ...
    def save_account(self, account: str, changes: Mapping[str, object]) -> None: ...
    def catalogue(self) -> CatalogueState | None: ...
    def facts(self, models: Iterable[str]) -> dict[str, ModelFacts]: ...
    def cooldowns(self, account: str, subjects: Iterable[str]) -> dict[str, float]: ...
    def cool_down(self, account: str, subject: str, until: float, now: float) -> int: ...
    def strikes(self, account: str, subject: str) -> int: ...
    def warm_up(self, account: str, subject: str) -> None: ...
    def paused(self, app: str, now: float) -> str | None: ...
    def day_windows(self, account: str, day: int) -> dict[str, tuple[int, int]]: ...
    def sent_at(self, account: str, send: int) -> float | None: ...
    def sends_since(self, account: str, at: float) -> int: ...
    def pull_back_sends(self, account: str, now: float) -> None: ...
    def take_free(self, account: str, app: str, day: int, at: float, send: int, keep: int) -> None: ...
    def give_back_free(self, account: str, app: str, day: int, send: int | None) -> None: ...
    def not_counted(self, account: str, app: str, day: int) -> None: ...
    def spent(self, account: str, period: str, start_day: int) -> float: ...
    def spend(self, account: str, period: str, start_day: int, *, usd: float, reserved_usd: float) -> None: ...
    def open_call(self, call: OpenCall) -> int: ...
    def record_refusal(self, call: OpenCall, at: float, error: str) -> int: ...
    def count_refusal(self, app: str, reason: Reason, *, shadow: bool) -> None: ...
    def close_call(
        self, row: int, ending: Ending, *, tier: Tier, cost_usd: float | None, at: float, ms: float
    ) -> bool: ...
    def amend_call(
        self, row: int, ending: Ending, *, tier: Tier, cost_usd: float | None, at: float, ms: float
    ) -> bool: ...
    def add_totals(
        self, call: OpenCall, ending: Ending, *, tier: Tier, cost_usd: float | None, seconds: float, again: bool = False
    ) -> None: ...
    def renew(self, row: int, lease_until: float) -> None: ...
    def open_rows(self, limit: int, above: int = -1) -> list[OpenRow]: ...
    def newest_row(self) -> int: ...
    def nothing_open_below(self, row: int) -> None: ...
    def keep_bodies(self, row: int, request: str | None, answer: str | None) -> None: ...
    def add_event(self, event: Event, times: int = 1) -> None: ...
    def give_places(self, label: str, values: Iterable[str]) -> None: ...
    def take_lease(self, name: str, holder: str, until: float, now: float) -> bool: ...
    def end_lease(self, name: str, holder: str, note: str, until: float) -> None: ...
    def lease(self, name: str) -> tuple[str, float, str] | None: ...
    def all_facts(self) -> dict[str, tuple[ModelFacts, bool]]: ...
    def save_models(self, changed: Iterable[ModelFacts], gone: Iterable[str], at: float) -> None: ...
    def beliefs(self) -> dict[str, str]: ...
    def save_beliefs(self, changed: Mapping[str, str], forgotten: Iterable[str] = ()) -> None: ...
    def save_catalogue(self, source: str, at: float, models: int) -> None: ...
    def key_error(self, account: str) -> str | None: ...
    def save_key(self, account: str, facts: KeyFacts | None, at: float, error: str | None) -> None: ...
    def add_snapshot(self, at: float, poller: str, account: str, summary: Mapping[str, object]) -> None: ...
    def pause(self, app: str, at: float, until: float | None, note: str) -> None: ...
    def resume(self, app: str) -> bool: ...
    def priced_facts(self, prices: Sequence[PriceClass]) -> list[ModelFacts]: ...
    def model_records(self) -> dict[str, ModelRecord]: ...
    def circuits(self, account: str) -> dict[str, CircuitRow]: ...
    def save_circuit(self, account: str, model: str, circuit: CircuitRow) -> None: ...
    def close_circuit(self, account: str, model: str) -> None: ...
    def count_in_span(self, account: str, span: int, *, calls: int = 0, retries: int = 0) -> None: ...
    def counted_in_spans(self, account: str, first: int, last: int) -> tuple[int, int]: ...


class Store(Protocol):
    """Where everything is kept. Methods raise StoreUnreachable or StoreDamaged."""

    def transaction(self) -> AbstractContextManager[Transaction]: ...
    def transact(self, work: Callable[..., R], *args: object, block: bool = True) -> R: ...
    @property
    def ready(self) -> bool: ...
    def close(self) -> None: ...
