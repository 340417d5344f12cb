"""The fixtures of the transport's kit, for real SDKs."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "transport"))

from guard_kit import world, worlds

__all__ = ["world", "worlds"]
