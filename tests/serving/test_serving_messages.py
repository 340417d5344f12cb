"""Answers as bytes, and requests as they are asked about."""

from __future__ import annotations

import pytest

from monitor.clock import FakeClock
from monitor.serving.messages import Request, Response, told

NOW = FakeClock(1_790_000_000.0).now()


def _request(method: str = "GET", *, modern: bool = True, target: str = "/") -> Request:
    request = Request(None)  # type: ignore[arg-type]
    request.method, request.is_modern, request.target = method, modern, target
    return request


def test_an_answer_is_framed():
    """Status, headers, date and length; whether the connection goes on is said only where it is not understood."""
    answer = Response(200, b"hi", {"Content-Type": "text/plain"})
    assert answer.render(_request(), True, NOW) == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Mon, 21 Sep 2026 14:13:20 GMT\r\n"
        b"Content-Length: 2\r\n\r\nhi"
    )
    assert b"\r\nConnection: close\r\n" in answer.render(_request(), False, NOW)
    old = answer.render(_request(modern=False), True, NOW)
    assert old.startswith(b"HTTP/1.0 200 OK\r\n")
    assert b"\r\nConnection: keep-alive\r\n" in old


@pytest.mark.parametrize("status", [204, 304])
def test_some_answers_have_no_body(status):
    """Nor a length, whatever was given."""
    assert Response(status, b"hi").render(_request(), True, NOW).endswith(b"GMT\r\n\r\n")


def test_head_is_told_the_length_and_given_no_body():
    """As a GET would be, but for the body."""
    assert Response(200, b"hi").render(_request("HEAD"), True, NOW).endswith(b"Content-Length: 2\r\n\r\n")


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb"])
def test_no_header_begins_another_line(value):
    """Whatever name or text comes to stand in one."""
    with pytest.raises(ValueError, match="line's end"):
        Response(200, b"", {"X": value}).render(_request(), True, NOW)


def test_a_target_is_taken_apart():
    """Decoded once, and of a name that stands twice the first."""
    request = _request(target="/apps/a%2Fb%20c?window=1h&window=2h&name=%C3%A4&empty=")
    assert request.path == "/apps/a/b c"
    assert request.query == {"window": "1h", "name": "\u00e4", "empty": ""}


def test_an_error_has_openrouters_shape():
    """Programs read the one like the other."""
    assert (
        told(404, "There is n\u00f8thing.").body.decode()
        == '{"error": {"code": 404, "message": "There is n\u00f8thing."}}'
    )
