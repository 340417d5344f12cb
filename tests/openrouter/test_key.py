"""The key endpoint is read in every shape it has had."""

from __future__ import annotations

import json

import pytest
from openrouter_data import recorded

from monitor.errors import PollError
from monitor.model import KeyFacts
from monitor.openrouter.key import parse_key


def test_the_documented_shape_of_2026() -> None:
    """All facts of the newest documented example are found."""
    facts = parse_key(recorded("key_08_documented-example-2026-10.json"))
    assert facts == KeyFacts(
        limit_usd=100.0,
        limit_remaining_usd=74.5,
        limit_reset="monthly",
        usage_usd=25.5,
        usage_daily_usd=25.5,
        usage_weekly_usd=25.5,
        usage_monthly_usd=25.5,
        byok_usage_usd=17.38,
        is_free_tier=False,
        is_management_key=False,
        expires_at=1830297599.0,
        free_used=12,
        free_limit=50,
        free_remaining=38,
    )


def test_the_shape_of_2025() -> None:
    """The old, bare shape has no free counter, and null limits."""
    facts = parse_key(recorded("key_05_llm-openrouter-2025-03-inner.json"))
    assert facts == KeyFacts(usage_usd=0.65017511, is_free_tier=False)


def test_budgets_and_old_names() -> None:
    """The effective budget may be negative; a provisioning key is what a management key was called."""
    facts = parse_key({"data": {"effective_budget": {"remaining_usd": -0.5}, "is_provisioning_key": True, "limit": 0}})
    assert facts.effective_budget_remaining_usd == -0.5
    assert facts.is_management_key is True
    assert facts.limit_usd == 0.0


def test_strange_values_are_missing() -> None:
    """A value of another type, or no finite number, is None and never raises."""
    strange = {
        "limit": "lots",
        "usage": float("nan"),
        "usage_daily": True,
        "is_free_tier": "yes",
        "expires_at": "soon",
        "free_model_daily_requests": [1],
        "effective_budget": 5,
        "limit_reset": 7,
    }
    assert parse_key({"data": strange}) == KeyFacts()
    counter = {"used": -1, "limit": "50", "remaining": 3.0}
    facts = parse_key({"data": {"free_model_daily_requests": counter}})
    assert (facts.free_used, facts.free_limit, facts.free_remaining) == (None, None, 3)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"data":null}', b'{"data":[]}', b'{"error":{"message":"no"}}', None, 5]
)
def test_what_holds_no_facts(body: object) -> None:
    """No object, or an error, is a failed poll that says what to check."""
    with pytest.raises(PollError, match="key endpoint") as raised:
        parse_key(body)
    assert raised.value.hint


def test_errors_are_redacted() -> None:
    """An error that quotes the key does not carry it on."""
    with pytest.raises(PollError) as raised:
        parse_key(json.dumps({"error": {"message": "bad key sk-or-v1-0123456789abcdef"}}).encode())
    assert "0123456789" not in str(raised.value)
