"""Everything else, by Apprise: Slack, Telegram, ntfy, Discord and many more. Needs the extra `notify`."""

from __future__ import annotations

import logging

from monitor.alerting.messages import Message
from monitor.alerting.way import Undelivered
from monitor.errors import ConfigError
from monitor.redact import Secret


class Apprised:
    """One address of Apprise. `name` numbers it; what is shown of it is its service alone."""

    channel = "apprise"

    def __init__(self, name: str, url: Secret) -> None:
        try:
            import apprise  # noqa: PLC0415 - an extra, which most have not installed
        except ImportError:
            raise ConfigError(
                "alerts.apprise_urls is set, and Apprise is not installed.",
                hint="Install it: pip install 'openrouter-monitor[notify]'.",
            ) from None
        # What Apprise logs may hold parts of addresses.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        self.name = name
        self.place = url.reveal().partition("://")[0][:20]
        self._kinds = apprise
        self._service = apprise.Apprise()
        if not self._service.add(url.reveal()):
            raise ConfigError(
                f"the setting alerts.apprise_urls is wrong: Apprise does not know what {name.replace('-', ' ')} is.",
                hint="https://github.com/caronc/apprise lists the services and their addresses.",
            )

    def __repr__(self) -> str:
        return f"<Apprised {self.name} by {self.place}>"

    def send(self, message: Message) -> None:
        """Raises Undelivered, without a reason: what Apprise knows of it may hold the address."""
        kinds = self._kinds
        kind = kinds.NotifyType.FAILURE if message.bundle.firing else kinds.NotifyType.SUCCESS
        try:
            taken = self._service.notify(
                title=message.subject, body=message.text, notify_type=kind, body_format=kinds.NotifyFormat.TEXT
            )
        except Exception as exc:  # noqa: BLE001 - plugins of many hands; the type alone is told
            raise Undelivered(f"{self.place}: {type(exc).__name__}", alone=True) from None
        if not taken:
            raise Undelivered(f"{self.place} did not take the message", alone=True)
