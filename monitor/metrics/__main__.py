"""`python -m monitor.metrics` writes the documentation of the metrics."""

from __future__ import annotations

import sys

from monitor.metrics.reference import page

if __name__ == "__main__":
    sys.stdout.write(page())
