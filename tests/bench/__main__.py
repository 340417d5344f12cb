"""`python -m tests.bench [case …]`: timings as ratios, measured in turns. Nothing is asserted: machines differ."""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench import cases, proxies

CASES = {**cases.CASES, **proxies.CASES}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in CASES]
    if unknown:
        print(f"unknown case {unknown[0]}; there are: {', '.join(CASES)}")
        return 2
    print(f"Python {platform.python_version()}, {platform.machine()}; p50 and p99 of all calls, ratios of medians")
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        base_url = f"http://127.0.0.1:{int(server.stdout.readline())}/api/v1"
        try:
            for name in names or CASES:
                with tempfile.TemporaryDirectory() as folder:
                    print("\n".join(CASES[name](base_url, Path(folder)).lines()), flush=True)
        finally:
            server.stdin.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
