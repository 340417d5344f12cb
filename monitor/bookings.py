"""The entries that a reservation, a settlement and a look at the key make, inside the ledger's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from monitor.clock import age_of, day_of, month_start_day
from monitor.config import Settings
from monitor.model import Ending, Event, Intent, KeyFacts, LimitKind, ModelFacts, Outcome, PriceClass, Tier
from monitor.policy.admission import ACCOUNT, PAID_CALLS
from monitor.policy.balances import Balances, DayWindow, MinuteWindow, Money
from monitor.policy.budgets import has_budget
from monitor.policy.corrections import LEARNED_LIMIT_SECONDS, correction_for
from monitor.redact import redact
from monitor.store.protocol import ALL_APPS, LEDGER_POLLER, AccountState, OpenCall, Standing, Transaction

DEFAULT_PER_DAY = 50
"""The day's limit until OpenRouter tells: 1000 is only for accounts that bought credits, and is never guessed."""

NO_MONEY = Money()

BODY_LIMIT = 1024 * 1024
"""Characters kept of a request's and of an answer's body, where bodies are logged."""

KEY_REFUSED = "answered 401"
"""What the error of a look at `/key` holds when OpenRouter does not know the key."""

COUNTER_LAG_SECONDS = 60.0
"""`/key`'s counter may show what was true this long ago (observed 2 to more than 8 seconds; others say a minute)."""


@dataclass(slots=True)
class Hold:
    """What was taken for an attempt in flight; give it to `settle` or `release`, once."""

    row: int
    call: OpenCall
    day: int
    send: int | None = None
    cooled: bool = False


@dataclass(slots=True)
class Books:
    """The balances of one moment, and how old what was polled is."""

    balances: Balances
    refresh_due: bool
    key_age: float | None
    next_send: int


def read(tx: Transaction, models: tuple[str, ...], settings: Settings, app: str, now: float) -> Books:
    """Everything that a verdict depends on, read in one transaction."""
    name, poll = settings.account, settings.poll
    day = day_of(now)
    standing = tx.standing(name, models[0] if models else None, day)
    # Another upstream's prices (a simulator's, say) must not vouch for this one's.
    age = age_of(standing.fetched_at, now) if standing.source == settings.base_url else None
    per_minute = minute_limit(standing.minute_limit, standing.minute_limit_at or 0.0, settings, now)
    last_send = standing.last_send or 0
    blocking = tx.sent_at(name, last_send - per_minute + 1) if last_send >= per_minute > 0 else None
    if blocking is not None and blocking > now:
        # The clock stepped back. Without this the window would stay shut until the clock is there again.
        tx.pull_back_sends(name, now)
        blocking = now
    window = day_window(standing, settings, standing.attempts or 0, standing.uncounted or 0, now)
    only_free = len(models) == 1 and standing.price == PriceClass.FREE
    balances = Balances(
        now=now,
        minute=MinuteWindow(per_minute, blocking, standing.minute_closed_until or 0.0),
        day=window,
        facts={models[0]: _free(models[0])} if only_free else tx.facts(models),
        catalogue_age=age,
        cooldowns=tx.cooldowns(name, (ACCOUNT, PAID_CALLS, *models)) if standing.any_cooldown else {},
        apps=apps_used(tx, name, day, every=window.elsewhere is None) if settings.apps else {},
        money=_money(tx, standing.key_remaining_usd, settings, now),
        paused=tx.paused(app, now) if standing.any_pause else None,
    )
    key_at = standing.key_at
    key_age = None if key_at is None else age_of(key_at, now)
    due = age is None or age > poll.models_seconds or key_age is None or key_age > poll.key_seconds
    return Books(balances, due, key_age, last_send + 1)


@lru_cache(maxsize=256)
def _free(model: str) -> ModelFacts:
    """All that a verdict needs of a free model: that it is one."""
    return ModelFacts(model, PriceClass.FREE)


def apps_used(tx: Transaction, account: str, day: int, *, every: bool) -> dict[str, int]:
    """Each app's free requests of a UTC day, less those that OpenRouter is known not to count; or `every` one.

    As the account's own use is counted, so must its apps' be, or one could take its share twice.
    """
    rows = tx.day_windows(account, day).items()
    return {app: attempts - (0 if every else uncounted) for app, (attempts, uncounted) in rows if app != ALL_APPS}


def _money(tx: Transaction, key_remaining_usd: float | None, settings: Settings, now: float) -> Money:
    if not has_budget(settings.budget):
        return NO_MONEY if key_remaining_usd is None else Money(key_remaining_usd=key_remaining_usd)
    return Money(
        day_usd=tx.spent(settings.account, "day", day_of(now)),
        month_usd=tx.spent(settings.account, "month", month_start_day(now)),
        key_remaining_usd=key_remaining_usd,
    )


def minute_limit(learned: int | None, learned_at: float, settings: Settings, now: float) -> int:
    """Requests a minute: as set, or fewer if OpenRouter's own 429 lately named fewer."""
    if learned is None or now - learned_at > LEARNED_LIMIT_SECONDS:
        return settings.quota.per_minute
    return min(learned, settings.quota.per_minute)


def day_window(
    account: AccountState | Standing, settings: Settings, attempts: int, uncounted: int, now: float
) -> DayWindow:
    """The UTC day's window from our own count and OpenRouter's last figure, if that is of today."""
    set_to, told = settings.quota.per_day, account.server_limit
    limit = told if set_to is None else set_to if told is None else min(set_to, told)
    of_today = account.server_at is not None and day_of(account.server_at) == day_of(now)
    return DayWindow(
        limit=DEFAULT_PER_DAY if limit is None else limit,
        attempts=attempts,
        uncounted=uncounted,
        elsewhere=account.elsewhere if of_today and account.server_used is not None else None,
        closed_until=account.day_closed_until or 0.0,
    )


def tier_of(intent: Intent, balances: Balances) -> Tier:
    """The tier of an attempt that no verdict vouched for: only what the catalogue says of the model."""
    facts = None if intent.unvouched else balances.facts.get(intent.model or "")
    return Tier.UNKNOWN if facts is None else facts.tier


def move_money(tx: Transaction, account: str, at: float, *, usd: float, reserved_usd: float) -> None:
    """Book dollars spent and reserved in the day and the month of `at`."""
    tx.spend(account, "day", day_of(at), usd=usd, reserved_usd=reserved_usd)
    tx.spend(account, "month", month_start_day(at), usd=usd, reserved_usd=reserved_usd)


def settle(tx: Transaction, hold: Hold, ending: Ending, settings: Settings, at: float) -> None:
    """Book how an attempt ended: its row, the totals, the money, and what its answer taught. Idempotent."""
    call = hold.call
    cost = ending.usage.cost_usd
    if cost is None and call.estimate_usd > 0 and _may_have_billed(ending):
        cost = call.estimate_usd
    tier = Tier.PAID if cost else call.tier
    seconds = max(0.0, at - call.started_at)
    first = tx.close_call(hold.row, ending, tier=tier, cost_usd=cost, at=at, ms=seconds * 1000.0)
    if not first and (
        ending.outcome is Outcome.ABANDONED
        or not tx.amend_call(hold.row, ending, tier=tier, cost_usd=cost, at=at, ms=seconds * 1000.0)
    ):
        return
    # The sweep's estimate is in the totals for good, for they never go back: only what exceeds it is added.
    more = cost if first else max(0.0, (cost or 0.0) - call.estimate_usd)
    tx.add_totals(call, ending, tier=tier, cost_usd=more, seconds=seconds, again=not first)
    reserved = -call.estimate_usd if first else 0.0
    spent = cost or 0.0
    if not first:
        spent -= call.estimate_usd  # the sweep booked the estimate
    if spent or reserved:
        move_money(tx, call.account, call.started_at, usd=spent, reserved_usd=reserved)
    if cost and call.tier is Tier.FREE:
        note = f"OpenRouter billed ${cost:g} for a request that was judged free (call {call.call_id})"
        tx.add_event(Event(at, "spend_seen", call.model or "", None, f"{cost:g}", note))
    if ending.answer is not None and settings.guard.log_bodies:
        tx.keep_bodies(hold.row, None, redact(ending.answer, limit=BODY_LIMIT))
    _learn(tx, hold, ending, settings, at)


def changes_verdicts(hold: Hold, ending: Ending) -> bool:
    """Whether anything that a verdict reads is another once this is settled: money, a limit, or a cool-down."""
    call = hold.call
    return bool(ending.limit is not None or hold.cooled or call.estimate_usd or ending.usage.cost_usd)


def _may_have_billed(ending: Ending) -> bool:
    """Whether an attempt without a reported cost may have cost its estimate: all but clear refusals."""
    return ending.outcome not in (Outcome.RATE_LIMITED, Outcome.CLIENT_ERROR, Outcome.REFUSED)


def _learn(tx: Transaction, hold: Hold, ending: Ending, settings: Settings, at: float) -> None:
    call = hold.call
    if ending.limit is None:
        if hold.cooled and ending.outcome is Outcome.SUCCESS and call.model:
            tx.warm_up(call.account, call.model)
        return
    account = tx.account(call.account)
    believed = minute_limit(account.minute_limit, account.minute_limit_at, settings, at)
    strikes = tx.strikes(call.account, call.model or "")
    correction = correction_for(ending.limit, model=call.model, now=at, strikes=strikes, minute_limit=believed)
    if correction.cool is not None:
        tx.cool_down(call.account, *correction.cool, at)
    if correction.uncounted and call.counted:
        tx.not_counted(call.account, call.app, hold.day)
    if correction.account:
        changes = dict(correction.account)
        if ending.limit.kind is LimitKind.FREE_DAILY:
            changes |= _day_is_spent(tx, account, call.account, ending, at)
        tx.save_account(call.account, changes)
        if "minute_limit" in changes:
            after = str(ending.limit.limit)
            tx.add_event(
                Event(at, "minute_limit_differs", call.account, str(believed), after, "by a 429 of OpenRouter")
            )


def _day_is_spent(tx: Transaction, account: AccountState, name: str, ending: Ending, at: float) -> dict[str, object]:
    """OpenRouter says that the day is spent: whatever we did not send ourselves was used elsewhere."""
    attempts, uncounted = tx.day_windows(name, day_of(at)).get(ALL_APPS, (0, 0))
    limit = ending.limit.limit if ending.limit and ending.limit.limit is not None else account.server_limit
    if account.day_closed_until <= at:
        note = f"OpenRouter refused a free request with {attempts} sent from here"
        tx.add_event(Event(at, "day_spent", name, None, None if limit is None else str(limit), note))
    if limit is None:
        return {}
    elsewhere = max(0, limit - (attempts - uncounted))
    return {"server_used": limit, "server_at": at, "elsewhere": elsewhere}


def release(tx: Transaction, hold: Hold, ending: Ending, at: float) -> None:
    """Give back what an attempt took that never reached OpenRouter. Idempotent."""
    call = hold.call
    seconds = max(0.0, at - call.started_at)
    if not tx.close_call(hold.row, ending, tier=call.tier, cost_usd=0.0, at=at, ms=seconds * 1000.0):
        return
    tx.add_totals(call, ending, tier=call.tier, cost_usd=0.0, seconds=seconds)
    if call.counted:
        tx.give_back_free(call.account, call.app, hold.day, hold.send)
    if call.estimate_usd > 0:
        move_money(tx, call.account, call.started_at, usd=0.0, reserved_usd=-call.estimate_usd)


def note_key(
    tx: Transaction, account: str, facts: KeyFacts | None, *, asked_at: float, error: str | None = None
) -> None:
    """Book a look at `/key`: OpenRouter's own count of the day, what was used elsewhere, and the key's money."""
    was_refused = KEY_REFUSED in (tx.key_error(account) or "")
    is_refused = KEY_REFUSED in (error or "")
    if error is not None and was_refused and not is_refused:
        return  # another error does not make a refused key a good one
    tx.save_key(account, facts, asked_at, None if error is None else error[:200])
    if is_refused != was_refused:
        before, after = ("valid", "refused") if is_refused else ("refused", "valid")
        kind = "key_invalid" if is_refused else "key_valid"
        tx.add_event(Event(asked_at, kind, account, before, after, "OpenRouter's answer to GET /key"))
    if facts is None or facts.free_used is None:
        return
    state = tx.account(account)
    changes: dict[str, object] = {
        "server_used": facts.free_used,
        "server_at": asked_at,
        "elsewhere": _elsewhere(tx, account, state, facts.free_used, asked_at),
    }
    if facts.free_limit is not None:
        changes["server_limit"] = facts.free_limit
        settled_down = asked_at >= state.day_closed_at + COUNTER_LAG_SECONDS
        if settled_down and facts.free_used < facts.free_limit:
            # Credits were bought, or the day's 429 was about something that has passed.
            changes["day_closed_until"] = 0.0
        if state.server_limit is not None and state.server_limit != facts.free_limit:
            before, after = str(state.server_limit), str(facts.free_limit)
            tx.add_event(Event(asked_at, "tier_changed", account, before, after, "free requests a day"))
    tx.save_account(account, changes)


def _elsewhere(tx: Transaction, account: str, state: AccountState, used: int, asked_at: float) -> int:
    """Free requests of the day that others sent, by OpenRouter's count `used` and our own.

    The counter lags: of what we sent in the last minute it may show all or nothing, so what is left for others lies
    between two bounds. It never shrinks within a day: what an earlier look showed stands, as far as the bounds allow.
    A first look has nothing earlier to go by, and takes the worse bound.
    """
    attempts, uncounted = tx.day_windows(account, day_of(asked_at)).get(ALL_APPS, (0, 0))
    in_lag = min(attempts, tx.sends_since(account, asked_at - COUNTER_LAG_SECONDS))
    at_least = max(0, used - (attempts - uncounted))
    at_most = max(0, used - max(0, attempts - uncounted - in_lag))
    if state.server_at is None:
        return at_most
    before = state.elsewhere if day_of(state.server_at) == day_of(asked_at) else 0
    return max(at_least, min(before, at_most))


def note_pace(tx: Transaction, settings: Settings, now: float) -> None:
    """Note how much of the day is used: what a forecast takes its pace from an hour later. Call it once a minute."""
    standing = tx.standing(settings.account, None, day_of(now))
    window = day_window(standing, settings, standing.attempts or 0, standing.uncounted or 0, now)
    tx.add_snapshot(now, LEDGER_POLLER, settings.account, {"used": window.used, "limit": window.limit})
