"""Calls the proxy with LiteLLM's asynchronous functions, which no hook in a process can see.

`python litellm_async.py ROUTE BASE_URL FREE PAID`, where ROUTE is LiteLLM's own provider. Tells what came as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import litellm

litellm.disable_hf_tokenizer_download = True
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]


async def main(route: str, base_url: str, free: str, paid: str) -> dict[str, Any]:
    async def ask(model: str = free, **more: Any) -> Any:
        messages = [{"role": "user", "content": "hi"}]
        return await litellm.acompletion(
            model=f"{route}/{model}", api_base=base_url, api_key="app:litellm", messages=messages, **more
        )

    told: dict[str, Any] = {"call": bool((await ask()).choices[0].message.content)}
    answer = await ask(tools=TOOLS, tool_choice="required")
    told["tool"] = answer.choices[0].message.tool_calls[0].function.name
    try:
        await ask(paid)
    except Exception as exc:  # noqa: BLE001 - which one is what is asked
        told["refused"] = [type(exc).__name__, getattr(exc, "status_code", None), "Nothing was sent" in str(exc)]
    told["stream"] = len([chunk async for chunk in await ask(stream=True)])

    begun = asyncio.Event()

    async def hear() -> None:
        async for _ in await ask(stream=True):  # the upstream never ends this one
            begun.set()

    task = asyncio.create_task(hear())
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return told


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))), flush=True)
    os._exit(0)  # LiteLLM's own threads may take minutes to end
