"""The fixtures of the kit."""

from __future__ import annotations

from guard_kit import world, worlds

__all__ = ["world", "worlds"]
