"""Our own small catalogue: about two dozen models in the full shape of 2026, one of each kind that matters to a guard.

Prices are decimal strings in USD per token, as OpenRouter writes them. The models and prices are made up in the
likeness of real ones.
"""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]

_CREATED = 1_775_000_000
_TEXT_PARAMETERS = [
    "frequency_penalty",
    "max_tokens",
    "presence_penalty",
    "response_format",
    "seed",
    "stop",
    "structured_outputs",
    "temperature",
    "tool_choice",
    "tools",
    "top_p",
]
_NO_DEFAULTS = {
    "temperature": None,
    "top_p": None,
    "top_k": None,
    "frequency_penalty": None,
    "presence_penalty": None,
    "repetition_penalty": None,
}


def model_row(
    model_id: str,
    name: str,
    prompt: str,
    completion: str,
    *,
    slug: str | None = None,
    context: int = 131_072,
    reads: tuple[str, ...] = ("text",),
    writes: tuple[str, ...] = ("text",),
    max_completion: int | None = 16_384,
    prices: dict[str, Any] | None = None,
    **more: Any,
) -> Row:
    """A row of `GET /models`; `prices` adds pricing keys, `more` adds or replaces fields of the row."""
    row: Row = {
        "id": model_id,
        "canonical_slug": slug or model_id.partition(":")[0],
        "hugging_face_id": None,
        "name": name,
        "created": _CREATED,
        "description": f"{name}, as the simulator imagines it.",
        "context_length": context,
        "architecture": {
            "modality": f"{'+'.join(reads)}->{'+'.join(writes)}",
            "input_modalities": list(reads),
            "output_modalities": list(writes),
            "tokenizer": "Other",
            "instruct_type": None,
        },
        "pricing": {"prompt": prompt, "completion": completion, **(prices or {})},
        "top_provider": {"context_length": context, "max_completion_tokens": max_completion, "is_moderated": False},
        "per_request_limits": None,
        "supported_parameters": list(_TEXT_PARAMETERS),
        "default_parameters": dict(_NO_DEFAULTS),
        "supported_voices": None,
        "knowledge_cutoff": None,
        "expiration_date": None,
        "links": {"details": f"/api/v1/models/{model_id}/endpoints"},
    }
    row.update(more)
    return row


def own_rows() -> list[Row]:
    """The catalogue of a simulator that was given none."""
    return [*_pairs(), *_routers(), *_oddities(), *_other_outputs()]


def _pair(model_id: str, name: str, prompt: str, completion: str, date: str, **more: Any) -> list[Row]:
    """A free variant and its paid twin: they share the canonical slug, and differ only in id and price."""
    slug = f"{model_id}-{date}"
    return [
        model_row(f"{model_id}:free", f"{name} (free)", "0", "0", slug=slug, **more),
        model_row(model_id, name, prompt, completion, slug=slug, **more),
    ]


def _pairs() -> list[Row]:
    thinking = {"reasoning": {"mandatory": False, "supported_efforts": ["high", "medium", "low"]}}
    return [
        *_pair("meta-llama/llama-3.3-70b-instruct", "Meta: Llama 3.3 70B", "0.0000001", "0.00000032", "20251206"),
        *_pair("qwen/qwen3-235b-a22b", "Qwen: Qwen3 235B A22B", "0.00000018", "0.00000054", "20250428"),
        *_pair("qwen/qwen3-coder", "Qwen: Qwen3 Coder", "0.00000022", "0.00000095", "20250722", context=262_144),
        *_pair("deepseek/deepseek-r1", "DeepSeek: R1", "0.0000004", "0.0000024", "20260128", **thinking),
        *_pair(
            "google/gemma-4-31b-it",
            "Google: Gemma 4 31B",
            "0.00000009",
            "0.00000027",
            "20260402",
            reads=("text", "image"),
        ),
        *_pair("z-ai/glm-4.5-air", "Z.AI: GLM 4.5 Air", "0.00000014", "0.00000086", "20250725"),
        *_pair("openai/gpt-oss-20b", "OpenAI: gpt-oss-20b", "0.00000003", "0.00000014", "20250807"),
        *_pair(
            "nvidia/nemotron-3-nano-30b-a3b",
            "NVIDIA: Nemotron 3 Nano",
            "0.00000006",
            "0.00000024",
            "20251214",
            context=1_048_576,
        ),
    ]


def _routers() -> list[Row]:
    return [
        model_row("openrouter/free", "Free Models Router", "0", "0", context=200_000, max_completion=None),
        model_row("openrouter/auto", "Auto Router", "-1", "-1", context=2_000_000, max_completion=None),
        model_row(
            "~anthropic/claude-sonnet-latest",
            "Anthropic Claude Sonnet Latest",
            "0.000003",
            "0.000015",
            context=1_000_000,
            alias_target={"name": "Anthropic: Claude Sonnet 5", "slug": "anthropic/claude-sonnet-5"},
        ),
    ]


def _oddities() -> list[Row]:
    return [
        # Zero-priced without the suffix: a preview under another name, gone or paid without notice.
        model_row("stealth/space-heron-alpha", "Space Heron Alpha", "0", "0", context=256_000),
        # The price per token is zero and each song still costs.
        model_row(
            "google/lyria-3-pro-preview",
            "Google: Lyria 3 Pro Preview",
            "0",
            "0",
            reads=("text", "image"),
            writes=("text", "audio"),
        ),
        model_row(
            "anthropic/claude-sonnet-5",
            "Anthropic: Claude Sonnet 5",
            "0.000003",
            "0.000015",
            slug="anthropic/claude-sonnet-5-20260217",
            context=1_000_000,
            reads=("text", "image", "file"),
            max_completion=64_000,
            prices={
                "input_cache_read": "0.0000003",
                "input_cache_write": "0.00000375",
                "web_search": "0.01",
                "overrides": [{"min_prompt_tokens": 200_000, "prompt": "0.000006", "completion": "0.0000225"}],
            },
        ),
        model_row(
            "openai/gpt-5-mini",
            "OpenAI: GPT-5 Mini",
            "0.00000025",
            "0.000002",
            slug="openai/gpt-5-mini-2025-08-07",
            context=400_000,
            reads=("text", "image", "file"),
            max_completion=128_000,
            prices={"web_search": "0.01", "input_cache_read": "0.00000003"},
        ),
        model_row(
            "mistralai/mistral-small-3.2-24b-instruct:free",
            "Mistral: Mistral Small 3.2 (free)",
            "0",
            "0",
            slug="mistralai/mistral-small-3.2-24b-instruct-2506",
            reads=("text", "image"),
            expiration_date="2027-01-15",
        ),
    ]


def _other_outputs() -> list[Row]:
    return [
        model_row(
            "google/gemini-3-flash-image",
            "Google: Gemini 3 Flash Image",
            "0.0000003",
            "0.0000025",
            reads=("text", "image"),
            writes=("image", "text"),
            prices={"image": "0.001238", "image_output": "0.00003"},
        ),
        model_row(
            "black-forest-labs/flux-3",
            "Black Forest Labs: FLUX 3",
            "0",
            "0",
            writes=("image",),
            prices={"image_output": "0.0000095"},
        ),
        model_row(
            "openai/text-embedding-3-small",
            "OpenAI: Text Embedding 3 Small",
            "0.00000002",
            "0",
            context=8_192,
            writes=("embeddings",),
            max_completion=None,
        ),
        model_row(
            "nvidia/llama-nemotron-embed-vl-1b-v2:free",
            "NVIDIA: Nemotron Embed (free)",
            "0",
            "0",
            context=32_768,
            writes=("embeddings",),
            max_completion=None,
        ),
        model_row(
            "cohere/rerank-4-fast",
            "Cohere: Rerank 4 Fast",
            "0",
            "0",
            context=32_768,
            writes=("rerank",),
            max_completion=None,
            prices={"request": "0.002"},
        ),
    ]
