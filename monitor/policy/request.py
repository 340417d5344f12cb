"""What in a request could cost money: the models it may reach and what it adds to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from monitor.config import GuardSettings
from monitor.model import Allow, Endpoint, Intent, ModelFacts, Objection, PriceClass, Reason
from monitor.policy.balances import Balances

FREE_ROUTER = "openrouter/free"

UNJUDGEABLE = frozenset({Reason.ENDPOINT_UNKNOWN, Reason.BODY_UNREADABLE})
"""Refused whatever is allowed: nobody can say what such a request asks for."""

SET_BASE_URL = "Set base_url to the API that you call, or call the one that it names."


def catalogue_usable(guard: GuardSettings, balances: Balances) -> bool:
    """Whether the newest catalogue is young enough to be believed."""
    return balances.catalogue_age is not None and balances.catalogue_age <= guard.catalogue_max_age


def is_free(model: str, guard: GuardSettings, balances: Balances) -> bool:
    """Whether calling `model` costs nothing, by the newest catalogue; failing closed.

    Without a usable catalogue only the name can tell, and only when `guard.catalogue = "suffix"` allows that.
    """
    if not catalogue_usable(guard, balances):
        return guard.catalogue == "suffix" and (model.endswith(":free") or model == FREE_ROUTER)
    facts = balances.facts.get(model)
    if facts is None:
        return False
    return facts.price is PriceClass.FREE or (facts.price is PriceClass.ZERO and guard.zero_priced)


def is_listed(model: str, guard: GuardSettings) -> bool:
    """Whether the user's lists let `model` pass, whatever it costs."""
    if _matches(model, guard.deny):
        return False
    needs_list = guard.allow is Allow.LISTED or bool(guard.models)
    return not needs_list or _matches(model, guard.models)


def takes_free_quota(model: str, balances: Balances) -> bool:
    """Whether a request for `model` is one of the account's free requests, as OpenRouter counts them.

    It counts by the name: a `:free` id that the catalogue lists at a price is still such a request. Zero-priced
    models without the suffix are counted too, since nobody outside knows whether they are exempt.
    """
    if model.endswith(":free") or model == FREE_ROUTER:
        return True
    facts = balances.facts.get(model)
    return facts is not None and facts.price in (PriceClass.FREE, PriceClass.ZERO)


def objection_to(intent: Intent, guard: GuardSettings, balances: Balances) -> Objection | None:
    """The first thing in the request that must not leave, or None. What is judged worst comes first."""
    for objection in intent.objections:
        if objection.reason in UNJUDGEABLE:
            return objection
    if intent.endpoint is Endpoint.UNKNOWN:
        return Objection(Reason.ENDPOINT_UNKNOWN, "this is not an endpoint that the guard can judge")
    if guard.deny and (denied := _first(intent.models, lambda model: _matches(model, guard.deny))):
        return Objection(Reason.MODEL_DENIED, "it is on the deny list", denied)
    if guard.allow is Allow.LISTED:
        return _objection_beside_listed(intent, guard) or _outside_list(intent, guard)
    if guard.models and (outside := _outside_list(intent, guard)):
        return outside
    if guard.allow is Allow.ANY:
        return None
    return intent.objections[0] if intent.objections else _first_not_free(intent, guard, balances)


def _objection_beside_listed(intent: Intent, guard: GuardSettings) -> Objection | None:
    """Listing a router or a suffixed id by name allows it; add-ons that bill were not listed."""
    for objection in intent.objections:
        by_name = objection.reason is Reason.ROUTER_MODEL and objection.model is not None
        if not (by_name and _matches(objection.model or "", guard.models)):
            return objection
    return None


def _outside_list(intent: Intent, guard: GuardSettings) -> Objection | None:
    outside = _first(intent.models, lambda model: not _matches(model, guard.models))
    return Objection(Reason.MODEL_DENIED, "it is not on the list of allowed models", outside) if outside else None


def _first_not_free(intent: Intent, guard: GuardSettings, balances: Balances) -> Objection | None:
    models = intent.models
    if not models:
        return Objection(Reason.MODEL_MISSING, "OpenRouter would choose the account's default model, which may bill")
    if intent.unvouched:
        # Not `catalogue_stale`: no fetch can help. By name alone nobody can tell either, the suffix is OpenRouter's.
        return Objection(Reason.ENDPOINT_UNKNOWN, intent.unvouched, hint=SET_BASE_URL)
    for model in models:
        if is_free(model, guard, balances):
            continue
        if not catalogue_usable(guard, balances):
            return Objection(Reason.CATALOGUE_STALE, "there is no recent catalogue to look its price up in", model)
        return _why_not_free(intent, model, balances.facts.get(model))
    return None


def _why_not_free(intent: Intent, model: str, facts: ModelFacts | None) -> Objection:
    if model != intent.model:
        return Objection(Reason.FALLBACK_NOT_FREE, "OpenRouter may serve and bill it instead", model)
    if facts is None:
        return Objection(Reason.MODEL_UNKNOWN, "the newest catalogue does not list it", model)
    match facts.price:
        case PriceClass.ZERO:
            detail = "its prices are zero but it is no :free variant; guard.zero_priced allows such models"
        case PriceClass.VARIABLE:
            detail = "its price depends on where it is routed"
        case PriceClass.PAID:
            detail = "the catalogue lists a price for it"
        case _:
            detail = "the catalogue's price for it cannot be read"
    reason = Reason.ROUTER_MODEL if facts.price is PriceClass.VARIABLE else Reason.MODEL_NOT_FREE
    return Objection(reason, detail, model)


def _first(models: Iterable[str], wanted: Callable[[str], bool]) -> str | None:
    return next((model for model in models if wanted(model)), None)


def _matches(model: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(model, pattern) for pattern in patterns)
