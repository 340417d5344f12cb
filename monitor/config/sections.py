"""The groups of settings: each value with its default and the reader that checks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from monitor.config import hours
from monitor.config import parsing as parse
from monitor.config.durations import seconds_of
from monitor.errors import ConfigError
from monitor.model import Allow, Mode
from monitor.redact import Secret


def setting(default: Any, how: Callable[[Any], Any]) -> Any:
    return field(default=default, metadata={"parse": how})


class Section:
    """A group of settings that checks each value when it is made, whoever makes it."""

    def __post_init__(self) -> None:
        for item in fields(self):  # type: ignore[arg-type]
            how = item.metadata.get("parse")
            if how is None:
                continue
            try:
                object.__setattr__(self, item.name, how(getattr(self, item.name)))
            except ValueError as exc:
                raise ConfigError(f"the setting {_title(type(self))}{item.name} is wrong: {exc}.") from None


def _title(section: type) -> str:
    name = str(getattr(section, "section", ""))
    return f"{name}." if name else ""


@dataclass(frozen=True)
class GuardSettings(Section):
    """What may leave. `wait` is seconds to queue for a minute slot; `catalogue_max_age` seconds a copy is believed."""

    section = "guard"
    mode: Mode = setting(Mode.ENFORCE, parse.one_of(Mode))
    allow: Allow = setting(Allow.FREE, parse.one_of(Allow))
    models: tuple[str, ...] = setting((), parse.strings)
    deny: tuple[str, ...] = setting((), parse.strings)
    zero_priced: bool = setting(False, parse.boolean)
    catalogue: str = setting("strict", parse.choice("strict", "suffix"))
    catalogue_max_age: float = setting(6 * 3600.0, parse.number(minimum=60))
    max_price: bool = setting(True, parse.boolean)
    wait: float = setting(0.0, parse.number(minimum=0))
    log_bodies: bool = setting(False, parse.boolean)


@dataclass(frozen=True)
class QuotaSettings(Section):
    """The free windows of the account, in requests. `per_day` = "auto" believes OpenRouter's own figure."""

    section = "quota"
    per_minute: int = setting(20, parse.integer(minimum=1))
    per_day: int | None = setting(None, parse.auto_or_integer(minimum=0))


@dataclass(frozen=True)
class BudgetSettings(Section):
    """Dollar budgets (USD); None is no budget. They matter only where paid models are allowed."""

    section = "budget"
    per_call_usd: float | None = setting(None, parse.optional(parse.number(minimum=0)))
    per_day_usd: float | None = setting(None, parse.optional(parse.number(minimum=0)))
    per_month_usd: float | None = setting(None, parse.optional(parse.number(minimum=0)))


@dataclass(frozen=True)
class AppSettings(Section):
    """One app: `share` of the day's free quota (0 to 1) that is kept for it, `per_day` its own ceiling in requests.

    `priority` orders apps that wait for a minute slot (higher first), `token` names the app to the proxy. `cache` is
    how long (seconds) the friendly client may give an answer again; None: never, unless a call asks for it.
    """

    section = "apps.*"
    share: float = setting(0.0, parse.number(minimum=0, maximum=1))
    per_day: int | None = setting(None, parse.optional(parse.integer(minimum=0)))
    priority: int = setting(0, parse.integer())
    token: Secret | None = setting(None, parse.optional(parse.secret))
    cache: float | None = setting(None, parse.optional(seconds_of))


@dataclass(frozen=True)
class ClientSettings(Section):
    """The friendly client: `attempts` a call at most, `retry_share` retries an hour for each call of it, and fifteen.

    `wait` is how long (seconds) a call may wait for its turn and between attempts; `cache_bytes` bounds kept answers.
    """

    section = "client"
    attempts: int = setting(5, parse.integer(minimum=1, maximum=20))
    retry_share: float = setting(0.5, parse.number(minimum=0, maximum=10))
    wait: float = setting(120.0, parse.number(minimum=0))
    cache_bytes: int = setting(64 * 1024 * 1024, parse.integer(minimum=0))


@dataclass(frozen=True)
class PollSettings(Section):
    """Seconds between polls: of the models, the key, the endpoints of models in use, and the account's activity."""

    section = "poll"
    models_seconds: float = setting(600.0, parse.number(minimum=1))
    key_seconds: float = setting(60.0, parse.number(minimum=1))
    endpoints_seconds: float = setting(900.0, parse.number(minimum=1))
    activity_seconds: float = setting(3600.0, parse.number(minimum=1))


@dataclass(frozen=True)
class MetricsSettings(Section):
    """What the daemon's metrics tell besides: `genai_semconv` adds OpenTelemetry's GenAI histograms."""

    section = "metrics"
    genai_semconv: bool = setting(False, parse.boolean)


@dataclass(frozen=True)
class RetentionSettings(Section):
    """How long call rows are kept: `days` old at most, `max_rows` at most. Totals are never pruned."""

    section = "retention"
    days: float = setting(90.0, parse.number(minimum=0))
    max_rows: int = setting(10_000_000, parse.integer(minimum=1000))


@dataclass(frozen=True)
class AlertSettings(Section):
    """How the daemon tells people. URLs may hold credentials, so they are secrets; hours are UTC unless a zone follows.

    `severity` is the least that is told. In `quiet_hours` only what is critical is. `thresholds` holds texts such as
    `quota_warning=0.7`; `without` names alerts to leave out.
    """

    section = "alerts"
    evaluate_seconds: float = setting(30.0, parse.number(minimum=1, maximum=120))  # rules look back 2 minutes, and more
    webhook_url: Secret | None = setting(None, parse.optional(parse.secret_url("http", "https")))
    smtp_url: Secret | None = setting(None, parse.optional(parse.secret_url("smtp", "smtps")))
    mail_to: tuple[str, ...] = setting((), parse.strings)
    mail_from: str | None = setting(None, parse.optional(parse.text))
    apprise_urls: tuple[Secret, ...] = setting((), parse.secrets)
    severity: str = setting("info", parse.choice("info", "warning", "critical"))
    repeat_seconds: float = setting(4 * 3600.0, parse.number(minimum=60))
    quiet_hours: str | None = setting(None, parse.optional(parse.read_by(hours.span)))
    daily_summary: str | None = setting(None, parse.optional(parse.read_by(hours.daily)))
    unused_hint: str | None = setting(None, parse.optional(parse.read_by(hours.daily)))
    thresholds: tuple[str, ...] = setting((), parse.strings)
    without: tuple[str, ...] = setting((), parse.strings)


@dataclass(frozen=True)
class ProxySettings(Section):
    """The proxy of the daemon; `drain_seconds` is how long open streams may finish at shutdown.

    `models` = "allowed" leaves models that the policy refuses out of the list. `tls_cert`, `tls_key`: files in PEM.
    """

    section = "proxy"
    token: Secret | None = setting(None, parse.optional(parse.secret))
    max_body_bytes: int = setting(32 * 1024 * 1024, parse.integer(minimum=1024))
    max_connections: int = setting(2048, parse.integer(minimum=16))
    drain_seconds: float = setting(30.0, parse.number(minimum=0))
    models: str = setting("all", parse.choice("all", "allowed"))
    tls_cert: str | None = setting(None, parse.optional(parse.text))
    tls_key: str | None = setting(None, parse.optional(parse.text))
