"""A request is billable, free, unknown or foreign, however its address is spelled."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.model import Endpoint
from monitor.openrouter.endpoints import Kind, classify, is_openrouter_host

BASE = "https://openrouter.ai/api/v1"
LOCAL = "http://127.0.0.1:9100/api/v1"

BILLABLE = {
    "/chat/completions": Endpoint.CHAT,
    "/completions": Endpoint.COMPLETIONS,
    "/responses": Endpoint.RESPONSES,
    "/messages": Endpoint.MESSAGES,
    "/embeddings": Endpoint.EMBEDDINGS,
    "/rerank": Endpoint.RERANK,
    "/images": Endpoint.IMAGES,
    "/images/generations": Endpoint.IMAGES,
    "/images/edits": Endpoint.IMAGES,
    "/audio/speech": Endpoint.SPEECH,
    "/audio/transcriptions": Endpoint.TRANSCRIPTIONS,
    "/videos": Endpoint.VIDEOS,
    "/batches": Endpoint.BATCHES,
    "/systemone": Endpoint.SYSTEMONE,
}


@pytest.mark.parametrize(("path", "endpoint"), BILLABLE.items())
@pytest.mark.parametrize(
    "prefix",
    [
        "https://openrouter.ai/api/v1",
        "https://OpenRouter.AI/api/v1",
        "https://openrouter.ai./api/v1",
        "https://eu.openrouter.ai/api/v1",
        "https://us.openrouter.ai:443/api/v1",
        "http://openrouter.ai/v1",
        "https://user:pw@openrouter.ai/api/v1",
        LOCAL,
        "http://127.0.0.1:9100/v1",
    ],
)
def test_every_inference_endpoint_is_billable(prefix: str, path: str, endpoint: Endpoint) -> None:
    """A POST to an inference endpoint is judged as that endpoint, on every host of OpenRouter's."""
    target = classify("POST", prefix + path, LOCAL)
    assert (target.kind, target.endpoint) == (Kind.BILLABLE, endpoint)


@pytest.mark.parametrize(
    "url",
    [
        "https://openrouter.ai/api/v1/chat/completions/",
        "https://openrouter.ai//api/v1//chat/completions",
        "https://openrouter.ai/api/v1/chat/completions?x=1#y",
        "https://openrouter.ai/api/v1/chat/completions?path=/models",
    ],
)
def test_slashes_and_queries_do_not_matter(url: str) -> None:
    """A trailing or doubled slash and a query leave the endpoint what it is."""
    assert classify("post", url, BASE).endpoint is Endpoint.CHAT
    assert classify("post", url, BASE).kind is Kind.BILLABLE


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/chat%2Fcompletions",
        "/api/v1/chat/%63ompletions",
        "/api/v1/chat/%2563ompletions",
        "/api/v1/models/../chat/completions",
        "/api/v1/models/%2e%2e/chat/completions",
        "/api/v1/./chat/completions",
        "/api/v1/Chat/Completions",
        "/api/v1/chat/completions;x=1",
        "/api/v1/chat/completions%20",
        "/api/v1/presets/../chat/completions",
        "/api/v1/presets/x/../../chat/completions",
        "/api/v1/keys/../chat/completions",
        "/api/v1/files/../unheard/of",
        "/api/v1/chat/" + "c".join(["%25" * 12, "63ompletions"]),
        "/api/v1/unheard/of",
        "/api/v1/audio/translations",
        "/api/v1/videos/x",
        "/api/v2/chat/completions",
        "/api/v1",
        "",
        "/api/v1/private-endpoints/x/activate",
        "/api/v1/chat\\completions",
    ],
)
def test_odd_or_unheard_paths_are_unknown(path: str) -> None:
    """A POST that two readers could read differently, or that nobody has documented, is refused."""
    assert classify("POST", "https://openrouter.ai" + path, BASE).kind is Kind.UNKNOWN


@pytest.mark.parametrize(
    "url", ["https://openrouter.ai/api/alpha/decisions", "https://eu.openrouter.ai/alpha/decisions"]
)
def test_decisions_lie_outside_v1(url: str) -> None:
    """The decisions endpoint is billable though it is not below /v1."""
    assert classify("POST", url, BASE).endpoint is Endpoint.DECISIONS


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "get", "DELETE"])
@pytest.mark.parametrize("path", ["/models", "/key", "/chat/completions", "/generation?id=1", "/batches/b1"])
def test_reading_and_deleting_is_free(method: str, path: str) -> None:
    """Only a POST runs inference."""
    assert classify(method, BASE + path, BASE).kind is Kind.FREE


@pytest.mark.parametrize("header", ["x-http-method-override", "x-method-override", "x-http-method"])
def test_a_method_override_is_unknown(header: str) -> None:
    """A GET that a header turns into a POST is refused."""
    assert classify("GET", BASE + "/chat/completions", BASE, {header: "POST"}).kind is Kind.UNKNOWN
    assert classify("POST", BASE + "/chat/completions", BASE, {header: "GET"}).kind is Kind.UNKNOWN
    assert classify("GET", "https://example.org/v1/chat/completions", BASE, {header: "POST"}).kind is Kind.UNKNOWN
    assert classify("GET", "https://example.org/x", BASE, {header: "POST"}).kind is Kind.FOREIGN


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/presets/mine/chat/completions"),
        ("POST", "/presets/My-Slug/messages".lower()),
        ("POST", "/keys"),
        ("PATCH", "/keys/abc"),
        ("POST", "/auth/keys/code"),
        ("POST", "/files"),
        ("POST", "/guardrails/g/assignments/keys"),
        ("PUT", "/workspaces/w/budgets/daily"),
        ("POST", "/analytics/query"),
        ("POST", "/batches/b1/cancel"),
        ("POST", "/containers/c/files/f/promote"),
    ],
)
def test_management_is_free(method: str, path: str) -> None:
    """What manages the account runs no inference; creating a preset takes a chat body and runs none either."""
    assert classify(method, BASE + path, BASE).kind is Kind.FREE


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "QUERY"])
def test_other_methods_on_inference_paths_are_unknown(method: str) -> None:
    """A method that no documentation gives for an inference path is refused."""
    assert classify(method, BASE + "/chat/completions", BASE).kind is Kind.UNKNOWN


def test_other_hosts() -> None:
    """A gateway may stand before OpenRouter, so inference paths are judged anywhere; all else is not our business."""
    assert classify("POST", "https://gw.example/openai/v1/chat/completions", BASE).endpoint is Endpoint.CHAT
    assert classify("POST", "http://localhost:11434/v1/completions", BASE).endpoint is Endpoint.COMPLETIONS
    assert classify("POST", "https://gw.example/x/images/generations", BASE).endpoint is Endpoint.IMAGES
    assert classify("POST", "https://gw.example/v1/chat%2fcompletions", BASE).kind is Kind.UNKNOWN
    assert classify("POST", "https://example.org/autocompletions", BASE).kind is Kind.FOREIGN
    assert classify("POST", "https://example.org/upload", BASE).kind is Kind.FOREIGN
    assert classify("GET", "https://example.org/v1/chat/completions", BASE).kind is Kind.FOREIGN
    assert classify("POST", "https://openrouter.ai.example.org/login", BASE).kind is Kind.FOREIGN


@pytest.mark.parametrize(
    "url", ["https://[::1/api", "http://openrouter.ai:99999999/x", "https://openrouter.ai\\@evil.example/x"]
)
def test_urls_that_parsers_disagree_on_are_unknown(url: str) -> None:
    """An address that cannot be read, or not by all alike, is refused and never raises."""
    assert classify("POST", url, BASE).kind is Kind.UNKNOWN


@pytest.mark.parametrize("host", ["openrouter.ai", "EU.OpenRouter.ai", "openrouter.ai:443", "127.0.0.1:9100"])
def test_a_host_header_that_names_openrouter_makes_it_openrouters(host: str) -> None:
    """An address of its own with `Host: openrouter.ai` is OpenRouter all the same: what is unknown there is refused."""
    headers = {"host": host}
    assert classify("POST", "http://192.0.2.7/api/v1/images", LOCAL, headers).endpoint is Endpoint.IMAGES
    assert classify("PUT", "http://192.0.2.7/api/v1/chat/completions", LOCAL, headers).kind is Kind.UNKNOWN
    assert classify("POST", "http://192.0.2.7/upload", LOCAL, headers).kind is Kind.UNKNOWN
    assert classify("POST", "http://192.0.2.7/upload", LOCAL, {"host": "192.0.2.7"}).kind is Kind.FOREIGN


def test_hosts() -> None:
    """openrouter.ai, what is below it, and the configured host with its port are OpenRouter's; nothing else."""
    for host in ("openrouter.ai", "EU.openrouter.ai.", "openrouter.ai:443", "127.0.0.1:9100", "u:p@openrouter.ai"):
        assert is_openrouter_host(host, LOCAL), host
    for host in ("notopenrouter.ai", "openrouter.ai.evil.example", "127.0.0.1:9101", "127.0.0.1", "", "[::1"):
        assert not is_openrouter_host(host, LOCAL), host
    assert is_openrouter_host("gw.example", "https://gw.example/api/v1")


CHAT = "/chat/completions"
PROXY = "http://127.0.0.1:8377/api/v1"
GATEWAY = "https://gw.example/team/openrouter"


@pytest.mark.parametrize("base", [BASE, "https://eu.openrouter.ai/api/v1"])
@pytest.mark.parametrize(
    "url", [BASE, "https://us.openrouter.ai/api/v1", PROXY, "https://gw.example/v1", "http://192.0.2.7/api/v1"]
)
def test_openrouters_own_catalogue_vouches_for_all_of_it_and_for_gateways(base: str, url: str) -> None:
    """With a base on openrouter.ai its prices hold on every host of OpenRouter's and on gateways before it."""
    target = classify("POST", url + CHAT, base)
    assert (target.kind, target.unvouched) == (Kind.BILLABLE, "")


@pytest.mark.parametrize(
    ("base", "url"),
    [
        (PROXY, PROXY),
        (PROXY, "http://localhost:8377/api/v1"),
        (PROXY, "http://[::1]:8377/v1"),
        ("http://localhost:8377/api/v1", PROXY),
        (GATEWAY, GATEWAY),
        (GATEWAY, "https://GW.example:443/team/openrouter"),
        ("https://gw.example", "https://gw.example/v1"),
        ("https://gw.example/v1", "https://gw.example/api/v1"),
    ],
)
def test_another_bases_catalogue_vouches_for_that_base(base: str, url: str) -> None:
    """A proxy, a gateway or a simulator as the base is judged by its own catalogue, by each name of its machine."""
    target = classify("POST", url + CHAT, base)
    assert (target.kind, target.unvouched) == (Kind.BILLABLE, "")


@pytest.mark.parametrize(
    ("base", "url", "host"),
    [
        (PROXY, "https://openrouter.ai/api/v1", ""),
        (PROXY, "https://eu.openrouter.ai/api/v1", ""),
        (PROXY, "http://127.0.0.1:8378/api/v1", ""),
        (PROXY, "http://192.0.2.7:8377/api/v1", ""),
        (PROXY, "http://192.0.2.7:8377/api/v1", "127.0.0.1:8377"),
        (PROXY, "http://192.0.2.7/api/v1", "openrouter.ai"),
        (PROXY, PROXY, "openrouter.ai"),
        (PROXY, PROXY, "["),
        (PROXY, "https://gw.example/x/v1", ""),
        ("http://192.0.2.7:8377/api/v1", "http://localhost:8377/api/v1", ""),
        (GATEWAY, "https://gw.example/v1", ""),
        (GATEWAY, "https://gw.example/api/v1", ""),
        (GATEWAY, "http://gw.example/team/openrouter", ""),
        ("https://openrouter.ai.example/api/v1", "https://openrouter.ai/api/v1", ""),
        ("https://notopenrouter.ai/api/v1", "https://openrouter.ai/api/v1", ""),
    ],
)
def test_another_bases_catalogue_vouches_for_nobody_else(base: str, url: str, host: str) -> None:
    """On another host, port or path than such a base's, or by another name, the request is judged but not vouched
    for, and what is said names both."""
    target = classify("POST", url + CHAT, base, {"host": host} if host else {})
    assert (target.kind, target.endpoint) == (Kind.BILLABLE, Endpoint.CHAT)
    shown = [host or "[no host]", url.split("/")[2].partition(":")[0].casefold()]
    assert target.unvouched.endswith(f"are those of {base}")
    assert any(f"it goes to {where}" in target.unvouched.replace("another path of ", "") for where in shown)


@pytest.mark.parametrize("host", ["127.0.0.1:8377", "localhost", "LOCALHOST.:8377"])
def test_a_host_header_that_names_the_base_changes_nothing(host: str) -> None:
    """The `Host` header that every client sends is the base's own."""
    assert classify("POST", PROXY + CHAT, PROXY, {"host": host}).unvouched == ""


def test_only_inference_needs_somebody_to_vouch_for_it() -> None:
    """What runs no inference passes as before, wherever it goes; a long host is shown cut."""
    assert classify("GET", BASE + "/models", PROXY).kind is Kind.FREE
    assert classify("POST", "https://example.org/upload", PROXY).kind is Kind.FOREIGN
    assert len(classify("POST", f"https://{'a' * 5000}.example/v1{CHAT}", PROXY).unvouched) < 200


@settings(max_examples=150)
@given(
    st.sampled_from(sorted(BILLABLE)),
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["encode", "upper", "slash", "dot"])), max_size=4),
)
def test_no_spelling_of_an_inference_path_is_free(path: str, changes: list[tuple[int, str]]) -> None:
    """However an inference path is respelled, it is billable or unknown: it never passes unseen."""
    spelled = "/api/v1" + path
    for at, change in changes:
        at = 1 + at % (len(spelled) - 1)
        letter = spelled[at]
        match change:
            case "encode":
                spelled = spelled[:at] + f"%{ord(letter):02x}" + spelled[at + 1 :]
            case "upper":
                spelled = spelled[:at] + letter.upper() + spelled[at + 1 :]
            case "slash" if letter == "/":
                spelled = spelled[:at] + "/" + spelled[at:]
            case "dot" if letter == "/":
                spelled = spelled[:at] + "/x/.." + spelled[at:]
    assert classify("POST", "https://openrouter.ai" + spelled, BASE).kind in (Kind.BILLABLE, Kind.UNKNOWN)


def test_the_base_may_be_spelled_as_the_operator_likes() -> None:
    """Capitals in the configured base do not make every call odd; capitals after it do."""
    base = "https://gw.example/Team%20A/OpenRouter/"
    assert classify("POST", "https://gw.example/Team%20A/OpenRouter/chat/completions", base).endpoint is Endpoint.CHAT
    assert classify("POST", "https://gw.example/Team%20A/OpenRouter/keys", base).kind is Kind.FREE
    assert classify("POST", "https://gw.example/Team%20A/OpenRouter/Chat/completions", base).kind is Kind.UNKNOWN
    assert classify("POST", "https://gw.example/team%20a/openrouter/chat/completions", base).kind is Kind.UNKNOWN
    assert classify("POST", "https://[broken/chat", "https://[broken").kind is Kind.UNKNOWN


@pytest.mark.parametrize(
    "path",
    ["/api/v10/channels/7/messages", "/v3/mg.example.org/messages", "/2010-04-01/Accounts/1/messages", "/me/videos"],
)
def test_a_common_word_at_the_end_of_another_apis_path_is_foreign(path: str) -> None:
    """Discord's, Mailgun's and Twilio's messages are none of OpenRouter's: they pass."""
    assert classify("POST", f"https://example.org{path}", BASE).kind is Kind.FOREIGN


@pytest.mark.parametrize(
    "path", ["/v1/messages", "/api/messages", "/messages", "/openrouter/v1/responses", "/x/chat/completions"]
)
def test_a_gateways_inference_path_is_judged(path: str) -> None:
    """Right below `/v1` or `/api`, or alone, the same words may reach OpenRouter through a gateway: they are judged."""
    assert classify("POST", f"https://gateway.example.org{path}", BASE).kind is Kind.BILLABLE
