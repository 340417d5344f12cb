"""A JSON body that is no stream, kept whole while it is small and only at both ends when it is not."""

from __future__ import annotations

import json
import re

from monitor.openrouter.findings import Findings
from monitor.openrouter.values import loads

MAX_BODY = 4 * 1024 * 1024
"""Bytes up to which a body is kept and parsed; images as base64 go beyond."""
EDGE = 64 * 1024
"""Bytes kept of the beginning and of the end of a longer one."""

_DECODER = json.JSONDecoder()
_FIELD = re.compile(r'"(id|model|provider)"\s*:\s*"((?:[^"\\]|\\.){1,512})"')
_USAGE = re.compile(r'"usage"\s*:\s*(?=\{)')


class Excerpt:
    """Collects chunks; `content` parses them, `dig` looks into the ends of a body too long to keep."""

    __slots__ = ("_chunks", "_head", "_size", "_tail")

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0
        self._head = b""
        self._tail = b""

    @property
    def is_cut(self) -> bool:
        """True once the body was longer than is kept."""
        return bool(self._head)

    def add(self, chunk: bytes) -> None:
        """Keep the next chunk."""
        if self._head:
            self._tail = (self._tail + chunk)[-EDGE:]
            return
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size > MAX_BODY:
            whole = b"".join(self._chunks)
            self._head, self._tail = whole[:EDGE], whole[-EDGE:]
            self._chunks.clear()

    def content(self) -> object:
        """What the body holds; None when it is no JSON, not all there, or was too long to keep."""
        chunks = self._chunks
        return loads(chunks[0] if len(chunks) == 1 else b"".join(chunks)) if chunks else None

    def text(self) -> str | None:
        """The beginning of a body that is no JSON; None when there was none."""
        return b"".join(self._chunks)[:EDGE].decode("utf-8", "replace") or None

    def dig(self, findings: Findings) -> None:
        """Find the names in the head and the usage in the tail (embeddings have their names in the tail too)."""
        tail = self._tail.decode("utf-8", "replace")
        for part in (self._head.decode("utf-8", "replace"), tail):
            fields = dict(reversed(_FIELD.findall(part)))
            if fields:
                findings.add(fields)
                break
        for match in reversed(list(_USAGE.finditer(tail))[-3:]):
            try:
                usage, _ = _DECODER.raw_decode(tail, match.end())
            except (ValueError, RecursionError):
                continue
            findings.add({"usage": usage})
            break
