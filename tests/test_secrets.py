"""A canary: an API key, and words of a prompt and an answer, are led by every path and then looked for everywhere."""

from __future__ import annotations

import json
import logging
import os
import pickle
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
import requests

sys.path.insert(0, str(Path(__file__).parent / "transport"))

from guard_kit import FREE, PAID, eventually
from upstream_kit import ANSWER, CATALOGUE, JSON, SSE, Reply, Seen, Upstream

import monitor
from monitor import Settings, guard_client
from monitor.transport.course import Guard

KEY = "sk-or-v1-c4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4ry"
CORE = "c4n4ry"
"""A part of the key: half a key found is a key found."""
PROMPT = "whisper-of-the-prompt"
WORDS = "whisper-of-the-answer"


def _chat(model: str = FREE, text: str = PROMPT, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def _answer(seen: Seen) -> Reply | None:
    """A server that repeats the key wherever it can."""
    said = json.loads(seen.body).get("user", "") if seen.method == "POST" and seen.body[:1] == b"{" else ""
    echo = {"code": 401, "message": f"No auth for Bearer {KEY}", "metadata": {"raw": f"key {KEY}", "api_key": KEY}}
    whole = {**ANSWER, "choices": [{"index": 0, "message": {"role": "assistant", "content": f"{WORDS} {KEY}"}}]}
    match said:
        case "401":
            return Reply(status=401, parts=[json.dumps({"error": echo, "user_id": KEY}).encode()])
        case "page":
            return Reply(status=502, headers=(("Content-Type", "text/html"),), parts=[f"<p>{KEY}</p>".encode()])
        case "error in 200":
            return Reply(parts=[json.dumps({"error": echo}).encode()])
        case "error in stream":
            return Reply(headers=SSE, parts=[b"data: " + json.dumps({"error": echo}).encode() + b"\n\n"])
        case "names":
            named = {**whole, "id": KEY, "model": KEY, "provider": f"Bearer {KEY}"}
            headers = (*JSON, ("X-Generation-Id", KEY), ("X-Provider-Name", KEY))
            return Reply(headers=headers, parts=[json.dumps(named).encode()])
        case "cut":
            return Reply(parts=[b'{"error":"', KEY.encode()], cut=True)
        case "answer":
            return Reply(parts=[json.dumps(whole).encode()])
        case "stream":
            chunk = {"choices": [{"index": 0, "delta": {"content": f"{WORDS} {KEY}"}}]}
            return Reply(headers=SSE, parts=[b"data: " + json.dumps(chunk).encode() + b"\n\n", b"data: [DONE]\n\n"])
    if seen.path == "/api/v1/key":
        return Reply(status=401, parts=[json.dumps({"error": echo}).encode()])
    return Reply(parts=[CATALOGUE]) if seen.method == "GET" else None


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(_answer) as server:
        yield server


@pytest.fixture(params=["httpx", "httpx2", "requests"])
def make(request, tmp_path, upstream):
    """A function that gives a guarded client of one of the three libraries."""
    made: list[Any] = []

    def start(**changes: Any) -> Any:
        values = {"store": str(tmp_path / "store.db"), "base_url": upstream.base_url, "api_key": KEY, **changes}
        bare = {"httpx": httpx.Client, "httpx2": httpx2.Client, "requests": requests.Session}[request.param]()
        bare.headers["Authorization"] = f"Bearer {KEY}"
        made.append(guard_client(bare, "app", Settings.build(values)))
        return made[-1]

    yield start
    for client in made:
        client.close()


PATHS = ["401", "error in 200", "error in stream", "names", "cut", "answer", "stream", "plain"]


def _lead_by_every_path(client: Any, upstream: Upstream, shown: list[str]) -> None:
    """`shown` gets every text that we made: our own answers, and repr and str of what was raised."""
    url = f"{upstream.base_url}/chat/completions"

    def post(where: str, body: Any, **options: Any) -> None:
        try:
            answer = client.post(where, json=body, **options)
        except (httpx.HTTPError, httpx2.HTTPError, requests.RequestException):
            return  # the library's own words about the app's own URL
        if "x-openrouter-monitor-reason" in answer.headers:
            shown.extend((answer.text, repr(dict(answer.headers))))

    for path in PATHS:
        post(url, _chat(user=path, stream=path == "stream"))
    post(url, _chat(PAID))
    post(url, _chat(KEY))
    post(url, _chat(f"{KEY}:free"))
    post(url, _chat(models=[FREE, KEY]))
    post(url, _chat(plugins=[{"id": KEY}]))
    post(url, _chat(tools=[{"type": f"openrouter:{KEY}"}]))
    post(url, _chat(text=KEY))
    post(url, _chat(PAID), headers={"X-Api-Key": KEY, "X-Mine": KEY, "Cookie": f"key={KEY}"})
    post(f"{url}?key={KEY}", _chat())
    post(f"{upstream.base_url}/nowhere/{KEY}?key={KEY}", {"api_key": KEY})
    post(url.replace("://", f"://user:{KEY}@"), _chat())
    post(url.replace("://", f"://{KEY}@"), _chat(PAID))
    post(f"http://user:{KEY}@127.0.0.1:9/v1/chat/completions", _chat())
    post(f"http://127.0.0.1:9/v1/chat/completions?key={KEY}", _chat())
    post(url, _chat(user="page"))  # last, for a page of Cloudflare's cools the account down
    post(url, _chat())


def _dump(path: Path) -> str:
    """Every value of every table, as an export would show them."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return "\n".join(repr(row) for table in tables for row in connection.execute(f"SELECT * FROM {table}"))


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("log_bodies", [False, True], ids=["bodies not kept", "bodies kept"])
@pytest.mark.parametrize("mode", ["enforce", "shadow"])
def test_the_key_is_nowhere(make, upstream, tmp_path, caplog, mode, log_bodies):
    """Whatever the server echoes and the app puts where: no file, row, log line or answer of ours has the key."""
    caplog.set_level(logging.DEBUG, logger="monitor")
    shown: list[str] = []
    client = make(guard={"mode": mode, "log_bodies": log_bodies})
    _lead_by_every_path(client, upstream, shown)
    adapters = getattr(client, "adapters", None)
    guard = (next(iter(adapters.values())) if adapters else client._transport).guard
    eventually(lambda: not _open(tmp_path), "all rows to be settled")
    own = [record for record in caplog.records if record.name.startswith("monitor")]
    shown.extend(logging.Formatter().format(record) for record in own)
    shown.extend(repr(thing) for thing in (guard, guard.ledger, guard.settings, guard.refresher, guard.ledger.store))
    shown.extend(repr(transport) for transport in ([client._transport] if not adapters else adapters.values()))
    assert len(shown) > 5
    assert [text for text in shown if CORE in text] == []
    assert CORE not in _dump(tmp_path / "store.db")
    assert [name for name, content in _files(tmp_path).items() if CORE.encode() in content] == []
    assert len(upstream.posts) > 8


def _open(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "store.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM holds").fetchone()[0])


def test_prompts_and_answers_are_kept_only_where_asked(make, upstream, tmp_path):
    """Without `log_bodies` no word of a prompt or an answer is in any file; with it both are, and only there."""
    client = make()
    for path in ("answer", "stream", "plain"):
        client.post(f"{upstream.base_url}/chat/completions", json=_chat(user=path, stream=path == "stream"))
    client.post(f"{upstream.base_url}/chat/completions", json=_chat(PAID))
    for content in _files(tmp_path).values():
        assert PROMPT.encode() not in content
        assert WORDS.encode() not in content
    kept = make(guard={"log_bodies": True})
    kept.post(f"{upstream.base_url}/chat/completions", json=_chat(user="answer"))
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        bodies = connection.execute("SELECT request, answer FROM bodies").fetchall()
    assert len(bodies) == 1
    assert PROMPT in bodies[0][0]
    assert WORDS in bodies[0][1]


def test_settings_do_not_show_the_key(tmp_path):
    """Settings, their parts and their errors mask the key, however it came in; a Secret is not pickled."""
    file = tmp_path / "key"
    file.write_text(KEY)
    by_environment = Settings.load(environ={"OPENROUTER_API_KEY": KEY, "XDG_CONFIG_HOME": str(tmp_path)})
    by_file = Settings.build({"api_key_file": str(file), "proxy": {"token": KEY}, "apps": {"a": {"token": KEY}}})
    assert by_environment.key().reveal() == by_file.key().reveal() == KEY
    for settings in (by_environment, by_file):
        for text in (repr(settings), str(settings), repr(settings.key()), f"{settings.key()}", repr(vars(settings))):
            assert CORE not in text
    with pytest.raises(TypeError):
        pickle.dumps(by_environment.key())


def test_errors_do_not_show_the_key(tmp_path):
    """Errors about a store, a setting or a client that hold the key by mistake do not repeat it."""
    wrong: list[dict[str, Any]] = [
        {"api_key": 7, "app": KEY * 3},
        {"base_url": f"ftp://user:{KEY}@host/api"},
        {"store": f"postgresql://user:{KEY}@host/db"},
        {"guard": {"mode": KEY}},
        {"proxy": {"token": ""}, "api_key": KEY},
    ]
    for values in wrong:
        with pytest.raises(monitor.MonitorError) as caught:
            Guard(settings=Settings.build(values))
        assert CORE not in f"{caught.value} {caught.value!r} {caught.value.hint}", values


@pytest.mark.processes
def test_the_process_list_and_the_commands_do_not_show_the_key(tmp_path, upstream):
    """A process that got the key by its environment, and the commands that read its store, never show it."""
    script = (
        "import subprocess, sys, threading\n"
        "from monitor import guarded_client\n"
        "with guarded_client('app') as client:\n"
        f"    body = {_chat()!r}\n"
        f"    answer = client.post({upstream.base_url + '/chat/completions'!r}, json=body)\n"
        "    print(answer.status_code, repr(client._transport), [thread.name for thread in threading.enumerate()])\n"
        "    sys.stdout.flush()\n"
        "    sys.stdin.readline()\n"
    )
    env = {
        **os.environ,
        "OPENROUTER_API_KEY": KEY,
        "OPENROUTER_MONITOR_STORE": str(tmp_path / "store.db"),
        "OPENROUTER_MONITOR_BASE_URL": upstream.base_url,
        "XDG_CONFIG_HOME": str(tmp_path),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", script], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    listed = b"".join(path.read_bytes() for path in Path(f"/proc/{process.pid}/task").glob("*/comm"))
    listed += Path(f"/proc/{process.pid}/cmdline").read_bytes()
    process.communicate("end\n")
    assert line.startswith("200 ")
    assert CORE not in line
    assert CORE.encode() not in listed
    for command in (["status"], ["status", "--json"], ["calls", "--json"], ["config", "show"], ["doctor"]):
        done = subprocess.run([sys.executable, "-m", "monitor", *command], env=env, capture_output=True, text=True)
        assert "Traceback" not in done.stderr, command
        assert CORE not in done.stdout + done.stderr, command
