"""Where the recorded answers of OpenRouter lie, outside the repository; tests skip without them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def folder(name: str) -> Path:
    path = DATA / name
    if not path.is_dir():
        pytest.skip(f"no recorded data at {path}")
    return path


def recorded(name: str) -> bytes:
    return (folder("recorded") / name).read_bytes()


def catalogue_files() -> list[str]:
    path = DATA / "models"
    return sorted(file.name for file in path.glob("*.json.gz")) if path.is_dir() else []


def catalogue(name: str) -> bytes:
    return gzip.decompress((folder("models") / name).read_bytes())


def error_bodies() -> list[dict[str, Any]]:
    path = DATA / "recorded" / "error_bodies.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line] if path.is_file() else []
