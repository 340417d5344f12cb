"""Reading a request's body: JSON only, no larger than allowed, and no slower than a bad line."""

from __future__ import annotations

import asyncio
from functools import lru_cache

from monitor.proxy.problems import Problem, Turned
from monitor.serving.messages import BrokenBody, Request

HEAD_START_SECONDS = 20.0
SLOWEST_BYTES_A_SECOND = 16 * 1024
"""A body has the head start, and then a second for each so many bytes."""

TYPE_LIMIT = 256
"""Letters of a content type that are looked at: the media type is in them, or none that anybody knows."""

_FORM_OF_CURL = "application/x-www-form-urlencoded"


def check_type(request: Request, path: str) -> None:
    """Turn away what is not JSON: a page of another place can send such a request from a browser without asking first.

    `curl -d` says that it sends a form. What begins as JSON cannot be a browser's form, which would spell `{` as `%7B`;
    what a script of a page sends has an `Origin`.
    """
    media = _media_type(request.headers.get("content-type", "")[:TYPE_LIMIT])
    if media in ("", "application/json") or (media.startswith("application/") and media.endswith("+json")):
        return
    if media == _FORM_OF_CURL and "origin" not in request.headers:
        return
    if media == "multipart/form-data" and path.endswith("/audio/transcriptions"):
        return
    message = "The body must be JSON: say Content-Type: application/json."
    raise Turned(Problem(415, "type_not_json", message, closes=True))


def is_form_of_curl(request: Request) -> bool:
    """Whether the type is that of `curl -d`: then it is JSON all the same, or no body that anybody could judge."""
    return _media_type(request.headers.get("content-type", "")[:TYPE_LIMIT]) == _FORM_OF_CURL


@lru_cache(maxsize=256)
def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


async def read_body(request: Request, most: int) -> bytes:
    """The body as it came, compressed or not. Raises Turned."""
    if request.length is not None and request.length > most:
        raise _too_large(most)
    if request.has_body and "expect" in request.headers:
        _let_continue(request)
    if not request.is_whole:
        await _rest(request, most)
    if request.size > most:
        raise _too_large(most)
    return request.body


async def _rest(request: Request, most: int) -> None:
    """Wait for the end of the body, or for more than there may be."""
    begun = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(HEAD_START_SECONDS) as limit:
            while not request.is_whole and request.size <= most:
                await request.more()
                limit.reschedule(begun + HEAD_START_SECONDS + request.size / SLOWEST_BYTES_A_SECOND)
    except TimeoutError:
        raise Turned(Problem(408, "body_slow", "The body took too long to come.", closes=True)) from None
    except BrokenBody:
        raise Turned(Problem(400, "body_broken", "The body breaks HTTP's rules.", closes=True)) from None


def _let_continue(request: Request) -> None:
    """Tell a client that waits to be told before it sends its body. Not before it is known that the body is wanted."""
    if request.headers["expect"].lower() != "100-continue":
        raise Turned(Problem(417, "expectation_unknown", "That expectation cannot be met.", closes=True))
    if request.is_modern and not request.size and (transport := request.line.transport) is not None:
        transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _too_large(most: int) -> Turned:
    return Turned(Problem(413, "body_too_large", f"The body is larger than proxy.max_body_bytes, {most}.", closes=True))
