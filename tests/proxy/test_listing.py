"""The list of models, as it is or as the policy sees it."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
import requests
from guard_kit import FREE, PAID, World
from upstream_kit import CATALOGUE, JSON, Reply

from monitor.config import GuardSettings
from monitor.proxy.listing import only_allowed


def _row(name: str, price: str, outputs: tuple[str, ...] = ("text",)) -> dict[str, Any]:
    architecture = {"input_modalities": ["text"], "output_modalities": list(outputs)}
    return {"id": name, "pricing": {"prompt": price, "completion": price}, "architecture": architecture, "extra": [1]}


ROWS = [_row("a/free:free", "0"), _row("a/paid", "0.001"), _row("a/stealth", "0"), _row("openrouter/auto", "-1"),
        _row("a/liar:free", "0.001"), _row("openrouter/free", "0"), {"id": 7}, "odd"]  # fmt: skip


def allowed(**guard: Any) -> list[str]:
    body = json.dumps({"data": ROWS, "total_count": len(ROWS), "more": True}).encode()
    listed = json.loads(only_allowed(body, "", GuardSettings(**guard)) or b"null")
    assert (listed["total_count"], listed["more"]) == (len(listed["data"]), True)
    assert all(row["extra"] == [1] for row in listed["data"])  # a row is left as it is, or left out
    return [row["id"] for row in listed["data"]]


@pytest.mark.parametrize(
    ("guard", "names"),
    [
        ({}, ["a/free:free", "openrouter/free"]),
        ({"zero_priced": True}, ["a/free:free", "a/stealth", "openrouter/free"]),
        ({"deny": ("openrouter/*",)}, ["a/free:free"]),
        ({"allow": "listed", "models": ("a/p*",)}, ["a/paid"]),
        ({"allow": "any"}, ["a/free:free", "a/paid", "a/stealth", "openrouter/auto", "a/liar:free", "openrouter/free"]),
    ],
    ids=["free", "zero priced", "denied", "listed", "any"],
)
def test_only_what_may_be_called_is_listed(guard, names):
    """By the same policy that judges calls."""
    assert allowed(**guard) == names


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data": 7}', b'{"data"', b"\xff"])
def test_what_cannot_be_read_is_no_list(body):
    """Rather than passing what nobody looked at."""
    assert only_allowed(body, "", GuardSettings()) is None
    assert only_allowed(body, "gzip", GuardSettings()) is None


def test_the_proxy_lists_what_it_would_let_through(serve, world: World):
    """`proxy.models = "allowed"`: SDKs that fill a menu from it offer nothing that would be refused."""
    proxy = serve(world, proxy={"models": "allowed"})
    names = {row["id"] for row in requests.get(f"{proxy.base_url}/models", timeout=60).json()["data"]}
    assert FREE in names
    assert PAID not in names
    assert requests.head(f"{proxy.base_url}/models", timeout=60).status_code == 200


def test_an_encoded_list_is_read_too(before):
    """It comes back plain, with its own length."""
    packed = gzip.compress(CATALOGUE)
    headers = (*JSON, ("Content-Encoding", "gzip"))
    proxy, _, _ = before(lambda seen: Reply(200, headers, [packed]), proxy={"models": "allowed"})
    answer = requests.get(f"{proxy.base_url}/models", timeout=60)
    assert [row["id"] for row in answer.json()["data"]] == [FREE]
    assert "content-encoding" not in answer.headers
    assert answer.headers["content-length"] == str(len(answer.content))


def test_a_list_that_cannot_be_read_is_an_error(before):
    """A clean one."""
    proxy, _, _ = before(lambda seen: Reply(parts=[b"[]"]), proxy={"models": "allowed"})
    assert requests.get(f"{proxy.base_url}/models", timeout=60).status_code == 502
