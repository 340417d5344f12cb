"""What must hold whatever is sent: no request breaks the server, and none is decided from memory."""

from __future__ import annotations

import json
import random

from simulator_kit import DEAR, FREE

LEAVES = [None, True, 0, -1, 1.5, 1e300, "", "web", "openrouter/auto", FREE, DEAR, "\ud800", [], {}, "use the tool"]
NAMES = [
    "id",
    "type",
    "name",
    "content",
    "text",
    "model",
    "enum",
    "pdf",
    "function",
    "parameters",
    "properties",
    "file",
]
FIELDS = [
    *("model", "models", "fallbacks", "messages", "plugins", "tools", "tool_choice", "provider", "modalities", "n"),
    *("service_tier", "stream", "max_tokens", "web_search_options", "preset", "input", "prompt", "system", "query"),
    *("documents", "top_n", "encoding_format", "instructions"),
]
PATHS = ["/chat/completions", "/completions", "/responses", "/messages", "/embeddings", "/rerank", "/images", "/videos"]


def anything(chance: random.Random, depth: int = 0):
    """A JSON value of any kind, not too deep."""
    kind = chance.random()
    if depth > 3 or kind < 0.45:
        return chance.choice(LEAVES)
    if kind < 0.7:
        return [anything(chance, depth + 1) for _ in range(chance.randint(0, 3))]
    return {chance.choice(NAMES): anything(chance, depth + 1) for _ in range(chance.randint(0, 4))}


def test_no_body_breaks_the_server(simulate):
    """Whatever JSON is sent, the answer is a success or a refusal, never an internal error."""
    api = simulate(per_minute=10**6, per_day=10**6)
    chance = random.Random(20261124)
    for _ in range(600):
        body = {name: anything(chance) for name in FIELDS if chance.random() < 0.4}
        if chance.random() < 0.5:
            body.update(model=chance.choice([FREE, DEAR]), messages=[{"role": "user", "content": "hi"}], input="x")
        text = json.dumps(body)
        answer = api.http.post(chance.choice(PATHS), content=text)
        assert answer.status_code in (200, 400, 404), text


def test_the_same_request_again_is_decided_anew(simulate):
    """Repeated bytes get their own id and time, and meet prices and quotas as they are now."""
    api = simulate(per_day=4)
    first, second = api.chat().json(), api.chat().json()
    third = api.chat().json()
    assert len({each["id"] for each in (first, second, third)}) == 3
    assert [{**each, "id": None} for each in (first, second)] == [{**third, "id": None}] * 2
    api.sim.update_model(FREE, pricing={"prompt": "0.001"})
    assert api.chat().json()["usage"]["cost"] > 0
    assert api.chat().status_code == 429


def test_a_repeated_stream_is_the_same_but_for_its_id(simulate, clock):
    """Every event of a repeated stream carries the id and the time of its own call."""
    api = simulate()
    texts = []
    for _ in range(3):
        answer = api.chat(stream=True)
        generation = answer.headers["X-Generation-Id"]
        assert answer.text.count(generation) == answer.text.count(f'"created":{int(clock.now())}') > 5
        texts.append(answer.text.replace(generation, "").replace(str(int(clock.now())), ""))
        clock.advance(1)
    assert texts[0] == texts[1] == texts[2]
