"""A real Prometheus, which scrapes a real daemon."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.daemon import WAIT, fetch
from tests.fakes.programs import free_port, need


class Prometheus:
    """Asked with PromQL."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def value(self, query: str) -> float | None:
        """The single value of a query; None when it has none, or Prometheus does not answer yet."""
        with contextlib.suppress(OSError):
            told = json.loads(fetch(f"{self._url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"))
            result = told["data"]["result"]
            assert len(result) <= 1, result
            return float(result[0]["value"][1]) if result else None
        return None

    def values(self, query: str) -> list[float]:
        """The values of a query, of however many series. A query that Prometheus refuses raises."""
        told = json.loads(fetch(f"{self._url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"))
        result = told["data"]["result"]
        return [float(each["value"][1]) for each in result] if told["data"]["resultType"] == "vector" else []

    def becomes(self, query: str, wanted: float) -> float | None:
        """The value of a query once it is as wanted, or the last one seen when it never becomes so."""
        return self._watched(query, lambda seen: seen == wanted)

    def reaches(self, query: str, least: float) -> float | None:
        """The value of a query once it is as large, or the last one seen when it never becomes so."""
        return self._watched(query, lambda seen: seen is not None and seen >= least)

    def _watched(self, query: str, enough: Callable[[float | None], bool]) -> float | None:
        tick, seen = threading.Event(), None
        for _ in range(int(WAIT / 0.1)):
            seen = self.value(query)
            if enough(seen):
                break
            tick.wait(0.1)
        return seen


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[..., Prometheus]]:
    """Starts Prometheus with one target, scraped each second, rules, as a file's text, and the address of an
    Alertmanager; ends it by its id."""
    program = need("prometheus")
    with contextlib.ExitStack() as ending:

        def start(target: str, rules: str = '{"groups": []}', alertmanager: str = "") -> Prometheus:
            port, folder = free_port(), tmp_path / "prometheus"
            folder.mkdir()
            (folder / "rules.yml").write_text(rules, encoding="utf-8")
            config = {
                "rule_files": ["rules.yml"],
                "alerting": {
                    "alertmanagers": [{"static_configs": [{"targets": [alertmanager] if alertmanager else []}]}]
                },
                "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
                "scrape_configs": [{"job_name": "openrouter-monitor", "static_configs": [{"targets": [target]}]}],
            }
            (folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
            log = ending.enter_context((folder / "log").open("wb"))
            process = subprocess.Popen(
                [
                    program,
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                    # An alert that fires before Alertmanager is known, which takes five seconds, is told again soon.
                    "--rules.alert.resend-delay=2s",
                ],
                stdout=log,
                stderr=log,
            )
            ending.callback(process.wait)
            ending.callback(process.kill)
            return Prometheus(port)

        yield start
