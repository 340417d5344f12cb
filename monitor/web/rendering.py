"""Templates and the files beside them: read once, when the daemon begins; every value is escaped."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from monitor.clock import iso
from monitor.version import __version__
from monitor.views.stories import LIMIT_KINDS, failure_text
from monitor.web import charts
from monitor.words import ago, clock_time, count, dollars, harmless, lately, per_million, until, why

_FOLDER = Path(__file__).parent / "templates"
_DOTS = (".", "..")
"""What a browser would take for a step in the path, quoted or not."""


class Asset(NamedTuple):
    """A file that pages name by an address that changes with its content."""

    body: bytes
    content_type: str
    url: str


class Rendering:
    """Makes pages."""

    def __init__(self) -> None:
        self.assets = {
            name: _asset(name, content_type)
            for name, content_type in (
                ("style.css", "text/css"),
                ("live.js", "text/javascript"),
                ("icon.svg", "image/svg+xml"),
            )
        }
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_FOLDER),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            finalize=shown,
        )
        self._environment.globals |= {
            "asset": {name: asset.url for name, asset in self.assets.items()},
            "version": __version__,
            "app_url": app_url,
            "model_url": model_url,
            "groups": charts.GROUPS,
            "counts_of": charts.counts_of,
            "stacked": charts.stacked,
            "part_of": charts.part_of,
            "table_of": charts.table_of,
            "nice_top": charts.nice_top,
            "kinds": LIMIT_KINDS,
        }
        words = (ago, clock_time, count, dollars, failure_text, iso, lately, per_million, until, why)
        self._environment.filters |= {word.__name__: word for word in words}
        self._environment.filters["web_address"] = is_web_address
        self._environment.filters["group"] = charts.GROUP_OF.get

    def __repr__(self) -> str:
        return f"<Rendering from {_FOLDER}>"

    def page(self, template: str, /, **given: Any) -> str:
        """A template, filled in."""
        return self._environment.get_template(f"{template}.html.j2").render(**given)


def shown(value: object) -> object:
    """A text without what would steer others; anything else, and what the templates wrote, as it is."""
    return harmless(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def is_web_address(text: object) -> bool:
    """Whether a link may lead there: nothing that a browser would run."""
    return isinstance(text, str) and text.startswith(("https://", "http://"))


def app_url(name: str) -> str:
    """Where an app's page is."""
    return _url("apps", name)


def model_url(name: str) -> str:
    """Where a model's page is."""
    return _url("models", name)


def _url(kind: str, name: str) -> str:
    quoted = quote(name, safe="")
    return f"/{kind}?name={quoted}" if name in _DOTS or not name else f"/{kind}/{quoted}"


def _asset(name: str, content_type: str) -> Asset:
    body = (_FOLDER / name).read_bytes()
    return Asset(body, content_type, f"/static/{name}?v={hashlib.sha256(body).hexdigest()[:16]}")
