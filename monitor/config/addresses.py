"""What an address in the settings means: which host and port, and whether only this machine can reach it."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def split(listen: str) -> tuple[str, int]:
    """Host (without brackets) and port of a `HOST:PORT` that the settings have checked."""
    host, _, port = listen.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it. A name other than `localhost` may be anything, so it is not."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_wildcard(host: str) -> bool:
    """Whether it stands for all addresses of this machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def url_is_loopback(url: str) -> bool:
    """The same of an http address."""
    return is_loopback(urlsplit(url).hostname or "")
