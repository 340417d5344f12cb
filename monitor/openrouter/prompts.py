"""How many prompts a body holds, and how often they are paid for: what bounds the cost of a list of them.

The context of a model bounds each prompt of a list, and nothing but the body bounds all of them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitor.model import Endpoint

# OpenRouter's SDK 1.3 (embeddings, rerank); a list of prompts is what OpenAI's clients send to `/completions`.
_LISTS = {Endpoint.EMBEDDINGS: "input", Endpoint.RERANK: "documents", Endpoint.COMPLETIONS: "prompt"}
# Cohere's pricing, by which reranking is billed: one search unit is a query with up to a hundred documents, and a
# document that is longer than 500 tokens, with the query, counts as several.
_UNIT_DOCUMENTS = 100
_UNIT_TOKENS = 500


@dataclass(frozen=True, slots=True)
class Prompts:
    """`count` prompts; a price per request is due `requests` times; `repeated` bytes are read besides the body's."""

    count: int = 1
    requests: int = 1
    repeated: int = 0


ONE = Prompts()


def prompts_in(endpoint: Endpoint, fields: Mapping[str, Any], size: int) -> Prompts:
    """The prompts of a body of `size` bytes; whatever is no list, and a list of tokens, is one."""
    name = _LISTS.get(endpoint)
    if name is None:
        return ONE
    given = fields.get(name)
    if not isinstance(given, list) or not any(isinstance(item, str | list | dict) for item in given):
        return ONE
    count = len(given)
    if endpoint is not Endpoint.RERANK:
        return Prompts(count, count)
    # The query is read again with each document; a token of it is at least one byte.
    query = fields.get("query")
    again = len(query.encode("utf-8", "surrogatepass")) if isinstance(query, str) else size
    pieces = count + size // max(1, _UNIT_TOKENS - again)
    return Prompts(count, -(-pieces // _UNIT_DOCUMENTS), (count - 1) * again)
