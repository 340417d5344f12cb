"""What can be set, where it is read from, and what is right."""

from monitor.config.sections import (
    AlertSettings,
    AppSettings,
    BudgetSettings,
    ClientSettings,
    GuardSettings,
    MetricsSettings,
    PollSettings,
    ProxySettings,
    QuotaSettings,
    RetentionSettings,
)
from monitor.config.settings import ENV_PREFIX, Settings, default_config_path, default_store_path

__all__ = [
    "ENV_PREFIX",
    "AlertSettings",
    "AppSettings",
    "BudgetSettings",
    "ClientSettings",
    "GuardSettings",
    "MetricsSettings",
    "PollSettings",
    "ProxySettings",
    "QuotaSettings",
    "RetentionSettings",
    "Settings",
    "default_config_path",
    "default_store_path",
]
