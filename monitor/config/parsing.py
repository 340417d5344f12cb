"""Readers of one setting's value. Each takes what TOML, an environment variable or Python code gives, and returns
the checked value or raises ValueError saying what would be right."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import urlsplit

from monitor.redact import Secret, redact

E = TypeVar("E", bound=StrEnum)
_APP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/-]{0,63}")
_TASK = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected text, not {_what(value)}")
    return value


def secret(value: Any) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expected a non-empty text")
    return Secret(value.strip())


def app_name(value: Any) -> str:
    """An app's or account's name: bounded, so that it can be a label and a part of a page's address."""
    if not isinstance(value, str) or not _APP.fullmatch(value):
        raise ValueError(f"expected a name of 1 to 64 letters, digits and . _ : @ / -, not {_what(value)}")
    return value


def task_name(value: Any) -> str:
    """What a model is wanted for: a word of the router's, or one of the user's own."""
    if not isinstance(value, str) or not _TASK.fullmatch(value):
        raise ValueError(f"expected a task's name in small letters, not {_what(value)}")
    return value


def boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _BOOLEANS:
        return _BOOLEANS[value.lower()]
    raise ValueError(f"expected true or false, not {_what(value)}")


_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def number(*, minimum: float = -math.inf, maximum: float = math.inf) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        try:
            if isinstance(value, bool):
                raise ValueError
            result = float(value)
            if not math.isfinite(result):
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"expected a number, not {_what(value)}") from None
        _in_range(result, minimum, maximum)
        return result

    return read


def integer(*, minimum: float = -math.inf, maximum: float = math.inf) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        try:
            if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
                raise ValueError
            result = int(value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"expected a whole number, not {_what(value)}") from None
        _in_range(result, minimum, maximum)
        return result

    return read


def auto_or_integer(*, minimum: float) -> Callable[[Any], int | None]:
    whole = integer(minimum=minimum)
    return lambda value: None if value is None or value == "auto" else whole(value)


def optional(how: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else how(value)


def strings(value: Any) -> tuple[str, ...]:
    """A list of texts; one text is split at commas, as environment variables need."""
    items: Iterable[Any] = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) for item in items):
        raise ValueError(f"expected a list of texts, not {_what(value)}")
    return tuple(item.strip() for item in items if item.strip())


def secrets(value: Any) -> tuple[Secret, ...]:
    """A list of secrets. It is split at white space, never at commas, which such addresses may hold."""
    if isinstance(value, (list, tuple)) and all(isinstance(item, Secret) for item in value):
        return tuple(value)
    if isinstance(value, str):
        value = value.split()
    if not isinstance(value, (list, tuple)):
        raise ValueError("expected a list of texts")
    return tuple(secret(item) for item in value)


def secret_url(*schemes: str) -> Callable[[Any], Secret]:
    """An address that is a secret, so that no error repeats it."""

    def read(value: Any) -> Secret:
        found = secret(value)
        try:
            parts = urlsplit(found.reveal())
            right = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            right = False
        if not right:
            raise ValueError(f"expected an address that begins with {' or '.join(f'{one}://' for one in schemes)}")
        return found

    return read


def read_by(reader: Callable[[str], object]) -> Callable[[Any], str]:
    """A text that `reader` can read; what it raises says what would be right."""

    def read(value: Any) -> str:
        reader(text(value))
        return str(value)

    return read


def one_of(enum: type[E]) -> Callable[[Any], E]:
    def read(value: Any) -> E:
        try:
            return enum(value)
        except ValueError:
            raise ValueError(f"expected one of {', '.join(enum)}, not {_what(value)}") from None

    return read


def choice(*names: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in names:
            raise ValueError(f"expected one of {', '.join(names)}, not {_what(value)}")
        return str(value)

    return read


def http_url(value: Any) -> str:
    """An http(s) address without credentials, query or trailing slash."""
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected an address such as https://openrouter.ai/api/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("the address must not hold credentials, a query or a fragment")
    _ = parts.port  # raises ValueError when it is none
    return str(value).rstrip("/")


def listen(value: Any) -> str:
    """`host:port`, with an IPv6 host in brackets."""
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("expected HOST:PORT, such as 127.0.0.1:8377")
    return str(value)


def _in_range(value: float, minimum: float, maximum: float) -> None:
    if value < minimum:
        raise ValueError(f"{_what(value)} is less than {minimum:g}")
    if value > maximum:
        raise ValueError(f"{_what(value)} is more than {maximum:g}")


def _what(value: Any) -> str:
    """`value` for an error's text: short, and without a key that was put into the wrong line."""
    return redact(repr(value), limit=40)
