"""The checks of `doctor`: each looks at one thing and says how it is, and what to do if it is not well."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.words import ago, count, dollars, size, span

if TYPE_CHECKING:
    from monitor.config import Settings
    from monitor.store.sqlite.reader import Reader

OK, WARNING, PROBLEM = "ok", "warning", "problem"

OLDEST_PYTHON = (3, 11)
WAL_RESET_FIXED = (3, 51, 3)
LOW_DISK_BYTES, NO_DISK_BYTES = 200_000_000, 10_000_000
LARGE_WAL_BYTES = 64_000_000
NETWORK_FILESYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "glusterfs", "fuse.sshfs", "fuse.glusterfs"}
)


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, how it is (`ok`, `warning`, `problem`), what was found, and what to do."""

    name: str
    level: str
    found: str
    todo: str = ""

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def python() -> Check:
    version = sys.version.split()[0]
    if sys.version_info < OLDEST_PYTHON:
        return Check("python", PROBLEM, f"Python {version}", "Use Python 3.11 or newer.")
    return Check("python", OK, f"Python {version}")


def sqlite(version: tuple[int, int, int]) -> Check:
    name = "SQLite " + ".".join(map(str, version))
    if version < WAL_RESET_FIXED:
        return Check(
            "sqlite",
            WARNING,
            f"{name} has the WAL-reset bug (fixed in 3.51.3). This program avoids it: one checkpointer at a time, under"
            " the writer's lock, and no automatic checkpoints",
            "Do not write to the store with other programs while apps use it; keep backups (`db backup`).",
        )
    return Check("sqlite", OK, name)


def shadowed(folder: Path) -> Check:
    """A module of the same name in the working folder would be imported in place of this package."""
    import monitor.errors

    ours = Path(monitor.errors.__file__).resolve().parent
    for name in ("monitor.py", "monitor/__init__.py"):
        found = folder / name
        if found.exists() and found.resolve().parent != ours:
            return Check(
                "import",
                PROBLEM,
                f"{found} hides this package from programs started in {folder}",
                "Rename it, or start programs elsewhere.",
            )
    return Check("import", OK, f"`import monitor` gives {ours}")


def api_key(settings: Settings) -> Iterator[Check]:
    from monitor.errors import ConfigError

    try:
        key = settings.key()
    except ConfigError as exc:
        yield Check("api key", PROBLEM, exc.message, exc.hint)
        return
    if not key:
        yield Check(
            "api key",
            WARNING,
            "not set here: the key's figures cannot be read by commands; guarded clients use their own",
            "Set OPENROUTER_API_KEY, or api_key_file.",
        )
    elif not key.reveal().startswith("sk-or-"):
        yield Check("api key", WARNING, "set, but it does not begin as OpenRouter's keys do", "Check that it is whole.")
    else:
        where = f"from {settings.api_key_file}" if settings.api_key is None else "from the environment or settings"
        yield Check("api key", OK, f"set, {where}")
    if settings.api_key is None and settings.api_key_file is not None:
        yield from private(Path(settings.api_key_file).expanduser(), "key file")
    if settings.management_key is None and settings.management_key_file is not None:
        yield from private(Path(settings.management_key_file).expanduser(), "management")


def private(file: Path, name: str) -> Iterator[Check]:
    """Whether a file with a secret is closed to other users."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError:
        return
    if mode & 0o077:
        yield Check(name, WARNING, f"{file} can be read by other users (mode {mode:o})", f"Run: chmod 600 {file}")
    else:
        yield Check(name, OK, f"{file} is private")


def guard(settings: Settings) -> Iterator[Check]:
    chosen = settings.guard
    if chosen.mode != "enforce":
        yield Check("guard", WARNING, f"the mode is {chosen.mode}: nothing is held back", 'Set guard.mode = "enforce".')
        return
    budget = settings.budget
    if chosen.allow != "free" and budget.per_day_usd is None and budget.per_month_usd is None:
        yield Check(
            "guard",
            WARNING,
            f"guard.allow is {chosen.allow}, without a budget: calls may cost any amount",
            "Set budget.per_day_usd or budget.per_month_usd.",
        )
        return
    yield Check("guard", OK, f"enforces; lets through {chosen.allow} models")


def filesystem(folder: Path) -> Iterator[Check]:
    """What the store's folder lies on: SQLite's log needs shared memory, which network file systems do not have."""
    kind = filesystem_kind(folder)
    if kind in NETWORK_FILESYSTEMS:
        yield Check("file system", PROBLEM, f"{folder} is on {kind}", "Put the store on a local disk.")
    elif kind:
        yield Check("file system", OK, f"{folder} is on {kind}")
    free = shutil.disk_usage(folder).free
    level = PROBLEM if free < NO_DISK_BYTES else WARNING if free < LOW_DISK_BYTES else OK
    todo = "" if level == OK else "Free some space, or prune: `openrouter-monitor db prune`."
    yield Check("disk space", level, f"{size(free)} free", todo)


def filesystem_kind(folder: Path) -> str:
    """`ext4`, `nfs4`, …; "" where it cannot be told."""
    try:
        lines = Path("/proc/self/mounts").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    best = ("", "")
    for line in lines:
        _, point, kind, *_ = [*line.split(" "), "", "", ""]
        point = point.replace("\\040", " ")
        if (folder == Path(point) or Path(point) in folder.parents) and len(point) >= len(best[0]):
            best = (point, kind)
    return best[1]


def new_store(path: Path) -> Iterator[Check]:
    """A store that does not exist yet: can it be made."""
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        yield Check("store", PROBLEM, f"{path} cannot be made: {folder} is not a folder that you may write to",
                    "Make it writable, or set `store`.")  # fmt: skip
        return
    yield Check("store", OK, f"{path} does not exist yet: the first guarded call makes it")
    yield from filesystem(folder.resolve())


def store(path: Path) -> Iterator[Check]:
    """A store that exists: is it ours, and can it be written; takes the writer's lock for a moment."""
    from monitor.errors import StoreError
    from monitor.store.sqlite.maintenance import can_write

    try:
        can_write(path)
    except StoreError as exc:
        yield Check("store", PROBLEM, exc.message, exc.hint)
        return
    yield Check("store", OK, f"{path} can be written, {size(path.stat().st_size)}")
    yield from filesystem(path.resolve().parent)
    try:
        waiting = os.stat(f"{path}-wal").st_size
    except OSError:
        waiting = 0
    if waiting > LARGE_WAL_BYTES:
        todo = "Find the program that reads the store without end; the log shrinks when it stops."
        yield Check("log", WARNING, f"the write-ahead log has grown to {size(waiting)}", todo)
    else:
        yield Check("log", OK, f"the write-ahead log holds {size(waiting)}")


def recorded(reader: Reader, settings: Settings, now: float) -> Iterator[Check]:
    """What the store tells of the world: catalogue, key, pauses, holds."""
    from monitor.status import gather

    found = gather(reader, settings, now, events=0)
    yield _catalogue(found["catalogue"], settings, now)
    key = found["key"]
    if key["error"]:
        level = PROBLEM if "401" in key["error"] else WARNING
        yield Check("key figures", level, f"the last look at the key failed: {key['error']}", "Check the API key.")
    elif key["read_at"] is not None:
        yield Check("key figures", OK, f"read {ago(key['read_at'], now)}")
    for pause in found["paused"]:
        who = pause["app"] or "every app"
        command = "resume" if pause["app"] is None else f"resume --app {pause['app']}"
        yield Check("pause", WARNING, f"{who} is paused", f"Run `openrouter-monitor {command}` to go on.")
    if found["in_flight"]["expired"]:
        lost = count(found["in_flight"]["expired"], "attempt")
        yield Check("in flight", OK, f"{lost} of a process that died: settled at the next call")
    if found["spend"]["month_usd"] and settings.guard.allow == "free":
        spent = dollars(found["spend"]["month_usd"])
        todo = "See `openrouter-monitor events --kind spend_seen`."
        yield Check("spend", WARNING, f"{spent} was billed this month though only free models are allowed", todo)


def _catalogue(catalogue: dict[str, object] | None, settings: Settings, now: float) -> Check:
    todo = "Fetch it with `openrouter-monitor models --refresh`; the next guarded call does so too."
    if catalogue is None:
        return Check("catalogue", WARNING, "there is none yet", todo)
    fetched_at = float(str(catalogue["fetched_at"]))
    if catalogue["source"] != settings.base_url:
        return Check("catalogue", WARNING, f"it is of {catalogue['source']}, not of {settings.base_url}", todo)
    if not catalogue["usable"]:
        most = span(settings.guard.catalogue_max_age)
        return Check("catalogue", WARNING, f"read {ago(fetched_at, now)}, believed for {most}", todo)
    return Check("catalogue", OK, f"{catalogue['models']} models, read {ago(fetched_at, now)}")


def worst(checks: Iterable[Check]) -> str:
    levels = {check.level for check in checks}
    return PROBLEM if PROBLEM in levels else WARNING if WARNING in levels else OK
