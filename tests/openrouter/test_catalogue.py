"""Every era's catalogue is read, and only what is surely free is called free."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openrouter_data import DATA, catalogue, catalogue_files, folder

from monitor.errors import PollError
from monitor.model import PriceClass, Tier
from monitor.openrouter.catalogue import classify_price, parse_catalogue

ROW = re.compile(r"\| (\S+\.json\.gz) \| (\d+) \| (\d+) \| \d+(?: \(([^)]*)\))? \| (\d+) \|")
TEXT = {"modality": "text->text", "input_modalities": ["text"], "output_modalities": ["text"]}
ZERO = {"prompt": "0", "completion": "0"}


def entry(name: str = "a/b:free", pricing: Any = None, **more: Any) -> dict[str, Any]:
    return {"id": name, "pricing": dict(ZERO) if pricing is None else pricing, "architecture": TEXT, **more}


def table() -> dict[str, tuple[int, int, set[str], int]]:
    """The counts that the collection's own description gives for each file."""
    rows = ROW.findall((DATA / "SOURCES.md").read_text("utf-8"))
    return {
        name: (int(entries), int(free), set(zero.split(", ")) - {""}, int(variable))
        for name, entries, free, zero, variable in rows
    }


def test_there_are_recorded_catalogues() -> None:
    """The recorded catalogues of two years are read when they are there."""
    folder("models")
    assert len(catalogue_files()) >= 40


@pytest.mark.parametrize("name", catalogue_files())
def test_recorded_catalogues(name: str) -> None:
    """Each recorded catalogue has as many free, zero-priced and variable models as its description says."""
    entries, free, zero, variable = table()[name]
    found = parse_catalogue(catalogue(name))
    prices = Counter(facts.price for facts in found.models.values())
    assert len(found.models) == entries
    assert found.problems == ()
    assert {facts.id for facts in found.models.values() if facts.price is PriceClass.ZERO} == zero - {"openrouter/free"}
    assert prices[PriceClass.FREE] == free + ("openrouter/free" in found.models)
    assert prices[PriceClass.VARIABLE] == variable
    assert prices[PriceClass.UNKNOWN] == 0
    assert all(facts.output_modalities and facts.input_modalities for facts in found.models.values())


def test_scrubbed_ids_are_ids() -> None:
    """An id damaged by another project's secret scrubber is kept as it is."""
    found = parse_catalogue(
        catalogue("2025-07-30T144716Z_rubyllm.json.gz") if catalogue_files() else pytest.skip("no data")
    )
    assert "openai/chatgpt-4o-la<GPUSTACK_API_KEY>" in found.models


def test_aliases_and_routers_of_2026() -> None:
    """An alias is variable whatever its row says, and overrides make the worst case."""
    body = (folder("models") / "2026-08_genai-prices-excerpt.json").read_bytes()
    found = parse_catalogue(body)
    alias = found.models["~google/gemini-pro-latest"]
    assert alias.price is PriceClass.VARIABLE
    assert alias.alias_target == "google/gemini-3.1-pro-preview"
    assert (alias.prompt_usd, alias.worst_prompt_usd) == (0.000002, 0.000004)
    assert (alias.completion_usd, alias.worst_completion_usd) == (0.000012, 0.000018)
    assert not alias.bounded
    assert {facts.price for facts in found.models.values()} == {PriceClass.VARIABLE}


@pytest.mark.parametrize(
    ("row", "price"),
    [
        (entry(), PriceClass.FREE),
        (entry("openrouter/free"), PriceClass.FREE),
        (entry(pricing={"prompt": 0, "completion": 0.0, "request": "0.000", "image": "-0"}), PriceClass.FREE),
        (entry(pricing={**ZERO, "image": None, "overrides": [], "discount": 1}), PriceClass.FREE),
        (entry(pricing={**ZERO, "overrides": [{"min_prompt_tokens": 9, "prompt": "0"}]}), PriceClass.FREE),
        (entry(architecture={"output_modalities": ["image"]}), PriceClass.FREE),
        (entry("a/b"), PriceClass.ZERO),
        (entry("a/b", architecture={"modality": "text+image->text"}), PriceClass.ZERO),
        (entry("a/b", architecture={}), PriceClass.PAID),
        (entry("a/b", architecture=None), PriceClass.PAID),
        (entry("google/lyria-3-pro-preview", architecture={"output_modalities": ["text", "audio"]}), PriceClass.PAID),
        (entry("a/b", architecture={"modality": "text->text+image"}), PriceClass.PAID),
        (entry("a/b:free-trial"), PriceClass.ZERO),
        (entry(pricing={"prompt": "0", "completion": "0.0000001"}), PriceClass.PAID),
        (entry(pricing={**ZERO, "request": "0.00000000000000000000001"}), PriceClass.PAID),
        (entry(pricing={**ZERO, "some_new_key": "0.1"}), PriceClass.PAID),
        (entry(pricing={"prompt": "0.1", "completion": "0", "discount": 1}), PriceClass.PAID),
        (entry(pricing={**ZERO, "overrides": [{"min_prompt_tokens": 9, "prompt": "0.1"}]}), PriceClass.PAID),
        (entry(pricing={"prompt": "-1", "completion": "-1"}), PriceClass.VARIABLE),
        (entry(pricing={"prompt": "0", "completion": "0", "image": -1}), PriceClass.VARIABLE),
        (entry(pricing={"prompt": "-1"}), PriceClass.VARIABLE),
        (entry("~a/b:free"), PriceClass.VARIABLE),
        (entry(alias_target={"slug": "c/d"}), PriceClass.VARIABLE),
        (entry(pricing={}), PriceClass.UNKNOWN),
        (entry(pricing=[]), PriceClass.UNKNOWN),
        (entry(pricing={"prompt": "0"}), PriceClass.UNKNOWN),
        (entry(pricing={"prompt": None, "completion": "0"}), PriceClass.UNKNOWN),
        (entry(pricing={"prompt": "", "completion": "0"}), PriceClass.UNKNOWN),
        (entry(pricing={"prompt": "free", "completion": "0"}), PriceClass.UNKNOWN),
        (entry(pricing={"prompt": "NaN", "completion": "0"}), PriceClass.UNKNOWN),
        (entry(pricing={"prompt": False, "completion": "0"}), PriceClass.UNKNOWN),
        (entry(pricing={"prompt": "Infinity", "completion": "0"}), PriceClass.UNKNOWN),
        (entry(pricing={**ZERO, "image": {"low": "0"}}), PriceClass.UNKNOWN),
        (entry(pricing={**ZERO, "overrides": {"prompt": "0"}}), PriceClass.UNKNOWN),
        (entry(pricing={**ZERO, "overrides": ["x"]}), PriceClass.UNKNOWN),
        ({"id": "a/b:free"}, PriceClass.UNKNOWN),
        ({"pricing": ZERO}, PriceClass.UNKNOWN),
    ],
)
def test_price_classes(row: dict[str, Any], price: PriceClass) -> None:
    """Free needs the suffix and every listed price at zero; what cannot be read is not zero."""
    assert classify_price(row) is price
    if "id" in row:
        assert parse_catalogue([row]).models[row["id"]].price is price


def test_worst_cases() -> None:
    """The dearest price that a token can have counts; a price by the piece leaves no worst case."""
    pricing = {"prompt": "0.000001", "completion": "0.000002", "request": "0.01", "input_cache_write": "0.000003"}
    pricing |= {"internal_reasoning": "0.000004", "web_search": "0.01"}
    facts = parse_catalogue([entry("a/b", pricing)]).models["a/b"]
    assert (facts.prompt_usd, facts.completion_usd, facts.request_usd) == (1e-6, 2e-6, 0.01)
    assert (facts.worst_prompt_usd, facts.worst_completion_usd, facts.bounded) == (3e-6, 4e-6, True)
    shown = parse_catalogue([entry("a/b", {**pricing, "image": "0.001"})]).models["a/b"]
    assert (shown.bounded, shown.image_usd, facts.image_usd) == (False, 0.001, None)
    assert parse_catalogue([entry("a/b", {**pricing, "image": "0"})]).models["a/b"].bounded
    assert parse_catalogue([entry("a/b", {"prompt": "-1", "completion": "-1"})]).models["a/b"].prompt_usd is None


@pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: {"data": rows}, lambda rows: {"data": rows, "x": 1}])
def test_envelopes(wrap: Any) -> None:
    """A bare list and every envelope hold the same models; text, bytes and parsed JSON are alike."""
    content = wrap([entry(), entry("c/d")])
    for body in (
        content,
        json.dumps(content),
        json.dumps(content).encode(),
        b"\xef\xbb\xbf" + json.dumps(content).encode(),
    ):
        found = parse_catalogue(body)
        assert set(found.models) == {"a/b:free", "c/d"}
        assert (found.next_page, found.total) == (None, None)


def test_pages() -> None:
    """The newest envelope tells of more pages."""
    found = parse_catalogue({"data": [entry()], "total_count": 7, "links": {"next": "/api/v1/models?offset=1"}})
    assert (found.next_page, found.total) == ("/api/v1/models?offset=1", 7)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"null",
        b"[]",
        b"5",
        b'{"data":[]}',
        b'{"data":{}}',
        b"{}",
        b'{"error":{"message":"no"}}',
        b"[1,{}]",
        b"[" * 100_000,
        b"\xff\xfe",
        {"error": "x"},
        None,
    ],
)
def test_what_is_no_catalogue(body: object) -> None:
    """An error, an empty list or no JSON is no catalogue: the last good one stays."""
    with pytest.raises(PollError) as raised:
        parse_catalogue(body)
    assert raised.value.hint


def test_broken_entries_are_skipped() -> None:
    """One bad entry costs that entry, and is told of."""
    found = parse_catalogue([entry(), 5, {}, {"id": 7}, {"id": ""}, {"id": "a\x00b"}, {"id": "x" * 600}])
    assert set(found.models) == {"a/b:free"}
    assert len(found.problems) == 6


def test_duplicates_keep_the_dearer_reading() -> None:
    """Of two rows with one id the one that could cost more stands, whichever comes first."""
    rows = [entry(), entry(pricing={"prompt": "0.1", "completion": "0"})]
    for ordered in (rows, rows[::-1]):
        found = parse_catalogue(ordered)
        assert found.models["a/b:free"].tier is Tier.PAID
        assert len(found.problems) == 1


def test_fields_of_strange_types() -> None:
    """A field of another type than documented is as good as missing."""
    row = entry(created="x", context_length=-1, top_provider=[], supported_parameters="x", expiration_date=5)
    facts = parse_catalogue([{**row, "name": 5, "architecture": {"output_modalities": "text", "modality": 5}}]).models[
        "a/b:free"
    ]
    assert (facts.name, facts.created, facts.context_length, facts.expires) == ("", None, None, None)
    assert facts.supported_parameters == ()


amounts = st.sampled_from(["0", 0, "0.0", "-1", "0.1", "x", None, True, [], {}, float("nan"), "1e-30", "-0.0"])
pricings = st.dictionaries(st.sampled_from(["prompt", "completion", "request", "image", "x", "overrides"]), amounts)


@settings(max_examples=200)
@given(st.sampled_from(["a/b", "a/b:free", "openrouter/free", "~a/b:free"]), pricings)
def test_free_means_zero(name: str, pricing: dict[str, Any]) -> None:
    """Nothing is called free or zero unless prompt and completion are listed, and every listed price is zero."""
    price = classify_price({"id": name, "pricing": pricing, "architecture": TEXT})
    if price in (PriceClass.FREE, PriceClass.ZERO):
        assert {"prompt", "completion"} <= pricing.keys()
        listed = [
            value for key, value in pricing.items() if value is not None and not (key == "overrides" and value == [])
        ]
        assert all(value is not True and float(value) == 0 for value in listed)
        assert name != "~a/b:free"
