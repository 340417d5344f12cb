"""Server-sent events, a chunk at a time: chunks end anywhere, even inside a line end or a letter."""

from __future__ import annotations

MAX_EVENT = 8 * 1024 * 1024
"""Bytes of one event; a longer one is dropped, so that a stream without an end cannot fill the memory."""

Event = tuple[str | None, bytes]


class SSEParser:
    """Splits a stream into `(event name or None, data)`; comments, ids and retry times are left out.

    Follows WHATWG's grammar: lines end in CR, LF or CRLF, data lines are joined by LF, an empty line ends an event.
    """

    __slots__ = ("_data", "_data_size", "_dropping", "_held", "_name", "_pieces", "_skip_lf", "dropped", "idle")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._data: list[bytes] = []
        self._name: str | None = None
        self._held = self._data_size = 0
        self._skip_lf = False
        self._dropping = False
        self.idle = True
        """Between events, when nothing is held back."""
        self.dropped = 0
        """Events that were longer than `MAX_EVENT`."""

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes."""
        events = self._feed(chunk)
        self.idle = not (self._pieces or self._data or self._skip_lf or self._dropping or self._name)
        return events

    def _feed(self, chunk: bytes) -> list[Event]:
        if self._skip_lf:
            if not chunk:
                return []
            self._skip_lf = False
            if chunk[:1] == b"\n":
                chunk = chunk[1:]
        # Not `in`, which asks first whether a mark is the number of a byte, by an exception.
        if chunk.find(b"\r") >= 0:
            # The LF of a CRLF may come with the next chunk.
            self._skip_lf = chunk[-1:] == b"\r"
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if chunk.find(b"\n") < 0:
            self._hold(chunk)
            return []
        lines = chunk.split(b"\n")
        if self._pieces:
            lines[0] = b"".join((*self._pieces, lines[0]))
            self._pieces.clear()
            self._held = 0
        rest = lines.pop()
        events: list[Event] = []
        for line in lines:
            self._line(line, events)
        self._hold(rest)
        return events

    def flush(self) -> list[Event]:
        """The event that the stream's end cut short, if there is one: for streams that forget the last empty line."""
        events: list[Event] = []
        if self._pieces:
            line = b"".join(self._pieces)
            self._pieces.clear()
            self._held = 0
            self._line(line, events)
        self._line(b"", events)
        return events

    def _hold(self, piece: bytes) -> None:
        if not piece:
            return
        self._held += len(piece)
        if self._data_size + self._held > MAX_EVENT:
            self._drop()
        if not self._dropping:
            self._pieces.append(piece)
        elif not self._pieces:
            # Of a line that is dropped it still matters that it is not empty: an empty one ends the event.
            self._pieces.append(piece[:1])

    def _drop(self) -> None:
        if not self._dropping:
            self.dropped += 1
        self._dropping = True
        self._data.clear()
        self._pieces.clear()
        self._held = self._data_size = 0

    def _line(self, line: bytes, events: list[Event]) -> None:
        if not line:
            if self._data and not self._dropping:
                data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                events.append((self._name, data))
            self._data.clear()
            self._name, self._data_size, self._dropping = None, 0, False
            return
        if self._dropping:
            return
        field, _, value = line.removeprefix(b"\xef\xbb\xbf").partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
            self._data_size += len(value) + 1
            if self._data_size > MAX_EVENT:
                self._drop()
        elif field == b"event":
            self._name = value.removeprefix(b" ").decode("utf-8", "replace")
