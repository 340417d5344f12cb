"""The worst case that a call reserves."""

from __future__ import annotations

import pytest

from monitor.model import Objection, PriceClass, Reason
from monitor.policy.balances import Money
from monitor.policy.budgets import broken_budget, has_budget, worst_case_usd
from tests.fakes.builders import FREE, PAID, facts, intent, settings

PRICED = facts(PAID, PriceClass.PAID)
HUGE = 10**9


@pytest.mark.parametrize(
    ("asked", "model", "usd"),
    [
        # 100 bytes are at most 100 tokens; 10 of the answer were asked for
        (intent(max_output_tokens=10), PRICED, 100e-6 + 10 * 4e-6),
        (intent(max_output_tokens=10, choices=3), PRICED, 100e-6 + 30 * 4e-6),
        # without a wish, what the model can give, else its context
        (intent(), PRICED, 100e-6 + 1000 * 4e-6),
        (intent(), facts(PAID, PriceClass.PAID, max_completion_tokens=None), 100e-6 + 8192 * 4e-6),
        # a body longer than the context cannot be read beyond it
        (intent(prompt_bytes=HUGE, max_output_tokens=10), PRICED, 8192e-6 + 10 * 4e-6),
        # content named by address is as long as the context
        (intent(by_reference=True, max_output_tokens=10), PRICED, 8192e-6 + 10 * 4e-6),
        # the worst price of a token counts, and the price of the request is added
        (intent(max_output_tokens=10), facts(PAID, PriceClass.PAID, worst_prompt_usd=5e-6), 500e-6 + 10 * 4e-6),
        (intent(max_output_tokens=10), facts(PAID, PriceClass.PAID, worst_completion_usd=9e-6), 100e-6 + 90e-6),
        (intent(max_output_tokens=10), facts(PAID, PriceClass.PAID, request_usd=0.5), 0.5 + 100e-6 + 40e-6),
        # each prompt of a list has the context to itself, and a price per request may be due for each
        (intent(prompt_bytes=HUGE, prompts=3, max_output_tokens=10), PRICED, 3 * 8192e-6 + 10 * 4e-6),
        (intent(prompts=3, max_output_tokens=10), PRICED, 100e-6 + 10 * 4e-6),
        (intent(by_reference=True, prompts=3, max_output_tokens=10), PRICED, 3 * 8192e-6 + 10 * 4e-6),
        (intent(requests=3), facts(PAID, PriceClass.PAID, completion_usd=0.0, request_usd=0.5), 1.5 + 100e-6),
        # a zero price needs no bound
        (intent(), facts(PAID, PriceClass.ZERO, max_completion_tokens=None, context_length=None), 0.0),
        (intent(by_reference=True), facts(PAID, PriceClass.ZERO, context_length=None), 0.0),
    ],
)
def test_the_worst_case(asked, model, usd):
    """Tokens of the prompt are at most its bytes and the context, those of the answer what was allowed or is able."""
    assert worst_case_usd(asked, [model]) == pytest.approx(usd)


@pytest.mark.parametrize(
    ("asked", "model"),
    [
        (intent(), None),
        (intent(), facts(PAID, PriceClass.PAID, bounded=False)),
        (intent(), facts(PAID, PriceClass.VARIABLE)),
        (intent(), facts(PAID, PriceClass.VARIABLE, prompt_usd=1e-6, completion_usd=1e-6)),
        (intent(), facts(PAID, PriceClass.UNKNOWN, prompt_usd=0.0, completion_usd=0.0)),
        (intent(), facts(PAID, PriceClass.PAID, prompt_usd=-1.0)),
        (intent(), facts(PAID, PriceClass.PAID, completion_usd=-1.0)),
        (intent(), facts(PAID, PriceClass.PAID, max_completion_tokens=None, context_length=None)),
        (intent(by_reference=True), facts(PAID, PriceClass.PAID, context_length=None)),
        (intent(objections=(Objection(Reason.PAID_PLUGIN, "web"),)), PRICED),
    ],
)
def test_what_has_no_worst_case(asked, model):
    """Unlisted, priced by the piece, routed, unreadable, with unbounded tokens, or with an add-on that bills."""
    assert worst_case_usd(asked, [model]) is None


def test_the_dearest_model_counts():
    """Of the models that a request may reach, the dearest makes the worst case; an unknown one makes it unknown."""
    dear = facts("lab/dear", PriceClass.PAID, completion_usd=1.0)
    asked = intent(max_output_tokens=10)
    assert worst_case_usd(asked, [PRICED, dear]) == worst_case_usd(asked, [dear, PRICED]) == pytest.approx(10.0001)
    assert worst_case_usd(asked, [PRICED, None]) is None


def test_a_hundred_dimes_fit_ten_dollars():
    """A budget that is met exactly is not broken by the digits that floats lose."""
    budget = settings(budget={"per_day_usd": 0.3}).budget
    assert broken_budget(budget, Money(day_usd=0.1 + 0.1), 0.1) is None
    assert broken_budget(budget, Money(day_usd=0.1 + 0.1 + 0.1), 0.0) is None
    assert broken_budget(budget, Money(day_usd=0.2), 0.100001) is Reason.BUDGET_DAY


@pytest.mark.parametrize("name", ["per_call_usd", "per_day_usd", "per_month_usd"])
def test_any_of_the_three_is_a_budget(name):
    """A budget of zero is one; none is none."""
    assert has_budget(settings(budget={name: 0}).budget)
    assert not has_budget(settings().budget)


def test_a_model_listed_at_zero_that_is_not_free_has_no_worst_case():
    """It bills by the piece, so no budget lets it through; a truly free one, or one with dearer tokens, is bounded."""
    by_the_song = facts("lab/lyre", PriceClass.PAID, prompt_usd=0.0, completion_usd=0.0)
    assert worst_case_usd(intent("lab/lyre"), [by_the_song]) is None
    assert worst_case_usd(intent(FREE), [facts(FREE, PriceClass.FREE)]) == 0
    dearer = facts("lab/lyre", PriceClass.PAID, prompt_usd=0.0, completion_usd=0.0, worst_prompt_usd=1e-6)
    assert worst_case_usd(intent("lab/lyre"), [dearer]) == pytest.approx(100e-6)
