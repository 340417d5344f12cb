"""`python -m monitor.alerting` writes the documentation of the alerts."""

from __future__ import annotations

import sys

from monitor.alerting.reference import page

if __name__ == "__main__":
    sys.stdout.write(page())
