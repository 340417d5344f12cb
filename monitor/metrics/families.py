"""Every metric family, once: its name, type, unit, labels, how many label sets it may have, and what fills it.

Collector, documentation and tests read this table; nothing else names a family. A family stands here only when
something fills it.
"""

from __future__ import annotations

from monitor.metrics.family import Family, Source, Type, counter, gauge
from monitor.model import LimitKind, Outcome, Reason, Tier
from monitor.openrouter.providers import PROVIDERS_AT_MOST
from monitor.policy.changes import Kind as Change
from monitor.store.buckets import DURATION_BOUNDS, SEMCONV_DURATION_BOUNDS, SEMCONV_TOKEN_BOUNDS, TTFT_BOUNDS
from monitor.store.sqlite.scrape import ACCOUNTS_READ, CAPS
from monitor.store.sqlite.semconv import SETS

OTHER = "other"
"""The label value of all that has no name of its own."""

NO_MODEL = "none"
"""The model of a request that named none."""

CODES = (
    "200", "400", "401", "402", "403", "404", "408", "413", "429", "500", "502", "503", "504", "529", "none", OTHER,
)  # fmt: skip
OUTCOMES = tuple(each for each in Outcome if each not in (Outcome.REFUSED, Outcome.CACHED, Outcome.IN_FLIGHT))
ENDINGS = ("success", "failure")
PRICE_TYPES = ("input", "output", "request", "image")
CHANGES = {
    Change.ADDED: "added",
    Change.REMOVED: "removed",
    Change.MISSING: "missing",
    Change.RETURNED: "returned",
    Change.REPRICED: "price",
    Change.CONTEXT_CHANGED: "context",
    Change.NO_LONGER_FREE: "free_removed",
    Change.FREE_AGAIN: "free_again",
    Change.EXPIRING: "expiring",
    Change.ALIAS_MOVED: "alias_moved",
}
"""Events of the catalogue, as values of the label `change`."""

MODELS_ASKED = 10
"""Of how many models the providers are asked for."""

POLLERS = ("models", "key", "credits", "activity", "endpoints")
RESULTS = ("success", "failure")
JOBS = (*POLLERS, "alerts", "sweep", "pace", "hours", "semconv", "checkpoint", "prune")
RUNS = (*RESULTS, "missed")
"""How a run of a job can end; `missed`: it did not begin, for the one before still went on."""

CHANNELS = ("webhook", "mail", "apprise")
"""How people are told of alerts."""

POLL_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)

ADDED_BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5)
"""Seconds that a call waits for us, not for OpenRouter."""

TURNED_AWAY = (
    "host_foreign", "token_wrong", "app_name_wrong", "no_key", "path_wrong", "method_unknown", "management",
    "type_not_json", "body_too_large", "body_slow", "body_broken", "stopping", "upstream_unreachable",
    "upstream_silent", "upstream_broken", OTHER,
)  # fmt: skip
"""Why the proxy answers a request by itself, without a verdict of the guard."""

_APPS, _MODELS = CAPS.apps + 1, CAPS.models + 1
_PAIRS = CAPS.pairs + _APPS
"""An app's models beyond the last pair are `other`."""

USUAL_LIMITS = (LimitKind.FREE_DAILY, LimitKind.FREE_MINUTE, LimitKind.UPSTREAM)
"""Kinds of 429 whose series exist for each app and model from its first call on."""


_CALLS = (
    counter(
        "openrouter_requests_total",
        "requests",
        "Attempts that ended, by how. A retry is an attempt of its own.",
        "app", "model", "tier", "code", "outcome",
        bound=5000,
    ),
    counter(
        "openrouter_tier_requests_total",
        "requests",
        "Attempts that ended, by what their model costs: a paid one is seen at the first.",
        "app", "tier",
        bound=_APPS * len(Tier),
        zeros="every app and tier",
    ),
    counter("openrouter_calls_total", "calls",
             "Calls that apps made and that were sent; attempts per call, the amplification, tell of retries.",
             "app", bound=_APPS, zeros="every app"),
    counter("openrouter_saved_requests_total", "requests",
             "Calls that a kept answer of the client's cache answered, so that nothing was sent.",
             "app", bound=_APPS, zeros="every app"),
    counter(
        "openrouter_rate_limited_total",
        "requests",
        "Attempts that ran into a limit of OpenRouter or of a provider, by whose.",
        "app", "model", "kind",
        bound=_APPS * len(LimitKind) + _PAIRS * len(LimitKind),
        zeros="every app and kind with model=other; free_daily, free_minute and upstream for every app and model",
    ),
    Family(
        "openrouter_request_duration_seconds",
        Type.HISTOGRAM,
        "seconds",
        "Time from sending an attempt to its last byte, over all apps; outcome is success or failure.",
        ("model", "outcome"),
        _MODELS * len(ENDINGS),
        buckets=DURATION_BOUNDS,
    ),
    Family(
        "openrouter_time_to_first_token_seconds",
        Type.HISTOGRAM,
        "seconds",
        "Time from sending a streamed attempt to its first token, over all apps.",
        ("model",),
        _MODELS,
        buckets=TTFT_BOUNDS,
    ),
    counter("openrouter_tokens_total", "tokens", "Tokens billed; type is input or output.",
             "app", "model", "type", bound=_PAIRS * 2),
    counter("openrouter_cached_input_tokens_total", "tokens", "Input tokens read from a cache, a part of all input.",
             "app", "model", bound=_PAIRS),
    counter("openrouter_reasoning_output_tokens_total", "tokens", "Output tokens of reasoning, a part of all output.",
             "app", "model", bound=_PAIRS),
    counter(
        "openrouter_cost_usd_total",
        "USD",
        "Cost as OpenRouter reported it with each answer; the estimate where an answer was lost.",
        "app", "model",
        bound=_PAIRS,
    ),
    gauge("openrouter_requests_in_flight", "requests", "Attempts under way.", "app", bound=_APPS, zeros="every app"),
    counter("openrouter_refusals_total", "requests", "Attempts that the guard refused, by reason: they never left.",
             "app", "reason", bound=_APPS * len(Reason), zeros="every app and reason"),
    counter(
        "openrouter_shadow_refusals_total",
        "requests",
        "Attempts that left, though the guard would have refused them if it were enforced.",
        "app", "reason",
        bound=_APPS * len(Reason),
        zeros="every app and reason, in shadow mode",
    ),
)  # fmt: skip

_QUOTA = (
    gauge("openrouter_free_daily_requests_limit", "requests", "Free requests of a UTC day, of the whole account.",
           "account", bound=ACCOUNTS_READ),
    gauge("openrouter_free_daily_requests_used", "requests", "Free requests used of the running UTC day.",
           "account", bound=ACCOUNTS_READ),
    gauge("openrouter_free_daily_requests_elsewhere", "requests",
           "Of those used today, how many did not pass through this ledger.", "account", bound=ACCOUNTS_READ),
    gauge("openrouter_free_daily_reset_timestamp_seconds", "seconds since the epoch",
           "When the day's free requests begin anew: the next UTC midnight.", "account", bound=ACCOUNTS_READ),
    gauge("openrouter_free_daily_exhaustion_timestamp_seconds", "seconds since the epoch",
           "When the day's free requests end at the pace of the day or of its last hour, whichever is faster;"
           " absent when they last until midnight.", "account", bound=ACCOUNTS_READ),
    gauge("openrouter_free_daily_quota_authoritative", "1 or 0",
           "1 when use and limit are OpenRouter's own figures of today, 0 when they are counted or assumed here.",
           "account", bound=ACCOUNTS_READ),
    gauge("openrouter_free_minute_requests_limit", "requests", "Free requests a minute, of the whole account.",
           "account", bound=ACCOUNTS_READ),
    gauge("openrouter_free_minute_requests_used", "requests", "Free requests sent in the last 60 seconds from here.",
           "account", bound=ACCOUNTS_READ),
    gauge("openrouter_circuits_open", "models",
           "Models that the client leaves alone for now, because they failed or had no room.",
           "account", bound=ACCOUNTS_READ),
)  # fmt: skip

_KEY = tuple(
    Family(name, kind, unit, about, ("key", *labels), ACCOUNTS_READ, Source.POLL)
    for name, kind, unit, about, labels in (
        ("openrouter_key_info", Type.GAUGE, "always 1", "What kind of key it is; key is the account's alias.",
         ("is_free_tier", "limit_reset")),
        ("openrouter_key_valid", Type.GAUGE, "1 or 0", "0 when OpenRouter last answered 401 to the key.", ()),
        ("openrouter_key_credit_limit_usd", Type.GAUGE, "USD", "What the key may spend; absent when not capped.", ()),
        ("openrouter_key_credit_remaining_usd", Type.GAUGE, "USD",
         "What the key may still spend; absent when not capped.", ()),
        ("openrouter_key_usage_usd_total", Type.COUNTER, "USD", "What the key has spent by OpenRouter's books.", ()),
        ("openrouter_key_usage_daily_usd", Type.GAUGE, "USD", "What the key has spent this UTC day; absent until it"
         " is read after midnight.", ()),
        ("openrouter_key_usage_weekly_usd", Type.GAUGE, "USD", "What the key has spent this week, from Monday.", ()),
        ("openrouter_key_usage_monthly_usd", Type.GAUGE, "USD", "What the key has spent this UTC month.", ()),
        ("openrouter_key_expires_timestamp_seconds", Type.GAUGE, "seconds since the epoch",
         "When the key expires; absent when never.", ()),
        ("openrouter_key_limit_reset_timestamp_seconds", Type.GAUGE, "seconds since the epoch",
         "When the key's cap begins anew; absent when never.", ()),
        ("openrouter_unaccounted_usage_usd", Type.GAUGE, "USD",
         "What the key spent today by OpenRouter's books, less what is on record here: spent past the guard. A little"
         " below 0 until the key is read again.", ()),
    )
)  # fmt: skip

_ACCOUNT = (
    gauge("openrouter_account_credits_usd", "USD", "Credits left on the account; read with a management key only.",
           "account", bound=ACCOUNTS_READ, source=Source.POLL),
    gauge("openrouter_account_usage_usd", "USD", "Credits ever used of the account; read with a management key only.",
           "account", bound=ACCOUNTS_READ, source=Source.POLL),
    *(
        Family(f"openrouter_account_activity_{name}", Type.GAUGE, unit, about, ("account", *labels), bound, Source.POLL)
        for name, unit, about, labels, bound in (
            ("day_timestamp_seconds", "seconds since the epoch",
             "Beginning of the UTC day that openrouter_account_activity_* tell of: the newest whole one that OpenRouter"
             " lists. Read with a management key only.", (), ACCOUNTS_READ),
            ("requests", "requests", "Requests of the account on that day by OpenRouter's books, over all its keys.",
             (), ACCOUNTS_READ),
            ("tokens", "tokens", "Tokens of the account on that day by OpenRouter's books; type is input or output.",
             ("type",), ACCOUNTS_READ * 2),
            ("usage_usd", "USD", "What OpenRouter billed the account for that day.", (), ACCOUNTS_READ),
            ("unaccounted_usage_usd", "USD",
             "That, less what is on record here for the day: spent past the guard, by whichever key.",
             (), ACCOUNTS_READ),
        )
    ),
)  # fmt: skip

_CATALOGUE = (
    gauge("openrouter_models", "models", "Models that the newest catalogue lists.", "tier",
           bound=len(Tier), source=Source.POLL, zeros="every tier"),
    gauge("openrouter_model_available", "1 or 0", "1 when the newest catalogue lists a model that apps use or settings"
           " name.", "model", bound=CAPS.models, source=Source.POLL),
    gauge("openrouter_model_free", "1 or 0", "1 when the model is listed and every price of it is zero.",
           "model", bound=CAPS.models, source=Source.POLL),
    gauge("openrouter_model_price_usd_per_token", "USD per token; per request or image where type says so",
           "Listed price; absent when not listed.",
           "model", "type", bound=CAPS.models * len(PRICE_TYPES), source=Source.POLL),
    gauge("openrouter_model_deprecation_timestamp_seconds", "seconds since the epoch",
           "When the model will be withdrawn; absent when no date is listed.",
           "model", bound=CAPS.models, source=Source.POLL),
    gauge("openrouter_model_endpoint_uptime_ratio", "ratio, 0 to 1",
           "Part of the last 30 minutes in which a provider of a model that apps used within a day served it, as"
           " OpenRouter reckons: minutes with 80 % success, 429s left out, so it is no sign of a busy provider. Absent"
           " where OpenRouter tells no figure.",
           "model", "provider", bound=MODELS_ASKED * PROVIDERS_AT_MOST, source=Source.POLL),
    counter("openrouter_model_changes_total", "models", "Changes of the catalogue that were recorded as events.",
             "change", bound=len(CHANGES), zeros="every change"),
)  # fmt: skip

_MONITOR = (
    gauge("openrouter_monitor_build_info", "always 1",
           "Version of the monitor and of its Python; revision is the commit, if it was installed from one.",
           "version", "revision", "pythonversion", source=Source.DAEMON),
    gauge("openrouter_monitor_scrape_ok", "1 or 0",
           "1 when this scrape read the store, 0 when it repeats what the last good one read.", source=Source.DAEMON),
    counter("openrouter_monitor_polls_total", "polls", "Polls of OpenRouter by this daemon.", "poller", "result",
             bound=len(POLLERS) * len(RESULTS), source=Source.DAEMON, zeros="every poller that runs"),
    Family("openrouter_monitor_poll_duration_seconds", Type.HISTOGRAM, "seconds", "Time that a poll took.",
           ("poller",), len(POLLERS), Source.DAEMON, "every poller that runs", POLL_BOUNDS),
    counter("openrouter_monitor_job_runs_total", "runs", "Runs of the daemon's jobs, polls among them whether they had"
             " to ask or not.", "task", "result", bound=len(JOBS) * len(RUNS), source=Source.DAEMON,
             zeros="every task and result"),
    gauge("openrouter_monitor_poll_interval_seconds", "seconds", "Time between two polls, as set.", "poller",
           bound=len(POLLERS), source=Source.DAEMON),
    gauge("openrouter_monitor_poll_last_success_timestamp_seconds", "seconds since the epoch",
           "When the newest answer was asked for, by whichever process.", "poller", bound=len(POLLERS)),
    gauge("openrouter_monitor_clock_offset_seconds", "seconds",
           "This machine's clock less OpenRouter's, by the Date header of an answer to a poll that no cache gave:"
           " positive when this machine is ahead. Good to about a second.", source=Source.DAEMON),
    counter("openrouter_monitor_notifications_total", "messages", "Messages about alerts that this daemon sent, or"
             " could not send, by how; each try counts.", "channel", "result", bound=len(CHANNELS) * len(RESULTS),
             source=Source.DAEMON, zeros="every channel that is set"),
    counter("openrouter_monitor_call_log_records_total", "records", "Attempts put on record, those refused included."),
    gauge("openrouter_monitor_call_log_size_bytes", "bytes", "Size of the store's file and of its write-ahead log.",
           source=Source.DAEMON),
    Family("openrouter_monitor_admission_seconds", Type.HISTOGRAM, "seconds",
           "Time that the proxy waited for a verdict, the store's included.",
           (), 1, Source.DAEMON, "always", ADDED_BOUNDS),
    Family("openrouter_monitor_added_seconds", Type.HISTOGRAM, "seconds",
           "Time that the proxy added to a call: not what OpenRouter took, nor the wait for a slot of the minute.",
           (), 1, Source.DAEMON, "always", ADDED_BOUNDS),
    gauge("openrouter_monitor_proxy_in_flight", "requests", "Requests that the proxy is answering.",
          source=Source.DAEMON),
    gauge("openrouter_monitor_proxy_waiting", "calls", "Calls that stand in line for a slot of a window.",
          source=Source.DAEMON),
    gauge("openrouter_monitor_proxy_connections", "connections", "Connections that are open to this daemon.",
          source=Source.DAEMON),
    counter("openrouter_monitor_proxy_turned_away_total", "requests",
            "Requests that the proxy answered by itself, without a verdict of the guard; or that OpenRouter left"
            " unanswered (reason=upstream_*).",
            "reason", bound=len(TURNED_AWAY), source=Source.DAEMON, zeros="every reason"),
    counter("openrouter_monitor_label_overflow_total", "label values",
             "Values of a label that came after the last place and are counted under `other`.", "label",
             bound=3, zeros="every label"),
)  # fmt: skip

_GENAI = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_response_model")

_SEMCONV = (
    Family("gen_ai_client_operation_duration_seconds", Type.HISTOGRAM, "seconds",
           "Time from sending an attempt to its last byte; error_type is empty for a success.",
           (*_GENAI, "error_type"), SETS + 1, buckets=SEMCONV_DURATION_BOUNDS, setting="metrics.genai_semconv"),
    Family("gen_ai_client_token_usage", Type.HISTOGRAM, "tokens",
           "Tokens billed of an attempt; gen_ai_token_type is input or output.",
           (*_GENAI, "gen_ai_token_type"), (SETS + 1) * 2, buckets=SEMCONV_TOKEN_BOUNDS,
           setting="metrics.genai_semconv"),
)  # fmt: skip

FAMILIES: tuple[Family, ...] = (*_CALLS, *_QUOTA, *_KEY, *_ACCOUNT, *_CATALOGUE, *_MONITOR, *_SEMCONV)
BY_NAME = {family.name: family for family in FAMILIES}
