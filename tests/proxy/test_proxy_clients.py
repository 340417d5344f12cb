"""Clients without an SDK, and OpenRouter's own for Python: a call, a tool, a stream, an abort and a refusal each.

SDKs of other languages and LiteLLM are in tests/clients.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import requests
from guard_kit import FREE, HELLO, PAID, World, chat, eventually

from tests.fakes.proxy import ServedProxy

pytestmark = pytest.mark.sdk

TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
USE_TOOL = {"tools": TOOLS, "tool_choice": "required"}
NEVER_ENDS = {"match": {"path": "/chat/*", "nth": 4}, "do": {"kind": "hang", "after_chunks": 1}}
"""The fourth that reaches OpenRouter: a call, a tool and a stream come before, and the refusal never leaves."""

Told = dict[str, Any]
Client = Callable[[ServedProxy, World], Told]


def _by_requests(proxy: ServedProxy, world: World) -> Told:
    with requests.Session() as session:
        session.trust_env = False

        def ask(model: str = FREE, stream: bool = False, **more: Any) -> requests.Response:
            body = chat(model, stream=stream, **more)
            return session.post(
                proxy.chat, json=body, stream=stream, headers={"Authorization": "Bearer app:bot"}, timeout=60
            )

        told: Told = {"call": bool(ask().json()["choices"][0]["message"]["content"])}
        told["tool"] = ask(**USE_TOOL).json()["choices"][0]["message"]["tool_calls"][0]["function"]["name"]
        told["refused"] = ask(PAID).status_code
        told["stream"] = list(ask(stream=True).iter_lines())[-2] == b"data: [DONE]"
        answer = ask(stream=True)
        next(answer.iter_content(1))
        answer.close()
    return told


def _by_curl(proxy: ServedProxy, world: World) -> Told:
    def command(model: str = FREE, **more: Any) -> list[str]:
        body = json.dumps(chat(model, **more))
        return ["curl", "-sN", "--noproxy", "*", "-H", "Authorization: Bearer app:bot", proxy.chat, "-d", body]

    def ask(model: str = FREE, **more: Any) -> str:
        return subprocess.run(command(model, **more), capture_output=True, text=True, timeout=60, check=True).stdout

    told: Told = {"call": bool(json.loads(ask())["choices"][0]["message"]["content"])}
    told["tool"] = json.loads(ask(**USE_TOOL))["choices"][0]["message"]["tool_calls"][0]["function"]["name"]
    told["refused"] = json.loads(ask(PAID))["error"]["code"]
    told["stream"] = ask(stream=True).rstrip().endswith("data: [DONE]")
    with subprocess.Popen(command(stream=True), stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.read(1)
        running.terminate()
    return told


FETCH = """
const [url, free, paid, useTool] = process.argv.slice(1);
const messages = [{ role: "user", content: "hi" }];
const ask = (model, more = {}, options = {}) => fetch(url, { method: "POST", headers: { "content-type":
  "application/json", authorization: "Bearer app:bot" }, ...options,
  body: JSON.stringify({ model, messages, ...more }) });
const told = {};
told.call = (await (await ask(free)).json()).choices[0].message.content.length > 0;
told.tool = (await (await ask(free, JSON.parse(useTool))).json()).choices[0].message.tool_calls[0].function.name;
told.refused = (await ask(paid)).status;
told.stream = (await (await ask(free, { stream: true })).text()).trimEnd().endsWith("data: [DONE]");
const stop = new AbortController();
const answer = await ask(free, { stream: true }, { signal: stop.signal });
await answer.body.getReader().read();
stop.abort();
console.log(JSON.stringify(told));
"""


def _by_fetch(proxy: ServedProxy, world: World) -> Told:
    run = ["node", "--input-type=module", "-e", FETCH, proxy.chat, FREE, PAID, json.dumps(USE_TOOL)]
    environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
    told: Told = json.loads(
        subprocess.run(run, capture_output=True, text=True, timeout=60, check=True, env=environment).stdout
    )
    return told


def _by_openrouter(proxy: ServedProxy, world: World) -> Told:
    import openrouter
    from openrouter import errors

    with openrouter.OpenRouter(api_key="app:bot", server_url=proxy.base_url) as sdk:
        told: Told = {"call": bool(sdk.chat.send(model=FREE, messages=HELLO).choices[0].message.content)}
        answer = sdk.chat.send(model=FREE, messages=HELLO, **USE_TOOL)
        told["tool"] = answer.choices[0].message.tool_calls[0].function.name
        with pytest.raises(errors.ForbiddenResponseError) as caught:
            sdk.chat.send(model=PAID, messages=HELLO)
        told["refused"] = caught.value.status_code
        with sdk.chat.send(model=FREE, messages=HELLO, stream=True) as stream:
            told["stream"] = list(stream)[-1].usage is not None
        with sdk.chat.send(model=FREE, messages=HELLO, stream=True) as stream:
            next(iter(stream))
        eventually(lambda: not world.open_holds())
    return told


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(_by_requests, id="requests"),
        pytest.param(_by_curl, id="curl", marks=pytest.mark.skipif(not shutil.which("curl"), reason="no curl")),
        pytest.param(_by_fetch, id="fetch", marks=pytest.mark.skipif(not shutil.which("node"), reason="no node")),
        pytest.param(_by_openrouter, id="openrouter"),
    ],
)
def test_each_client_hears_what_it_should_and_is_on_record(serve, worlds, client: Client):
    """Five attempts: three answered, one refused before it left, and one cancelled upstream when the client went."""
    world = worlds(NEVER_ENDS)
    told = client(serve(world), world)
    assert told == {"call": True, "tool": "weather", "refused": 403, "stream": True}
    rows = world.settled(5)
    assert Counter(row["outcome"] for row in rows) == {"success": 3, "refused": 1, "cancelled": 1}
    assert {row["app"] for row in rows} == {"bot"}
    assert (world.sim.books.requests, world.taken(), world.sim.books.cost_usd) == (4, 4, 0)
