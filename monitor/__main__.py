"""`openrouter-monitor`, also as `python -m monitor`."""

from __future__ import annotations

import sys

from monitor.cli.root import run


def main() -> None:
    """Run the command and exit with its code."""
    sys.exit(run())


if __name__ == "__main__":
    main()
