"""The same four numbers, whichever endpoint reports them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.model import Usage
from monitor.openrouter.usage import merge, read_usage


@pytest.mark.parametrize(
    ("reported", "usage"),
    [
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "cost": 0,
                "prompt_tokens_details": {"cached_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 2},
            },
            Usage(9, 5, 3, 2, 0.0),
        ),
        (
            {
                "input_tokens": 78,
                "output_tokens": 37,
                "cost": "0.0000113",
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens_details": {"reasoning_tokens": 22},
            },
            Usage(78, 37, 0, 22, 0.0000113),
        ),
        (
            {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2, "output_tokens": 1},
            Usage(17, 1, 5),
        ),
        ({"usage": {"prompt_tokens": 1, "total_tokens": 1}}, Usage(1)),
        ({"search_units": 1, "total_tokens": 8, "cost": 0.002}, Usage(8, cost_usd=0.002)),
        ({"prompt_tokens": -1, "completion_tokens": "5", "cost": -0.1}, Usage()),
        ({"prompt_tokens": True, "completion_tokens": 1.5, "cost": "NaN"}, Usage()),
        ({"prompt_tokens": 2.0, "cost": float("inf"), "prompt_tokens_details": None}, Usage(2)),
        ({"prompt_tokens": 2**53, "completion_tokens": 2**53 + 1, "cost": 10**400}, Usage(2**53)),
        ({"prompt_tokens": 10**400, "completion_tokens": 1e300}, Usage()),
        ({"usage": None}, Usage()),
        ({}, Usage()),
        (None, Usage()),
        ([1], Usage()),
    ],
)
def test_vocabularies(reported: Any, usage: Usage) -> None:
    """Chat, responses, messages, embeddings and rerank are read alike; what is no count is None."""
    assert read_usage(reported) == usage


def test_merge() -> None:
    """Reports of one answer are running totals: the larger of two numbers stands, a missing one yields."""
    start, end = Usage(prompt_tokens=10, completion_tokens=1), Usage(completion_tokens=7, cost_usd=0.0)
    assert merge(start, end) == merge(end, start) == Usage(10, 7, None, None, 0.0)


numbers = st.none() | st.integers(0, 9)
usages = st.builds(Usage, numbers, numbers, numbers, numbers, st.none() | st.floats(0, 1))


@given(usages, usages, usages)
def test_merge_does_not_depend_on_order(a: Usage, b: Usage, c: Usage) -> None:
    """Merging is the same in any order, and with itself changes nothing."""
    assert merge(a, b) == merge(b, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
    assert merge(a, a) == a
