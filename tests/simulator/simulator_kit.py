"""What the simulator's tests share: names of models, and a client that does nothing clever."""

from __future__ import annotations

from typing import Any

import httpx

from monitor.simulator.server import Simulator

FREE = "meta-llama/llama-3.3-70b-instruct:free"
PAID = "meta-llama/llama-3.3-70b-instruct"
DEAR = "openai/gpt-5-mini"
KEY = "sk-or-v1-simulated-key-for-tests"


class Api:
    """A client that does nothing clever: what it gets is what came over the wire."""

    def __init__(self, sim: Simulator, key: str | None = KEY) -> None:
        self.sim = sim
        headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
        # Without certificates, which take 20 ms to load and are not used.
        self.http = httpx.Client(base_url=sim.base_url, headers=headers, timeout=10, verify=False)

    def chat(self, model: str | None = FREE, text: str = "hello", **more: Any) -> httpx.Response:
        body = {"messages": [{"role": "user", "content": text}], **more}
        if model is not None:
            body["model"] = model
        return self.http.post("/chat/completions", json=body)

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.http.post(path, json=body)

    def get(self, path: str, **query: str) -> httpx.Response:
        return self.http.get(path, params=query)

    def free_counter(self) -> dict[str, int]:
        counter: dict[str, int] = self.get("/key").json()["data"]["free_model_daily_requests"]
        return counter
