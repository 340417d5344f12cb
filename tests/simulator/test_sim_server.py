"""The server: odd paths, starting and stopping, and the foreground form."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading

import httpx
import pytest
from simulator_kit import DEAR, FREE, KEY

from monitor.errors import ConfigError
from monitor.simulator.options import SimulatorOptions
from monitor.simulator.paths import normal
from monitor.simulator.server import Simulator

BODY = {"model": FREE, "messages": [{"role": "user", "content": "hello"}]}


def raw_post(sim: Simulator, path: str, body: bytes) -> int:
    """The status of a POST whose path goes over the wire exactly as written; clients would tidy it."""
    host, _, port = sim.root_url.removeprefix("http://").partition(":")
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n"
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return int(connection.makefile("rb").readline().split()[1])


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/chat/completions/",
        "/api/v1//chat/completions",
        "//api/v1/chat//completions",
        "/api/v1/./chat/completions",
        "/api/v1/models/../chat/completions",
        "/api/v1/models/%2e%2e/chat/completions",
        "/api/v1/chat%2fcompletions",
        "/api/v1/%63hat/completions",
        "/api/v1/Chat/Completions",
        "/API/V1/chat/completions",
        "/api/v1/chat\\completions",
        "/api/v1/chat/completions?x=1",
    ],
)
def test_odd_paths_reach_the_same_endpoint(simulate, path):
    """A permissive server serves, and bills, whatever could be meant: a guard must not rely on its strictness."""
    sim = simulate().sim
    assert raw_post(sim, path, json.dumps({**BODY, "model": DEAR}).encode()) == 200
    assert sim.books.posts[0].path == "/chat/completions"
    assert sim.books.cost_usd > 0


@pytest.mark.parametrize("path", ["/", "/api", "/api/v2/chat/completions", "/api/v1x/chat", "/v1/chat/completions"])
def test_paths_outside_the_api_are_nothing(path):
    """What does not lie under `/api/v1` is no endpoint."""
    assert normal(path) is None


def test_the_alpha_endpoint_lies_outside_v1(simulate):
    """`/api/alpha/decisions` bills as well."""
    sim = simulate().sim
    assert raw_post(sim, "/api/alpha/decisions", json.dumps({"model": DEAR, "input": "x"}).encode()) == 200
    assert sim.books.cost_usd > 0


def test_duplicate_keys_the_last_wins(simulate):
    """As in JavaScript: a second `model` replaces the first, so reading only the first is a mistake."""
    sim = simulate().sim
    body = json.dumps(BODY).encode().replace(b'{"model"', b'{"model": "' + FREE.encode() + b'", "model"', 1)
    body = body[:-1] + b', "model": "' + DEAR.encode() + b'"}'
    assert raw_post(sim, "/api/v1/chat/completions", body) == 200
    assert sim.books.posts[0].model_served == DEAR


def test_a_byte_order_mark_and_spaces_are_forgiven(simulate):
    """A mark before the JSON, and spaces or capitals around a model's name, do not save anybody from paying."""
    sim = simulate().sim
    odd = {**BODY, "model": f" {DEAR.upper()} "}
    assert raw_post(sim, "/api/v1/chat/completions", b"\xef\xbb\xbf" + json.dumps(odd).encode()) == 200
    assert sim.books.posts[0].model_served == DEAR


def test_other_methods_and_paths_have_openrouters_shape(simulate):
    """404 and 405 are JSON in the usual envelope."""
    api = simulate()
    for answer, status in (
        (api.get("/chat/completions"), 405),
        (api.http.delete("/key"), 405),
        (api.get("/nowhere"), 404),
        (api.post("/nowhere"), 404),
        (api.http.get(f"{api.sim.root_url}/elsewhere"), 404),
    ):
        assert answer.status_code == status
        assert answer.json()["error"]["code"] == status


def test_a_body_that_is_too_large_is_413(simulate):
    """A body above the limit is refused in OpenRouter's shape."""
    api = simulate(max_body_bytes=1_000)
    answer = api.chat(text="x" * 2_000)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == 413


def test_anthropics_key_header_is_accepted(simulate):
    """`x-api-key` is as good as a bearer token."""
    api = simulate(None)
    body = {**BODY, "max_tokens": 9}
    assert api.http.post("/messages", json=body, headers={"x-api-key": KEY}).status_code == 200


def test_an_upload_is_billed(simulate):
    """A multipart request names its model in a form field."""
    api = simulate()
    answer = api.http.post("/audio/transcriptions", data={"model": DEAR}, files={"file": ("a.mp3", b"ID3")})
    assert answer.status_code == 200
    assert api.sim.books.posts[0].model_asked == DEAR


def test_stopping_frees_the_port_and_the_thread():
    """After `stop` the port can be taken again and no thread is left; stopping twice is fine."""
    sim = Simulator().start()
    port = int(sim.root_url.rpartition(":")[2])
    sim.stop()
    sim.stop()
    assert "openrouter-simulator" not in {thread.name for thread in threading.enumerate()}
    with Simulator(port=port) as again:
        assert again.base_url == f"http://127.0.0.1:{port}/api/v1"


def test_stopping_before_starting_is_fine():
    """A simulator that never ran can be stopped, and its books read."""
    sim = Simulator()
    sim.stop()
    assert sim.books.requests == 0


def test_a_taken_port_is_named():
    """A port in use is an error that names it and says what to do."""
    with Simulator() as sim:
        port = int(sim.root_url.rpartition(":")[2])
        with pytest.raises(ConfigError, match=str(port)) as caught:
            Simulator(port=port).start()
    assert "another port" in caught.value.hint


@pytest.mark.parametrize("wrong", [{"chunks": 0}, {"minute_window": "round"}, {"per_day": -1}])
def test_options_are_checked(wrong):
    """A value that makes no sense is refused when the options are made."""
    with pytest.raises(ConfigError):
        SimulatorOptions(**wrong)


@pytest.mark.processes
def test_the_foreground_form_serves_until_a_signal():
    """`serve` tells its URL when it answers, and ends cleanly on SIGTERM, without warnings."""
    code = (
        "from monitor.simulator.server import serve\n"
        "from monitor.simulator.options import SimulatorOptions\n"
        "serve(SimulatorOptions(), '127.0.0.1', 0, lambda url: print(url, flush=True))\n"
    )
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as child:
        url = child.stdout.readline().strip()
        answer = httpx.post(f"{url}/chat/completions", json=BODY, headers={"Authorization": f"Bearer {KEY}"})
        child.send_signal(signal.SIGTERM)
        errors = child.stderr.read()
        assert child.wait(10) == 0
    assert answer.status_code == 200
    assert errors == ""
