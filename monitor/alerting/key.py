"""Alerts about the key: its cap, whether it is known, how long it lives."""

from __future__ import annotations

from monitor.alerting.rule import Alert, Component, Dashboard, Group, Options, Recording, Severity, number

OVERVIEW = Dashboard.of("openrouter-overview", "key")
LEFT = "instance_key:openrouter_key_credit_remaining_per_limit:ratio"


def group(o: Options) -> Group:
    t = o.thresholds
    remaining, limit = o.of("openrouter_key_credit_remaining_usd"), o.of("openrouter_key_credit_limit_usd")
    expires = o.of("openrouter_key_expires_timestamp_seconds")
    return Group(
        "openrouter-key",
        (
            Recording(
                LEFT,
                f"{remaining} / ({limit} > 0)",
                "What is left of the key's cap, 0 to 1; nothing where there is no cap, or one of 0.",
            ),
            Alert(
                name="OpenRouterKeyInvalid",
                expr=f"max_over_time({o.of('openrouter_key_valid')}[5m]) == 0",
                lasts="5m",
                severity=Severity.CRITICAL,
                component=Component.KEY,
                summary="OpenRouter does not accept the key.",
                description="OpenRouter answers 401 to the key {{ $labels.key }}: every call with it fails.",
                dashboard=OVERVIEW,
            ),
            Alert(
                name="OpenRouterKeyExpiring",
                expr=f"{expires} - time() < {number(t.key_expiry_seconds)}",
                lasts="1h",
                severity=Severity.WARNING,
                component=Component.KEY,
                summary="The key expires soon.",
                description="The key {{ $labels.key }} expires in {{ $value | humanizeDuration }}. From then on every"
                " call with it fails.",
                dashboard=OVERVIEW,
            ),
            Alert(
                name="OpenRouterKeyLimitNearlyReached",
                expr=f"{o.of(LEFT)} < {number(t.key_credit_left)}",
                lasts="5m",
                severity=Severity.WARNING,
                component=Component.KEY,
                summary="The key's spending cap is nearly reached.",
                description="{{ $value | humanizePercentage }} of the cap of the key {{ $labels.key }} is left. When it"
                " is reached, OpenRouter refuses what costs money until the cap is raised or begins anew.",
                dashboard=OVERVIEW,
            ),
        ),
    )
