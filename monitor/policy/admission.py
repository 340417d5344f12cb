"""May this request leave now? One function, from an intent and the balances to a verdict.

The order is what the caller can do something about: first what is wrong with the request itself, then what only
time can mend. A window is judged only for a request that could otherwise leave.
"""

from __future__ import annotations

from monitor.clock import next_midnight
from monitor.config import Settings
from monitor.model import Action, Allow, Endpoint, Intent, Reason, Tier, Verdict
from monitor.policy import budgets, request, shares, windows
from monitor.policy.balances import Balances

ACCOUNT = ""
PAID_CALLS = "$"
"""Names under which a cool-down of the whole account, and of its paid calls, is kept beside those of models."""


def admit(intent: Intent, balances: Balances, settings: Settings, app: str) -> Verdict:
    """The verdict on one attempt of `app`. Never raises; whatever is not known to be allowed is refused."""
    if balances.paused is not None:
        return _refuse(Reason.PAUSED, detail=balances.paused)
    objection = request.objection_to(intent, settings.guard, balances)
    if objection is not None:
        model = objection.model or intent.model
        return _refuse(objection.reason, detail=objection.detail, model=model, hint=objection.hint)
    models = intent.models
    estimate, may_bill = 0.0, False
    if settings.guard.allow is not Allow.FREE:
        priced = bool(models) and not intent.objections and not intent.unvouched
        may_bill = not priced or not _all_free(models, balances, settings)
    if may_bill:
        worst = budgets.worst_case_usd(intent, (balances.facts.get(m) for m in models)) if models else None
        refusal = _money_refusal(intent, balances, settings, worst)
        if refusal is not None:
            return refusal
        estimate = worst or 0.0
    if balances.cooldowns and (refusal := _cooling(intent, balances, may_bill=may_bill)):
        return refusal
    if not may_bill or takes_free_quota(models, balances):
        if intent.endpoint is Endpoint.BATCHES and intent.choices > 1:
            # One reservation cannot hold back what many requests take.
            return _refuse(Reason.ENDPOINT_UNKNOWN, detail="a batch takes many free requests at once", model=models[0])
        if refusal := _quota_refusal(balances, settings, app):
            return refusal
    return Verdict(Action.ADMIT, _tier(intent, balances, may_bill), estimate)


def takes_free_quota(models: tuple[str, ...], balances: Balances) -> bool:
    """Whether a request for `models` can take one of the account's free requests: any of them is counted so."""
    return any(request.takes_free_quota(model, balances) for model in models)


def _all_free(models: tuple[str, ...], balances: Balances, settings: Settings) -> bool:
    return all(request.is_free(model, settings.guard, balances) for model in models)


def _tier(intent: Intent, balances: Balances, may_bill: bool) -> Tier:
    if not may_bill:
        return Tier.FREE
    facts = None if intent.unvouched else balances.facts.get(intent.model or "")
    return Tier.UNKNOWN if facts is None else Tier.PAID


def _money_refusal(intent: Intent, balances: Balances, settings: Settings, worst: float | None) -> Verdict | None:
    left = balances.money.key_remaining_usd
    if left is not None and left <= 0:
        return _refuse(Reason.KEY_LIMIT, detail="the key's own spending cap is used up", model=intent.model)
    broken = budgets.broken_budget(settings.budget, balances.money, worst)
    if broken is None:
        return None
    cost = "its worst case cannot be computed" if worst is None else f"it could cost up to ${worst:.6f}"
    return _refuse(broken, detail=cost, model=intent.model)


def _cooling(intent: Intent, balances: Balances, *, may_bill: bool) -> Verdict | None:
    until, model, what = balances.cooldowns.get(ACCOUNT, 0.0), None, "OpenRouter asked this account to slow down"
    if may_bill and balances.cooldowns.get(PAID_CALLS, 0.0) > until:
        until, what = balances.cooldowns[PAID_CALLS], "calls in flight hold the balance"
    # Only the asked model: a fallback that is cooling down is OpenRouter's business, it will try the next.
    asked = balances.cooldowns.get(intent.model or ACCOUNT, 0.0)
    if asked > until:
        until, model, what = asked, intent.model, "its provider's shared pool is busy; your quota is untouched"
    if until <= balances.now:
        return None
    return _delay(Reason.COOLDOWN, until, balances, detail=what, model=model)


def _quota_refusal(balances: Balances, settings: Settings, app: str) -> Verdict | None:
    now, day = balances.now, balances.day
    opens = windows.day_opens_at(day, now)
    if opens is not None:
        detail = f"{day.used} of {day.limit} used" if day.closed_until <= now else "OpenRouter says that it is spent"
        return _refuse(Reason.DAY_LIMIT, detail=detail, resets_at=opens, limit=day.limit)
    if settings.apps and (refusal := _app_refusal(balances, settings, app)):
        return refusal
    opens = windows.minute_opens_at(balances.minute, now)
    if opens is None:
        return None
    limit = balances.minute.limit
    return _delay(Reason.MINUTE_LIMIT, opens, balances, detail=f"the limit is {limit}", limit=limit)


def _app_refusal(balances: Balances, settings: Settings, app: str) -> Verdict | None:
    now, day, used = balances.now, balances.day, balances.apps.get(app, 0)
    midnight = next_midnight(now)
    mine = settings.apps.get(app)
    if mine is not None and mine.per_day is not None and used >= mine.per_day:
        detail = f"{app} used {used} of its {mine.per_day}"
        return _refuse(Reason.APP_LIMIT, detail=detail, resets_at=midnight, limit=mine.per_day)
    claims = {name: one.share for name, one in settings.apps.items() if one.share > 0}
    if claims and not shares.share_admits(app, claims, balances.apps, total_used=day.used, limit=day.limit, now=now):
        detail = f"what is left of the day's {day.limit} is promised to other apps"
        return _refuse(Reason.APP_SHARE, detail=detail, resets_at=midnight, limit=day.limit)
    return None


def _refuse(
    reason: Reason,
    *,
    detail: str = "",
    hint: str = "",
    model: str | None = None,
    resets_at: float | None = None,
    limit: int | None = None,
) -> Verdict:
    return Verdict(
        Action.REFUSE,
        reason=reason,
        detail=detail,
        hint=hint,
        model=model,
        resets_at=resets_at,
        limit=limit,
        remaining=None if limit is None else 0,
    )


def _delay(
    reason: Reason,
    until: float,
    balances: Balances,
    *,
    detail: str,
    model: str | None = None,
    limit: int | None = None,
) -> Verdict:
    return Verdict(
        Action.DELAY,
        reason=reason,
        detail=detail,
        model=model,
        delay=until - balances.now,
        resets_at=until,
        limit=limit,
        remaining=None if limit is None else 0,
    )
