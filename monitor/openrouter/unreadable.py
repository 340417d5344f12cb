"""The one exception of this package's readers; `intent` turns it into an objection, so no caller sees it."""

from __future__ import annotations


class Unreadable(Exception):
    """Two readers could read this differently, or nobody can. The text says why and never quotes the body."""
