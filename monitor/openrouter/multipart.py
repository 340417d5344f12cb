"""The text fields of a multipart form, which OpenAI's clients send to `/audio/transcriptions`.

Strict on purpose: servers differ on sloppy forms, and a field that only one of them sees could name a paid model.
"""

from __future__ import annotations

from email.message import Message
from typing import Any

from monitor.openrouter.unreadable import Unreadable

_MAX_FIELD = 1024 * 1024
_MAX_PARTS = 256
_TRANSFER = frozenset({"", "binary", "8bit", "7bit"})


def read_form(content_type: str, raw: bytes) -> dict[str, Any]:
    """Field name -> text; a file's field has the value None, a field named `x[]` a list. Raises `Unreadable`."""
    fields: dict[str, Any] = {}
    for part in _parts(_boundary(content_type), raw):
        name, value = _field(part)
        if name.endswith("[]"):
            fields.setdefault(name, []).append(value)
        elif name in fields:
            raise Unreadable("a form field appears twice")
        else:
            fields[name] = value
    return fields


def _boundary(content_type: str) -> bytes:
    header = Message()
    try:
        header["content-type"] = content_type
        boundary = header.get_param("boundary")
    except (ValueError, LookupError):
        boundary = None
    if not isinstance(boundary, str) or not 0 < len(boundary) <= 200 or not boundary.isascii():
        raise Unreadable("the form has no boundary")
    if content_type.lower().count("boundary") > 1:
        raise Unreadable("the form has two boundaries")
    return b"--" + boundary.encode("ascii")


def _parts(delimiter: bytes, raw: bytes) -> list[bytes]:
    # Every delimiter stands at the start of a line; one CRLF before the first makes them all alike.
    pieces = (b"\r\n" + raw).split(b"\r\n" + delimiter)
    if len(pieces) < 2 or pieces[0] or pieces[-1] not in (b"--", b"--\r\n") or len(pieces) > _MAX_PARTS:
        raise Unreadable("the form is not well formed")
    parts = pieces[1:-1]
    if any(not part.startswith(b"\r\n") for part in parts):
        raise Unreadable("the form is not well formed")
    return [part[2:] for part in parts]


def _field(part: bytes) -> tuple[str, str | None]:
    head, separator, value = part.partition(b"\r\n\r\n")
    if not separator or len(head) > 8192 or b"\n " in head or b"\n\t" in head:
        raise Unreadable("the form is not well formed")
    headers: dict[str, str] = {}
    for line in head.split(b"\r\n"):
        name, colon, text = line.partition(b":")
        key = name.strip().lower().decode("latin-1")
        if not colon or key in headers or b"\r" in line or b"\n" in line:
            raise Unreadable("the form is not well formed")
        headers[key] = text.strip().decode("latin-1")
    if headers.get("content-transfer-encoding", "").lower() not in _TRANSFER:
        raise Unreadable("a form field is encoded")
    name_, is_file = _disposition(headers.get("content-disposition", ""))
    if is_file:
        # A server may hand a file's content over like any text: only the audio itself is not ours to judge.
        if name_ != "file":
            raise Unreadable("the form holds a file where a text belongs")
        return name_, None
    if len(value) > _MAX_FIELD:
        raise Unreadable("a form field is too long")
    try:
        return name_, value.decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable("a form field is not UTF-8") from None


def _disposition(text: str) -> tuple[str, bool]:
    message = Message()
    try:
        message["content-disposition"] = text
        parameters = message.get_params(header="content-disposition") or []
    except (ValueError, LookupError):
        parameters = []
    names = [value for key, value in parameters if key.lower() == "name"]
    extended = any("*" in key for key, _ in parameters if key.lower().startswith("name"))
    if len(names) != 1 or extended or not isinstance(names[0], str) or not names[0].isascii() or not names[0]:
        raise Unreadable("a form field has no plain name")
    return names[0], any(key.lower().startswith("filename") for key, _ in parameters)
