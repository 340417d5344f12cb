"""The shapes of answers, against what OpenRouter is known to send."""

from __future__ import annotations

import json

import pytest
from simulator_kit import DEAR, FREE, Api

FUNCTION = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


def events_of(text: str) -> list[dict]:
    """The data of a stream's events, without comments and `[DONE]`."""
    lines = (line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: "))
    return [json.loads(line) for line in lines if line != "[DONE]"]


def test_a_chat_answer_has_every_field(simulate, clock):
    """Id, provider, concrete model, choice, usage with cost, and the generation id as a header."""
    answer = simulate().chat()
    body = answer.json()
    assert body["id"].startswith(f"gen-{int(clock.now())}-")
    assert answer.headers["X-Generation-Id"] == body["id"]
    assert body["object"] == "chat.completion"
    assert body["model"] == FREE
    assert body["provider"]
    assert body["choices"][0]["finish_reason"] == body["choices"][0]["native_finish_reason"] == "stop"
    assert set(body["usage"]) == {
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "cost",
        "is_byok",
        "prompt_tokens_details",
        "cost_details",
        "completion_tokens_details",
    }
    assert not [name for name in answer.headers if name.lower().startswith("x-ratelimit")]


def test_a_stream_is_comments_deltas_a_finish_and_the_usage(simulate):
    """The usage chunk comes last before `[DONE]` and repeats the choice with its finish reason."""
    api = simulate(processing_comments=3, chunks=4)
    answer = api.chat(stream=True)
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.text.startswith(": OPENROUTER PROCESSING\n\n" * 3 + "data: ")
    assert answer.text.endswith("data: [DONE]\n\n")
    events = events_of(answer.text)
    assert events[-1]["choices"][0]["finish_reason"] == events[-2]["choices"][0]["finish_reason"] == "stop"
    assert [("usage" in event) for event in events] == [False] * (len(events) - 1) + [True]
    assert len([event for event in events if event["choices"][0]["delta"].get("content")]) == 4


def test_the_stream_says_what_the_plain_answer_says(simulate):
    """The same prompt gets the same text, whole or in pieces, today and tomorrow."""
    api = simulate()
    whole = api.chat(text="why?").json()["choices"][0]["message"]["content"]
    events = events_of(api.chat(text="why?", stream=True).text)
    assert "".join(event["choices"][0]["delta"]["content"] for event in events) == whole
    assert api.chat(text="why not?").json()["choices"][0]["message"]["content"] != whole


def test_the_free_router_names_the_model_that_served(simulate):
    """`openrouter/free` answers with a concrete `:free` id and costs nothing."""
    body = simulate().chat("openrouter/free").json()
    assert body["model"].endswith(":free")
    assert body["usage"]["cost"] == 0


def test_a_reasoning_model_thinks_first(simulate):
    """Reasoning is told apart from content, and its tokens are counted."""
    api = simulate()
    body = api.chat("deepseek/deepseek-r1:free").json()
    assert body["choices"][0]["message"]["reasoning"]
    assert body["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0
    events = events_of(api.chat("deepseek/deepseek-r1:free", stream=True).text)
    thoughts = [event["choices"][0]["delta"].get("reasoning") for event in events]
    assert "".join(filter(None, thoughts)) == body["choices"][0]["message"]["reasoning"]


def test_a_tool_is_called_when_asked_for(simulate):
    """The words "use the tool" get a call of the first function; its pieces in a stream join to the same arguments."""
    api = simulate()
    choice = api.chat(text="please use the tool", tools=[FUNCTION]).json()["choices"][0]
    call = choice["message"]["tool_calls"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert call["function"]["name"] == "weather"
    events = events_of(api.chat(text="please use the tool", tools=[FUNCTION], stream=True).text)
    parts = [part for event in events for part in event["choices"][0]["delta"].get("tool_calls", [])]
    assert "".join(part["function"]["arguments"] for part in parts) == call["function"]["arguments"]
    assert json.loads(call["function"]["arguments"]) == {"city": "Zürich"}


def test_a_tool_result_is_answered_in_words(simulate):
    """After the tool's result the model speaks, so that an agent's loop ends."""
    messages = [
        {"role": "user", "content": "use the tool"},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees"},
    ]
    body = simulate().post("/chat/completions", model=FREE, messages=messages, tools=[FUNCTION]).json()
    assert body["choices"][0]["finish_reason"] == "stop"


def test_max_tokens_cuts_the_answer(simulate):
    """A token limit ends the answer with `length`, and is not exceeded."""
    body = simulate().chat(max_tokens=5).json()
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 5


def test_two_choices_cost_twice(simulate):
    """`n` multiplies what is generated."""
    api = simulate()
    one, two = api.chat().json(), api.chat(n=2).json()
    assert len(two["choices"]) == 2
    assert two["usage"]["completion_tokens"] == 2 * one["usage"]["completion_tokens"]


def test_legacy_completions(simulate):
    """`/completions` answers with text."""
    api = simulate()
    body = api.post("/completions", model=FREE, prompt="once upon").json()
    assert body["choices"][0]["text"]
    events = events_of(api.post("/completions", model=FREE, prompt="once upon", stream=True).text)
    assert "".join(event["choices"][0]["text"] for event in events) == body["choices"][0]["text"]
    assert events[-1]["usage"]["cost"] == 0


def test_responses_events_come_in_order(simulate):
    """The stream opens with `response.created` and closes with `response.completed`, which carries the usage."""
    api = simulate()
    events = events_of(api.post("/responses", model=DEAR, input="hi", stream=True).text)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert (events[0]["type"], events[-1]["type"]) == ("response.created", "response.completed")
    deltas = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    done = events[-1]["response"]
    assert done["output"][0]["content"][0]["text"] == deltas
    assert done["usage"]["cost"] > 0
    assert events[0]["response"]["usage"] is None


def test_messages_have_anthropics_shapes(simulate):
    """`/messages` answers and streams as Anthropic does, with the cost in the usage."""
    api = simulate()
    ask = {"model": FREE, "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}
    body = api.post("/messages", **ask).json()
    assert (body["type"], body["stop_reason"], body["usage"]["cost"]) == ("message", "end_turn", 0)
    answer = api.post("/messages", **ask, stream=True)
    events = events_of(answer.text)
    assert "event: message_start\n" in answer.text
    assert [events[0]["type"], events[-1]["type"]] == ["message_start", "message_stop"]
    text = "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta")
    assert text == body["content"][0]["text"]


def test_messages_errors_have_anthropics_envelope(simulate):
    """A 429 on `/messages` is wrapped as Anthropic wraps it, with OpenRouter's metadata beside."""
    api = simulate(per_day=0)
    messages = [{"role": "user", "content": "hi"}]
    body = api.post("/messages", model=FREE, max_tokens=5, messages=messages).json()
    assert body["type"] == "error"
    assert body["error"]["type"] == "rate_limit_error"
    assert body["metadata"]["limit_source"] == "openrouter_free_tier_daily"


def test_rerank_orders_documents(simulate):
    """The document that shares most words with the query comes first, and the request is billed."""
    api = simulate()
    documents = ["cats sleep", "dogs bark at night", "birds"]
    body = api.post("/rerank", model="cohere/rerank-4-fast", query="dogs at night", documents=documents, top_n=1)
    assert body.json()["results"][0]["index"] == 1
    assert api.sim.books.cost_usd == pytest.approx(0.002)


def test_missing_and_unknown_keys_are_401(simulate):
    """No key, an empty key, and a key that OpenRouter does not know: 401, on calls and on `/key`."""
    api = simulate("revoked", bad_keys=frozenset({"revoked"}))
    nobody = Api(api.sim, None)
    assert nobody.chat().json() == {"error": {"message": "Missing Authentication header", "code": 401}}
    assert nobody.get("/key").status_code == 401
    assert api.chat().json() == {"error": {"message": "User not found.", "code": 401}}
    assert [post.status for post in api.sim.books.posts] == [401, 401]
    nobody.http.close()


def test_unknown_models_and_ended_promotions(simulate):
    """An unknown id is 400; a `:free` id whose paid twin lives is 404 and names the paid one."""
    api = simulate()
    assert api.chat("no/such-model").json()["error"]["message"] == "no/such-model is not a valid model ID"
    api.sim.remove_model(FREE)
    answer = api.chat()
    assert answer.status_code == 404
    availability = answer.json()["error"]["availability"]
    assert availability["code"] == "free_variant_ended"
    assert availability["fallback_models"] == [FREE.removesuffix(":free")]


@pytest.mark.parametrize("raw", [b"", b"[1]", b"{", b'{"model": NaN}', b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_object_is_400(simulate, raw):
    """Whatever cannot be read as a JSON object is a 400 in OpenRouter's shape, never a 500."""
    answer = simulate().http.post("/chat/completions", content=raw)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == 400


def test_the_key_page_is_whole(simulate):
    """Every field of late 2026 is there; with a cap, the budget that enforces it is told."""
    data = simulate(key_limit_usd=1.0, key_limit_reset="weekly").get("/key").json()["data"]
    assert data["limit"] == data["limit_remaining"] == 1.0
    assert data["free_model_daily_requests"] == {"used": 0, "limit": 50, "remaining": 50}
    assert data["effective_budget"]["scope"] == "key_limit"
    # Monday after the test's Tuesday, 2026-11-24.
    assert data["effective_budget"]["resets_at"] == "2026-11-30T00:00:00Z"
    assert data["rate_limit"]["requests"] == -1
    assert "simulated" not in data["label"]


def test_credits_need_a_management_key(simulate):
    """An ordinary key gets 403; a management key gets the account's totals."""
    api = simulate(credits_usd=5.0)
    assert api.get("/credits").status_code == 403
    managed = simulate("manager", management_keys=frozenset({"manager"}), credits_usd=5.0)
    managed.chat(DEAR)
    data = managed.get("/credits").json()["data"]
    assert data == {"total_credits": 5.0, "total_usage": managed.sim.books.cost_usd}


def test_activity_is_told_by_the_day_once_it_is_over(simulate, clock):
    """A management key gets rows by day and model, of whole UTC days only, the newest first; others get 403."""
    assert simulate().get("/activity").status_code == 403
    api = simulate("manager", management_keys=frozenset({"manager"}))
    replies = [api.chat(DEAR).json() for _ in range(2)]
    assert api.get("/activity").json() == {"data": []}
    clock.advance(86_400)
    api.chat()
    (row,) = api.get("/activity").json()["data"]
    assert (row["date"], row["model"], row["requests"]) == ("2026-11-24", DEAR, 2)
    assert row["usage"] == api.sim.books.cost_usd
    assert row["prompt_tokens"] == sum(reply["usage"]["prompt_tokens"] for reply in replies)
    clock.advance(86_400)
    rows = api.get("/activity").json()["data"]
    assert [row["date"] for row in rows] == ["2026-11-25", "2026-11-24"]
    assert len(api.get("/activity", date="2026-11-25").json()["data"]) == 1
    clock.advance(30 * 86_400)
    assert api.get("/activity").json() == {"data": []}


def test_gets_tell_the_simulators_own_time(simulate, clock):
    """A poller that compares clocks sees this one; only the catalogue comes out of a cache, and says so."""
    api = simulate()
    for path in ("/models", "/key", "/credits"):
        assert api.get(path).headers["Date"] == "Tue, 24 Nov 2026 12:00:00 GMT"
    assert "Age" in api.get("/models").headers
    assert "Age" not in api.get("/key").headers


def test_a_generation_is_told_after_its_lag(simulate, clock):
    """`/generation` is 404 at first, then tells cost and model; an unknown id stays 404."""
    api = simulate(generation_lag_seconds=60)
    body = api.chat(DEAR).json()
    assert api.get("/generation", id=body["id"]).status_code == 404
    clock.advance(60)
    data = api.get("/generation", id=body["id"]).json()["data"]
    assert data["total_cost"] == body["usage"]["cost"]
    assert data["native_tokens_prompt"] == body["usage"]["prompt_tokens"]
    assert api.get("/generation", id="gen-none").status_code == 404
