"""Everything in a request that could bill is an objection or a model that the catalogue judges."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openrouter_requests import CHAT, FREE, FUNCTION, PAID, PDF, PLAIN, judge, reasons

from monitor.model import Endpoint, Intent, Reason


@pytest.mark.parametrize(("endpoint", "extra"), PLAIN)
def test_plain_requests_have_no_objection(endpoint: Endpoint, extra: dict[str, Any]) -> None:
    """What costs nothing beside the model is let through on every endpoint."""
    intent = judge({**CHAT, **extra}, endpoint)
    assert intent.objections == ()


@pytest.mark.parametrize(("endpoint", "extra", "reason"), PAID)
def test_what_may_bill_is_an_objection(endpoint: Endpoint, extra: dict[str, Any], reason: Reason) -> None:
    """Each of these could cost money though the model is free, or cannot be judged: one objection, the right one."""
    intent = judge({**CHAT, **extra}, endpoint)
    assert set(reasons(intent)) == {reason}
    assert all(0 < len(objection.detail) < 200 for objection in intent.objections)


def test_free_parsers_make_files_harmless() -> None:
    """A document is fine when a free engine is named for it."""
    parser = [{"id": "file-parser", "pdf": {"engine": "cloudflare-ai"}}]
    assert not judge({**CHAT, "messages": [{"content": [PDF]}], "plugins": parser}).objections


def test_all_objections_are_collected() -> None:
    """One refusal tells the whole story."""
    intent = judge(
        {"plugins": [{"id": "web"}], "tools": [{"type": "web_search"}], "preset": "x", "modalities": ["image"]}
    )
    assert set(reasons(intent)) == {
        Reason.MODEL_MISSING,
        Reason.PAID_PLUGIN,
        Reason.SERVER_TOOL,
        Reason.PRESET,
        Reason.PAID_MODALITY,
    }


def test_every_model_is_found() -> None:
    """Models in fallbacks, plugins and tools are all there for the catalogue to judge, but not those of a schema."""
    intent = judge(
        {
            **CHAT,
            "models": ["m/1", "m/2"],
            "fallbacks": ["m/3", {"model": "m/4"}],
            "plugins": [
                {"id": "fusion", "analysis_models": ["p/1"], "model": "p/2"},
                {"id": "auto-router", "allowed_models": ["p/3*"], "excluded_models": ["no/1"]},
                {"id": "fusion", "enabled": False, "model": "no/2"},
            ],
            "tools": [
                {"type": "openrouter:advisor", "parameters": {"model": "t/1", "deep": [{"models": [{"slug": "t/2"}]}]}},
                FUNCTION,
            ],
        }
    )
    assert intent.model == FREE
    assert intent.fallbacks == ("m/1", "m/2", "m/3", "m/4")
    assert set(intent.tool_models) == {"p/1", "p/2", "p/3*", "t/1", "t/2"}
    assert set(intent.models) == {FREE, *intent.fallbacks, *intent.tool_models}


@pytest.mark.parametrize(
    ("header", "harmless"),
    [
        ("x-openrouter-metadata", True),
        ("x-openrouter-cache", True),
        ("x-openrouter-cache-ttl", True),
        ("x-openrouter-title", True),
        ("x-openrouter-categories", True),
        ("x-openrouter-monitor-app", True),
        ("x-openrouter-experimental-metadata", True),
        ("x-session-id", True),
        ("x-openrouter-plugins", False),
        ("x-openrouter-preset", False),
    ],
)
def test_headers(header: str, harmless: bool) -> None:
    """OpenRouter's headers that are known to be harmless pass, unheard ones may switch something on."""
    intent = judge(CHAT, headers={header: "x"})
    assert reasons(intent) == ([] if harmless else [Reason.PAID_PLUGIN])


@pytest.mark.parametrize(
    ("extra", "limit", "choices", "stream"),
    [
        ({}, None, 1, False),
        ({"max_tokens": 5}, 5, 1, False),
        ({"max_tokens": 5, "max_completion_tokens": 9}, 9, 1, False),
        ({"max_tokens": 5, "max_completion_tokens": None, "stream": False}, 5, 1, False),
        ({"max_tokens": 5, "max_completion_tokens": "9"}, None, 1, False),
        ({"max_tokens": 5.5}, 6, 1, False),
        ({"max_tokens": -1}, None, 1, False),
        ({"max_tokens": 10**400}, None, 1, False),
        ({"max_tokens": 1e300}, None, 1, False),
        ({"n": 3, "stream": True}, None, 3, True),
        ({"n": 2, "best_of": 4.0, "stream": 1}, None, 4, True),
    ],
)
def test_sizes(extra: dict[str, Any], limit: int | None, choices: int, stream: bool) -> None:
    """The largest limit counts; one that cannot be read counts as none, so the model's own maximum is assumed."""
    intent = judge({**CHAT, **extra})
    assert (intent.max_output_tokens, intent.choices, intent.stream) == (limit, choices, stream)
    assert intent.prompt_bytes == len(json.dumps({**CHAT, **extra}))


@pytest.mark.parametrize(
    ("endpoint", "extra", "accepts"),
    [
        (Endpoint.CHAT, {}, True),
        (Endpoint.CHAT, {"provider": {"sort": "price"}}, True),
        (Endpoint.CHAT, {"provider": {"max_price": {"prompt": 1}}}, True),
        (Endpoint.CHAT, {"provider": {"max_price": None}}, True),
        (Endpoint.RESPONSES, {}, True),
        (Endpoint.MESSAGES, {}, True),
        (Endpoint.EMBEDDINGS, {}, True),
        (Endpoint.COMPLETIONS, {}, True),
        (Endpoint.RERANK, {}, True),
        (Endpoint.SPEECH, {}, False),
        (Endpoint.VIDEOS, {}, False),
        (Endpoint.SYSTEMONE, {}, False),
    ],
)
def test_accepts_max_price(endpoint: Endpoint, extra: dict[str, Any], accepts: bool) -> None:
    """The belt is offered where OpenRouter types it, whether or not the request brings its own."""
    assert judge({**CHAT, **extra}, endpoint).accepts_max_price is accepts


@pytest.mark.parametrize(
    ("endpoint", "extra", "unbounded"),
    [
        (Endpoint.CHAT, {}, False),
        (Endpoint.CHAT, {"tools": [FUNCTION], "messages": [{"role": "user", "content": 'the "image" tag'}]}, False),
        (Endpoint.CHAT, {"messages": [{"content": [{"type": "text", "text": "x"}]}]}, False),
        (Endpoint.CHAT, {"messages": [{"content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}]}, True),
        (Endpoint.CHAT, {"messages": [{"content": [{"type": "input_audio", "input_audio": {}}]}]}, True),
        (Endpoint.RESPONSES, {"input": [{"type": "item_reference", "id": "x"}]}, True),
        (Endpoint.RESPONSES, {"previous_response_id": "r"}, True),
        (Endpoint.RESPONSES, {"prompt": {"id": "x"}}, True),
        (Endpoint.CHAT, {"plugins": [{"id": "web"}]}, True),
        (Endpoint.TRANSCRIPTIONS, {}, True),
        (Endpoint.RERANK, {"documents": [{"image": "https://x"}]}, True),
    ],
)
def test_by_reference(endpoint: Endpoint, extra: dict[str, Any], unbounded: bool) -> None:
    """Media, references and searches bring tokens that the body's length does not bound."""
    assert judge({**CHAT, **extra}, endpoint).by_reference is unbounded


def batch(*bodies: Any, endpoint: str = "/v1/chat/completions", **more: Any) -> Intent:
    requests = [{"custom_id": str(at), "body": body} for at, body in enumerate(bodies)]
    return judge({"endpoint": endpoint, "model": FREE, "requests": requests, **more}, Endpoint.BATCHES)


def test_batches() -> None:
    """Every request of a batch is judged like one of its endpoint; models and objections are united."""
    plain = batch({"messages": [], "max_tokens": 5}, {"model": FREE, "messages": [], "max_tokens": 7, "n": 2})
    assert plain.objections == ()
    assert (plain.models, plain.choices, plain.max_output_tokens) == ((FREE,), 3, 7)
    assert not plain.accepts_max_price
    assert batch({}, {"max_tokens": 7}).max_output_tokens is None
    mixed = batch({"model": "c/d", "models": ["e/f"]}, {"plugins": [{"id": "web"}]}, {"modalities": ["image"]})
    assert set(mixed.models) == {FREE, "c/d", "e/f"}
    assert set(reasons(mixed)) == {Reason.PAID_PLUGIN, Reason.PAID_MODALITY}


@pytest.mark.parametrize(
    ("endpoint", "extra", "prompts"),
    [
        (Endpoint.CHAT, {}, 1),
        (Endpoint.RESPONSES, {"input": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}, 1),
        (Endpoint.EMBEDDINGS, {"input": "a"}, 1),
        (Endpoint.EMBEDDINGS, {"input": {"content": [{"type": "text", "text": "a"}]}}, 1),
        (Endpoint.EMBEDDINGS, {"input": [1, 2.0, 3]}, 1),
        (Endpoint.EMBEDDINGS, {"input": []}, 1),
        (Endpoint.EMBEDDINGS, {"input": ["a"]}, 1),
        (Endpoint.EMBEDDINGS, {"input": ["a", "b", "c"]}, 3),
        (Endpoint.EMBEDDINGS, {"input": [[1, 2], [3]]}, 2),
        (Endpoint.EMBEDDINGS, {"input": [1, "a", 2]}, 3),
        (Endpoint.EMBEDDINGS, {"input": [{"content": []}, {"content": []}]}, 2),
        (Endpoint.COMPLETIONS, {"prompt": "a"}, 1),
        (Endpoint.COMPLETIONS, {"prompt": [1, 2, 3]}, 1),
        (Endpoint.COMPLETIONS, {"prompt": ["a", "b"]}, 2),
        (Endpoint.RERANK, {"query": "a", "documents": ["b"] * 7}, 7),
    ],
)
def test_prompts(endpoint: Endpoint, extra: dict[str, Any], prompts: int) -> None:
    """Each text of a list is a prompt, with the model's context to itself; a list of tokens is one text."""
    intent = judge({**CHAT, **extra}, endpoint)
    assert intent.prompts == prompts
    if endpoint is not Endpoint.RERANK:
        assert (intent.requests, intent.prompt_bytes) == (prompts, len(json.dumps({**CHAT, **extra})))


def test_each_prompt_of_a_list_is_answered() -> None:
    """Three prompts with two choices each are six answers."""
    assert judge({**CHAT, "n": 2, "prompt": ["a", "b", "c"]}, Endpoint.COMPLETIONS).choices == 6
    assert judge({**CHAT, "n": 2, "prompt": "abc"}, Endpoint.COMPLETIONS).choices == 2


@pytest.mark.parametrize(
    ("query", "documents", "repeated", "units"),
    [
        ("ü" * 10, ["a"], 0, 1),
        ("ü" * 10, ["a"] * 90, 89 * 20, 1),
        ("ü" * 10, ["a"] * 101, 100 * 20, 2),
        ("q" * 10, ["a" * 490 * 100], 0, 2),
        ("q" * 1000, ["a"] * 2, 1000, 11),
    ],
)
def test_reranking_reads_the_query_with_each_document(
    query: str, documents: list[str], repeated: int, units: int
) -> None:
    """The query's bytes count once for each document; a search unit is a hundred documents of 500 tokens at most."""
    fields = {"model": FREE, "query": query, "documents": documents}
    intent = judge(fields, Endpoint.RERANK)
    assert intent.prompt_bytes == len(json.dumps(fields)) + repeated
    assert intent.requests == units


def test_a_batch_of_lists_holds_them_all() -> None:
    """The prompts of every request of a batch are added up."""
    two = batch({"input": ["a", "b"]}, {"input": "c"}, endpoint="/v1/embeddings")
    assert (two.prompts, two.requests, two.choices) == (3, 3, 2)


@pytest.mark.parametrize(
    "fields",
    [
        {"requests": []},
        {"requests": None},
        {"requests": {}},
        {"requests": [1]},
        {"requests": [{"custom_id": "x"}]},
        {"requests": [{"custom_id": "x", "body": {}, "model": "c/d"}]},
        {"requests": [{"custom_id": "x", "body": {}}], "endpoint": "/v1/images"},
        {"requests": [{"custom_id": "x", "body": {}}], "endpoint": None},
        {"requests": [{"custom_id": "x", "body": {"Model": "c/d"}}]},
        {"input_file_id": "f"},
    ],
)
def test_batches_that_are_not_understood(fields: dict[str, Any]) -> None:
    """A batch of another shape than documented cannot be judged."""
    intent = judge({"endpoint": "/v1/chat/completions", "model": FREE, **fields}, Endpoint.BATCHES)
    assert Reason.BODY_UNREADABLE in reasons(intent)


def test_details_hold_no_secrets() -> None:
    """A detail quotes names only, shortened and without what looks like a key."""
    secret = "sk-or-v1-" + "a" * 40
    intent = judge(
        {"model": f"~{secret}", "messages": [secret], "plugins": [{"id": secret}], "tools": [{"type": "x " + secret}]},
        headers={"x-openrouter-" + secret: "x"},
    )
    assert len(intent.objections) == 4
    assert all(secret not in objection.detail for objection in intent.objections)
