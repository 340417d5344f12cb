"""Every truth of `test_openai.py` holds for the OpenAI SDK 2 on httpx as well."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.sdk, pytest.mark.processes]

ROOT = Path(__file__).parents[2]
BESIDE = ROOT / ".openai2"


def test_openai_2_passes_the_tests_of_openai_3():
    """Two majors cannot share an environment, so the same file of tests runs in a process that finds major 2 first."""
    if not (BESIDE / "openai").is_dir():
        pytest.fail(
            f"The OpenAI SDK 2 is not installed beside 3: run `make .openai2/.done`, or\n"
            f"{sys.executable} -m pip install --target {BESIDE} --no-deps 'openai>=2.54,<3'"
        )
    told = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "OPENROUTER_"))}
    version = [sys.executable, "-c", "import openai; print(openai.__version__)"]
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0"]
    env = {**told, "PYTHONPATH": str(BESIDE)}
    found = subprocess.run(version, env=env, capture_output=True, text=True, check=True).stdout
    assert found.startswith("2.")
    run = subprocess.run(
        [*tests, str(Path(__file__).with_name("test_openai.py"))], env=env, cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed is not None
    assert int(passed[1]) > 20
