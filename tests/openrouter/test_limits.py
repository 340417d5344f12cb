"""Each 429, 402 and 403 is told apart by whose limit it is, and until when."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openrouter_data import error_bodies, folder

from monitor.clock import next_midnight, next_minute
from monitor.model import LimitKind
from monitor.openrouter.limits import classify_limit, error_code, error_text

NOW = 1_790_000_000.0
MIDNIGHT = next_midnight(NOW)
KINDS = {
    "free_per_day": LimitKind.FREE_DAILY,
    "free_per_min": LimitKind.FREE_MINUTE,
    "upstream": LimitKind.UPSTREAM,
    "admission_control": LimitKind.ADMISSION,
    "credits": LimitKind.CREDITS,
    "key_limit": LimitKind.KEY_LIMIT,
    "in_flight_budget": LimitKind.IN_FLIGHT_BUDGET,
    "invalid_model": None,
    "error_in_200_or_stream": None,
    "cloudflare_html": LimitKind.EDGE,
    "docs_example_capacity": LimitKind.UPSTREAM,
    "docs_example_midstream": None,
}


def test_there_are_recorded_errors() -> None:
    """Sixteen error bodies published by others are judged below."""
    folder("recorded")
    assert len(error_bodies()) == 16


@pytest.mark.parametrize("case", error_bodies(), ids=lambda case: f"{case['class']}-{case['date']}")
def test_recorded_errors(case: dict[str, Any]) -> None:
    """Every published error body is of the kind that its collector found it to be."""
    hit = classify_limit(case["status"] or 503, case["headers"] or {}, case["body"], NOW)
    assert (hit and hit.kind) == KINDS[case["class"]]
    if hit:
        assert "user_" not in hit.message
        assert hit.message or case["class"] == "cloudflare_html"


def body(message: str = "x", code: int = 429, **metadata: Any) -> dict[str, Any]:
    return {"error": {"message": message, "code": code, "metadata": metadata}}


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (429, body(limit_source="openrouter_free_tier_daily"), LimitKind.FREE_DAILY),
        (429, body("Rate limit exceeded: free-models-per-day-high-balance. "), LimitKind.FREE_DAILY),
        (429, body(limit_source="openrouter_free_tier_per_minute"), LimitKind.FREE_MINUTE),
        (429, body("Rate limit exceeded: free-models-per-min."), LimitKind.FREE_MINUTE),
        (402, body("OpenRouter could not verify available credits"), LimitKind.ADMISSION),
        (429, body(limit_source="upstream_provider_shared_pool"), LimitKind.UPSTREAM),
        (429, body("Provider returned error"), LimitKind.UPSTREAM),
        (429, body("x", raw="m is temporarily rate-limited upstream."), LimitKind.UPSTREAM),
        (429, body("slow down", provider_name="Chutes"), LimitKind.UPSTREAM),
        (429, body("slow down", provider_name=None), LimitKind.UNKNOWN),
        (429, body(limit_source="openrouter_of_tomorrow"), LimitKind.UNKNOWN),
        (429, {"error": "Too many requests"}, LimitKind.UNKNOWN),
        (429, {"detail": "Too many requests"}, LimitKind.UNKNOWN),
        (503, {"error": {"availability": {"code": "capacity_exhausted"}}}, LimitKind.UPSTREAM),
        (402, body("requires more credits", limit_source="openrouter_key_limit"), LimitKind.KEY_LIMIT),
        (402, body("Insufficient credits"), LimitKind.CREDITS),
        (402, body("x", reason="in_flight_budget_exhausted"), LimitKind.IN_FLIGHT_BUDGET),
        (402, body("something new"), LimitKind.UNKNOWN),
        (403, body("Key limit exceeded (total limit)"), LimitKind.KEY_LIMIT),
        (403, body(limit_source="openrouter_guardrail_budget"), LimitKind.BUDGET),
        (403, body(limit_source="openrouter_workspace_budget"), LimitKind.BUDGET),
        (403, body("Workspace monthly budget of $5.00 exceeded"), LimitKind.BUDGET),
        (403, body("flagged", reasons=["violence"], flagged_input="x", provider_name="OpenAI"), None),
        (403, body("region"), None),
        (400, body("free-models-per-day"), None),
        (500, body("Provider returned error"), None),
        (200, {}, None),
        (401, body("No auth"), None),
        (429, None, LimitKind.EDGE),
        (429, "<html>", LimitKind.EDGE),
        (403, "<html>", LimitKind.EDGE),
        (502, "<html>", None),
        (503, "<html>", LimitKind.EDGE),
        (502, None, None),
        (404, "<html>", None),
    ],
)
def test_kinds(status: int, content: object, kind: LimitKind | None) -> None:
    """The source of the limit decides, then the message; moderation and other refusals are no limits."""
    hit = classify_limit(status, {}, content, NOW)
    assert (hit and hit.kind) == kind


def reset(at: float, source: str = "header", daily: bool = True) -> float | None:
    kind = "openrouter_free_tier_daily" if daily else "openrouter_free_tier_per_minute"
    value = str(int(at * 1000))
    if source == "header":
        hit = classify_limit(429, {"X-RateLimit-Reset": value}, body(limit_source=kind), NOW)
    else:
        hit = classify_limit(429, {}, body(limit_source=kind, headers={"X-RateLimit-Reset": value}), NOW)
    assert hit is not None
    return hit.resets_at


@pytest.mark.parametrize("source", ["header", "metadata"])
def test_resets(source: str) -> None:
    """The reset is read from the header or its echo, in milliseconds; what is absurd gives way to the clock's own."""
    assert reset(MIDNIGHT, source) == MIDNIGHT
    assert reset(NOW + 60, source) == NOW + 60
    assert reset(MIDNIGHT + 86_400, source) == MIDNIGHT
    assert reset(NOW + 400 * 86_400, source) == MIDNIGHT
    assert reset(NOW - 7200, source) == MIDNIGHT
    assert reset(0, source) == MIDNIGHT
    assert reset(NOW + 30, source, daily=False) == NOW + 30
    assert reset(NOW + 7200, source, daily=False) == next_minute(NOW)
    assert reset(NOW - 7200, source, daily=False) == next_minute(NOW)


def test_a_reset_that_has_just_passed() -> None:
    """A refusal from before midnight that is read after it must not close the new day."""
    after = MIDNIGHT + 2
    headers = {"x-ratelimit-reset": str(int(MIDNIGHT * 1000)), "x-ratelimit-limit": "50"}
    hit = classify_limit(429, headers, body(limit_source="openrouter_free_tier_daily"), after)
    assert hit is not None
    assert hit.resets_at == MIDNIGHT
    assert hit.limit == 50


def test_without_a_reset() -> None:
    """The day ends at UTC midnight, the minute at the next whole one, and others do not say."""
    daily = classify_limit(429, {}, body("free-models-per-day"), NOW)
    minute = classify_limit(429, {}, body("free-models-per-min"), NOW)
    upstream = classify_limit(429, {}, body("Provider returned error"), NOW)
    resets = [hit and hit.resets_at for hit in (daily, minute, upstream)]
    assert resets == [MIDNIGHT, next_minute(NOW), None]
    assert upstream is not None


@pytest.mark.parametrize(
    ("headers", "content", "wait"),
    [
        ({"Retry-After": "120"}, body(), 120.0),
        ({"retry-after": formatdate(NOW + 90, usegmt=True)}, body(), 90.0),
        ({"retry-after": formatdate(NOW - 90, usegmt=True)}, body(), 0.0),
        ({"retry-after": "soon"}, body(), None),
        ({"retry-after": "-5"}, body(), None),
        ({"retry-after": "1e9"}, body(), None),
        ({"retry-after": "nan"}, body(), None),
        ({}, body(headers={"Retry-After": "10"}), 10.0),
        ({}, body(retry_after_seconds=7), 7.0),
        ({}, {"error": {"availability": {"code": "capacity_exhausted", "retry_after": 40}}}, 40.0),
        ({}, body(), None),
    ],
)
def test_retry_after(headers: dict[str, str], content: dict[str, Any], wait: float | None) -> None:
    """Seconds or a date, in the header or in the body; absurd waits are ignored."""
    hit = classify_limit(429, headers, content, NOW)
    assert hit is not None
    assert hit.retry_after == wait


def test_a_budget_names_its_reset() -> None:
    """A key's or a budget's limit tells its reset as a date, which may be a month away."""
    hit = classify_limit(403, {}, body(limit_source="openrouter_key_limit", resets_at="2026-10-12T00:00:00.000Z"), NOW)
    assert hit is not None
    assert hit.resets_at == 1_791_763_200.0
    past = classify_limit(403, {}, body(limit_source="openrouter_key_limit", resets_at="2020-01-01"), NOW)
    assert past is not None
    assert past.resets_at is None


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"error": {"code": 429}}, 429),
        ({"error": {"code": "429"}}, 429),
        ({"error": {"http_status": 429}}, 429),
        ({"error": {"code": 5}}, None),
        ({"error": {"type": "overloaded_error"}}, 503),
        ({"error": {"type": "rate_limit_error"}}, 429),
        ({"error": {"code": "rate_limit_exceeded"}}, 429),
        ({"error": {"error_type": "context_length_exceeded"}}, 400),
        ({"error": {"metadata": {"error_type": "provider_unavailable"}}}, 503),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "x"}, 429),
        ({"response": {"error": {"code": "invalid_prompt"}}}, 400),
        ({"error": "text"}, None),
        ({"error": {"code": float("inf")}}, None),
        (None, None),
        ([], None),
    ],
)
def test_error_codes(content: object, code: int | None) -> None:
    """A code may be a number, a string or a word, and lie in several places."""
    assert error_code(content) == code


def test_error_text() -> None:
    """The text is what was said, shortened, without keys; of a provider's own words only that its model is busy."""
    busy = "m is temporarily rate-limited upstream."
    assert error_text(body("Provider returned error", raw=busy)) == f"Provider returned error: {busy}"
    assert error_text(body("Provider returned error", raw="bad prompt: my secret")) == "Provider returned error"
    assert error_text({"success": False, "error": {"name": "ZodError", "message": "[…]"}}) == "[…]"
    assert error_text({"error": "plain"}) == "plain"
    assert error_text(None) == error_text({"error": {}}) == "no message"
    assert "sk-or" not in error_text(body("key sk-or-v1-0123456789abcdef is bad"))
    assert len(error_text(body("x" * 10_000))) <= 300


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "code", "metadata", "headers", "limit_source", "X-RateLimit-Reset", "raw"]
            )
            | st.sampled_from(["availability", "retry_after", "resets_at", "type", "response", "Retry-After"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@settings(max_examples=200)
@given(st.sampled_from([200, 402, 403, 429, 503]), anything, st.text(max_size=8))
def test_nothing_raises(status: int, content: object, value: str) -> None:
    """Whatever an answer holds, judging it raises nothing, and a reset is never more than 400 days away."""
    headers = {"x-ratelimit-reset": value, "retry-after": value, "x-ratelimit-limit": value, "content-type": value}
    hit = classify_limit(status, headers, content, NOW)
    assert hit is None or hit.resets_at is None or hit.resets_at <= NOW + 400 * 86_400
    error_code(content)
