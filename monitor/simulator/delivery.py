"""Sends a reply over the wire, well or badly."""

from __future__ import annotations

import asyncio
import math
import zlib
from collections.abc import AsyncIterator

from aiohttp import web

from monitor.simulator.faults import Plan
from monitor.simulator.options import SimulatorOptions
from monitor.simulator.reply import Reply

COMMENT = b": OPENROUTER PROCESSING\n\n"
_BLOCK = 64 * 1024
_LOOK_SECONDS = 0.02
"""How often a hanging answer looks whether its client is still there."""
_COMMON = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "X-Generation-Id,X-Provider-Name,request-id,cf-ray",
    "Server": "openrouter-simulator",
}


class _Cut(Exception):
    """The connection is to be cut here."""


async def deliver(request: web.Request, reply: Reply, plan: Plan, options: SimulatorOptions) -> web.StreamResponse:
    """Send `reply`; a client that leaves, or a fault that cuts, ends it quietly."""
    delivery = plan.delivery
    if "close" in delivery:
        return _close(request, web.Response(status=500))
    hang = delivery.get("hang")
    if hang is not None and "after_chunks" not in hang.parameters:
        await _hang(request, hang.get("seconds"))
    if reply.events is None:
        if options.latency_seconds:
            await asyncio.sleep(options.latency_seconds)
        if not delivery:
            headers = {**_COMMON, "Content-Type": reply.content_type, **reply.headers}
            return web.Response(status=reply.status, body=reply.body, headers=headers)
    return await _write(request, reply, plan, options)


def _close(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Close the connection at once; what aiohttp still wants to write goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return response


async def _hang(request: web.Request, seconds: float | None) -> None:
    """Wait so long, or until the client gives up (or the server stops, which cancels us)."""
    # aiohttp could cancel the handler instead, at the price of a task for every request.
    loop = asyncio.get_running_loop()
    end = math.inf if seconds is None else loop.time() + float(seconds)
    while loop.time() < end and request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(min(_LOOK_SECONDS, end - loop.time()))


async def _write(request: web.Request, reply: Reply, plan: Plan, options: SimulatorOptions) -> web.StreamResponse:
    headers = {**_COMMON, "Content-Type": reply.content_type, **reply.headers}
    zipped = "gzip" in plan.delivery
    if zipped:
        headers["Content-Encoding"] = "gzip"
    elif reply.events is None:
        headers["Content-Length"] = str(len(reply.body))
    if reply.events is not None:
        headers["Cache-Control"] = "no-cache"
    response = web.StreamResponse(status=reply.status, headers=headers)
    try:
        await response.prepare(request)
        sent = 0
        limit = plan.delivery["cut"].get("after_bytes") if "cut" in plan.delivery else None
        async for block in _wire_blocks(_blocks(request, reply, plan, options), plan, zipped):
            if limit is not None and sent + len(block) >= int(limit):
                await response.write(block[: int(limit) - sent])
                raise _Cut
            await response.write(block)
            sent += len(block)
        await response.write_eof()
    except _Cut:
        return await _cut(request, response)
    except ConnectionError:
        pass  # The client left: nobody to tell.
    return response


async def _cut(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """End the connection without an ending of the body; what was written before still arrives."""
    transport = request.transport
    if transport is not None:
        transport.close()
    return response


async def _blocks(request: web.Request, reply: Reply, plan: Plan, options: SimulatorOptions) -> AsyncIterator[bytes]:
    """The reply in the pieces in which it is meant to leave, with the pauses between them."""
    delivery = plan.delivery
    pieces = reply.events if reply.events is not None else _slices(reply.body, _BLOCK)
    if reply.events is not None:
        for _ in range(options.processing_comments):
            yield COMMENT
        if options.latency_seconds:
            await asyncio.sleep(options.latency_seconds)
    forever = delivery.get("processing_forever")
    while forever is not None:
        yield COMMENT
        await asyncio.sleep(float(forever.get("seconds", 0.05)))
    pause = float(delivery["slow"].get("seconds", 0.1)) if "slow" in delivery else options.chunk_delay_seconds
    cut = delivery["cut"].get("after_chunks") if "cut" in delivery else None
    hang = delivery["hang"].get("after_chunks") if "hang" in delivery else None
    for number, piece in enumerate(pieces):
        # Chunks are counted without what comes before the content.
        content = number - reply.first
        if cut is not None and content >= int(cut):
            raise _Cut
        if hang is not None and content == int(hang):
            await _hang(request, delivery["hang"].get("seconds"))
        if pause and number:
            await asyncio.sleep(pause)
        yield piece


def _slices(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


async def _wire_blocks(blocks: AsyncIterator[bytes], plan: Plan, zipped: bool) -> AsyncIterator[bytes]:
    """The blocks as they go to the socket: compressed, or in pieces that heed neither events nor characters."""
    packer = zlib.compressobj(wbits=31) if zipped else None
    size = int(plan.delivery["split"].get("bytes", 7)) if "split" in plan.delivery else None
    async for block in blocks:
        out = packer.compress(block) + packer.flush(zlib.Z_SYNC_FLUSH) if packer else block
        for piece in _slices(out, size) if size else (out,):
            yield piece
            if size:
                # Let the loop send it: otherwise the pieces meet again in one packet.
                await asyncio.sleep(0)
    if packer:
        yield packer.flush()
