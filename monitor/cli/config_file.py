"""The settings file that `config init` writes: every setting with its default and what it means, as comments.

It is made from the settings' own classes, so it cannot name one that is not there; a test holds the words to them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from monitor.config import AppSettings, Settings
from monitor.config.settings import SECTIONS

HEAD = """\
# Settings of openrouter-monitor. Every line that begins with # is a comment: the value is the default.
# The environment is stronger: OPENROUTER_MONITOR_GUARD__MODE=shadow, OPENROUTER_MONITOR_STORE=…
# The API key is best set as OPENROUTER_API_KEY.
"""
TOP_LEVEL = {
    "store": "Where everything is recorded: a file's path. Empty: monitor.db in the user's data folder.",
    "base_url": "The OpenRouter that is guarded.",
    "listen": "Where the daemon listens.",
    "app": "Who asks, when an app does not say.",
    "account": "Whose quota it is. Keys of one OpenRouter account share it.",
    "api_key": "The API key. Better OPENROUTER_API_KEY, or a file of its own:",
    "api_key_file": "A file that holds the API key on one line.",
    "api_key_keyring": "The service under which the system's keyring has it, for the account; needs the extra keyring.",
    "routing": "Models that you prefer, by task, best first: ids or globs. The catalogue still says which are free.",
    "management_key": "A management key, with which the daemon reads credits and activity, and nothing else.",
    "management_key_file": "A file that holds it on one line.",
}
WORDS: Mapping[str, Mapping[str, str]] = {
    "guard": {
        "mode": "enforce; shadow: let pass and record what would have been refused; off.",
        "allow": "What may leave: free (only free models), listed (those of `models`), any.",
        "models": 'Models that may be called when allow = "listed", with globs: ["openai/gpt-5*"].',
        "deny": "Models that may never be called, with globs.",
        "zero_priced": "Also let models pass that cost nothing today without being a :free variant.",
        "catalogue": "strict: refuse without a recent catalogue; suffix: then trust the name's :free.",
        "catalogue_max_age": "Seconds that a copy of the catalogue is believed.",
        "max_price": "Add provider.max_price = 0 to free requests, so that OpenRouter itself refuses to bill.",
        "wait": "Seconds that a call may wait for a slot of the minute, rather than be refused.",
        "log_bodies": "Keep prompts and answers in the store.",
    },
    "quota": {
        "per_minute": "Free requests a minute.",
        "per_day": 'Free requests a UTC day; "auto" believes OpenRouter.',
    },
    "budget": {
        "per_call_usd": "Dollars that one call may cost at worst. Only where paid models are allowed.",
        "per_day_usd": "Dollars a UTC day.",
        "per_month_usd": "Dollars a UTC month.",
    },
    "client": {
        "attempts": "Attempts that the friendly client makes of one call at most.",
        "retry_share": "Retries an hour that it may make, for each call of that hour, and fifteen besides.",
        "wait": "Seconds that a call of it may wait for its turn and between attempts.",
        "cache_bytes": "The size of all answers that it keeps to give them again.",
    },
    "poll": {
        "models_seconds": "Seconds between two looks at the catalogue.",
        "key_seconds": "Seconds between two looks at the key.",
        "endpoints_seconds": "Seconds between two looks at the providers of the models that were used of late.",
        "activity_seconds": "Seconds between two looks at the account's activity; needs a management key.",
    },
    "metrics": {
        "genai_semconv": "Also tell the histograms of OpenTelemetry's GenAI conventions.",
    },
    "retention": {
        "days": "Days that calls are kept. Totals are kept for ever.",
        "max_rows": "Calls that are kept at most.",
    },
    "alerts": {
        "evaluate_seconds": "Seconds between two evaluations.",
        "webhook_url": "Where alerts are posted, as Alertmanager posts them.",
        "smtp_url": "The mail server; smtps:// for one that is encrypted from the start.",
        "mail_to": "Who gets mail.",
        "mail_from": "Who it is from; else the user of the mail server.",
        "apprise_urls": "Services of Apprise: Slack, Telegram, ntfy, Discord … Needs the extra notify.",
        "severity": "The least that is told: info, warning, critical.",
        "repeat_seconds": "Seconds until an alert that still holds is sent again.",
        "quiet_hours": "When only what is critical is told. Without a zone, UTC.",
        "daily_summary": "When to sum up the day before (UTC).",
        "unused_hint": "When to say that half of the day's free requests or more are still unused.",
        "thresholds": 'Other thresholds: ["quota_warning=0.7"]. `alerts list --thresholds` names them.',
        "without": "Alerts to leave out.",
    },
    "proxy": {
        "token": "What clients of the proxy must show; needed beyond loopback.",
        "max_body_bytes": "The largest request.",
        "max_connections": "Connections at once; one more is turned away.",
        "drain_seconds": "Seconds that open streams may finish at shutdown.",
        "models": "all; allowed: leave out of the list of models those that would be refused.",
        "tls_cert": "A certificate chain in PEM, to serve https.",
        "tls_key": "Its private key, where the file of the certificate does not hold it.",
    },
}
APP_WORDS = {
    "share": "The part of the day's free quota that is kept for this app, 0 to 1.",
    "per_day": "Free requests a day that this app may make at most.",
    "priority": "Who waits for a slot first: the higher.",
    "token": "What names this app to the proxy.",
    "cache": "How long the friendly client may give it an answer again.",
}
_AUTO = {("quota", "per_day"): '"auto"'}
_EXAMPLES = {
    "store": '"/var/lib/openrouter-monitor/monitor.db"',
    "routing": '{ code = ["qwen/*coder*:free"], general = [] }',
    "cache": '"1d"',
    "webhook_url": '"https://hooks.example.org/…"',
    "smtp_url": '"smtp://user:password@mail.example.org:587"',
    "quiet_hours": '"22:00-07:00 Europe/Berlin"',
    "daily_summary": '"08:00 Europe/Berlin"',
    "unused_hint": '"18:00"',
}


def text() -> str:
    """The whole file."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield HEAD
    for item in fields(Settings):
        if item.name in TOP_LEVEL:
            yield from _setting("", item, TOP_LEVEL[item.name])
    for name, section in SECTIONS.items():
        yield f"[{name}]"
        for item in fields(section):  # type: ignore[arg-type]
            yield from _setting(name, item, WORDS[name][item.name])
    yield '# One app: name it as in guarded_client(app="billing-bot").'
    yield "# [apps.billing-bot]"
    for item in fields(AppSettings):
        yield from _setting("apps", item, APP_WORDS[item.name])


def _setting(section: str, item: Field[Any], words: str) -> Iterator[str]:
    yield f"# {words}"
    yield f"# {item.name} = {_AUTO.get((section, item.name)) or _EXAMPLES.get(item.name) or _value(item)}\n"


def _value(item: Field[Any]) -> str:
    default = item.default
    if default is None or default is MISSING:
        return '"…"' if "usd" not in item.name and item.name != "per_day" else "10"
    if isinstance(default, tuple):
        return json.dumps(list(default))
    if isinstance(default, float):
        return f"{default:g}" if default < 1e6 else f"{default:.0f}"
    return json.dumps(default)
