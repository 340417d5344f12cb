"""What costs money: everything that OpenRouter is known to bill, whichever model was meant."""

from __future__ import annotations

import pytest
from simulator_kit import DEAR, FREE, PAID

LYRIA = "google/lyria-3-pro-preview"


def test_a_free_answer_costs_nothing(simulate):
    """A `:free` model answers with a cost of 0, and nothing is billed."""
    api = simulate()
    usage = api.chat().json()["usage"]
    assert usage["cost"] == 0
    assert usage["cost_details"]["upstream_inference_cost"] == 0
    assert api.sim.books.cost_usd == 0


def test_a_paid_answer_costs_its_tokens(simulate):
    """Cost is prompt tokens times prompt price plus completion tokens times completion price."""
    api = simulate()
    answer = api.chat(DEAR).json()
    usage = answer["usage"]
    expected = usage["prompt_tokens"] * 0.00000025 + usage["completion_tokens"] * 0.000002
    assert usage["cost"] == pytest.approx(expected)
    assert api.sim.books.cost_usd == pytest.approx(expected)
    assert api.get("/key").json()["data"]["usage"] == pytest.approx(expected)
    assert answer["model"] == "openai/gpt-5-mini-2025-08-07"


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"plugins": [{"id": "web"}]}, id="web plugin"),
        pytest.param({"tools": [{"type": "openrouter:web_search"}]}, id="server tool"),
        pytest.param({"tools": [{"type": "web_search_preview"}]}, id="shorthand"),
        pytest.param({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, id="dated shorthand"),
        pytest.param({"web_search_options": {}}, id="web_search_options"),
    ],
)
def test_a_web_search_costs_on_a_free_model(simulate, more):
    """However the search is asked for, $0.007 is billed although the model is free."""
    api = simulate()
    usage = api.chat(**more).json()["usage"]
    assert usage["cost"] == pytest.approx(0.007)
    assert usage["server_tool_use_details"]["web_search_requests"] == 1
    assert api.sim.books.posts[-1].free is False


def test_the_online_suffix_is_the_web_plugin(simulate):
    """`:online` after a free id searches the web and bills it."""
    api = simulate()
    answer = api.chat(f"{FREE}:online").json()
    assert answer["model"] == FREE
    assert answer["usage"]["cost"] == pytest.approx(0.007)


@pytest.mark.parametrize("most", [1, 5, 40])
def test_what_a_model_thinks_is_within_max_tokens(simulate, most):
    """Thoughts and answer together are at most `max_tokens`, and no more is billed."""
    usage = simulate().chat("deepseek/deepseek-r1", max_tokens=most).json()["usage"]
    assert 0 < usage["completion_tokens"] <= most
    assert usage["completion_tokens_details"]["reasoning_tokens"] <= most


def test_texts_to_embed_are_billed_one_by_one(simulate):
    """Each text costs its own tokens, at least one; a list of tokens costs as many."""
    api = simulate()
    model = "openai/text-embedding-3-small"
    for given, tokens in (("x" * 8, 2), (["", "x" * 8, "x"], 4), ([5, 6, 7], 3), ([[5, 6], [7]], 3)):
        usage = api.post("/embeddings", model=model, input=given).json()["usage"]
        assert (usage["prompt_tokens"], usage["cost"]) == (tokens, pytest.approx(tokens * 2e-8))


@pytest.mark.parametrize(("documents", "units"), [(1, 1), (100, 1), (101, 2)])
def test_reranking_is_billed_by_the_hundred(simulate, documents, units):
    """A search unit is up to a hundred documents."""
    answer = simulate().post("/rerank", model="cohere/rerank-4-fast", query="q", documents=["d"] * documents)
    assert answer.json()["usage"]["search_units"] == units
    assert answer.json()["usage"]["cost"] == pytest.approx(0.002 * units)


@pytest.mark.parametrize("path", ["/chat/completions", "/messages"])
def test_a_prompt_beyond_the_context_is_refused_unless_it_is_to_be_compressed(simulate, path):
    """One token too many is a 400 that costs nothing; compressed, it is billed as a whole context."""
    api = simulate()
    body = {"model": PAID, "messages": [{"role": "user", "content": "x" * 4 * 131_073}], "max_tokens": 1}
    refused = api.post(path, **body)
    assert refused.status_code == 400
    assert "maximum context length is 131072 tokens" in refused.text
    assert api.sim.books.cost_usd == 0
    assert api.post(path, **body, plugins=[{"id": "context-compression"}]).status_code == 200
    assert api.sim.books.cost_usd == pytest.approx(131_072 * 1e-7 + 3.2e-7)


def test_a_function_tool_costs_nothing(simulate):
    """A function that the client runs itself is free."""
    api = simulate()
    api.chat(tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}])
    assert api.sim.books.cost_usd == 0


@pytest.mark.parametrize("tool", ["openrouter:web_fetch", "openrouter:image_generation", "openrouter:shell", "bash"])
def test_every_other_server_tool_costs_too(simulate, tool):
    """No tool that runs on the server is free."""
    api = simulate()
    api.chat(tools=[{"type": tool}])
    assert api.sim.books.cost_usd > 0


def test_a_pdf_without_a_plugin_is_read_by_paid_ocr(simulate):
    """A file sent to a model that cannot read files goes through mistral-ocr; the free engine must be asked for."""
    api = simulate()
    part = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "read this"}, part]}]
    api.post("/chat/completions", model=FREE, messages=messages)
    assert api.sim.books.cost_usd == pytest.approx(0.002)
    plugin = {"id": "file-parser", "pdf": {"engine": "cloudflare-ai"}}
    api.post("/chat/completions", model=FREE, messages=messages, plugins=[plugin])
    assert api.sim.books.cost_usd == pytest.approx(0.002)


def test_an_account_plugin_costs_unless_the_request_switches_it_off(simulate):
    """A plugin of the account's settings bills every request; `enabled: false` spares one."""
    api = simulate(default_plugins=("web",))
    assert api.chat().json()["usage"]["cost"] == pytest.approx(0.007)
    assert api.chat(plugins=[{"id": "web", "enabled": False}]).json()["usage"]["cost"] == 0


def test_the_song_model_costs_although_its_prices_are_zero(simulate):
    """Lyria lists zero for prompt and completion, and bills each song."""
    api = simulate()
    assert api.chat(LYRIA).json()["usage"]["cost"] == pytest.approx(0.08)


@pytest.mark.parametrize("model", [None, "@preset/mine", f"{FREE}@preset/mine", "openrouter/auto"])
def test_what_the_account_decides_is_paid(simulate, model):
    """No model, a preset, and the auto router are served by a paid model."""
    api = simulate()
    assert api.chat(model).json()["usage"]["cost"] > 0


def test_a_preset_field_overrides_the_model(simulate):
    """The body field `preset` is as good as a preset in the model's name."""
    api = simulate()
    assert api.chat(preset="mine").json()["usage"]["cost"] > 0


def test_an_alias_bills_at_its_target(simulate):
    """`~author/family-latest` is served, and billed, as the model it points to."""
    api = simulate()
    answer = api.chat("~anthropic/claude-sonnet-latest").json()
    assert answer["model"].startswith("anthropic/claude-sonnet-5")
    assert answer["openrouter_metadata"]["strategy"] == "alias"
    assert api.sim.books.cost_usd > 0


@pytest.mark.parametrize("suffix", ["nitro", "floor", "exacto"])
def test_dynamic_suffixes_work_on_any_id(simulate, suffix):
    """Suffixes that are not in the catalogue still reach the model before the colon."""
    assert simulate().chat(f"{PAID}:{suffix}").json()["usage"]["cost"] > 0


def test_a_fallback_serves_and_bills_when_the_first_fails(simulate):
    """Any error of the first model sends the request to the next of `models`, which bills."""
    api = simulate(faults=[{"match": {"model": FREE}, "do": "502"}])
    answer = api.chat(models=[FREE, DEAR])
    assert answer.status_code == 200
    assert answer.json()["usage"]["cost"] > 0
    assert api.sim.books.posts[-1].model_served == DEAR


def test_a_spent_quota_sends_the_request_to_the_paid_fallback(simulate):
    """The platform's own 429 is an error like any other: the paid fallback is billed."""
    api = simulate(per_day=0)
    assert api.chat(models=[DEAR]).json()["usage"]["cost"] > 0
    assert api.sim.books.posts[-1].overshoot is True


def test_when_all_fail_the_earlier_errors_are_told(simulate):
    """With several models the last error lists those before it."""
    api = simulate(per_day=0)
    error = api.chat(models=["qwen/qwen3-coder:free"]).json()["error"]
    assert [each["code"] for each in error["metadata"]["previous_errors"]] == [429]


def test_fallbacks_of_messages_bill_too(simulate):
    """Anthropic's endpoint names its fallbacks `fallbacks`."""
    api = simulate(faults=[{"match": {"model": FREE}, "do": "529"}])
    messages = [{"role": "user", "content": "hi"}]
    answer = api.post("/messages", model=FREE, fallbacks=[{"model": DEAR}], max_tokens=50, messages=messages)
    assert answer.json()["usage"]["cost"] > 0


ZERO = {"max_price": {"prompt": 0, "completion": "0", "request": 0, "image": 0}}


@pytest.mark.parametrize("model", [DEAR, "openrouter/auto", "@preset/x", None])
def test_a_max_price_of_zero_stops_paid_models(simulate, model):
    """No endpoint above the price is routed: 404, and nothing is billed."""
    api = simulate()
    answer = api.chat(model, provider=ZERO)
    assert answer.status_code == 404
    assert answer.json()["error"]["availability"]["code"] == "constraint_filtered"
    assert api.sim.books.cost_usd == 0


def test_a_max_price_lets_free_models_through(simulate):
    """Zero is not above zero."""
    assert simulate().chat(provider=ZERO).status_code == 200


def test_a_max_price_does_not_cover_plugins_and_songs(simulate):
    """The belt is about endpoints' listed prices: a plugin, and a price that is not listed, cost all the same."""
    api = simulate()
    assert api.chat(provider=ZERO, plugins=[{"id": "web"}]).json()["usage"]["cost"] > 0
    assert api.chat(LYRIA, provider=ZERO).json()["usage"]["cost"] > 0


def test_max_price_is_per_million_tokens(simulate):
    """A limit in USD per million lets a model at exactly that price through, and not one above."""
    api = simulate()
    at, under = {"prompt": 0.25, "completion": 2}, {"prompt": 0.24, "completion": 2}
    assert api.chat(DEAR, provider={"max_price": at}).status_code == 200
    assert api.chat(DEAR, provider={"max_price": under}).status_code == 404


def test_a_key_with_limit_zero_serves_only_what_cannot_cost(simulate):
    """Free models work on a key that may spend nothing; a paid model and a paid plugin get 403."""
    api = simulate(key_limit_usd=0.0)
    assert api.chat().status_code == 200
    for answer in (api.chat(DEAR), api.chat(plugins=[{"id": "web"}])):
        assert answer.status_code == 403
        assert answer.json()["error"]["metadata"]["limit_source"] == "openrouter_key_limit"
    assert api.sim.books.cost_usd == 0


def test_a_key_limit_that_the_request_would_pass_is_402(simulate):
    """What is left under the cap does not cover the worst case: 402, and fewer tokens fit."""
    api = simulate(key_limit_usd=0.001)
    assert api.chat(DEAR, max_tokens=100_000).status_code == 402
    assert api.chat(DEAR, max_tokens=100).status_code == 200


def test_an_account_that_never_bought_credit_cannot_pay(simulate):
    """Without the option that lets tests see money, the real 402 comes; free models work."""
    api = simulate(paid_allowed=False)
    answer = api.chat(DEAR)
    assert answer.status_code == 402
    assert answer.json()["error"]["message"].startswith("Insufficient credits. This account never purchased credits.")
    assert api.chat().status_code == 200


def test_credit_is_spent_and_then_missing(simulate):
    """An account with credit is billed until what is left does not cover the request."""
    api = simulate(paid_allowed=False, is_free_tier=False, credits_usd=0.001)
    assert api.chat(DEAR, max_tokens=50).status_code == 200
    answer = api.chat(DEAR, max_tokens=100_000)
    assert answer.status_code == 402
    assert answer.json()["error"]["metadata"]["limit_source"] == "openrouter_credits"


def test_a_negative_balance_refuses_free_models_too(simulate):
    """Below zero OpenRouter answers 402 to everything."""
    assert simulate(paid_allowed=False, credits_usd=-0.01).chat().status_code == 402


def test_a_free_model_that_got_a_price_bills_it(simulate):
    """The suffix promises nothing: when the catalogue lists a price for a `:free` id, it is billed."""
    api = simulate()
    api.sim.update_model(FREE, pricing={"completion": "0.000001"})
    assert api.chat().json()["usage"]["cost"] > 0


def test_conditional_prices_apply_under_their_conditions(simulate, clock):
    """An override for an hour of the day bills in that hour only."""
    api = simulate()
    api.sim.update_model(FREE, pricing={"overrides": [{"utc_start": 1300, "utc_end": 1400, "prompt": "0.001"}]})
    assert api.chat().json()["usage"]["cost"] == 0
    clock.advance(3600)
    assert api.chat().json()["usage"]["cost"] > 0


@pytest.mark.parametrize("path", ["/images", "/audio/speech", "/videos", "/batches", "/systemone"])
def test_the_other_endpoints_bill(simulate, path):
    """Every billable endpoint bills, also without a model."""
    api = simulate()
    assert api.post(path, prompt="a cat", input="a cat").status_code == 200
    assert api.sim.books.cost_usd > 0


def test_spending_windows_of_a_key_are_utc(simulate, clock):
    """Usage of the day, of the week from Monday and of the month end at their UTC borders."""
    api = simulate()
    api.chat(DEAR)
    spent = api.sim.books.cost_usd
    clock.advance(86_400)
    data = api.get("/key").json()["data"]
    assert (data["usage_daily"], data["usage_weekly"], data["usage_monthly"]) == (0, spent, spent)
    clock.advance(5 * 86_400)
    data = api.get("/key").json()["data"]
    assert (data["usage_weekly"], data["usage_monthly"], data["usage"]) == (0, spent, spent)
