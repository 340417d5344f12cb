"""While only free calls may leave, nothing is billed: whatever is asked, wherever, and whatever changed meanwhile."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from guard_kit import FREE, HELLO, PAID, World, Worlds, bearer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor import guarded_client

TURNED = "qwen/qwen3-coder:free"
"""Free by the catalogue that is known here; at a price by now."""
ELSEWHERE = "openai/gpt-oss-20b:free"
"""Free at `base_url`; at a price on the other upstream."""

models = st.sampled_from([FREE, PAID, TURNED, ELSEWHERE, "openrouter/free", "openrouter/auto", "nobody/knows:free"])
prices = st.sampled_from([None, {}, 9, "9", [], {"prompt": 9, "completion": "9"}, {"max_price": {"prompt": 9}}])
dear = st.fixed_dictionaries(
    {
        "model": st.sampled_from([FREE, TURNED, ELSEWHERE]),
        "messages": st.just(HELLO),
        "provider": st.fixed_dictionaries({"max_price": prices}),
    }
)
anything = st.fixed_dictionaries(
    {"model": models, "messages": st.just(HELLO)},
    optional={
        "models": st.lists(models, max_size=2),
        "max_tokens": st.integers(1, 50),
        "stream": st.booleans(),
        "provider": st.fixed_dictionaries({}, optional={"max_price": prices, "sort": st.just("price")}) | st.none(),
        "plugins": st.sampled_from([[], [{"id": "web"}], [{"id": "response-healing"}]]),
        "preset": st.just("mine"),
    },
)
escaped = st.sampled_from([lambda text: text, lambda text: text.replace('"max_price"', '"max_pric\\u0065"')])
addresses = st.sampled_from(["home", "home by name", "away", "away by name"])
names = st.sampled_from([None, "home", "away", "openrouter.ai"])


@pytest.fixture
def upstreams(worlds: Worlds) -> Iterator[tuple[World, World, Any]]:
    """The upstream that is set, another, and a client that has the catalogue of the first as it was."""
    home, away = worlds(), worlds()
    for model in (FREE, ELSEWHERE, TURNED):
        away.sim.update_model(model, pricing={"prompt": "0.001", "completion": "0.001"})
    with contextlib.closing(guarded_client("app", home.settings(), headers=bearer(), timeout=20)) as client:
        assert client.post(home.url, json={"model": FREE, "messages": HELLO}).status_code == 200
        home.sim.update_model(TURNED, pricing={"prompt": "0.001", "completion": "0.001"})
        yield home, away, client


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=dear | anything, spell=escaped, address=addresses, name=names)
def test_nothing_is_billed_anywhere(upstreams, body, spell, address, name) -> None:
    """Prices that differ by upstream, prices that changed since the last poll, and prices that the app would accept."""
    home, away, client = upstreams
    hosts = {"home": home.sim.root_url, "away": away.sim.root_url}
    root = hosts[address.partition(" ")[0]]
    if "by name" in address:
        root = root.replace("127.0.0.1", "localhost")
    headers = {} if name is None else {"Host": hosts.get(name, name).partition("//")[2] or name}
    with contextlib.suppress(OSError):
        client.post(f"{root}/api/v1/chat/completions", content=spell(json.dumps(body)).encode(), headers=headers)
    assert (home.sim.books.cost_usd, away.sim.books.cost_usd) == (0, 0)
    assert away.sim.books.requests == 0
