"""What a refusal says to people."""

from __future__ import annotations

import pytest

from monitor.model import BUDGET_REASONS, QUOTA_REASONS, Action, Reason, Verdict
from monitor.policy.hints import NOT_SENT, hint_for, message_for
from tests.fakes.builders import NOON


@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("model", [None, "lab/{gull}:free"])
def test_every_reason_says_what_happened_what_it_cost_and_what_to_do(reason, model):
    """One line with the facts, that nothing was sent, and a hint; braces in a model's name do no harm."""
    verdict = Verdict(Action.REFUSE, reason=reason, model=model, detail="the detail", resets_at=NOON)
    message = message_for(verdict)
    assert hint_for(verdict)
    assert message.endswith(f" {NOT_SENT} {hint_for(verdict)}")
    assert "(the detail)" in message
    assert "2026-09-21T12:00:00Z" in message
    assert "\n" not in message
    assert "None" not in message
    assert "{model}" not in message
    assert message[0].isupper()


def test_messages_differ():
    """No two reasons say the same."""
    assert len({message_for(Verdict(Action.REFUSE, reason=reason)) for reason in Reason}) == len(Reason)


def test_a_verdicts_own_hint_goes_first():
    """What the store says to do is better than the general advice."""
    verdict = Verdict(Action.REFUSE, reason=Reason.STORE_UNAVAILABLE, hint="Free some space.")
    assert hint_for(verdict) == "Free some space."
    assert message_for(verdict).endswith("Free some space.")


def test_quota_and_budget_reasons_do_not_overlap():
    """Each reason is of one kind, for it decides the HTTP status of the refusal."""
    assert not QUOTA_REASONS & BUDGET_REASONS
