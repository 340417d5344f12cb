"""Making and opening a store file: whole or not at all, and never over anything that was there."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.errors import ConfigError, StoreDamaged, StoreError, StoreUnreachable
from monitor.model import Reason
from monitor.store import SQLiteStore, open_store
from monitor.store.sqlite.schema import APPLICATION_ID, VERSION, build_migrations
from tests.fakes.builders import one
from tests.fakes.processes import workers


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "folder" / "monitor.db"


@pytest.fixture
def made(path):
    """A store with one refusal in it, closed."""
    store = SQLiteStore(path)
    use(store)
    store.close()
    return path


def use(store: SQLiteStore) -> None:
    with store.transaction() as tx:
        tx.count_refusal("app", Reason.PAUSED, shadow=False)


def refused(path: Path, error: type[StoreError], says: str) -> None:
    """Using the file raises `error`, and leaves its folder byte for byte as it was."""
    before = contents(path.parent)
    store = SQLiteStore(path)
    for _ in range(2):
        with pytest.raises(error, match=says) as told:
            use(store)
        assert str(path) in str(told.value)
        assert told.value.hint
    store.close()
    assert contents(path.parent) == before


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(file): file.read_bytes() if file.is_file() else None for file in sorted(folder.rglob("*"))}


# A new store


def test_nothing_is_made_before_the_first_use(path):
    """Naming a store touches no disk."""
    store = SQLiteStore(path)
    store.close()
    assert not path.parent.exists()


def test_a_new_store_is_whole_and_private(path):
    """The first use makes the folder and the file, for its owner only, with schema and identity, in WAL mode."""
    store = SQLiteStore(path)
    use(store)
    assert one(store, "PRAGMA application_id") == APPLICATION_ID
    assert one(store, "PRAGMA user_version") == VERSION
    assert one(store, "PRAGMA journal_mode") == "wal"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    store.close()
    assert [file.name for file in path.parent.iterdir()] == ["monitor.db"]


def test_the_version_is_the_number_of_migrations():
    """`user_version` can stand for the list of migrations only while it counts them."""
    import sqlite_utils

    database = sqlite_utils.Database(memory=True)
    build_migrations().apply(database)
    assert len(build_migrations().applied(database)) == VERSION
    assert not build_migrations().pending(database)
    database.close()


@pytest.mark.processes
def test_eight_processes_make_one_store(path):
    """Eight that start on a missing file at once all succeed, write into the same file, and leave nothing beside it."""
    with workers(8, "use", path) as started:
        for one_ in started:
            one_.tell("go")
        assert [one_.hear() for one_ in started] == ["ok"] * 8
        for one_ in started:
            assert one_.process.wait() == 0
    store = SQLiteStore(path)
    assert one(store, "SELECT n FROM refusals") == 8
    assert one(store, "PRAGMA integrity_check") == "ok"
    store.close()
    assert [file.name for file in path.parent.iterdir()] == ["monitor.db"]


def test_what_a_killed_maker_left_is_no_harm(path):
    """A file half made by a process of the same number does not stand in the way."""
    import threading

    path.parent.mkdir()
    left = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.new")
    left.write_bytes(b"half")
    store = SQLiteStore(path)
    use(store)
    store.close()
    assert not left.exists()


def test_the_log_of_a_deleted_store_is_not_played_into_the_new_one(path):
    """A store that was deleted without its `-wal` begins anew, empty and sound."""
    store = SQLiteStore(path)
    use(store)
    log = Path(f"{path}-wal").read_bytes()
    store.close()
    path.unlink()
    Path(f"{path}-wal").write_bytes(log)
    use(store)
    assert one(store, "SELECT n FROM refusals") == 1
    assert one(store, "PRAGMA integrity_check") == "ok"
    store.close()
    put_aside = [found for found in path.parent.iterdir() if ".left-" in found.name]
    assert [found.read_bytes() for found in put_aside] == [log]


@pytest.mark.processes
def test_opening_it_twice_keeps_this_processs_hold_on_the_log(path):
    """A second look at the file does not drop this process's locks: another process's close leaves the log alone."""
    first, second = SQLiteStore(path), SQLiteStore(path)
    use(first)
    use(second)
    second.close()
    code = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('SELECT n FROM refusals'); db.close()"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert Path(f"{path}-wal").stat().st_size > 0
    use(first)
    assert one(first, "SELECT n FROM refusals") == 3
    first.close()


def test_a_file_amid_a_checkpoint_is_not_taken_for_damaged(path, tmp_path):
    """While another process moves its log, the file alone is of no one moment: the log beside it makes it whole."""
    path.parent.mkdir()
    made = SQLiteStore(tmp_path / "made.db")
    with made.transaction() as tx:
        for row in range(50):
            tx.keep_bodies(row, "x" * 5000, None)
    use(made)
    log = Path(f"{made.path}-wal").read_bytes()
    shutil.copyfile(made.path, path)
    made.close()
    # The first page has been moved already: it tells of pages that are not there yet.
    pages = made.path.stat().st_size // 2048
    with path.open("r+b") as file:
        file.seek(28)
        file.write(pages.to_bytes(4, "big"))
    Path(f"{path}-wal").write_bytes(log)
    store = SQLiteStore(path)
    use(store)
    assert one(store, "SELECT n FROM refusals") == 2
    assert one(store, "PRAGMA integrity_check") == "ok"
    store.close()


# What is not a store of ours


def test_a_zero_byte_file_is_refused(path):
    """SQLite would take it for a new database."""
    path.parent.mkdir()
    path.touch()
    refused(path, StoreDamaged, "is an empty file")


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_another_programs_database_is_refused(path, journal):
    """Whatever its journal mode, it is named and stays as it is."""
    path.parent.mkdir()
    foreign = sqlite3.connect(path)
    foreign.execute(f"PRAGMA journal_mode={journal}")
    foreign.execute("CREATE TABLE calls (id)")
    foreign.commit()
    foreign.close()
    refused(path, StoreDamaged, "another program")


def test_a_foreign_database_with_a_log_of_its_own_keeps_it(path, tmp_path):
    """A crashed program's `-wal` is not moved into its file by our look at it."""
    path.parent.mkdir()
    foreign = sqlite3.connect(tmp_path / "foreign.db", isolation_level=None)
    foreign.execute("PRAGMA journal_mode=wal")
    foreign.execute("CREATE TABLE calls (id)")
    for end in ("", "-wal"):
        shutil.copyfile(tmp_path / f"foreign.db{end}", f"{path}{end}")
    foreign.close()
    before = contents(path.parent)
    with pytest.raises(StoreDamaged, match="another program"):
        use(SQLiteStore(path))
    after = contents(path.parent)
    assert {name: after.get(name) for name in before} == before


def test_a_newer_version_is_refused(made):
    """A store of a later release is named as one, with the advice to upgrade."""
    connection = sqlite3.connect(made)
    connection.execute(f"PRAGMA user_version={VERSION + 1}")
    connection.commit()
    connection.close()
    refused(made, StoreError, f"schema {VERSION + 1}.*newer")


@pytest.mark.parametrize("text", [b"hello\n", b"SQLite format 3\0" + b"\xff" * 4096, b"\0" * 8192])
def test_what_is_no_database_is_refused(path, text):
    """Text, a broken header and zeros are damage, named."""
    path.parent.mkdir()
    path.write_bytes(text)
    refused(path, StoreDamaged, "damaged or not a database|another program")


def test_a_truncated_store_is_refused(made):
    """A store that lost its second half is damage, not a new beginning."""
    with made.open("r+b") as file:
        file.truncate(made.stat().st_size // 2)
    store = SQLiteStore(made)
    with pytest.raises(StoreError, match="damaged"):
        use(store)
    store.close()
    assert made.stat().st_size > 0


def test_a_directory_is_refused(path):
    """A folder in the file's place is named and stays."""
    path.mkdir(parents=True)
    refused(path, StoreError, "is a folder")


def test_a_file_in_the_folders_place_is_refused(tmp_path):
    """So is a file where the folder should be."""
    (tmp_path / "file").write_text("mine")
    refused(tmp_path / "file" / "monitor.db", StoreUnreachable, "cannot be opened")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_name_that_no_disk_can_hold_is_refused(tmp_path):
    """The operating system's word is passed on as a store error."""
    refused(tmp_path / ("x" * 300), StoreUnreachable, "cannot be opened")


def test_a_dangling_link_is_refused(path, tmp_path):
    """A link to nowhere is not followed and not replaced."""
    path.parent.mkdir()
    path.symlink_to(tmp_path / "nowhere" / "x.db")
    with pytest.raises(StoreUnreachable, match="cannot be opened"):
        use(SQLiteStore(path))
    assert path.is_symlink()


@pytest.mark.processes
def test_an_unprivileged_process_names_what_it_may_not_write(tmp_path):
    """An unwritable folder, an unreadable one and an unreadable file are store errors, nothing more.

    Root may write everywhere, so as root the child becomes nobody.
    """
    shut, locked = tmp_path / "shut", tmp_path / "locked"
    shut.mkdir(mode=0o755)
    locked.mkdir(mode=0o700)
    tmp_path.chmod(0o755)
    mine = tmp_path / "mine.db"
    use_once = SQLiteStore(mine)
    use(use_once)
    use_once.close()
    if os.geteuid() != 0:
        shut.chmod(0o500)
        locked.chmod(0o000)
        mine.chmod(0o000)
    code = (
        "import os, sys\n"
        "from monitor.store import SQLiteStore\nfrom monitor.errors import StoreUnreachable\n"
        # What is imported only when it is needed: it may lie where nobody else may read.
        "import monitor.store.sqlite.schema, sqlite_utils.migrations, urllib.parse\n"
        "if os.geteuid() == 0:\n    os.setgid(65534); os.setuid(65534)\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        SQLiteStore(path).transaction().__enter__()\n"
        "        print('opened', path)\n"
        "    except StoreUnreachable as exc:\n"
        "        print('told', path in str(exc))\n"
    )
    paths = [shut / "a.db", locked / "a.db", mine]
    # The folders above are pytest's, for their owner only: opened for the child, and shut again.
    above = [parent for parent in tmp_path.parents if parent.stat().st_mode & 0o001 == 0]
    modes = {parent: parent.stat().st_mode & 0o777 for parent in above}
    try:
        for parent in above:
            parent.chmod(0o711)
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, paths)], capture_output=True, text=True, check=False
        )
    finally:
        for parent, mode in modes.items():
            parent.chmod(mode)
        for folder in (shut, locked):
            folder.chmod(0o700)
    assert done.stdout.splitlines() == ["told True"] * 3, done.stderr
    assert not any(shut.iterdir())


@pytest.mark.parametrize("where", ["postgresql://u:secret@h/db", "sqlite:///x", "~nosuchuser/m.db", "a\0b"])
def test_a_place_that_cannot_be_a_store_is_a_settings_error(where):
    """Another engine, an unknown home or a NUL is told without what may be a password."""
    with pytest.raises(ConfigError) as told:
        open_store(where)
    assert "secret" not in str(told.value)


# Migrations


def make_old(path: Path, version: int) -> None:
    """A store as the release with that many migrations left it."""
    import sqlite_utils

    path.parent.mkdir(exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=wal")
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    names: list[str | None] = [
        migration.name for migration in build_migrations().pending(sqlite_utils.Database(memory=True))
    ]
    if version:
        build_migrations().apply(sqlite_utils.Database(connection), stop_before=[*names, None][version])
    connection.execute(f"PRAGMA user_version={version}")
    connection.close()


@pytest.mark.processes
@pytest.mark.parametrize("version", range(VERSION))
def test_eight_processes_migrate_an_old_store_once(path, version):
    """From every old schema: all eight succeed, every migration is applied once, and what was in it stays."""
    make_old(path, version)
    with workers(8, "use", path) as started:
        for one_ in started:
            one_.tell("go")
        assert [one_.hear() for one_ in started] == ["ok"] * 8
    store = SQLiteStore(path)
    assert one(store, "PRAGMA user_version") == VERSION
    assert one(store, "SELECT count(*) FROM _sqlite_migrations") == VERSION
    assert one(store, "SELECT n FROM refusals") == 8
    store.close()
