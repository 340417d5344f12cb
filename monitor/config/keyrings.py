"""The system's keyring as a place for the API key; only where the settings name it, and with the extra `keyring`."""

from __future__ import annotations

from monitor.errors import ConfigError
from monitor.redact import Secret


def key_from_keyring(service: str, account: str) -> Secret | None:
    """The key that the keyring has for `account` under `service`; None when it has none. Raises ConfigError."""
    try:
        import keyring  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        raise ConfigError(
            "api_key_keyring is set, but the keyring library is not installed.",
            hint="pip install 'openrouter-monitor[keyring]', or set OPENROUTER_API_KEY.",
        ) from None
    try:
        found = keyring.get_password(service, account)
    except Exception as exc:  # noqa: BLE001 - each backend has errors of its own
        raise ConfigError(
            f"the keyring cannot be read: {type(exc).__name__}.", hint="Unlock it, or set OPENROUTER_API_KEY."
        ) from None
    return Secret(found.strip()) if found and found.strip() else None
