"""Everything in a request that could bill is an objection or a model that the catalogue judges."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from openrouter_data import folder

from monitor.model import Endpoint, Intent, Reason
from monitor.openrouter.intent import read_intent

FREE = "a/b:free"
JSON = {"content-type": "application/json"}
CHAT: dict[str, Any] = {"model": FREE, "messages": [{"role": "user", "content": "hi"}]}


def judge(fields: dict[str, Any], endpoint: Endpoint = Endpoint.CHAT, headers: dict[str, str] | None = None) -> Intent:
    return read_intent(endpoint, {**JSON, **(headers or {})}, json.dumps(fields).encode())


def reasons(intent: Intent) -> list[Reason]:
    return [objection.reason for objection in intent.objections]


FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "model": "x/y"}}}

PLAIN: list[tuple[Endpoint, dict[str, Any]]] = [
    (Endpoint.CHAT, {}),
    (Endpoint.CHAT, {"model": "openrouter/free"}),
    (Endpoint.CHAT, {"models": ["c/d:free"], "route": "fallback"}),
    (Endpoint.CHAT, {"models": None, "plugins": None, "tools": None, "preset": None, "provider": None, "route": None}),
    (Endpoint.CHAT, {"stream": True, "stream_options": {"include_usage": True}, "usage": {"include": True}}),
    (Endpoint.CHAT, {"temperature": 0.1, "top_p": 1, "seed": 1, "stop": ["x"], "max_tokens": 5, "n": 1, "user": "u"}),
    (Endpoint.CHAT, {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}}),
    (Endpoint.CHAT, {"reasoning": {"effort": "low"}, "include_reasoning": True, "reasoning_effort": "low"}),
    (Endpoint.CHAT, {"tools": [FUNCTION], "tool_choice": "auto", "parallel_tool_calls": True}),
    (Endpoint.CHAT, {"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "f"}}}),
    (Endpoint.CHAT, {"functions": [{"name": "f"}], "function_call": "auto"}),
    (Endpoint.CHAT, {"plugins": []}),
    (Endpoint.CHAT, {"plugins": [{"id": "response-healing"}, {"id": "context-compression", "enabled": True}]}),
    (Endpoint.CHAT, {"plugins": [{"id": "web", "enabled": False}, {"id": "anything", "enabled": False}]}),
    (Endpoint.CHAT, {"plugins": [{"id": "file-parser", "pdf": {"engine": "cloudflare-ai"}}]}),
    (Endpoint.CHAT, {"plugins": [{"id": "file-parser", "pdf": {"engine": "native"}}]}),
    (Endpoint.CHAT, {"modalities": ["text"], "service_tier": "auto", "transforms": ["middle-out"]}),
    (Endpoint.CHAT, {"service_tier": "default", "provider": {"sort": "price", "order": ["x"], "zdr": True}}),
    (Endpoint.CHAT, {"provider": {"options": {"groq": {"seed": 1}}}, "some_unheard_field": 1, "tool_stream": True}),
    (Endpoint.CHAT, {"metadata": {"search": "x"}, "trace": {}, "session_id": "s", "debug": {}, "logit_bias": {"1": 1}}),
    (Endpoint.CHAT, {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}),
    (Endpoint.CHAT, {"messages": [{"role": "user", "content": 'a "file" and "input_file" \u0041'}]}),
    (Endpoint.COMPLETIONS, {"prompt": "hi", "suffix": "x", "echo": False, "best_of": 1}),
    (Endpoint.RESPONSES, {"input": "hi", "instructions": "x", "text": {}, "max_output_tokens": 5, "store": False}),
    (Endpoint.RESPONSES, {"input": [], "tools": [{"type": "function", "name": "f", "parameters": {}}]}),
    (Endpoint.RESPONSES, {"tools": [{"type": "custom", "name": "f"}], "tool_choice": {"type": "custom", "name": "f"}}),
    (Endpoint.RESPONSES, {"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "custom", "name": "f"}]}]}),
    (Endpoint.MESSAGES, {"system": "x", "thinking": {"type": "enabled"}, "stop_sequences": ["x"], "max_tokens": 9}),
    (Endpoint.MESSAGES, {"tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "tool", "name": "f"}}),
    (
        Endpoint.MESSAGES,
        {"tools": [{"type": "custom", "name": "f", "input_schema": {}}], "tool_choice": {"type": "any"}},
    ),
    (Endpoint.MESSAGES, {"speed": "standard", "service_tier": "standard_only", "fallbacks": [{"model": "c/d:free"}]}),
    (Endpoint.EMBEDDINGS, {"input": ["a", "b"], "dimensions": 8, "encoding_format": "float"}),
    (Endpoint.RERANK, {"query": "q", "documents": ["a", {"text": "b"}], "top_n": 1}),
    (Endpoint.TRANSCRIPTIONS, {"input_audio": {"data": "x", "format": "wav"}, "language": "en"}),
    (Endpoint.DECISIONS, {"state": "x", "questions": {}}),
]


@pytest.mark.parametrize(("endpoint", "extra"), PLAIN)
def test_plain_requests_have_no_objection(endpoint: Endpoint, extra: dict[str, Any]) -> None:
    """What costs nothing beside the model is let through on every endpoint."""
    intent = judge({**CHAT, **extra}, endpoint)
    assert intent.objections == ()


PDF = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}}

PAID: list[tuple[Endpoint, dict[str, Any], Reason]] = [
    (Endpoint.CHAT, {"model": "@preset/x"}, Reason.PRESET),
    (Endpoint.CHAT, {"model": "a/b@preset/x"}, Reason.PRESET),
    (Endpoint.CHAT, {"model": "a/b:free@Preset/x"}, Reason.PRESET),
    (Endpoint.CHAT, {"models": ["@preset/x"]}, Reason.PRESET),
    (Endpoint.CHAT, {"preset": "x"}, Reason.PRESET),
    (Endpoint.CHAT, {"preset": ""}, Reason.PRESET),
    (Endpoint.RESPONSES, {"prompt": {"id": "pmpt_1"}}, Reason.PRESET),
    (Endpoint.CHAT, {"model": "a/b:online"}, Reason.PAID_PLUGIN),
    (Endpoint.CHAT, {"model": "a/b:free:online"}, Reason.PAID_PLUGIN),
    (Endpoint.CHAT, {"models": ["a/b:ONLINE"]}, Reason.PAID_PLUGIN),
    (Endpoint.CHAT, {"model": "a/b:nitro"}, Reason.ROUTER_MODEL),
    (Endpoint.CHAT, {"model": "a/b:free:nitro"}, Reason.ROUTER_MODEL),
    (Endpoint.CHAT, {"model": "a/b:floor:free"}, Reason.ROUTER_MODEL),
    (Endpoint.CHAT, {"model": "a/b:exacto"}, Reason.ROUTER_MODEL),
    (Endpoint.CHAT, {"model": "a/b:free:thinking"}, Reason.ROUTER_MODEL),
    (Endpoint.CHAT, {"model": "openrouter/auto"}, Reason.ROUTER_MODEL),
    (Endpoint.CHAT, {"model": "openrouter/auto:free"}, Reason.ROUTER_MODEL),
    (Endpoint.CHAT, {"model": "OpenRouter/Auto-Beta"}, Reason.ROUTER_MODEL),
    (Endpoint.CHAT, {"model": "openrouter/fusion"}, Reason.ROUTER_MODEL),
    (Endpoint.CHAT, {"model": "openrouter/bodybuilder"}, Reason.ROUTER_MODEL),
    (Endpoint.CHAT, {"model": "openrouter/pareto-code"}, Reason.ROUTER_MODEL),
    (Endpoint.CHAT, {"model": "typesafe/jev-router"}, Reason.ROUTER_MODEL),
    (Endpoint.CHAT, {"model": "~anthropic/claude-opus-latest"}, Reason.ROUTER_MODEL),
    (Endpoint.CHAT, {"models": ["c/d:free", "openrouter/auto"]}, Reason.ROUTER_MODEL),
    (Endpoint.CHAT, {"route": "auto"}, Reason.ROUTER_MODEL),
    (Endpoint.CHAT, {"plugins": [{"id": "web"}]}, Reason.PAID_PLUGIN),
    (Endpoint.CHAT, {"plugins": [{"id": "web", "enabled": "false"}]}, Reason.PAID_PLUGIN),
    (Endpoint.CHAT, {"plugins": [{"id": "web", "enabled": 0}]}, Reason.PAID_PLUGIN),
    (Endpoint.CHAT, {"plugins": [{"id": "web", "enabled": None}]}, Reason.PAID_PLUGIN),
    (Endpoint.CHAT, {"plugins": [{"id": "web", "enabled": False}, {"id": "web"}]}, Reason.PAID_PLUGIN),
    (Endpoint.CHAT, {"plugins": [{"id": "unheard-of"}]}, Reason.PAID_PLUGIN),
    (Endpoint.CHAT, {"plugins": [{}]}, Reason.PAID_PLUGIN),
    (Endpoint.CHAT, {"plugins": [{"id": ["response-healing"]}]}, Reason.PAID_PLUGIN),
    (Endpoint.CHAT, {"plugins": [{"id": "file-parser"}]}, Reason.PAID_PLUGIN),
    (Endpoint.CHAT, {"plugins": [{"id": "file-parser", "pdf": {"engine": "mistral-ocr"}}]}, Reason.PAID_PLUGIN),
    (Endpoint.CHAT, {"plugins": [{"id": "file-parser", "pdf": {"engine": None}}]}, Reason.PAID_PLUGIN),
    (Endpoint.CHAT, {"plugins": [{"id": "fusion", "enabled": True}]}, Reason.PAID_PLUGIN),
    (Endpoint.CHAT, {"messages": [{"role": "user", "content": [PDF]}]}, Reason.PAID_PLUGIN),
    (Endpoint.RESPONSES, {"input": [{"content": [{"type": "input_file", "file_id": "x"}]}]}, Reason.PAID_PLUGIN),
    (Endpoint.MESSAGES, {"messages": [{"content": [{"type": "document", "source": {}}]}]}, Reason.PAID_PLUGIN),
    (
        Endpoint.MESSAGES,
        {"messages": [{"content": [{"type": "tool_result", "content": [{"type": "document"}]}]}]},
        Reason.PAID_PLUGIN,
    ),
    (
        Endpoint.CHAT,
        {"messages": [{"content": [PDF]}], "plugins": [{"id": "file-parser", "enabled": False}]},
        Reason.PAID_PLUGIN,
    ),
    (Endpoint.CHAT, {"tools": [{"type": "openrouter:web_search"}]}, Reason.SERVER_TOOL),
    (Endpoint.CHAT, {"tools": [FUNCTION, {"type": "web_search"}]}, Reason.SERVER_TOOL),
    (Endpoint.CHAT, {"tools": [{"type": "web_search_preview_2025_03_11"}]}, Reason.SERVER_TOOL),
    (Endpoint.CHAT, {"tools": [{"type": "some_new_shorthand", "function": {"name": "f"}}]}, Reason.SERVER_TOOL),
    (Endpoint.CHAT, {"tools": [{"type": "Function", "function": {"name": "f"}}]}, Reason.SERVER_TOOL),
    (
        Endpoint.CHAT,
        {"tools": [{"type": "function", "function": {"name": "openrouter:web_search"}}]},
        Reason.SERVER_TOOL,
    ),
    (Endpoint.CHAT, {"tools": [{"type": "function"}]}, Reason.SERVER_TOOL),
    (Endpoint.CHAT, {"tools": [{}]}, Reason.SERVER_TOOL),
    (Endpoint.CHAT, {"tools": [{"type": ["function"], "function": {"name": "f"}}]}, Reason.SERVER_TOOL),
    (Endpoint.RESPONSES, {"tools": [{"type": "mcp", "server_url": "x"}]}, Reason.SERVER_TOOL),
    (Endpoint.RESPONSES, {"tools": [{"type": "code_interpreter"}]}, Reason.SERVER_TOOL),
    (Endpoint.RESPONSES, {"tools": [{"type": "namespace", "tools": [{"type": "web_search"}]}]}, Reason.SERVER_TOOL),
    (Endpoint.MESSAGES, {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, Reason.SERVER_TOOL),
    (Endpoint.MESSAGES, {"tools": [{"type": "computer_20250124", "name": "computer"}]}, Reason.SERVER_TOOL),
    (Endpoint.MESSAGES, {"tools": [{"name": "f"}]}, Reason.SERVER_TOOL),
    (Endpoint.MESSAGES, {"mcp_servers": [{"url": "x"}]}, Reason.SERVER_TOOL),
    (Endpoint.MESSAGES, {"container": {"skills": []}}, Reason.SERVER_TOOL),
    (Endpoint.CHAT, {"tool_choice": {"type": "openrouter:web_search"}}, Reason.SERVER_TOOL),
    (Endpoint.CHAT, {"tool_choice": "web_search"}, Reason.SERVER_TOOL),
    (
        Endpoint.RESPONSES,
        {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search_preview"}]}},
        Reason.SERVER_TOOL,
    ),
    (Endpoint.CHAT, {"web_search_options": {}}, Reason.SERVER_TOOL),
    (Endpoint.CHAT, {"deferred_tools": {"protocol": "v1"}}, Reason.SERVER_TOOL),
    (Endpoint.CHAT, {"deferred_tools": [{"type": "web_search"}]}, Reason.SERVER_TOOL),
    (Endpoint.CHAT, {"modalities": ["text", "image"]}, Reason.PAID_MODALITY),
    (Endpoint.CHAT, {"modalities": ["audio"]}, Reason.PAID_MODALITY),
    (Endpoint.CHAT, {"modalities": ["Text"]}, Reason.PAID_MODALITY),
    (Endpoint.CHAT, {"image_config": {"aspect_ratio": "1:1"}}, Reason.PAID_MODALITY),
    (Endpoint.CHAT, {"audio": {"voice": "x"}}, Reason.PAID_MODALITY),
    (Endpoint.IMAGES, {"prompt": "x"}, Reason.PAID_MODALITY),
    (Endpoint.SPEECH, {"input": "x", "voice": "v", "speed": 1.5}, Reason.PAID_MODALITY),
    (Endpoint.VIDEOS, {"prompt": "x"}, Reason.PAID_MODALITY),
    (Endpoint.CHAT, {"service_tier": "priority"}, Reason.PAID_SERVICE_TIER),
    (Endpoint.CHAT, {"service_tier": "flex"}, Reason.PAID_SERVICE_TIER),
    (Endpoint.CHAT, {"service_tier": ["auto"]}, Reason.PAID_SERVICE_TIER),
    (Endpoint.MESSAGES, {"speed": "fast"}, Reason.PAID_SERVICE_TIER),
    (Endpoint.CHAT, {"provider": {"options": {"xai": {"search_parameters": {}}}}}, Reason.PAID_PLUGIN),
    (Endpoint.CHAT, {"provider": {"options": {"x": {"a": [{"tools": []}]}}}}, Reason.PAID_PLUGIN),
    (Endpoint.CHAT, {"search_parameters": {"mode": "on"}}, Reason.PAID_PLUGIN),
    (Endpoint.CHAT, {"openrouter_extra": 1}, Reason.PAID_PLUGIN),
    (Endpoint.CHAT, {"webhook": 1}, Reason.PAID_PLUGIN),
    (Endpoint.CHAT, {"fusion": {}}, Reason.PAID_PLUGIN),
    (Endpoint.CHAT, {"models": "a/b:free"}, Reason.BODY_UNREADABLE),
    (Endpoint.CHAT, {"models": [1]}, Reason.BODY_UNREADABLE),
    (Endpoint.CHAT, {"models": [None]}, Reason.BODY_UNREADABLE),
    (Endpoint.MESSAGES, {"fallbacks": {"model": "c/d"}}, Reason.BODY_UNREADABLE),
    (Endpoint.MESSAGES, {"fallbacks": [{"model": "c/d:free", "tools": []}]}, Reason.BODY_UNREADABLE),
    (Endpoint.CHAT, {"plugins": {"id": "web"}}, Reason.BODY_UNREADABLE),
    (Endpoint.CHAT, {"plugins": ["web"]}, Reason.BODY_UNREADABLE),
    (Endpoint.CHAT, {"plugins": [{"id": "web", "enabled": False, "Enabled": True}]}, Reason.BODY_UNREADABLE),
    (Endpoint.CHAT, {"tools": {"type": "function"}}, Reason.BODY_UNREADABLE),
    (Endpoint.CHAT, {"tools": [{"type": "function", "function": {"name": "f"}, "Type": "x"}]}, Reason.BODY_UNREADABLE),
    (Endpoint.CHAT, {"tool_choice": 5}, Reason.BODY_UNREADABLE),
    (Endpoint.CHAT, {"modalities": "text"}, Reason.BODY_UNREADABLE),
    (Endpoint.CHAT, {"provider": "groq"}, Reason.BODY_UNREADABLE),
    (Endpoint.CHAT, {"provider": {"maxPrice": 1}}, Reason.BODY_UNREADABLE),
    (Endpoint.CHAT, {"n": 0}, Reason.BODY_UNREADABLE),
    (Endpoint.CHAT, {"n": "2"}, Reason.BODY_UNREADABLE),
    (Endpoint.CHAT, {"n": 10**400}, Reason.BODY_UNREADABLE),
    (Endpoint.CHAT, {"n": 1.5}, Reason.BODY_UNREADABLE),
    (Endpoint.CHAT, {"model": None}, Reason.MODEL_MISSING),
    (Endpoint.CHAT, {"model": ""}, Reason.MODEL_MISSING),
    (Endpoint.UNKNOWN, {}, Reason.ENDPOINT_UNKNOWN),
]


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
        (Endpoint.CHAT, {"provider": {"max_price": {"prompt": 1}}}, False),
        (Endpoint.CHAT, {"provider": {"max_price": None}}, False),
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
    """The belt is offered where OpenRouter types it, unless the request brings its own."""
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


PAID_ELEMENTS = [(endpoint, extra) for endpoint, extra, _ in PAID if endpoint is Endpoint.CHAT and "model" not in extra]


@settings(max_examples=150)
@given(st.lists(st.sampled_from(PLAIN[:20]), max_size=4), st.sampled_from(PAID_ELEMENTS), st.randoms())
def test_nothing_hides_a_paid_element(
    plain: list[tuple[Endpoint, dict[str, Any]]], paid: tuple[Endpoint, dict[str, Any]], random: Any
) -> None:
    """A paid element is found whatever harmless fields stand around it, in whatever order."""
    fields = copy.deepcopy(CHAT)
    for _, extra in plain:
        fields.update(extra)
    fields.update(paid[1])
    items = list(fields.items())
    random.shuffle(items)
    assert judge(dict(items)).objections


@settings(max_examples=100)
@given(st.lists(st.sampled_from([extra for endpoint, extra in PLAIN if endpoint is Endpoint.CHAT]), max_size=5))
def test_plain_fields_never_add_up_to_an_objection(extras: list[dict[str, Any]]) -> None:
    """Harmless fields stay harmless together."""
    fields = copy.deepcopy(CHAT)
    for extra in extras:
        fields.update(extra)
    assert judge(fields).objections == ()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["model", "models", "fallbacks", "plugins", "tools", "tool_choice", "provider", "messages", "n", "modalities"]
FIELDS += [
    "service_tier",
    "preset",
    "input",
    "requests",
    "endpoint",
    "stream",
    "max_tokens",
    "container",
    "speed",
    "id",
]


@settings(max_examples=200)
@given(st.sampled_from(list(Endpoint)), st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), json_values))
def test_any_json_gives_an_intent(endpoint: Endpoint, fields: dict[str, Any]) -> None:
    """Whatever the fields hold, reading them raises nothing."""
    assert read_intent(endpoint, JSON, json.dumps(fields).encode()).endpoint is endpoint


@settings(max_examples=150)
@given(st.sampled_from(list(Endpoint)), st.binary(max_size=64), st.sampled_from(["", "gzip", "deflate", "br"]))
def test_any_bytes_give_an_intent(endpoint: Endpoint, body: bytes, encoding: str) -> None:
    """Bytes that are no JSON are an objection, never an exception, whatever the headers say."""
    for kind in ("application/json", "multipart/form-data; boundary=x", body.decode("latin-1")):
        assert read_intent(endpoint, {"content-type": kind, "content-encoding": encoding}, body).objections


RECORDED = {
    "chat_05_pydantic-ai-document_url_no_force_download.yaml": {Reason.PAID_PLUGIN},
    "chat_19_pydantic-ai-web_search_tool_full_params.yaml": {Reason.SERVER_TOOL},
    "chat_20_pydantic-ai-web_search_tool_usage.yaml": {Reason.SERVER_TOOL},
    "chat_22_pydantic-ai-with_preset.yaml": {Reason.PRESET},
    "stream_07_pydantic-ai-web_search_tool_usage_stream.yaml": {Reason.SERVER_TOOL},
}
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def test_recorded_requests() -> None:
    """Requests that real clients sent are judged for what they hold; all but the five with add-ons are plain."""
    seen = 0
    for path in sorted(folder("recorded").glob("*.yaml")):
        for interaction in yaml.load(path.read_text("utf-8"), Loader=LOADER).get("interactions", []):
            request = interaction["request"]
            body = json.dumps(request["parsed_body"]) if "parsed_body" in request else request.get("body")
            if request["method"] != "POST" or not body:
                continue
            endpoint = Endpoint.RESPONSES if request["uri"].endswith("/responses") else Endpoint.CHAT
            intent = read_intent(endpoint, JSON, body.encode() if isinstance(body, str) else body)
            assert set(reasons(intent)) == RECORDED.get(path.name, set()), path.name
            assert intent.model is not None
            seen += 1
    assert seen >= 20
