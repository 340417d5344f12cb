"""Dollar budgets: the worst case is reserved before a call leaves, the true cost is settled after it returns."""

from __future__ import annotations

from collections.abc import Iterable

from monitor.config import BudgetSettings
from monitor.model import Intent, ModelFacts, PriceClass, Reason
from monitor.policy.balances import Money

_CENT_FRACTION = 1e-9
"""Sums of floats are off in the last digits; a call that fits a budget exactly must not be refused for them."""


def has_budget(budget: BudgetSettings) -> bool:
    """Whether any dollar budget is set."""
    return budget.per_call_usd is not None or budget.per_day_usd is not None or budget.per_month_usd is not None


def worst_case_usd(intent: Intent, models: Iterable[ModelFacts | None]) -> float | None:
    """The most that this request can cost in USD, over every model it may reach; None when it cannot be bounded.

    Tokens of the prompt are at most the bytes of the body and at most the context, of each prompt if it holds several;
    those of the answer at most what the request allows, else what the model can give. A model that is not in the
    catalogue, or is priced by something other than tokens and requests, has no worst case; nor has a request with
    add-ons that bill on their own, or one that goes where these prices do not hold.
    """
    if intent.objections or intent.unvouched:
        return None
    worst = 0.0
    for facts in models:
        cost = _worst_of(intent, facts)
        if cost is None:
            return None
        worst = max(worst, cost)
    return worst


def _worst_of(intent: Intent, facts: ModelFacts | None) -> float | None:
    if facts is None or not facts.bounded or facts.price in (PriceClass.VARIABLE, PriceClass.UNKNOWN):
        return None
    if facts.prompt_usd is None or facts.completion_usd is None or min(facts.prompt_usd, facts.completion_usd) < 0:
        return None
    prompt_usd = max(facts.prompt_usd, facts.worst_prompt_usd or 0.0)
    completion_usd = max(facts.completion_usd, facts.worst_completion_usd or 0.0)
    if facts.price is PriceClass.PAID and not (prompt_usd or completion_usd or facts.request_usd):
        return None  # listed at zero and not free: it bills by the piece (a song), which no price here tells
    prompt = _prompt_tokens(intent, facts)
    answer = _answer_tokens(intent, facts)
    if (prompt is None and prompt_usd > 0) or (answer is None and completion_usd > 0):
        return None
    tokens_usd = (prompt or 0) * prompt_usd + (answer or 0) * completion_usd * intent.choices
    return tokens_usd + (facts.request_usd or 0.0) * intent.requests


def _prompt_tokens(intent: Intent, facts: ModelFacts) -> int | None:
    # Each prompt of a list has the context for itself: a hundred texts to embed are bounded by a hundred contexts.
    most = facts.context_length * intent.prompts if facts.context_length else None
    if intent.by_reference:
        # An image or a file named by its address is read by the server: the body's length says nothing about it.
        return most
    return intent.prompt_bytes if most is None else min(intent.prompt_bytes, most)


def _answer_tokens(intent: Intent, facts: ModelFacts) -> int | None:
    return intent.max_output_tokens or facts.max_completion_tokens or facts.context_length or None


def broken_budget(budget: BudgetSettings, money: Money, estimate_usd: float | None) -> Reason | None:
    """The first budget that a call of `estimate_usd` would break. An unknown estimate breaks any budget."""
    if estimate_usd is None:
        return Reason.BUDGET_CALL if has_budget(budget) else None
    cost = estimate_usd - _CENT_FRACTION
    if budget.per_call_usd is not None and cost > budget.per_call_usd:
        return Reason.BUDGET_CALL
    if budget.per_day_usd is not None and money.day_usd + cost > budget.per_day_usd:
        return Reason.BUDGET_DAY
    if budget.per_month_usd is not None and money.month_usd + cost > budget.per_month_usd:
        return Reason.BUDGET_MONTH
    return None
