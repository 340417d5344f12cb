"""Reading a request's body: JSON only, no larger than allowed, and no slower than a bad line."""

from __future__ import annotations

import asyncio

from aiohttp import web

from monitor.proxy.problems import Problem, Turned

HEAD_START_SECONDS = 20.0
SLOWEST_BYTES_A_SECOND = 16 * 1024
"""A body has the head start, and then a second for each so many bytes."""

_FORM_OF_CURL = "application/x-www-form-urlencoded"


def check_type(request: web.BaseRequest, path: str) -> None:
    """Turn away what is not JSON: a page of another place can send such a request from a browser without asking first.

    `curl -d` says that it sends a form. What begins as JSON cannot be a browser's form, which would spell `{` as `%7B`;
    what a script of a page sends has an `Origin`.
    """
    media = request.content_type if "Content-Type" in request.headers else ""
    if media in ("", "application/json") or (media.startswith("application/") and media.endswith("+json")):
        return
    if media == _FORM_OF_CURL and "Origin" not in request.headers:
        return
    if media == "multipart/form-data" and path.endswith("/audio/transcriptions"):
        return
    message = "The body must be JSON: say Content-Type: application/json."
    raise Turned(Problem(415, "type_not_json", message, closes=True))


def is_form_of_curl(request: web.BaseRequest) -> bool:
    """Whether the type is that of `curl -d`: then it is JSON all the same, or no body that anybody could judge."""
    return "Content-Type" in request.headers and request.content_type == _FORM_OF_CURL


async def read_body(request: web.BaseRequest, most: int) -> bytes:
    """The body as it came, compressed or not. Raises Turned."""
    length = request.content_length
    if length is not None and length > most:
        raise _too_large(most)
    if not request.body_exists:
        return b""
    if "Expect" in request.headers:
        await _let_continue(request)
    content = request.content
    if content.is_eof():
        body = content.read_nowait()
        if len(body) > most:
            raise _too_large(most)
        return body
    loop = asyncio.get_running_loop()
    parts, size, begun = [], 0, loop.time()
    try:
        async with asyncio.timeout(HEAD_START_SECONDS) as limit:
            async for part in content.iter_any():
                size += len(part)
                if size > most:
                    raise _too_large(most)
                parts.append(part)
                limit.reschedule(begun + HEAD_START_SECONDS + size / SLOWEST_BYTES_A_SECOND)
    except TimeoutError:
        raise Turned(Problem(408, "body_slow", "The body took too long to come.", closes=True)) from None
    except (web.RequestPayloadError, ValueError):
        raise Turned(Problem(400, "body_broken", "The body breaks HTTP's rules.", closes=True)) from None
    return b"".join(parts)


async def _let_continue(request: web.BaseRequest) -> None:
    """Tell a client that waits to be told before it sends its body. Not before it is known that the body is wanted."""
    if request.headers["Expect"].lower() != "100-continue":
        raise Turned(Problem(417, "expectation_unknown", "That expectation cannot be met.", closes=True))
    if request.version >= (1, 1):
        writer = request.writer
        await writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        writer.output_size = 0  # nothing of the answer itself has been sent


def _too_large(most: int) -> Turned:
    return Turned(Problem(413, "body_too_large", f"The body is larger than proxy.max_body_bytes, {most}.", closes=True))
