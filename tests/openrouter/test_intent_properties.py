"""What holds of every request, made up or recorded."""

from __future__ import annotations

import copy
import json
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from openrouter_data import folder
from openrouter_requests import CHAT, JSON, PAID, PLAIN, judge, reasons

from monitor.model import Endpoint, Reason
from monitor.openrouter.intent import read_intent

PAID_ELEMENTS = [(endpoint, extra) for endpoint, extra, _ in PAID if endpoint is Endpoint.CHAT and "model" not in extra]

# Plugins are left out: one of them names a free parser, and makes a document harmless that would be none.
HARMLESS_BESIDE = [(endpoint, extra) for endpoint, extra in PLAIN[:20] if "plugins" not in extra]


@settings(max_examples=150)
@given(st.lists(st.sampled_from(HARMLESS_BESIDE), max_size=4), st.sampled_from(PAID_ELEMENTS), st.randoms())
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
