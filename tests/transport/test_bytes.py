"""Nothing is changed on the way, but for the belt: what leaves, what comes back, and how."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import httpx2
import pytest
from guard_kit import DEADLINE, FREE, HELLO, PAID, REASON_HEADER, World, bearer, chat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from upstream_kit import ANSWER, JSON, SSE, USAGE, Reply, Seen, Upstream

from monitor import guard_client

LIBRARIES = [httpx, httpx2]
WHOLE = json.dumps(ANSWER, ensure_ascii=False).encode()


def _event(**fields: Any) -> bytes:
    return b"data: " + json.dumps({"model": FREE, **fields}, ensure_ascii=False).encode() + b"\n\n"


EVENTS = [
    b": OPENROUTER PROCESSING\n\n",
    *(_event(choices=[{"index": 0, "delta": {"content": word}}]) for word in ("Grüße ", "世界 ", "🌍")),
    _event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=USAGE),
    b"data: [DONE]\n\n",
]
STREAM = b"".join(EVENTS)
ZIPPED = gzip.compress(STREAM)


def _slices(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


GZIP = ("Content-Encoding", "gzip")
REPLIES: dict[str, Reply] = {
    "json": Reply(parts=[WHOLE]),
    "json chunked": Reply(parts=_slices(WHOLE, 7), chunked=True),
    "json gzip": Reply(headers=(*JSON, GZIP), parts=[gzip.compress(WHOLE)]),
    "sse": Reply(headers=SSE, parts=EVENTS, chunked=True),
    "sse split in characters": Reply(headers=SSE, parts=_slices(STREAM, 1), chunked=True),
    "sse in one piece": Reply(headers=SSE, parts=[STREAM]),
    "sse gzip, split": Reply(headers=(*SSE, GZIP), parts=_slices(ZIPPED, 11), chunked=True),
    "json in no utf-8": Reply(parts=[b'{"model":"\xff\xfe'], chunked=True),
    "empty": Reply(parts=[b""]),
    "an error": Reply(status=429, parts=[b'{"error":{"code":429,"message":"slow"}}']),
    "a page": Reply(status=502, headers=(("Content-Type", "text/html"),), parts=[b"<html>bad gateway</html>"]),
    "no content": Reply(status=204, headers=(), parts=[]),
}


@pytest.fixture(params=LIBRARIES, ids=lambda library: library.__name__)
def library(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def serve() -> Iterator[Callable[..., Upstream]]:
    """A function that starts a server which answers every POST so."""
    with contextlib.ExitStack() as stack:

        def start(reply: Reply | Callable[[Seen], Reply | None]) -> Upstream:
            answer = reply if callable(reply) else lambda seen: reply if seen.method == "POST" else None
            return stack.enter_context(Upstream(answer))

        yield start


def _guarded(library: Any, world: World, upstream: Upstream, options: dict[str, Any] | None = None, **changes: Any):
    settings = world.settings(base_url=upstream.base_url, **changes)
    return guard_client(library.Client(headers=bearer(), timeout=20, **(options or {})), "app", settings)


def _read(client: Any, url: str, how: str) -> tuple[int, list[tuple[str, str]], list[bytes] | bytes, Any]:
    with client.stream("POST", url, json=chat()) as answer:
        body = answer.read() if how == "read" else b"".join(answer.iter_raw())
        return answer.status_code, answer.headers.multi_items(), body, answer.extensions["http_version"]


@pytest.mark.parametrize("how", ["read", "raw"])
@pytest.mark.parametrize("name", REPLIES)
def test_an_answer_is_the_same_with_and_without_the_guard(library, world, serve, name, how):
    """Status, headers, every byte (decoded or raw) and the HTTP version are those that a bare client gets."""
    upstream = serve(REPLIES[name])
    url = f"{upstream.base_url}/chat/completions"
    with library.Client(headers=bearer()) as bare, _guarded(library, world, upstream) as guarded:
        assert _read(guarded, url, how) == _read(bare, url, how)
    assert world.open_holds() == 0


@pytest.mark.parametrize("name", ["json", "json chunked", "json gzip", *(name for name in REPLIES if "sse" in name)])
def test_however_it_is_packed_its_usage_is_on_record(library, world, serve, name):
    """JSON and events, chunked, compressed, or cut through the middle of a character: the tokens are booked."""
    upstream = serve(REPLIES[name])
    with _guarded(library, world, upstream) as client:
        client.post(f"{upstream.base_url}/chat/completions", json=chat())
    row = world.row()
    assert (row["outcome"], row["completion_tokens"], row["cost_usd"]) == ("success", 2, 0)


def test_twenty_megabytes_pass_and_are_not_kept(library, world, serve):
    """A huge answer arrives whole, piece by piece, and is a success on record."""
    piece = b"x" * 65_536
    head, tail = WHOLE.split("Grüße".encode())
    upstream = serve(Reply(parts=[head, *([piece] * 320), tail], chunked=True))
    size = 0
    with (
        _guarded(library, world, upstream) as client,
        client.stream("POST", f"{upstream.base_url}/chat/completions", json=chat()) as answer,
    ):
        for chunk in answer.iter_raw():
            size += len(chunk)
    assert size == len(head) + 320 * len(piece) + len(tail)
    assert world.row()["outcome"] == "success"
    assert world.path.stat().st_size < 2_000_000


def test_headers_that_stand_twice_stay_twice(library, world, serve):
    """Repeated headers of the request and of the answer are neither joined nor lost."""
    upstream = serve(Reply(headers=(*JSON, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"))))
    with _guarded(library, world, upstream) as client:
        headers = [("X-Twice", "one"), ("X-Twice", "two"), ("Accept", "application/json")]
        answer = client.post(f"{upstream.base_url}/chat/completions", json=chat(), headers=headers)
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert upstream.posts[0].header("x-twice") == ["one", "two"]
    assert upstream.posts[0].header("authorization") == [bearer()["Authorization"]]


def _sent_headers(seen: Seen) -> list[tuple[str, str]]:
    return [(name.lower(), value) for name, value in seen.headers if name.lower() != "content-length"]


def test_only_the_belt_is_added_to_a_request(library, world, serve):
    """The server gets the app's body with `provider.max_price` put in, and the app's headers in their order."""
    upstream = serve(Reply())
    text = b'{"role":"user","content":"\\u00e4 1.50 \xc3\xa4"}'
    body = b'{ "model" : "%s",\n  "messages":[%s], "n":1.0 }' % (FREE.encode(), text)
    url, headers = f"{upstream.base_url}/chat/completions", {"Content-Type": "application/json", "X-A": "b"}
    with library.Client(headers=bearer(), timeout=20) as bare, _guarded(library, world, upstream) as guarded:
        bare.post(url, content=body, headers=headers)
        guarded.post(url, content=body, headers=headers)
    alone, belted = upstream.posts
    added = b'"provider":{"max_price":{"prompt":"0","completion":"0","request":"0","image":"0","audio":"0"}},'
    assert belted.body.replace(added, b"") == alone.body == body
    assert added in belted.body
    assert belted.header("content-length") == [str(len(body) + len(added))]
    assert _sent_headers(belted) == _sent_headers(alone)


@pytest.mark.parametrize("own", [{"prompt": 1, "completion": "2"}, {}, None, "1", [{"prompt": 1}], {"max_price": 1}])
def test_the_apps_own_belt_makes_way_where_only_free_calls_may_leave(library, world, serve, own):
    """A `max_price` of the app's, whatever it is, leaves as zeros: a dearer one would let a paid endpoint serve."""
    upstream = serve(Reply())
    zeros = {"prompt": "0", "completion": "0", "request": "0", "image": "0", "audio": "0"}
    body = json.dumps(chat(provider={"sort": "price", "max_price": own, "zdr": True}, n=1.0)).encode()
    with _guarded(library, world, upstream) as client:
        assert client.post(f"{upstream.base_url}/chat/completions", content=body).status_code == 200
    (seen,) = upstream.posts
    assert json.loads(seen.body)["provider"]["max_price"] == zeros
    before, _, after = body.partition(json.dumps(own).encode())
    assert seen.body == before + json.dumps(zeros, separators=(",", ":")).encode() + after
    assert seen.header("content-length") == [str(len(seen.body))]


OWN = chat(provider={"max_price": {"prompt": "1"}})


@pytest.mark.parametrize(
    ("guard", "fields"),
    [
        ({"max_price": False}, chat()),
        ({"max_price": False}, OWN),
        ({"mode": "shadow"}, chat()),
        ({"mode": "shadow"}, OWN),
        ({"mode": "off"}, OWN),
        ({"allow": "any"}, OWN),
        ({"allow": "any"}, chat(PAID)),
        ({"allow": "listed", "models": ["*"]}, OWN),
        ({"allow": "listed", "models": ["*"]}, chat(PAID)),
    ],
)
def test_a_request_is_sent_byte_for_byte_where_no_belt_is_worn(library, world, serve, guard, fields):
    """Switched off, not enforcing, priced, or the app's own where paid models may leave: the body is the app's."""
    upstream = serve(Reply())
    url, body = f"{upstream.base_url}/chat/completions", json.dumps(fields).encode()
    with _guarded(library, world, upstream) as before:
        before.post(url, json=chat())  # fetches the catalogue: without it nothing would be judged free
    with _guarded(library, world, upstream, guard=guard) as client:
        client.post(url, content=body)
    assert [seen.body for seen in upstream.posts[1:]] == [body]


@pytest.mark.parametrize("max_price", [True, False])
def test_a_body_made_by_a_generator_is_judged_and_framed_once(library, world, serve, max_price):
    """A body without a length is read, judged and sent; the server is told its length in one way, not in two."""
    upstream = serve(Reply())
    body = json.dumps(chat()).encode()
    with _guarded(library, world, upstream, guard={"max_price": max_price}) as client:
        assert (
            client.post(f"{upstream.base_url}/chat/completions", content=iter([body[:5], body[5:]])).status_code == 200
        )
        refused = client.post(f"{upstream.base_url}/chat/completions", content=iter([json.dumps(chat(PAID)).encode()]))
    assert refused.headers[REASON_HEADER] == "model_not_free"
    (seen,) = upstream.posts
    assert len(seen.header("transfer-encoding")) + len(seen.header("content-length")) == 1
    sent = json.loads(seen.body)
    assert ("provider" in sent) is max_price
    assert {**sent, "provider": None} == {**chat(), "provider": None}


async def test_an_asynchronous_body_is_judged_and_framed_once(library, world, serve):
    """The same for the asynchronous client, whose generators are asynchronous too."""
    upstream = serve(Reply())
    body = json.dumps(chat()).encode()

    async def pieces():
        yield body[:5]
        yield body[5:]

    settings = world.settings(base_url=upstream.base_url)
    async with guard_client(library.AsyncClient(headers=bearer()), "app", settings) as client:
        answer = await client.post(f"{upstream.base_url}/chat/completions", content=pieces())
    assert answer.status_code == 200
    (seen,) = upstream.posts
    assert len(seen.header("transfer-encoding")) + len(seen.header("content-length")) == 1
    assert json.loads(seen.body)["messages"] == HELLO


async def test_somebody_elses_upload_is_not_held_back(library, world):
    """A body that is made while it is sent reaches a foreign host piece by piece: it is never gathered here."""
    arrived = asyncio.Event()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"first")
        arrived.set()
        await reader.readuntil(b"0\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    async def pieces():
        yield b"first"
        await asyncio.wait_for(arrived.wait(), DEADLINE)
        yield b"second"

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/upload"
    async with server, guard_client(library.AsyncClient(), "app", world.settings()) as client:
        assert (await client.post(url, content=pieces())).text == "ok"
    assert world.rows() == []


def test_a_gzip_request_is_judged_and_sent_as_it_is(library, world, serve):
    """A compressed body is read for the verdict and sent as the app compressed it."""
    upstream = serve(Reply())
    body = gzip.compress(json.dumps(chat()).encode())
    with _guarded(library, world, upstream) as client:
        answer = client.post(
            f"{upstream.base_url}/chat/completions", content=body, headers={"Content-Encoding": "gzip"}
        )
        refused = client.post(
            f"{upstream.base_url}/chat/completions",
            content=gzip.compress(json.dumps(chat(PAID)).encode()),
            headers={"Content-Encoding": "gzip"},
        )
    assert (answer.status_code, refused.status_code) == (200, 403)
    assert [seen.body for seen in upstream.posts] == [body]


def test_the_apps_request_object_is_left_alone(library, world, serve):
    """A request that the app built and sends twice is the same both times."""
    upstream = serve(Reply())
    with _guarded(library, world, upstream) as client:
        request = client.build_request("POST", f"{upstream.base_url}/chat/completions", json=chat())
        before = (request.content, request.headers.multi_items())
        client.send(request)
        client.send(request)
        assert (request.content, request.headers.multi_items()) == before
    assert upstream.posts[0].body == upstream.posts[1].body
    assert len(upstream.posts[0].body) == int(upstream.posts[0].header("content-length")[0])


def test_a_connection_is_used_again(library, world, serve):
    """Calls one after another, refusals between them, share the connection, as they do without the guard."""
    upstream = serve(lambda seen: REPLIES["sse"] if b'"stream"' in seen.body else None)
    url = f"{upstream.base_url}/chat/completions"
    with _guarded(library, world, upstream) as client:
        client.get(f"{upstream.base_url}/models")
        for _ in range(3):
            client.post(url, json=chat())
            client.post(url, json=chat(PAID))
            client.post(url, json=chat(stream=True))
        by_app = {seen.connection for seen in upstream.posts}
    assert len(upstream.posts) == 6
    assert len(by_app) == 1


def test_each_step_of_a_redirect_is_judged(library, world, serve):
    """A 307 is a request of its own: judged, counted and settled like the first."""
    moved = Reply(status=307, headers=(("Location", "/api/v1/chat/completions?again"),), parts=[b""])
    upstream = serve(lambda seen: moved if seen.path.endswith("/completions") else None)
    with _guarded(library, world, upstream, {"follow_redirects": True}) as client:
        got = client.post(f"{upstream.base_url}/chat/completions", json=chat())
    assert got.status_code == 200
    assert [seen.body for seen in upstream.posts] == [upstream.posts[0].body] * 2
    rows = world.rows()
    assert [row["status"] for row in rows] == [307, 200]
    assert rows[1]["outcome"] == "success"
    assert world.taken() == 2


def test_a_redirect_to_what_cannot_be_judged_is_refused(library, world, serve):
    """A 307 to an unknown path of the same host does not take the body past the guard."""
    moved = Reply(status=307, headers=(("Location", "/api/v1/somewhere/new"),), parts=[b""])
    upstream = serve(lambda seen: moved if seen.path.endswith("/completions") else None)
    with _guarded(library, world, upstream, {"follow_redirects": True}) as client:
        got = client.post(f"{upstream.base_url}/chat/completions", json=chat())
    assert (got.status_code, got.headers[REASON_HEADER]) == (403, "endpoint_unknown")
    assert len(upstream.posts) == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.one_of(st.sampled_from([WHOLE, STREAM, ZIPPED]), st.binary(max_size=400)),
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=8),
    headers=st.sampled_from([JSON, SSE, (*SSE, GZIP), (("Content-Type", "application/octet-stream"),)]),
)
def test_any_bytes_in_any_pieces_pass(tmp_path_factory, body, sizes, headers):
    """Whatever an upstream sends, in whatever pieces and under whatever headers, the raw bytes are the same."""
    parts, at = [], 0
    for size in [*sizes, len(body)]:
        parts.append(body[at : at + size])
        at += size

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(500)
        return httpx.Response(200, headers=list(headers), content=iter(part for part in parts if part))

    from monitor import Settings

    path = tmp_path_factory.mktemp("any") / "store.db"
    config = Settings.build({"store": str(path), "guard": {"catalogue": "suffix"}})
    with guard_client(httpx.Client(transport=httpx.MockTransport(answer)), "app", config) as client:
        url = "https://openrouter.ai/api/v1/chat/completions"
        with client.stream("POST", url, json=chat(), headers=bearer()) as got:
            assert b"".join(got.iter_raw()) == body
