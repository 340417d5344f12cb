"""The fixtures of the transport's kit, for real SDKs."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "transport"))

from guard_kit import world, worlds

__all__ = ["world", "worlds"]


def pytest_collection_finish() -> None:
    """What is imported by now is left out of collections: tests that wait for one would wait for all of the SDKs."""
    gc.collect()
    gc.freeze()
