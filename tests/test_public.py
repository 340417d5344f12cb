"""What `import monitor` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import monitor


@pytest.mark.parametrize("name", monitor.__all__)
def test_every_public_name_can_be_imported(name):
    """Also by `from monitor import …`, and again from the package itself."""
    assert getattr(monitor, name) is getattr(monitor, name)
    assert name in dir(monitor)
    exec(f"from monitor import {name}")


def test_the_list_is_sorted_and_without_repetition():
    """So that a change of it is easy to see."""
    assert list(monitor.__all__) == sorted(set(monitor.__all__))


def test_an_unknown_name_is_an_attribute_error():
    """As in any module."""
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = monitor.Nothing
    with pytest.raises(ImportError):
        exec("from monitor import Nothing")


def modules_after(code: str) -> set[str]:
    program = f"import sys; before = set(sys.modules)\n{code}\nprint(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_costs_next_to_nothing():
    """No HTTP library, no database, no event loop, none of our own modules but the version's."""
    found = modules_after("import monitor")
    assert {name for name in found if name.startswith("monitor")} == {"monitor", "monitor.version"}
    assert not found & {"httpx", "httpx2", "requests", "aiohttp", "sqlite3", "sqlite_utils", "asyncio", "anyio"}


@pytest.mark.parametrize("name", ["Settings", "ConfigError", "GuardRefused"])
def test_settings_and_errors_need_no_library(name):
    """Neither HTTP nor the database is loaded for them."""
    found = modules_after(f"from monitor import {name}")
    assert not found & {"httpx", "httpx2", "requests", "aiohttp", "sqlite3", "sqlite_utils", "asyncio", "anyio"}


def test_an_up_to_date_store_needs_no_migrations_library(tmp_path):
    """sqlite-utils is loaded only when there is something to apply."""
    path = tmp_path / "m.db"
    code = f"from monitor.store import SQLiteStore\nstore = SQLiteStore({str(path)!r})\nwith store.transaction(): pass"
    assert "sqlite_utils" in modules_after(code)
    assert "sqlite_utils" not in modules_after(code)


def test_the_version_is_one():
    """Three numbers."""
    assert all(part.isdigit() for part in monitor.__version__.split("."))
    assert monitor.__version__.count(".") == 2
