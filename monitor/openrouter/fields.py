"""The names of a request's top-level fields: which are harmless, and which look like one that we judge.

A field that nobody has documented passes, unless its name speaks of something that bills. A name that differs from a
judged one only by case, spacing or width makes the body unreadable: one reader would see it, another would not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from monitor.model import Objection, Reason
from monitor.redact import redact


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


JUDGED = _words(
    "model models fallbacks preset plugins tools deferred_tools tool_choice web_search_options modalities image_config"
    " audio service_tier speed route provider mcp_servers container prompt input messages system documents stream n"
    " best_of max_tokens max_completion_tokens max_output_tokens requests endpoint"
    " previous_response_id conversation input_audio file"
)
"""Fields that `intent` reads."""

# OpenRouter's API reference and SDK 1.3 (chat, responses, embeddings, rerank, images, speech, transcriptions, videos,
# batches, decisions), with what OpenAI's and Anthropic's clients add for the same endpoints.
HARMLESS = _words(
    "background cache_control debug frequency_penalty include instructions logit_bias logprobs max_tool_calls metadata"
    " min_p parallel_tool_calls prediction presence_penalty prompt_cache_key prompt_cache_options"
    " prompt_cache_retention reasoning reasoning_effort include_reasoning repetition_penalty response_format"
    " safety_identifier seed session_id stop stop_server_tools_when stop_sequences store stream_options temperature"
    " text thinking top_a top_k top_logprobs top_p trace transforms truncation usage user verbosity suffix echo"
    " functions function_call context_management output_config betas dimensions encoding_format input_type query top_n"
    " language voice state questions custom_id callback_url completion_window"
    " diarize keyterms timestamp_granularities structured_outputs safeguards"
)

_NOT_WORD = re.compile(r"[\W_]+")
_SUSPICIOUS = re.compile(
    r"openrouter|plugin|web|search|router|fusion|advisor|subagent|servertool|toolset|toolresource|mcp|model|fallback"
    r"|preset|servicetier|modalit|(?:output|response)modalit|imageconfig|imagegeneration|livesearch|grounding"
)


def squash(name: str) -> str:
    """`name` as the laxest reader would compare it: width and case folded, nothing but letters and digits."""
    return _NOT_WORD.sub("", unicodedata.normalize("NFKC", name).casefold())


_LOOKALIKES = frozenset(squash(name) for name in JUDGED)


def judge_field(name: str) -> Objection | None:
    """What speaks against a top-level field that is neither judged nor known to be harmless."""
    if not name.isprintable() or name != name.strip():
        return Objection(Reason.BODY_UNREADABLE, "a field's name holds a space at its end or an unprintable character")
    plain = squash(name)
    if plain in _LOOKALIKES:
        shown = redact(name, limit=40)
        return Objection(Reason.BODY_UNREADABLE, f'the field "{shown}" is spelled almost like one that is judged')
    if is_suspicious(name):
        return Objection(Reason.PAID_PLUGIN, f'the unknown field "{redact(name, limit=40)}" may add a paid service')
    return None


def is_suspicious(name: str) -> bool:
    """Whether a field's name speaks of search, plugins, routers or other models: what bills beside the model."""
    return _SUSPICIOUS.match(squash(name)) is not None


def has_lookalike(names: Iterable[object], judged: frozenset[str]) -> bool:
    """Whether one of `names` is almost, but not exactly, one of `judged`."""
    plain = _squashed(judged)
    return any(isinstance(name, str) and name not in judged and squash(name) in plain for name in names)


@lru_cache(maxsize=16)
def _squashed(names: frozenset[str]) -> frozenset[str]:
    return frozenset(map(squash, names))
