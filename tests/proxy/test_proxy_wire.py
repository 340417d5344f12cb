"""What passes through the proxy, byte for byte, and what stays behind."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import threading

import pytest
import requests
from guard_kit import FREE, KEY, World, chat
from upstream_kit import ANSWER, JSON, SSE, USAGE, Reply, Seen
from wire_kit import Heard, ask, connect, get, hear, post

ANY = {"Authorization": "Bearer whatever-the-app-has"}
EVENT = json.dumps({"id": "gen-1", "model": FREE, "choices": [{"index": 0, "delta": {"content": "hi"}}]}).encode()
LAST = json.dumps({"id": "gen-1", "model": FREE, "choices": [], "usage": USAGE}).encode()


def _calls(answer):
    """Only what is posted is answered so; the catalogue and the key are the upstream's own."""
    return lambda seen: answer(seen) if seen.method == "POST" else None


def test_the_request_goes_on_as_it_was(before):
    """Path, query, body and headers, repeated ones included; the key is the daemon's."""
    proxy, upstream, _ = before(guard={"max_price": False})
    body = b' { "model" :"' + FREE.encode() + b'", "messages": [{"role":"user","content":"gr\xc3\xbc\xc3\x9fe"}] }'
    heard = ask(
        proxy,
        post(body, "X-Title: mine", "X-Odd: 1", "x-odd: 2", "Authorization: Bearer local", "User-Agent: mine/1",
             path="/api/v1/chat/completions?a=%2F&b="),
    )  # fmt: skip
    assert heard.status == 200
    (seen,) = upstream.posts
    assert (seen.path, seen.body) == ("/api/v1/chat/completions?a=%2F&b=", body)
    assert seen.header("x-odd") == ["1", "2"]
    assert (seen.header("x-title"), seen.header("user-agent")) == (["mine"], ["mine/1"])
    assert seen.header("authorization") == [f"Bearer {KEY}"]
    assert seen.header("host") == [upstream.base_url.split("/")[2]]
    assert seen.header("content-length") == [str(len(body))]
    assert not seen.header("accept-encoding")  # nothing is asked for that the app did not ask for


def test_what_concerns_one_hop_or_this_machine_stays_here(before):
    """Hop-by-hop headers, those that `Connection` names, forged forwarding, cookies and local credentials."""
    proxy, upstream, _ = before()
    stay = {
        "Connection": "keep-alive, X-Hop", "X-Hop": "1", "Keep-Alive": "timeout=5", "TE": "trailers",
        "Proxy-Authorization": "Basic eA==", "X-Forwarded-For": "10.0.0.1", "X-Forwarded-Host": "evil.example",
        "Forwarded": "for=10.0.0.1", "X-Real-IP": "10.0.0.1", "Cookie": "other=program", "X-Api-Key": "sk-local",
        "X-Openrouter-Monitor-App": "bot", "Origin": "http://localhost:3000", "Via": "1.1 x",
    }  # fmt: skip
    assert ask(proxy, post(None, *(f"{name}: {value}" for name, value in stay.items()))).status == 200
    (seen,) = upstream.posts
    assert {name.lower() for name, _ in seen.headers} == {"authorization", "content-length", "content-type", "host"}


def test_the_answer_comes_back_as_it_was(before):
    """Status, body and headers, repeated ones included; what concerns the upstream's hop or host does not."""
    headers = (*JSON, ("X-Generation-Id", "gen-1"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Server", "theirs"),
               ("Strict-Transport-Security", "max-age=1"), ("Alt-Svc", "h3=\":443\""), ("Keep-Alive", "timeout=5"),
               ("Connection", "X-Hop"), ("X-Hop", "1"), ("Location", "/elsewhere"))  # fmt: skip
    body = json.dumps(ANSWER).encode()
    proxy, _, world = before(_calls(lambda seen: Reply(307, headers, [body])))
    heard = ask(proxy, post())
    assert (heard.status, heard.body) == (307, body)  # a redirect is an answer: nobody follows it with the key
    assert heard.all("set-cookie") == ["a=1", "b=2"]
    assert (heard.all("x-generation-id"), heard.all("server"), heard.all("location")) == (
        ["gen-1"], ["theirs"], ["/elsewhere"],
    )  # fmt: skip
    for name in ("strict-transport-security", "alt-svc", "keep-alive", "x-hop", "transfer-encoding"):
        assert not heard.all(name)
    assert world.settled()[0]["status"] == 307


def test_an_encoded_answer_passes_untouched_and_is_read_all_the_same(before):
    """`Content-Encoding` is between the app and OpenRouter; the books know what it cost."""
    packed = gzip.compress(json.dumps(ANSWER).encode(), mtime=0)
    proxy, upstream, world = before(_calls(lambda seen: Reply(200, (*JSON, ("Content-Encoding", "gzip")), [packed])))
    heard = ask(proxy, post(None, "Accept-Encoding: gzip"))
    assert (heard.body, heard.all("content-encoding")) == (packed, ["gzip"])
    assert upstream.posts[0].header("accept-encoding") == ["gzip"]
    assert world.settled()[0]["completion_tokens"] == USAGE["completion_tokens"]


def test_an_encoded_request_passes_untouched_and_is_judged_all_the_same(before):
    """A compressed body goes on as it came; one that asks for what bills is refused."""
    proxy, upstream, world = before()
    packed = gzip.compress(json.dumps(chat()).encode(), mtime=0)
    assert ask(proxy, post(packed, "Content-Encoding: gzip")).status == 200
    assert (upstream.posts[0].body, upstream.posts[0].header("content-encoding")) == (packed, ["gzip"])
    paid = gzip.compress(json.dumps(chat("openai/gpt-5")).encode())
    assert ask(proxy, post(paid, "Content-Encoding: gzip")).status == 403
    assert len(world.settled(2)) == 2


def test_events_arrive_one_by_one(before):
    """No chunk of a stream waits for the next: each is read by the app before the upstream sends another."""
    go = threading.Semaphore(0)

    def events():
        for event in (b": OPENROUTER PROCESSING\n\n", b"data: " + EVENT + b"\n\n", b"data: " + LAST + b"\n\n"):
            yield event
            assert go.acquire(timeout=30)
        yield b"data: [DONE]\n\n"

    proxy, _, world = before(_calls(lambda seen: Reply(200, SSE, events(), chunked=True)))
    got = b""
    with connect(proxy) as connection:
        connection.sendall(post(json.dumps(chat(stream=True)).encode()))
        for mark in (b"PROCESSING", b'"delta"', b'"usage"'):
            while mark not in got:
                got += connection.recv(65536)
            go.release()
        while not got.endswith(b"0\r\n\r\n"):
            got += connection.recv(65536)
    assert Heard(got).all("content-type") == ["text/event-stream"]
    assert world.settled()[0]["outcome"] == "success"


def test_a_client_that_waits_to_be_told_is_told(before):
    """`Expect: 100-continue`: the body is asked for once it is known to be wanted, and not before."""
    proxy, upstream, _ = before(proxy={"max_body_bytes": 1024})
    body = json.dumps(chat()).encode()
    whole = post(body, "Expect: 100-continue")
    with connect(proxy) as connection:
        connection.sendall(whole[: -len(body)])
        assert connection.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert hear(connection).status == 200
    assert not upstream.posts[0].header("expect")
    large = post(b"x" * 2048, "Expect: 100-continue")[:-2048]
    with connect(proxy) as connection:
        connection.sendall(large)
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_body_in_chunks_is_one_body(before):
    """A chunked upload is judged as a whole, and goes on with a length."""
    proxy, upstream, _ = before(guard={"max_price": False})
    body = json.dumps(chat()).encode()
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:9], body[9:40], body[40:]))
    request = post(chunks + b"0\r\n\r\n", "Transfer-Encoding: chunked", length=False)
    assert ask(proxy, request).status == 200
    assert (upstream.posts[0].body, upstream.posts[0].header("transfer-encoding")) == (body, [])


def test_a_large_body_passes(before):
    """Judged in a thread and sent in parts, and the same at the other end."""
    proxy, upstream, _ = before(guard={"max_price": False})
    body = json.dumps({"model": FREE, "messages": [{"role": "user", "content": "word " * 400_000}]}).encode()
    assert ask(proxy, post(body)).status == 200
    assert (upstream.posts[0].body == body, upstream.posts[0].header("content-length")) == (True, [str(len(body))])


def test_one_connection_serves_many_requests(before):
    """Keep-alive, and pages of the daemon over the same connection."""
    proxy, upstream, _ = before()
    with connect(proxy) as connection:
        for request in (post(), get("/api/v1/models"), post(), get("/nothing-here"), get("/api/v1/key")):
            connection.sendall(request)
            assert hear(connection).status == (404 if b"nothing" in request else 200)
    assert len({seen.connection for seen in upstream.posts}) == 1  # kept open upstream too


def test_an_old_client_is_answered(before):
    """HTTP/1.0 knows no chunks: the end of the connection ends the body."""
    parts = [b"data: " + EVENT + b"\n\n", b"data: [DONE]\n\n"]
    proxy, _, _ = before(_calls(lambda seen: Reply(200, SSE, parts, chunked=True)))
    heard = ask(proxy, post(version="HTTP/1.0"))
    assert (heard.status, heard.body, heard.all("transfer-encoding")) == (200, b"".join(parts), [])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reading_passes_and_is_not_counted(before, method):
    """Models, the key, a generation: passed with the daemon's key, nothing on record, no quota taken."""

    def answer(seen: Seen) -> Reply | None:
        return Reply(parts=[b'{"data": {}}']) if "generation" in seen.path else None

    proxy, upstream, world = before(answer)
    for path in ("/api/v1/models?x=1", "/api/v1/key", "/api/v1/generation?id=gen-1"):
        answer_of = requests.request(method, f"{proxy.root}{path}", headers=ANY, timeout=60)
        assert answer_of.status_code == 200
        assert bool(answer_of.content) is (method == "GET")
    assert all(seen.header("authorization") == [f"Bearer {KEY}"] for seen in upstream.seen)
    assert [seen.path for seen in upstream.seen] == ["/api/v1/models?x=1", "/api/v1/key", "/api/v1/generation?id=gen-1"]
    assert world.rows() == []


def test_the_endpoint_beside_the_others_is_judged(before):
    """`/api/alpha/decisions` bills too."""
    proxy, upstream, world = before()
    assert ask(proxy, post(json.dumps(chat("openai/gpt-5")).encode(), path="/api/alpha/decisions")).status == 403
    assert ask(proxy, post(path="/api/alpha/decisions")).status == 200
    assert [seen.path for seen in upstream.posts] == ["/api/alpha/decisions"]
    assert [row["outcome"] for row in world.settled(2)] == ["refused", "success"]


def test_requests_and_plain_forms_of_curl_work(before):
    """`requests`, and `curl -d`, which calls its JSON a form: it goes on as JSON."""
    proxy, upstream, world = before()
    assert requests.post(proxy.chat, json=chat(), timeout=60).json() == ANSWER
    kind = "application/x-www-form-urlencoded"
    assert ask(proxy, post(kind=kind)).status == 200
    assert upstream.posts[1].header("content-type") == ["application/json"]
    world.settled(2)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_streams_and_is_refused(serve, world: World):
    """The example of the README, and what curl shows of a refusal."""
    proxy = serve(world)

    def curl(**body: object) -> str:
        run = ["curl", "-sN", "--noproxy", "*", proxy.chat, "-d", json.dumps(chat(**body))]  # type: ignore[arg-type]
        return subprocess.run(run, capture_output=True, text=True, timeout=60, check=True).stdout

    assert curl(stream=True).rstrip().endswith("data: [DONE]")
    assert json.loads(curl(model="openai/gpt-5"))["error"]["metadata"]["limit_source"] == "openrouter_monitor"
    assert [row["outcome"] for row in world.settled(2)] == ["success", "refused"]
