"""What is timed. Each case makes its own store and says what it compares with what."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx

from monitor import Settings, guard_client, guarded_client
from monitor.clock import SystemClock
from monitor.ledger import Ask, Ledger
from monitor.metrics.collector import StoreCollector, registry
from monitor.metrics.exposition import render
from monitor.model import Ending, Endpoint, Intent, ModelFacts, Outcome, PriceClass, Usage
from monitor.status import gather
from monitor.store import open_store
from monitor.store.sqlite.reader import Reader
from tests.bench.measure import Result, interleaved
from tests.bench.pages import page
from tests.bench.server import MODEL, PAID

ROWS = 1_000_000
FULL_ROWS = 5_000_000


def settings(base_url: str, folder: Path, name: str = "guard.db") -> Settings:
    """No window may fill up: what is timed is an admission."""
    quota = {"per_minute": 10_000_000, "per_day": 100_000_000}
    return Settings(store=str(folder / name), base_url=base_url, quota=quota, api_key="sk-or-v1-bench")


def _body(model: str = MODEL, stream: bool = False) -> dict[str, object]:
    messages = [{"role": "user", "content": "What is machine learning?"}]
    return {"model": model, "messages": messages, "stream": stream}


def _poster(client: httpx.Client, base_url: str, body: dict[str, object]) -> Callable[[], object]:
    headers = {"authorization": "Bearer sk-or-v1-bench"}
    return lambda: client.post(f"{base_url}/chat/completions", json=body, headers=headers)


def _reader(client: httpx.Client, base_url: str) -> Callable[[], object]:
    def read() -> int:
        headers = {"authorization": "Bearer sk-or-v1-bench"}
        with client.stream("POST", f"{base_url}/chat/completions", json=_body(stream=True), headers=headers) as answer:
            return sum(len(chunk) for chunk in answer.iter_raw())

    return read


def call(base_url: str, folder: Path) -> Result:
    bare, guarded = httpx.Client(), guarded_client("bench", settings(base_url, folder))
    with bare, guarded:
        candidates = {
            "bare httpx": _poster(bare, base_url, _body()),
            "guarded httpx": _poster(guarded, base_url, _body()),
        }
        return interleaved("One call, JSON answer", candidates, bound=1.35)


def floor(base_url: str, folder: Path) -> Result:
    """What a call's bookkeeping alone adds: two bare SQLite transactions, and the ledger's own two.

    No JSON is read, nothing is judged, no answer is watched: what is left of a guarded call's time is that.
    """
    _with_catalogue(settings(base_url, folder))
    _with_catalogue(settings(base_url, folder, "ledger.db"))
    reserve_and_settle = _pair(settings(base_url, folder, "ledger.db"))
    db = sqlite3.connect(folder / "guard.db", isolation_level=None)
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("PRAGMA wal_autocheckpoint=0")
    db.execute("INSERT INTO windows (account, day, app) VALUES ('default', 1, '')")
    with httpx.Client() as bare, contextlib.closing(db):
        post = _poster(bare, base_url, _body())

        def booked() -> None:
            db.execute("BEGIN IMMEDIATE")
            db.execute("UPDATE windows SET attempts = attempts + 1 WHERE account = 'default' AND day = 1 AND app = ''")
            row = db.execute(
                "INSERT INTO calls (started_at, app, account, endpoint, model_requested, tier, stream, attempt,"
                " call_id, outcome, lease_until)"
                " VALUES (1.0, 'bench', 'default', 'chat', ?, 'free', 0, 1, 'c', 'in_flight', 2.0)",
                (MODEL,),
            ).lastrowid
            db.execute("COMMIT")
            post()
            db.execute("BEGIN IMMEDIATE")
            db.execute(
                "UPDATE calls SET ended_at = 2.0, status = 200, outcome = 'success', lease_until = NULL WHERE id = ?",
                (row,),
            )
            db.execute("COMMIT")

        def by_ledger() -> None:
            post()
            reserve_and_settle()

        candidates = {"bare httpx": post, "with two transactions": booked, "with the ledger alone": by_ledger}
        return interleaved("Bookkeeping alone", candidates)


def stream(base_url: str, folder: Path) -> Result:
    bare, guarded = httpx.Client(), guarded_client("bench", settings(base_url, folder))
    with bare, guarded:
        candidates = {"bare httpx": _reader(bare, base_url), "guarded httpx": _reader(guarded, base_url)}
        return interleaved("One stream of 50 chunks", candidates, rounds=30, calls=30)


def refused(base_url: str, folder: Path) -> Result:
    bare, guarded = httpx.Client(), guarded_client("bench", settings(base_url, folder))
    with bare, guarded:
        candidates = {
            "bare httpx": _poster(bare, base_url, _body()),
            "guarded, refused": _poster(guarded, base_url, _body(PAID)),
        }
        return interleaved("A refused call", candidates)


def sdk(base_url: str, folder: Path) -> Result:
    import httpx2
    from openai import OpenAI

    def asker(client: OpenAI) -> Callable[[], object]:
        messages = [{"role": "user", "content": "What is machine learning?"}]
        return lambda: client.chat.completions.create(model=MODEL, messages=messages)  # type: ignore[arg-type]

    def sdk_of(client: object) -> OpenAI:
        return OpenAI(base_url=base_url, api_key="sk-or-v1-bench", http_client=client)  # type: ignore[arg-type]

    guarded = guard_client(httpx2.Client(), "bench", settings(base_url, folder))
    with httpx2.Client() as bare, guarded:
        candidates = {"bare OpenAI SDK": asker(sdk_of(bare)), "guarded OpenAI SDK": asker(sdk_of(guarded))}
        return interleaved("One call by the OpenAI SDK", candidates, bound=1.12)


def async_call(base_url: str, folder: Path) -> Result:
    loop = asyncio.new_event_loop()
    bare = httpx.AsyncClient()
    guarded = guard_client(httpx.AsyncClient(), "bench", settings(base_url, folder))

    def poster(client: httpx.AsyncClient) -> Callable[[], object]:
        headers = {"authorization": "Bearer sk-or-v1-bench"}
        url = f"{base_url}/chat/completions"
        return lambda: loop.run_until_complete(client.post(url, json=_body(), headers=headers))

    try:
        candidates = {"bare httpx, async": poster(bare), "guarded httpx, async": poster(guarded)}
        return interleaved("One async call, JSON answer", candidates)
    finally:
        loop.run_until_complete(bare.aclose())
        loop.run_until_complete(guarded.aclose())
        loop.close()


def ledger(base_url: str, folder: Path) -> Result:
    empty, full = settings(base_url, folder, "empty.db"), settings(base_url, folder, "full.db")
    for each in (empty, full):
        _with_catalogue(each)
    shutil.copy(full.store_path, folder / "filled.db")
    _fill(Path(full.store_path), ROWS)
    candidates = {"empty log": _pair(empty), f"{ROWS:,} rows in the log": _pair(full)}
    return interleaved("Reserve and settle, by the log's size", candidates, calls=200, bound=1.2)


def _with_catalogue(each: Settings) -> None:
    store, now = open_store(each.store_path), SystemClock().now()
    with store.transaction() as tx:
        names = (MODEL, *(f"{number}-{MODEL}" for number in range(20)))
        tx.save_models([ModelFacts(n, PriceClass.FREE, prompt_usd=0.0, completion_usd=0.0) for n in names], [], now)
        tx.save_catalogue(each.base_url, now, 1)
        tx.save_account(each.account, {"key_at": now, "server_limit": 10**9})
    store.close()


def _fill(path: Path, rows: int) -> None:
    """A log of `rows` ended calls, as they would be after months."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO calls (started_at, ended_at, app, account, endpoint, model_requested, model_served, provider,"
            " tier, stream, attempt, call_id, generation_id, status, outcome, prompt_tokens, completion_tokens,"
            " cached_tokens, reasoning_tokens, cost_usd, estimated_cost_usd, duration_ms, ttft_ms, counted)"
            " SELECT 1.7e9 + i, 1.7e9 + i + 1, 'app' || (i % 20), 'default', 'chat', ?2, ?2, 'Bench', 'free', 0, 1,"
            " printf('%016x', i), printf('gen-1790000000-%020d', i), 200, 'success', 100, 200, 0, 0, 0.0, 0.0,"
            " 1000.0, 200.0, 1 FROM n",
            (rows, MODEL),
        )


def _pair(each: Settings, *, apps: int = 1, models: int = 1) -> Callable[[], object]:
    books = Ledger(open_store(each.store_path), each, SystemClock())
    intent = Intent(Endpoint.CHAT, MODEL, prompt_bytes=100)
    usage = Usage(prompt_tokens=10, completion_tokens=20, cost_usd=0.0)
    ending = Ending(Outcome.SUCCESS, 200, usage, MODEL, "Bench", "gen-1790000000-abcdefghijklmnopqrst")
    numbers: Iterator[int] = iter(range(10**9))

    def pair() -> None:
        number = next(numbers)
        asked = intent if models == 1 else replace(intent, model=f"{number % models}-{MODEL}")
        decision = books.reserve(Ask(asked, f"bench-{number % apps}", f"{number:016x}"))
        assert decision.hold is not None
        books.settle(decision.hold, ending)

    return pair


def scrape(base_url: str, folder: Path) -> Result:
    """A scrape of about a thousand series, and the `status` command's figures, by the log's size."""
    empty, full = settings(base_url, folder, "empty.db"), settings(base_url, folder, "full.db")
    for each in (empty, full):
        _with_catalogue(each)
        pair = _pair(each, apps=20, models=12)
        for _ in range(600):
            pair()
        Ledger(open_store(each.store_path), each, SystemClock()).sweep()
    _fill(Path(full.store_path), FULL_ROWS)
    candidates: dict[str, Callable[[], object]] = {}
    for name, each in (("empty log", empty), (f"{FULL_ROWS:,} rows in the log", full)):
        Ledger(open_store(each.store_path), each, SystemClock()).sweep()
        made = registry(StoreCollector(each, SystemClock()))
        series = sum(not line.startswith(b"#") for line in render(made).body.splitlines())
        candidates[f"scrape, {name}, {series} series"] = lambda made=made: render(made)  # type: ignore[misc]
    for name, each in (("empty log", empty), (f"{FULL_ROWS:,} rows", full)):
        candidates[f"status, {name}"] = lambda each=each: _status(each)  # type: ignore[misc]
    return interleaved("Scrape and status, by the log's size", candidates, rounds=10, calls=5, bound=1.3)


def _status(each: Settings) -> object:
    with contextlib.closing(Reader(each.store_path)) as reader:
        return gather(reader, each, SystemClock().now())


def start(base_url: str, folder: Path) -> Result:
    def python(*arguments: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True)

    candidates = {
        "import httpx": python("-c", "import httpx"),
        "openrouter-monitor --help": python("-m", "monitor", "--help"),
        "import monitor": python("-c", "import monitor"),
    }
    return interleaved("Start, as whole processes", candidates, rounds=10, calls=3, bound=1.5)


CASES = {
    "call": call,
    "floor": floor,
    "sdk": sdk,
    "stream": stream,
    "async": async_call,
    "refused": refused,
    "ledger": ledger,
    "scrape": scrape,
    "page": page,
    "start": start,
}
