"""The fixtures of the kit."""

from __future__ import annotations

import gc

from guard_kit import world, worlds

__all__ = ["world", "worlds"]


def pytest_collection_finish() -> None:
    """What is imported by now is left out of collections: tests that wait for one would wait for all of the SDKs."""
    gc.collect()
    gc.freeze()
