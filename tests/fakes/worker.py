"""What a test's processes do. Run as `python -m tests.fakes.worker ACTION PATH …`; see `processes.Worker`."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path

from monitor.clock import FakeClock, SystemClock
from monitor.config import Settings
from monitor.errors import MonitorError
from monitor.ledger import Ledger
from monitor.refresh import Fetched, Refresher
from monitor.store import SQLiteStore
from tests.fakes.builders import FREE, NOON, ask, success


def say(line: object) -> None:
    # One write, so that a process that is killed has said all of a line or nothing of it.
    os.write(1, f"{line}\n".encode())


def use(path: str) -> None:
    """Open the store and write into it, at the word `go`."""
    store = SQLiteStore(path)
    sys.stdin.readline()
    try:
        with store.transaction() as tx:
            tx.count_refusal("app", "paused", shadow=False)  # type: ignore[arg-type]
        say("ok")
    except MonitorError as exc:
        say(f"{type(exc).__name__}: {exc}")
    store.close()


def spend(path: str, sections: str, app: str) -> None:
    """`one` reserves once, `all` until refused; each answer is `in` or the reason. `settle` settles what is held."""
    book = Ledger(SQLiteStore(path), Settings(**json.loads(sections)), FakeClock(NOON))
    held = []
    for line in sys.stdin:
        word = line.strip()
        if word == "settle":
            while held:
                book.settle(held.pop(), success())
            say("settled")
            continue
        while True:
            decision = book.reserve(ask(FREE, app=app, call_id=f"{app}-{len(held)}"))
            if decision.hold is not None:
                held.append(decision.hold)
            say("in" if decision.hold is not None else decision.verdict.reason)
            if word == "one" or decision.hold is None:
                break


def brood(path: str, sections: str) -> None:
    """At `hatch` a child reserves and settles without end, and says its process id and the row of each that is settled.

    At `reap PID` waits for the end of that child, and says so after all that it had to say.
    """
    for line in sys.stdin:
        word, _, child = line.strip().partition(" ")
        if word == "reap":
            os.waitpid(int(child), 0)
            say(f"{child} dead")
        elif os.fork() == 0:
            try:
                write(path, sections)
            except BaseException as exc:
                say(f"{os.getpid()} {type(exc).__name__}")
                raise


def write(path: str, sections: str) -> None:
    book = Ledger(SQLiteStore(path), Settings(**json.loads(sections)), FakeClock(NOON))
    say(f"{os.getpid()} born")
    while True:
        hold = book.reserve(ask(FREE)).hold
        assert hold is not None
        book.settle(hold, success())
        say(f"{os.getpid()} {hold.row}")


def lock(path: str) -> None:
    """Hold the write lock from the word `lock` to the word `free`."""
    connection = sqlite3.connect(path, isolation_level=None)
    for line in sys.stdin:
        connection.execute("BEGIN IMMEDIATE" if line.strip() == "lock" else "ROLLBACK")
        say("done")
    connection.close()


def fetch(path: str, counter: str) -> None:
    """Refresh the catalogue at the word `go`; each real fetch leaves one byte in the file `counter`."""
    clock = SystemClock()  # who waits for another must wait in earnest
    refresher = Refresher(Ledger(SQLiteStore(path), Settings(), clock))

    def get(url: str, headers: Mapping[str, str]) -> Fetched:
        with Path(counter).open("ab", buffering=0) as file:
            file.write(b"x")
        return Fetched(
            200, json.dumps({"data": [{"id": FREE, "pricing": {"prompt": "0", "completion": "0"}}]}).encode()
        )

    sys.stdin.readline()
    say(refresher.models(get, newer_than=clock.now() - 60))


if __name__ == "__main__":
    action = {"use": use, "spend": spend, "brood": brood, "write": write, "lock": lock, "fetch": fetch}[sys.argv[1]]
    say("ready")
    action(*sys.argv[2:])
