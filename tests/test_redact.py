"""What must never be written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.redact import redact

KEY = "sk-or-v1-0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        f"'{KEY}'",
        f"Authorization: Bearer {KEY}",
        "authorization=Bearer abcdefghijkl",
        'bearer "abcdefghijkl"',
        '{"api_key": "abcdefghijkl"}',
        "api-key=abcdefghijkl&x=1",
        "X-API-Key: abcdefghijkl",
        "password = abcdefghijkl",
        "https://user:abcdefghijkl@host/path",
        "token: 'abcdefghijkl'",
        "sk-ant-abcdefghijkl",
        "sk-proj-abcdefghijkl_x",
    ],
)
def test_what_looks_like_a_credential_is_masked(text):
    """In headers, JSON, URLs, assignments and alone."""
    found = redact(text)
    assert "abcdefghijkl" not in found
    assert KEY not in found
    assert "[redacted]" in found


@pytest.mark.parametrize(
    "text", ["", "meta-llama/llama-3.3-70b-instruct:free", "the token limit is 8192", "HTTP 429", "ask"]
)
def test_plain_text_stays(text):
    """Models, numbers and words are not masked."""
    assert redact(text) == text


@given(before=st.text(), after=st.text(), limit=st.integers(1, 200))
def test_a_key_never_survives_whatever_stands_around_it(before, after, limit):
    """No cut leaves half of it, no neighbour hides it, and the result is one line of the length that was asked for."""
    found = redact(f"{before} {KEY}{after}", limit=limit)
    assert "0123456789abcdef0123" not in found
    assert len(found) <= limit
    assert "\n" not in found
    found.encode()


def test_what_is_no_text_can_be_written():
    """Half a surrogate pair becomes a question mark; whole ones stay."""
    assert redact("a\ud83db 😀") == "a?b 😀"
