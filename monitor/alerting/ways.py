"""The ways by which people are told: those that the settings name."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.alerting.way import Way
from monitor.config import Settings
from monitor.errors import ConfigError


def ways(settings: Settings) -> list[Way]:
    """Those that are set. Raises ConfigError for one that cannot work."""
    return list(_ways(settings))


def _ways(settings: Settings) -> Iterator[Way]:
    alerts = settings.alerts
    if alerts.webhook_url is not None:
        from monitor.alerting.webhook import Webhook  # noqa: PLC0415 - who sets no webhook loads no HTTP client

        yield Webhook(alerts.webhook_url)
    if alerts.smtp_url is not None:
        from monitor.alerting.mail import Mail  # noqa: PLC0415 - nor a mail client

        if not alerts.mail_to:
            raise ConfigError("alerts.smtp_url is set, and alerts.mail_to is not.", hint="Say who gets the mail.")
        yield Mail(alerts.smtp_url, alerts.mail_to, alerts.mail_from)
    elif alerts.mail_to:
        raise ConfigError(
            "alerts.mail_to is set, and alerts.smtp_url is not.",
            hint="Say by which server: smtp://user:password@host:587.",
        )
    if alerts.apprise_urls:
        from monitor.alerting.apprised import Apprised  # noqa: PLC0415 - an extra

        for number, url in enumerate(alerts.apprise_urls, 1):
            yield Apprised(f"apprise-{number}", url)
