"""One write transaction at a time, for threads, forks and processes, on a disk that may fail."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from monitor.errors import StoreDamaged, StoreUnreachable
from monitor.model import Reason
from monitor.store import SQLiteStore
from monitor.store.sqlite import connection as connection_module
from monitor.store.sqlite.connection import CHECK_EVERY, WAL_LIMIT_BYTES
from tests.fakes.builders import one, rows
from tests.fakes.processes import ROOT, Worker


@pytest.fixture
def store(tmp_path):
    opened = SQLiteStore(tmp_path / "monitor.db")
    with opened.transaction():
        pass
    yield opened
    opened.close()


def count(store: SQLiteStore, times: int = 1) -> None:
    for _ in range(times):
        with store.transaction() as tx:
            tx.count_refusal("app", Reason.PAUSED, shadow=False)


def counted(store: SQLiteStore) -> int:
    return sum(n for (n,) in rows(store, "SELECT n FROM refusals"))


def interrupt(step: int, work: Callable[[], object]) -> bool:
    """Run `work` with a KeyboardInterrupt at the `step`-th place in the module of connections where Python may raise
    one: as a function is entered, and after each call. False if it has fewer such places."""
    steps = 0

    def profile(frame: Any, event: str, arg: object) -> None:
        nonlocal steps
        if frame.f_code.co_filename == connection_module.__file__ and event in ("call", "c_return"):
            steps += 1
            if steps == step:
                sys.setprofile(None)
                raise KeyboardInterrupt

    sys.setprofile(profile)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return False


def test_ctrl_c_at_any_step_locks_nobody_out(store):
    """Ctrl-C may come between any two steps of a booking. It happens or it does not, and the next one works: of this
    thread, of another, and of another program."""
    count(store)
    step, before = 1, counted(store)
    with contextlib.closing(sqlite3.connect(store.path, timeout=0, isolation_level=None)) as other:
        while interrupt(step, lambda: store.transact(lambda tx: tx.count_refusal("app", Reason.PAUSED, shadow=False))):
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
            assert counted(store) in (before, before + 1)
            before = counted(store)
            assert not store.connection._lock.locked()
            with ThreadPoolExecutor(1) as pool:
                pool.submit(store.transact, lambda tx: None).result(10)
            store.transact(lambda tx: None)
            step += 1
    assert step > 10


def test_an_exception_rolls_everything_back(store):
    """What was done before the exception in the same transaction did not happen; the exception itself passes."""
    count(store)

    def fail() -> None:
        with store.transaction() as tx:
            tx.count_refusal("app", Reason.PAUSED, shadow=False)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert counted(store) == 1
    count(store)
    assert counted(store) == 2


def test_a_store_opens_again_after_it_was_closed(store):
    """A stream that outlives its client can still settle."""
    store.close()
    count(store)
    store.close()
    assert counted(store) == 1


def test_nobody_waits_for_this_process_who_must_not(store):
    """With `block=False` a transaction within a transaction is an error at once, not a deadlock."""
    with store.transaction(), pytest.raises(StoreUnreachable, match="in use"):
        store.transact(lambda tx: None, block=False)
    with store.transaction(), pytest.raises(StoreUnreachable, match="in use"):
        store.transact(lambda tx: None)
    store.transact(lambda tx: tx.count_refusal("app", Reason.PAUSED, shadow=False), block=False)
    assert counted(store) == 1


def test_threads_share_a_store(store):
    """Eight threads lose no count."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: count(store, 50), range(8)))
    assert counted(store) == 400


# Python 3.12 warns of every fork() in a process with threads, such as pytest-xdist's.
FORKS = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def in_a_child(work: Callable[[], object]) -> int:
    """Fork; the child does `work` and ends without going on with the test run. Its process id."""
    child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            work()
            status = 0
        os._exit(status)
    return child


@FORKS
def test_what_a_child_writes_outlives_its_parents_end(store):
    """A child of `fork()` of a used store keeps writing into the same file after the parent closed it."""
    count(store)
    told, tell = os.pipe()
    heard, hear = os.pipe()

    def work() -> None:
        count(store, 3)
        os.write(hear, b"x")
        os.read(told, 1)  # the parent has closed its store
        count(store, 4)

    child = in_a_child(work)
    assert os.read(heard, 1) == b"x"
    store.close()
    os.write(tell, b"x")
    assert os.waitpid(child, 0)[1] == 0
    for pipe in (told, tell, heard, hear):
        os.close(pipe)
    assert counted(store) == 8
    assert one(store, "PRAGMA integrity_check") == "ok"


@FORKS
def test_a_fork_waits_for_the_transaction_of_another_thread(store):
    """Neither side inherits half a transaction: both can write at once, and nothing is lost."""
    inside, leave = threading.Event(), threading.Event()

    def slow() -> None:
        with store.transaction() as tx:
            tx.count_refusal("app", Reason.PAUSED, shadow=False)
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=slow)
    thread.start()
    assert inside.wait(30)
    threading.Timer(0.05, leave.set).start()
    child = in_a_child(lambda: count(store, 3))
    assert leave.is_set()
    thread.join()
    count(store)
    assert os.waitpid(child, 0)[1] == 0
    assert counted(store) == 5


@pytest.mark.processes
def test_a_program_that_forks_and_ends_in_any_order_loses_nothing(store):
    """Parent and children that end as programs do, the parent first: every count of each is in the file."""
    code = (
        "import os, sys\n"
        "from monitor.store import SQLiteStore\nfrom monitor.model import Reason\n"
        "store = SQLiteStore(sys.argv[1])\n"
        "def count():\n"
        "    with store.transaction() as tx:\n"
        "        tx.count_refusal('app', Reason.PAUSED, shadow=False)\n"
        "count()\n"
        "told, tell = os.pipe()\n"
        "for _ in range(4):\n"
        "    if os.fork() == 0:\n"
        "        os.close(tell)\n"
        "        count()\n"
        "        os.read(told, 1)\n"  # ends when the parent has ended
        "        count()\n"
        "        os.write(1, b'written\\n')\n"  # at once: unbuffered, print writes the end of the line by itself
        "        sys.exit()\n"
    )
    # The output ends when the last child has ended.
    done = subprocess.run(
        [sys.executable, "-c", code, store.path], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["written"] * 4, done.stderr
    assert counted(store) == 9
    assert one(store, "PRAGMA integrity_check") == "ok"


@pytest.mark.processes
def test_a_lock_that_is_held_too_long_is_unreachable(store):
    """Another process that holds the file longer than the busy timeout is named; afterwards writing goes on."""
    with Worker("lock", store.path) as holder:
        assert holder.hear() == "ready"
        assert holder.ask("lock") == "done"
        with pytest.raises(StoreUnreachable, match=r"stayed locked for 5 seconds.*doctor"):
            count(store)
        assert holder.ask("free") == "done"
        count(store)
    assert counted(store) == 1


# Disks that fill, files that go


def test_a_full_database_says_so_and_recovers(store):
    """SQLITE_FULL: nothing of the transaction is kept, nothing before it is lost, and writing resumes by itself."""
    count(store)
    with store.transaction() as tx:
        # Not through the store's own reading: the limit is this connection's.
        pages = tx._db.execute("PRAGMA page_count").fetchone()[0]
        tx._db.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StoreUnreachable, match=r"disk of the store .* is full; nothing was written"):
        fill_up(store)
    assert counted(store) == 1
    # A new connection has no such limit: the space is back.
    fill_up(store)
    assert counted(store) == 1
    assert one(store, "SELECT count(*) FROM bodies") == 200


def fill_up(store: SQLiteStore) -> None:
    with store.transaction() as tx:
        for row in range(200):
            tx.keep_bodies(row, "x" * 2000, None)


def test_a_write_that_the_system_refuses_is_unreachable(store):
    """A file that may not grow: the error is named, what was acknowledged stays, and writing resumes with the space."""
    count(store)
    # As large as the log is now. Python ignores SIGXFSZ, so a write beyond it fails with EFBIG.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(f"{store.path}-wal").stat().st_size + 512, hard))
    try:
        for _ in range(3):
            with pytest.raises(StoreUnreachable):
                fill_up(store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    fill_up(store)
    count(store)
    assert counted(store) == 2
    assert one(store, "PRAGMA integrity_check") == "ok"


def test_damage_found_on_the_way_is_damage(store):
    """A page that was overwritten under us raises StoreDamaged; nothing else is raised, and nothing hangs."""
    count(store)
    assert store.connection.checkpoint()
    store.close()
    with store.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (store.path.stat().st_size - 4096))
    for _ in range(2):
        with pytest.raises(StoreDamaged, match="damaged"):
            count(store)


def test_a_deleted_file_is_noticed_and_made_anew(store):
    """Not one more transaction counts into a file that nobody else can see, and none fails for it."""
    count(store)
    store.path.unlink()
    count(store, 3)
    store.transact(lambda tx: tx.count_refusal("app", Reason.PAUSED, shadow=False))
    assert counted(store) == 4
    assert one(store, "PRAGMA integrity_check") == "ok"


def test_a_replaced_file_is_noticed(store, tmp_path):
    """After a backup was put in its place, the very next write goes to the new file."""
    count(store)
    other = SQLiteStore(tmp_path / "other.db")
    count(other, 7)
    other.close()
    os.replace(other.path, store.path)
    for end in ("-wal", "-shm"):
        Path(f"{store.path}{end}").unlink(missing_ok=True)
    count(store, 3)
    assert counted(store) == 10


def test_a_vanished_folder_is_made_again(store):
    """So it is with the folder."""
    count(store)
    shutil.rmtree(store.path.parent)
    count(store)
    assert counted(store) == 1


# The log


def test_the_log_stays_bounded(store):
    """Twenty thousand small commits leave a `-wal` of a few megabytes, not of hundreds."""
    count(store, 20_000)
    assert counted(store) == 20_000
    assert Path(f"{store.path}-wal").stat().st_size < WAL_LIMIT_BYTES + CHECK_EVERY * 64 * 1024


def test_nobody_checkpoints_by_himself(store):
    """No connection moves the log automatically: two that did so at once could corrupt it (SQLite before 3.51.3)."""
    assert one(store, "PRAGMA wal_autocheckpoint") == 0
    assert one(store, "PRAGMA synchronous") == 1
    assert one(store, "PRAGMA mmap_size") == 0


def test_a_reader_stands_in_a_checkpoints_way_and_no_longer(store):
    """A checkpoint gives way to a reader without waiting, and empties the log once it has gone."""
    reader = sqlite3.connect(store.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM refusals").fetchall()
    count(store, 10)
    assert not store.connection.checkpoint()
    reader.execute("ROLLBACK")
    reader.close()
    assert store.connection.checkpoint()
    assert Path(f"{store.path}-wal").stat().st_size == 0
    assert one(store, "PRAGMA busy_timeout") == 5000
    assert counted(store) == 10


def test_reading_sees_one_moment_and_writes_nothing(store):
    """What is read together belongs together, whatever is committed meanwhile; a write in it is undone."""
    with store.connection.reading() as connection:
        before = connection.execute("SELECT count(*) FROM refusals").fetchall()
        done = threading.Event()
        other = SQLiteStore(store.path)
        thread = threading.Thread(target=lambda: (count(other), other.close(), done.set()))
        thread.start()
        assert done.wait(30)
        thread.join()
        assert connection.execute("SELECT count(*) FROM refusals").fetchall() == before
    assert counted(store) == 1


def test_sigkill_is_what_these_tests_mean_by_killing():
    """A worker that is killed has had no chance to tidy up."""
    with Worker("lock", "/dev/null") as worker:
        assert worker.hear() == "ready"
        worker.kill()
        assert worker.process.returncode == -signal.SIGKILL
