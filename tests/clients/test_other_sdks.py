"""SDKs of other languages and LiteLLM, unpatched, through the proxy: a call, a tool, a stream, an abort, a refusal.

Only `make clients` runs these: it installs them, pinned, into `.clients`, which takes minutes and the network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from guard_kit import FREE, PAID, World

from tests.fakes.proxy import ServedProxy

HERE, INSTALLED = Path(__file__).parent, Path(__file__).parents[2] / ".clients"
PYTHON = INSTALLED / "venv" / "bin" / "python"

pytestmark = [pytest.mark.sdk, pytest.mark.clients]


def _never_ends(path: str) -> dict[str, Any]:
    """The fourth request that leaves: a call, a tool and a stream come first, and the refusal never leaves."""
    return {"match": {"path": path, "nth": 4}, "do": {"kind": "hang", "after_chunks": 1}}


def _told(*command: object, folder: Path) -> dict[str, Any]:
    # LiteLLM would fetch a list of prices and a tokenizer; nothing but the proxy is asked here.
    alone = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "HF_HUB_OFFLINE": "1"}
    environment = {**os.environ, **alone, "NO_PROXY": "127.0.0.1"}
    run = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=120, cwd=folder, env=environment
    )
    assert run.returncode == 0, run.stderr[-2000:]
    told: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return told


def _check(world: World, app: str, endpoint: str) -> None:
    rows = world.settled(5)
    assert Counter(row["outcome"] for row in rows) == {"success": 3, "refused": 1, "cancelled": 1}
    assert {(row["app"], row["endpoint"]) for row in rows} == {(app, endpoint)}
    assert (world.sim.books.requests, world.taken(), world.sim.books.cost_usd) == (4, 4, 0)


@pytest.mark.parametrize(
    ("sdk", "error", "endpoint"),
    [
        ("openai", "PermissionDeniedError", "chat"),
        ("openrouter", "ForbiddenResponseError", "chat"),
        ("anthropic", "PermissionDeniedError", "messages"),
    ],
)
def test_sdks_of_node(serve, worlds, sdk, error, endpoint):
    """openai-node, OpenRouter's own for TypeScript and Anthropic's: what they hear, and five attempts on record."""
    world = worlds(_never_ends("/chat/*" if endpoint == "chat" else "/messages"))
    proxy: ServedProxy = serve(world)
    script = shutil.copy(HERE / "sdks.mjs", INSTALLED)  # Node looks for packages beside the script
    told = _told("node", script, sdk, proxy.root, FREE, PAID, folder=INSTALLED)
    assert told.pop("stream") > 1
    assert told == {"call": True, "tool": "weather", "refused": [error, 403]}
    _check(world, sdk, endpoint)


@pytest.mark.parametrize("route", ["openrouter", "openai"])
def test_litellm_async(serve, worlds, route, tmp_path):
    """LiteLLM's asynchronous calls, by its own way to OpenRouter and by OpenAI's."""
    world = worlds(_never_ends("/chat/*"))
    proxy: ServedProxy = serve(world)
    told = _told(PYTHON, HERE / "litellm_async.py", route, proxy.base_url, FREE, PAID, folder=tmp_path)
    assert told.pop("stream") > 1
    error, status, says_so = told.pop("refused")
    assert (status, says_so) == (403, True), error
    assert told == {"call": True, "tool": "weather"}
    _check(world, "litellm", "chat")
