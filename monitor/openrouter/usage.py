"""Tokens and cost as the endpoints report them: three vocabularies for the same four numbers."""

from __future__ import annotations

from monitor.model import Usage
from monitor.openrouter.values import count, mapping, number

_NOTHING = Usage()


def read_usage(obj: object) -> Usage:
    """The numbers in a `usage` object, or in a body that has one; what is missing, negative or no number is None.

    Chat, completions and embeddings say `prompt_tokens`; responses say `input_tokens`; messages say `input_tokens`
    without the cached ones, which are added here, so that cached tokens are a part of the prompt everywhere.
    """
    if not isinstance(obj, dict):
        return _NOTHING
    usage = obj.get("usage", obj)
    if not isinstance(usage, dict):
        return _NOTHING
    prompt = count(usage.get("prompt_tokens"))
    completion = count(usage.get("completion_tokens"))
    cached = mapping(usage.get("prompt_tokens_details")).get("cached_tokens")
    reasoning = mapping(usage.get("completion_tokens_details")).get("reasoning_tokens")
    if prompt is None and "input_tokens" in usage:
        prompt = count(usage["input_tokens"])
        cached = mapping(usage.get("input_tokens_details")).get("cached_tokens")
        if "cache_read_input_tokens" in usage or "cache_creation_input_tokens" in usage:
            cached = usage.get("cache_read_input_tokens")
            prompt = _plus(prompt, cached, usage.get("cache_creation_input_tokens"))
    if completion is None and "output_tokens" in usage:
        completion = count(usage["output_tokens"])
        reasoning = mapping(usage.get("output_tokens_details")).get("reasoning_tokens", reasoning)
    if prompt is None and completion is None:
        # Rerank counts only the total, all of it read.
        prompt = count(usage.get("total_tokens"))
    cost = number(usage.get("cost"))
    return Usage(prompt, completion, count(cached), count(reasoning), cost if cost is None or cost >= 0 else None)


def merge(a: Usage, b: Usage) -> Usage:
    """Both reports of one answer as one. Reports are running totals, so of two numbers the larger is the later."""
    return Usage(
        _larger(a.prompt_tokens, b.prompt_tokens),
        _larger(a.completion_tokens, b.completion_tokens),
        _larger(a.cached_tokens, b.cached_tokens),
        _larger(a.reasoning_tokens, b.reasoning_tokens),
        _larger_usd(a.cost_usd, b.cost_usd),
    )


def _plus(prompt: int | None, *more: object) -> int | None:
    return None if prompt is None else prompt + sum(count(value) or 0 for value in more)


def _larger(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else max(a, b)


def _larger_usd(a: float | None, b: float | None) -> float | None:
    return b if a is None else a if b is None else max(a, b)
