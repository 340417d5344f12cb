"""The fixtures of the proxy's tests, for clients that `make clients` installs."""

from tests.proxy.conftest import serve, world, worlds

__all__ = ["serve", "world", "worlds"]
