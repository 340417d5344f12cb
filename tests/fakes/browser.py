"""The system's own Chromium, driven by Playwright, which brings no browser of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INSTALL = "Chromium is not installed. On Debian: apt-get update && apt-get install -y --no-install-recommends chromium."
NAMES = ("chromium", "chromium-browser", "google-chrome")
HEIGHTS = {1280: 800, 390: 844}
"""Of a laptop and of a phone, in the pixels of style sheets."""


def program() -> str | None:
    """Where Chromium is; None when it is not installed."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def browser() -> Iterator[Any]:
    """A browser that is ended with the block."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program(), args=["--no-sandbox", "--disable-gpu"])
        try:
            yield chromium
        finally:
            chromium.close()


@contextmanager
def visiting(chromium: Any, width: int, scheme: str = "light", **options: Any) -> Iterator[Any]:
    """A page in a context of its own; what is kept of one visit is not seen by another."""
    size = {"width": width, "height": HEIGHTS[width]}
    context = chromium.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce", **options)
    try:
        yield context.new_page()
    finally:
        context.close()
