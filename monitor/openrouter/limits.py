"""Whose limit a 429, 402 or 403 tells of, and until when.

OpenRouter's docs (limits, errors) and captured bodies: `error.metadata.limit_source` names the limit since mid 2026;
before, and behind gateways that drop it, only the message does. The account's own limits feed the windows; a provider's
never do.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from monitor.clock import DAY, next_midnight, next_minute
from monitor.model import LimitHit, LimitKind
from monitor.openrouter.values import instant, mapping, number, text
from monitor.redact import redact

_LIMIT_STATUSES = frozenset({402, 403, 429})
_SOURCES = {
    "openrouter_free_tier_daily": LimitKind.FREE_DAILY,
    "openrouter_free_tier_per_minute": LimitKind.FREE_MINUTE,
    "openrouter_admission_control": LimitKind.ADMISSION,
    "upstream_provider_shared_pool": LimitKind.UPSTREAM,
    "openrouter_in_flight_budget": LimitKind.IN_FLIGHT_BUDGET,
    "openrouter_credits": LimitKind.CREDITS,
    "openrouter_key_limit": LimitKind.KEY_LIMIT,
    "openrouter_guardrail_budget": LimitKind.BUDGET,
    "openrouter_workspace_budget": LimitKind.BUDGET,
}
# In this order: the first that occurs in the message decides.
_PHRASES = (
    ("free-models-per-day", LimitKind.FREE_DAILY),
    ("free-models-per-min", LimitKind.FREE_MINUTE),
    ("could not verify available credits", LimitKind.ADMISSION),
    ("given your current in-flight requests", LimitKind.IN_FLIGHT_BUDGET),
    ("insufficient credits", LimitKind.CREDITS),
    ("requires more credits", LimitKind.CREDITS),
    ("never purchased credits", LimitKind.CREDITS),
    ("key limit exceeded", LimitKind.KEY_LIMIT),
)
_UPSTREAM_PHRASES = ("provider returned error", "temporarily rate-limited upstream")
_FARTHEST = 2 * DAY
_LONGEST_BUDGET = 400 * DAY
_JUST_PASSED = 600.0
_MINUTE_AT_MOST = 600.0


def classify_limit(status: int, headers: Mapping[str, str], body: object | None, now: float) -> LimitHit | None:
    """The limit that an answer tells of, or None when it tells of none (moderation is a 403 too).

    `body` is the parsed JSON, or None (or a text) when it was none: then Cloudflare answered, not OpenRouter. `now` is
    epoch seconds; a reset more than 48 h away is not believed, nor a `Retry-After` of that length.
    """
    kind = _kind(status, headers, body)
    if kind is None:
        return None
    error = _error(body)
    metadata = mapping(error.get("metadata"))
    lowered = {name.lower(): value for name, value in headers.items()}
    echoed = {str(name).lower(): value for name, value in mapping(metadata.get("headers")).items()}
    limit = number(lowered.get("x-ratelimit-limit")) or number(echoed.get("x-ratelimit-limit"))
    return LimitHit(
        kind=kind,
        resets_at=_resets_at(kind, (lowered, echoed), metadata, now),
        retry_after=_retry_after((lowered, echoed), error, metadata, now),
        limit=int(limit) if limit and 0 < limit < 1e9 else None,
        message=error_text(body),
    )


def error_text(body: object) -> str:
    """What an error body says, redacted and at most 300 characters long; never the whole body.

    A provider's own words (`metadata.raw`) may repeat the prompt: they are added only where they name the busy model.
    """
    error = _error(body)
    said = text(error.get("message")) or text(error.get("name")) or text(error.get("code")) or "no message"
    raw = text(mapping(error.get("metadata")).get("raw")) or ""
    return redact(f"{said}: {raw}" if _UPSTREAM_PHRASES[1] in raw.lower() else said, limit=300)


def error_code(body: object) -> int | None:
    """The HTTP status that an error body speaks of: `error.code`, whose type gateways change, or its like.

    For words instead of numbers (`rate_limit_exceeded`, `overloaded_error`) the status that OpenRouter's docs give.
    """
    error = _error(body)
    for key in ("code", "http_status", "status"):
        status = number(error.get(key))
        if status is not None and 100 <= status < 600:
            return int(status)
    metadata = mapping(error.get("metadata"))
    for word in (metadata.get("error_type"), error.get("error_type"), error.get("type"), error.get("code")):
        if isinstance(word, str) and (known := _status_of(word.lower())):
            return known
    return None


def _status_of(word: str) -> int | None:
    if "rate_limit" in word:
        return 429
    if word in ("authentication", "authentication_error"):
        return 401
    if word in ("payment_required", "insufficient_quota", "billing_error"):
        return 402
    if "permission" in word:
        return 403
    if "not_found" in word:
        return 404
    if "overloaded" in word or "unavailable" in word:
        return 503
    if word.startswith("invalid") or "exceeded" in word or "too_l" in word or "policy" in word or word == "refusal":
        return 400
    return None


def _kind(status: int, headers: Mapping[str, str], body: object) -> LimitKind | None:
    error = _error(body)
    if not error:
        return _edge(status, headers, body)
    if mapping(error.get("availability")).get("code") == "capacity_exhausted":
        return LimitKind.UPSTREAM
    if status not in _LIMIT_STATUSES:
        return None
    metadata = mapping(error.get("metadata"))
    source = metadata.get("limit_source")
    if isinstance(source, str) and source in _SOURCES:
        return _SOURCES[source]
    said = f"{error.get('message') or ''} {metadata.get('raw') or ''}".lower()
    if (kind := _by_phrase(said)) is not None:
        return kind
    if status == 429 and (metadata.get("provider_name") or any(phrase in said for phrase in _UPSTREAM_PHRASES)):
        return LimitKind.UPSTREAM
    if metadata.get("reason") == "in_flight_budget_exhausted":
        return LimitKind.IN_FLIGHT_BUDGET
    if "budget of" in said and "exceeded" in said:
        return LimitKind.BUDGET
    # Another 403 is moderation, a guardrail on content or a region: no limit.
    return LimitKind.UNKNOWN if status != 403 or source else None


def _by_phrase(said: str) -> LimitKind | None:
    return next((kind for phrase, kind in _PHRASES if phrase in said), None)


def _edge(status: int, headers: Mapping[str, str], body: object) -> LimitKind | None:
    content_type = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    html = "html" in content_type or (isinstance(body, str) and body.lstrip()[:1] == "<")
    if status in (403, 429) and (body is None or isinstance(body, str)):
        return LimitKind.EDGE
    if status == 429 or status == 402:
        return LimitKind.UNKNOWN
    # A page with 503 asks to slow down; with another 5xx the server behind the edge is out, and no one is too fast.
    return LimitKind.EDGE if status == 503 and html else None


def _error(body: object) -> Mapping[str, Any]:
    """The error object, wherever it is; a bare string becomes its message."""
    envelope = mapping(body)
    error = envelope.get("error")
    if error is None:
        # `/responses` puts it inside the response.
        error = mapping(envelope.get("response")).get("error")
    if error is None and "message" in envelope:
        # The `error` event of `/responses` is the error itself.
        error = envelope if "choices" not in envelope and envelope.get("type") in (None, "error") else None
    if isinstance(error, str):
        return {"message": error}
    found = mapping(error)
    if found and "metadata" not in found and isinstance(envelope.get("metadata"), dict):
        return {**found, "metadata": envelope["metadata"]}
    return found


def _resets_at(
    kind: LimitKind, sources: tuple[Mapping[str, Any], ...], metadata: Mapping[str, Any], now: float
) -> float | None:
    reset = next((at for source in sources if (at := _reset(source.get("x-ratelimit-reset"), now)) is not None), None)
    match kind:
        case LimitKind.FREE_DAILY:
            # The counter is UTC's: whatever is said, it is open again at midnight.
            return next_midnight(now) if reset is None else min(reset, next_midnight(now))
        case LimitKind.FREE_MINUTE:
            return reset if reset is not None and reset - now <= _MINUTE_AT_MOST else next_minute(now)
    if reset is not None:
        return reset
    said = instant(metadata.get("resets_at"))
    return said if said is not None and now < said <= now + _LONGEST_BUDGET else None


def _reset(value: object, now: float) -> float | None:
    at = number(value)
    if at is None:
        return None
    if at > 1e11:
        at /= 1000.0
    # One that has just passed is believed: at midnight, "until the next" would close a day that is open.
    return at if now - _JUST_PASSED <= at <= now + _FARTHEST else None


def _retry_after(
    sources: tuple[Mapping[str, Any], ...], error: Mapping[str, Any], metadata: Mapping[str, Any], now: float
) -> float | None:
    values = [source.get("retry-after") for source in sources]
    values += [metadata.get("retry_after_seconds"), mapping(error.get("availability")).get("retry_after")]
    return next((wait for value in values if (wait := _seconds(value, now)) is not None), None)


def _seconds(value: object, now: float) -> float | None:
    wait = number(value)
    if wait is None and isinstance(value, str):
        try:
            wait = max(0.0, parsedate_to_datetime(value).timestamp() - now)
        except (ValueError, TypeError, OverflowError):
            return None
    return wait if wait is not None and 0 <= wait <= _FARTHEST else None
