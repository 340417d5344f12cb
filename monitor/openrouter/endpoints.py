"""Which requests can bill: a POST to an inference endpoint, or one whose path could be read as such.

Two readers may read one path differently (`%2e`, `..`, upper case). Only a path that reads the same to all of them is
judged; the rest is *unknown*, which the guard refuses.

The prices that the guard knows are those of `base_url`'s catalogue. OpenRouter's own vouches for all of OpenRouter, and
for gateways, which stand before it; that of any other upstream (a proxy, a simulator) for nobody but itself.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

from monitor.model import Endpoint


class Kind(StrEnum):
    """What a request is to the guard."""

    BILLABLE = "billable"
    """It runs inference: its body is judged."""
    FREE = "free"
    """It is for OpenRouter and runs no inference: it passes and is not counted."""
    UNKNOWN = "unknown"
    """It is for OpenRouter and may run inference: it is refused."""
    FOREIGN = "foreign"
    """It is for somebody else: it passes untouched."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes. `endpoint` is set for billable and unknown ones; `detail` says why it is unknown.

    `unvouched` says why the catalogue of `base_url` tells nothing about what a billable one costs; "" when it does.
    """

    kind: Kind
    endpoint: Endpoint | None
    detail: str = ""
    unvouched: str = ""


@dataclass(frozen=True, slots=True)
class _Base:
    """`base_url` taken apart: `path` is as it is spelled, `read` as it is read."""

    url: str
    host: str
    port: int | None
    path: str
    read: str


# OpenRouter's API reference: every POST that runs inference, below `/api/v1`.
_BILLABLE = {
    "/chat/completions": Endpoint.CHAT,
    "/completions": Endpoint.COMPLETIONS,
    "/responses": Endpoint.RESPONSES,
    "/messages": Endpoint.MESSAGES,
    "/embeddings": Endpoint.EMBEDDINGS,
    "/rerank": Endpoint.RERANK,
    "/images": Endpoint.IMAGES,
    "/audio/speech": Endpoint.SPEECH,
    "/audio/transcriptions": Endpoint.TRANSCRIPTIONS,
    "/videos": Endpoint.VIDEOS,
    "/batches": Endpoint.BATCHES,
    "/systemone": Endpoint.SYSTEMONE,
}
# The one inference endpoint outside `/v1`.
_DECISIONS = frozenset({"/api/alpha/decisions", "/alpha/decisions"})
_GENERAL_PREFIXES = ("/api/v1", "/v1")
# A base with one of these paths stands for a whole OpenRouter; with another it is one upstream of several on its host.
_WHOLE_HOST = frozenset({"", "/api", *_GENERAL_PREFIXES})
# On another host a gateway may stand before OpenRouter, so these count as inference wherever the prefix ends.
_SUFFIXES = {
    **{path: endpoint for path, endpoint in _BILLABLE.items() if endpoint is not Endpoint.IMAGES},
    "/images/generations": Endpoint.IMAGES,
    "/alpha/decisions": Endpoint.DECISIONS,
}
# Words that other APIs use too (`/channels/7/messages`): elsewhere they count only right below such a prefix.
_COMMON = frozenset({"/messages", "/responses", "/videos", "/batches", "/completions", "/embeddings", "/rerank"})
_GATEWAY_PREFIXES = ("/v1", "/api")
# POST, PUT and PATCH that manage an account and run no inference. `POST /presets/{slug}/chat/completions` creates a
# preset from such a body. `/private-endpoints` is left out on purpose: activating one may bill.
_MANAGEMENT = re.compile(
    r"/(?:keys|auth/keys|files|guardrails|workspaces|byok|external-users|observability|organization|scim|vault"
    r"|analytics/query|generation/feedback|oauth/token)(?:/.*)?"
    r"|/presets/[^/]+(?:/chat/completions|/messages|/responses)?"
    r"|/batches/[^/]+/cancel"
    r"|/containers/[^/]+/files/[^/]+/promote"
)
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_OVERRIDES = ("x-http-method-override", "x-method-override", "x-http-method")
_SLASHES = re.compile(r"//+")
# What URL parsers disagree about, or silently drop.
_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f\\]")
_DEFAULT_PORTS = {"http": 80, "https": 443}
# Three names of this machine: a base on one of them is the same server by the others.
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SHOWN = 80
_FREE = Target(Kind.FREE, None)
_FOREIGN = Target(Kind.FOREIGN, None)
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def classify(method: str, url: str, base_url: str, headers: Mapping[str, str] = _NO_HEADERS) -> Target:
    """What a request to `url` is. `base_url` is the configured OpenRouter API; `headers` have lower-case names.

    The query is ignored: no parameter of OpenRouter's turns a path into another. A method-override header makes a
    request to OpenRouter unknown, since the server may then see another method than we do; a `Host` header that names
    OpenRouter makes it one to OpenRouter, whatever address it is sent to.
    """
    overridden, named = False, ""
    if headers:
        overridden = "x-http-method-override" in headers or any(name in headers for name in _OVERRIDES)
        named = headers.get("host", "")
    return _classify(method, url.partition("?")[0].partition("#")[0], base_url, overridden, named)


@lru_cache(maxsize=2048)
def _classify(method: str, url: str, base_url: str, overridden: bool, named: str) -> Target:
    try:
        parts = urlsplit(url)
        host, port = _host(parts.hostname or ""), parts.port or _DEFAULT_PORTS.get(parts.scheme.lower())
    except ValueError:
        return _unknown("the URL cannot be read")
    if _AMBIGUOUS.search(url):
        return _unknown("the URL holds a backslash, a space or a control character")
    base = _base(base_url)
    at_base = port == base.port and _same_host(host, base.host)
    verb = method.strip().upper()
    if not at_base and not _is_openrouter(host) and not (named and is_openrouter_host(named, base_url)):
        return _priced_by(base, _elsewhere(verb, parts.path, overridden), host)
    if overridden:
        return _unknown("a header overrides the method")
    tidy, read = _tidy(parts.path), _read(parts.path)
    prefixes: tuple[str, ...] = _GENERAL_PREFIXES
    if at_base or not _is_openrouter(host):
        prefixes = (base.read, *prefixes)
        if tidy.startswith(base.path):
            # The operator chose how the base is spelled; only what follows it is judged by its spelling.
            tidy = base.read + tidy[len(base.path) :]
    target = _openrouter(verb, tidy, read, prefixes)
    if not at_base:
        return _priced_by(base, target, host)
    if named and not _same_host(_split(named)[0], base.host):
        # A server of many names chooses by this one whom to ask.
        return _priced_by(base, target, named)
    below = base.read in _WHOLE_HOST or (read or "").startswith(base.read + "/")
    return target if below else _priced_by(base, target, f"another path of {host}")


def _priced_by(base: _Base, target: Target, where: str) -> Target:
    """`target` at another place than the base; its catalogue's prices hold there only if it is OpenRouter's own."""
    if target.kind is not Kind.BILLABLE or _is_openrouter(base.host):
        return target
    return replace(target, unvouched=f"it goes to {where[:_SHOWN]}, and the prices known are those of {base.url}")


def is_openrouter_host(host: str, base_url: str) -> bool:
    """Whether `host` (with `:port` when it has one) is openrouter.ai, below it, or the host and port of `base_url`.

    Regional hosts such as `eu.openrouter.ai` are OpenRouter's. Case, user info and a trailing dot do not matter.
    """
    name, port = _split(host)
    base = _base(base_url)
    if _is_openrouter(name):
        return True
    return _same_host(name, base.host) and (port == base.port or (port is None and base.port in (80, 443)))


def _same_host(one: str, other: str) -> bool:
    return one == other or (one in _LOOPBACK and other in _LOOPBACK)


def _split(host: str) -> tuple[str, int | None]:
    """Name and port of a `Host` header; an empty name for what cannot be read."""
    try:
        parts = urlsplit(f"//{host}")
        return _host(parts.hostname or ""), parts.port
    except ValueError:
        return "", None


def _openrouter(verb: str, tidy: str, read: str | None, prefixes: tuple[str, ...]) -> Target:
    if verb in _READS or verb == "DELETE":
        return _FREE
    if read is None:
        return _unknown("the path is encoded over and over")
    endpoint = _billable(read, prefixes)
    if endpoint is not None:
        if verb != "POST":
            return _unknown(f"{verb[:10]} on an inference path")
        if tidy != read:
            return _unknown("the path is spelled so that two readers could read it differently")
        return Target(Kind.BILLABLE, endpoint)
    if verb in ("POST", "PUT", "PATCH") and _manages(tidy, prefixes) and _manages(read, prefixes):
        return _FREE
    return _unknown("no endpoint that is known to be free")


def _elsewhere(verb: str, path: str, overridden: bool) -> Target:
    if verb != "POST" and not overridden:
        return _FOREIGN
    read = _read(path)
    if read is None:
        return _unknown("the path is encoded over and over")
    for suffix, endpoint in _SUFFIXES.items():
        if read.endswith(suffix):
            prefix = read.removesuffix(suffix)
            if suffix in _COMMON and prefix and not prefix.endswith(_GATEWAY_PREFIXES):
                continue
            if overridden or _tidy(path) != read:
                return _unknown("an inference path of a gateway, spelled so that two readers could read it differently")
            return Target(Kind.BILLABLE, endpoint)
    return _FOREIGN


def _billable(path: str, prefixes: tuple[str, ...]) -> Endpoint | None:
    if path in _DECISIONS:
        return Endpoint.DECISIONS
    for prefix in prefixes:
        if path.startswith(prefix):
            rest = path[len(prefix) :]
            if rest in _BILLABLE:
                return _BILLABLE[rest]
            if rest.startswith("/images/"):
                return Endpoint.IMAGES
    return None


def _manages(path: str, prefixes: tuple[str, ...]) -> bool:
    return any(path.startswith(prefix) and _MANAGEMENT.fullmatch(path[len(prefix) :]) for prefix in prefixes)


def _tidy(path: str) -> str:
    """The path as written, but for doubled and trailing slashes, which every server reads alike."""
    return _SLASHES.sub("/", path).rstrip("/")


def _read(path: str) -> str | None:
    """The path as the most lenient server would read it; None when decoding it does not come to an end."""
    for _ in range(8):
        decoded = unquote(path)
        if decoded == path:
            break
        path = decoded
    else:
        return None
    segments: list[str] = []
    for segment in unicodedata.normalize("NFKC", path).replace("\\", "/").casefold().split("/"):
        bare = segment.partition(";")[0].strip()
        if bare == "..":
            del segments[-1:]
        elif bare not in ("", "."):
            segments.append(bare)
    return "/" + "/".join(segments) if segments else ""


def _host(name: str) -> str:
    return unicodedata.normalize("NFKC", unquote(name)).casefold().rstrip(".")


def _is_openrouter(host: str) -> bool:
    return host == "openrouter.ai" or host.endswith(".openrouter.ai")


@lru_cache(maxsize=16)
def _base(base_url: str) -> _Base:
    try:
        parts = urlsplit(base_url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme.lower())
    except ValueError:
        return _Base(base_url, "", None, "", "")
    return _Base(base_url, _host(parts.hostname or ""), port, _tidy(parts.path), _read(parts.path) or "")


def _unknown(detail: str) -> Target:
    return Target(Kind.UNKNOWN, Endpoint.UNKNOWN, detail)
