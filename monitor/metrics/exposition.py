"""The text of a scrape: OpenMetrics 1.0 or Prometheus' text format 0.0.4, compressed when asked for."""

from __future__ import annotations

import gzip
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
COMPRESSION = 5
"""Level of gzip: the text repeats itself so much that higher ones cost more and save nothing."""


class Exposition(NamedTuple):
    """An answer to a scrape: its Content-Type, its body, and its Content-Encoding ("" for none)."""

    content_type: str
    body: bytes
    encoding: str = ""


def render(registry: CollectorRegistry, accept: str = "", accept_encoding: str = "") -> Exposition:
    """What to answer to a scrape with these headers. Reads the store: call it on a worker thread."""
    openmetrics = prefers_openmetrics(accept)
    generate = generate_openmetrics if openmetrics else generate_latest
    body: bytes = generate(registry)
    content_type = OPENMETRICS if openmetrics else TEXT
    if _quality(accept_encoding, "gzip") > 0:
        return Exposition(content_type, gzip.compress(body, COMPRESSION, mtime=0), "gzip")
    return Exposition(content_type, body)


def prefers_openmetrics(accept: str) -> bool:
    """Whether OpenMetrics is asked for, and text is not asked for more."""
    wanted = _quality(accept, "application/openmetrics-text")
    return wanted > 0 and wanted >= _quality(accept, "text/plain")


def _quality(header: str, name: str) -> float:
    """The weight that a header gives to a value: the highest of several; 0 when it is not named."""
    best = 0.0
    for item in header.lower().split(","):
        value, *parameters = (part.strip() for part in item.split(";"))
        if value == name:
            best = max(best, _weight(parameters))
    return best


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
