"""The daemon's log: one line an event, on stderr, without anything that looks like a credential."""

from __future__ import annotations

import json
import logging
import sys
import traceback

from monitor.clock import iso
from monitor.redact import redact

LINE_LIMIT = 2000


class OneLine(logging.Formatter):
    """`2026-11-24T23:02:51Z INFO monitor.poller: what happened`."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{iso(record.created)} {record.levelname} {record.name}: {said(record)}"


class JsonLine(logging.Formatter):
    """The same as an object: `at` (UTC), `level`, `logger`, `message`."""

    def format(self, record: logging.LogRecord) -> str:
        told = {"at": iso(record.created), "level": record.levelname.lower(), "logger": record.name}
        return json.dumps({**told, "message": said(record)}, ensure_ascii=False)


def said(record: logging.LogRecord) -> str:
    """The message, and of an exception what it was and where it came from, in one line."""
    text = record.getMessage()
    if record.exc_info and record.exc_info[1] is not None:
        exc = record.exc_info[1]
        frames = traceback.extract_tb(exc.__traceback__)[-3:]
        places = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
        text = f"{text}: {type(exc).__name__}: {exc} [{places}]"
    return redact(text, limit=LINE_LIMIT)


def log_to_stderr(*, as_json: bool = False, level: int = logging.INFO) -> None:
    """Let this process log. Libraries are heard when they warn."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLine() if as_json else OneLine())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("monitor").setLevel(level)
    # Our own listener and middleware tell of what fails in them; bytes that are no HTTP are answered, and no event.
    for library in ("apscheduler", "aiohttp.server"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
