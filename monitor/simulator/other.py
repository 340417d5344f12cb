"""Answers of the endpoints that do not chat: embeddings, rerank, and the rest, as little as a client needs."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

from monitor.simulator.desk import Served
from monitor.simulator.money import search_units
from monitor.simulator.reading import list_of
from monitor.simulator.reply import Reply, as_json, generation_headers, usage_of

_DIMENSIONS = 16
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # one dot


def embeddings_reply(served: Served) -> Reply:
    given = served.ask.body.get("input")
    texts = given if isinstance(given, list) and given and not isinstance(given[0], int) else [given]
    packed = served.ask.body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if packed else vector}
        for index, vector in enumerate(map(_vector, texts))
    ]
    usage = {"prompt_tokens": served.prompt_tokens, "total_tokens": served.prompt_tokens, "cost": _cost(served)}
    body = {"object": "list", "data": data, "model": served.entry.served_name, "id": served.generation_id}
    return Reply(200, as_json({**body, "usage": usage}), headers=generation_headers(served))


def _vector(text: Any) -> list[float]:
    """A unit-like vector of the text; the same text gives the same."""
    seed = zlib.crc32(str(text).encode("utf-8", "replace"))
    return [((seed >> shift) % 251 - 125) / 125 for shift in range(_DIMENSIONS)]


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def rerank_reply(served: Served) -> Reply:
    """Documents ordered by how many words they share with the query."""
    body = served.ask.body
    documents = [each.get("text", "") if isinstance(each, dict) else str(each) for each in list_of(body, "documents")]
    query = set(str(body.get("query", "")).lower().split())
    scores = [len(query & set(text.lower().split())) / max(1, len(query)) for text in documents]
    order = sorted(range(len(documents)), key=lambda index: (-scores[index], index))
    top = body.get("top_n")
    results = [
        {"index": index, "relevance_score": scores[index], "document": {"text": documents[index]}}
        for index in order[: top if isinstance(top, int) and top > 0 else len(order)]
    ]
    answer = {
        "id": served.generation_id,
        "model": served.entry.served_name,
        "provider": served.entry.provider,
        "results": results,
        "usage": {
            "search_units": search_units(served.ask),
            "total_tokens": served.prompt_tokens,
            "cost": _cost(served),
        },
    }
    return Reply(200, as_json(answer), headers=generation_headers(served))


def plain_reply(served: Served) -> Reply:
    """Images, speech, video and the others: just enough to parse, and a cost."""
    headers = generation_headers(served)
    match served.ask.endpoint:
        case "audio.speech":
            return Reply(200, b"ID3\x03\x00\x00\x00\x00\x00\x00", content_type="audio/mpeg", headers=headers)
        case "audio.transcriptions":
            answer: dict[str, Any] = {"text": served.text, "usage": {"cost": _cost(served)}}
        case "images":
            answer = {"created": served.created, "data": [{"b64_json": _PIXEL}], "usage": usage_of(served)}
        case "videos" | "batches":
            answer = {"id": served.generation_id, "status": "pending", "usage": {"cost": _cost(served)}}
        case _:
            answer = {"id": served.generation_id, "model": served.entry.served_name, "usage": usage_of(served)}
    return Reply(200, as_json(answer), headers=headers)


def _cost(served: Served) -> float:
    return served.bill.total or 0
