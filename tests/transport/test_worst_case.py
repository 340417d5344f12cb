"""What a call reserves is never less than what it costs, whatever it asks for."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from guard_kit import World, Worlds, bearer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor import guarded_client

EMBEDDER, RERANKER = "openai/text-embedding-3-small", "cohere/rerank-4-fast"
TALKERS = [
    "meta-llama/llama-3.3-70b-instruct",
    "deepseek/deepseek-r1",
    "openai/gpt-5-mini",
    "anthropic/claude-sonnet-5",
]
CONTEXT = 8_192
"""Tokens that the embedder takes at once."""

texts = st.builds(
    lambda word, times: word * times, st.sampled_from(["x", "naïve ", "数", "\n", '"', "🙂"]), st.integers(0, 40_000)
)
words = st.text(max_size=40)
tokens = st.lists(st.integers(0, 200_000), min_size=1, max_size=300)
inputs = (
    texts
    | words
    | tokens
    | st.lists(texts, min_size=1, max_size=8)
    | st.lists(words, min_size=1, max_size=200)
    | st.lists(tokens, min_size=1, max_size=8)
    | st.builds(lambda each, times: [each] * times, words | tokens, st.integers(1, 300))
)
sizes = st.fixed_dictionaries(
    {}, optional={"max_tokens": st.integers(0, 200), "n": st.integers(1, 9), "temperature": st.floats(0, 2)}
)
messages = st.lists(st.builds(lambda text: {"role": "user", "content": text}, words | texts), min_size=1, max_size=5)

embeddings = st.builds(lambda given: ("/embeddings", {"model": EMBEDDER, "input": given}), inputs)
reranks = st.builds(
    lambda query, documents: ("/rerank", {"model": RERANKER, "query": query, "documents": documents}),
    words,
    st.lists(words, min_size=1, max_size=20)
    | st.builds(lambda each, times: [each] * times, words, st.integers(1, 450)),
)
completions = st.builds(
    lambda model, prompt, more: ("/completions", {"model": model, "prompt": prompt, **more}),
    st.sampled_from(TALKERS),
    inputs,
    sizes,
)
chats = st.builds(
    lambda path, model, said, more: (path, {"model": model, "messages": said, **more}),
    st.sampled_from(["/chat/completions", "/messages"]),
    st.sampled_from(TALKERS),
    messages,
    sizes,
)
responses = st.builds(
    lambda model, said, more: ("/responses", {"model": model, "input": said, **more}),
    st.sampled_from(TALKERS),
    words | messages,
    sizes,
)
requests = embeddings | reranks | completions | chats | responses


@pytest.fixture
def payer(worlds: Worlds) -> Iterator[tuple[World, Any]]:
    """A world in which paid models may be called within a budget that nothing here breaks."""
    world = worlds(paid_allowed=True)
    config = world.settings(guard={"allow": "any"}, budget={"per_day_usd": 10**6})
    with contextlib.closing(guarded_client("app", config, headers=bearer(), timeout=20)) as client:
        yield world, client


def _post(payer: tuple[World, Any], path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The row of one call."""
    world, client = payer
    client.post(f"{world.sim.base_url}{path}", content=json.dumps(body, ensure_ascii=False).encode())
    (row,) = world.query("SELECT * FROM calls ORDER BY id DESC LIMIT 1")
    assert row["outcome"] != "refused", row
    return row


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=requests)
def test_nothing_costs_more_than_its_worst_case(payer, asked: tuple[str, dict[str, Any]]) -> None:
    """Chats, completions, embeddings and reranking, of one text or of many, of text or of tokens."""
    row = _post(payer, *asked)
    assert (row["cost_usd"] or 0.0) <= row["estimated_cost_usd"] + 1e-12


@pytest.mark.parametrize(
    ("given", "status", "tokens"),
    [
        ("x" * 4 * CONTEXT, 200, CONTEXT),
        ("x" * 4 * (CONTEXT + 1), 400, None),
        (["x" * 4 * CONTEXT] * 3, 200, 3 * CONTEXT),
        (["x", "x" * 4 * (CONTEXT + 1)], 400, None),
        ([7] * CONTEXT, 200, CONTEXT),
        ([7] * (CONTEXT + 1), 400, None),
        ([[7] * CONTEXT] * 3, 200, 3 * CONTEXT),
    ],
)
def test_the_context_bounds_each_text_to_embed_and_not_all_of_them(payer, given, status, tokens) -> None:
    """Three texts of a whole context each are read, billed and reserved for; one token more in one is refused."""
    row = _post(payer, "/embeddings", {"model": EMBEDDER, "input": given})
    assert (row["status"], row["prompt_tokens"]) == (status, tokens)
    assert row["estimated_cost_usd"] >= (tokens or 0) * 2e-8
