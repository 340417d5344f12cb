"""Why a call got no answer: the exceptions of the friendly client, with what was tried and what to do."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.client.answers import Attempt
from monitor.client.effects import Reply
from monitor.clock import iso
from monitor.errors import BudgetExceeded, CallFailed, GuardRefused, NotFree, QuotaExhausted
from monitor.model import BUDGET_REASONS, QUOTA_REASONS, Ending, LimitHit, Reason
from monitor.openrouter.values import instant, loads, mapping, text
from monitor.policy.retry_budget import Hour
from monitor.transport.refusal import REASON_HEADER

__all__ = ["GuardRefused", "NotFree"]

UNAUTHORIZED, NOT_FOUND = 401, 404

_OTHERS = 'Other models may answer: say fallbacks="free" (in a shell: --fallbacks free).'
_MORE_TIME = "Give it more time (wait=…; in a shell: --wait)."
_MORE_TIME_OR_MODELS = 'Give it more time (wait=…, --wait), or more models (fallbacks="free", --fallbacks free).'
_CHECK_THE_KEY = "Check the key: OPENROUTER_API_KEY, or api_key_file in the settings."

_NEITHER = frozenset({Reason.PAUSED, Reason.STORE_UNAVAILABLE, Reason.CATALOGUE_STALE})


def refusal_of(body: bytes) -> GuardRefused:
    """The guard's answer as an exception: NotFree, QuotaExhausted, BudgetExceeded, or GuardRefused itself."""
    error = mapping(mapping(loads(body)).get("error"))
    metadata = mapping(error.get("metadata"))
    reason, hint = text(metadata.get("reason")) or "unknown", text(metadata.get("hint")) or ""
    message = (text(error.get("message")) or "The guard refused the call.").removesuffix(hint).rstrip()
    return _class_of(reason)(message, reason=reason, hint=hint, resets_at=instant(metadata.get("resets_at")))


def is_refusal(reply: Reply) -> bool:
    """Whether the guard answered, here or in a proxy before OpenRouter; then nothing was sent."""
    return REASON_HEADER in reply.headers


def cooled_model(reply: Reply) -> str | None:
    """The model whose cooling down was the reason; None when it was another, or the whole account's."""
    if reply.headers.get(REASON_HEADER) != Reason.COOLDOWN:
        return None
    error = mapping(mapping(loads(reply.body or b"")).get("error"))
    return text(mapping(error.get("metadata")).get("model"))


def _class_of(reason: str) -> type[GuardRefused]:
    if reason in QUOTA_REASONS:
        return QuotaExhausted
    if reason in BUDGET_REASONS:
        return BudgetExceeded
    return GuardRefused if reason in _NEITHER or reason not in list(Reason) else NotFree


def day_is_spent(limit: LimitHit) -> QuotaExhausted:
    """OpenRouter itself said that the day is over."""
    when = f" until {iso(limit.resets_at)}" if limit.resets_at is not None else ""
    return QuotaExhausted(
        f"OpenRouter says that the day's free requests are spent{when}.",
        reason=Reason.DAY_LIMIT,
        hint="Wait for midnight UTC; 10 credits bought once raise the limit to 1000 a day.",
        resets_at=limit.resets_at,
    )


def gave_up(attempts: Sequence[Attempt], ending: Ending, why: str, *, alone: bool) -> CallFailed:
    """The last failure leaves nothing to try, or nothing that is worth its price. `alone`: other models might do."""
    said = ending.limit.message if ending.limit is not None else ending.error
    message = f"No answer after {_count(attempts)}: {why}{f' ({said})' if said else ''}."
    hint = _CHECK_THE_KEY if ending.status == UNAUTHORIZED else _OTHERS if alone else ""
    return CallFailed(message, hint=hint, attempts=attempts, status=ending.status)


def gone(attempts: Sequence[Attempt], model: str, at: float) -> CallFailed:
    """Nobody served the only models that may answer, a moment ago: to wait for that to change would be a guess."""
    tried = f"after {_count(attempts)}" if attempts else "and nothing was sent"
    return CallFailed(
        f"No answer, {tried}: nobody serves {model} now, and it is left alone until {iso(at)}.",
        hint=_OTHERS,
        attempts=attempts,
        status=NOT_FOUND,
        opens_at=at,
    )


def out_of_patience(attempts: Sequence[Attempt], model: str, at: float, *, alone: bool) -> CallFailed:
    """Waiting until `at` (epoch seconds) would help, but that is longer than the call may wait."""
    tried = f"after {_count(attempts)}" if attempts else "and nothing was sent"
    return CallFailed(
        f"No answer, {tried}: {model} may be asked from {iso(at)} on, and the call may not wait that long.",
        hint=_MORE_TIME_OR_MODELS if alone else _MORE_TIME,
        attempts=attempts,
        status=attempts[-1].status if attempts else None,
        opens_at=at,
    )


def out_of_budget(attempts: Sequence[Attempt], hour: Hour) -> CallFailed:
    """The hour's retries are used up: whatever is wrong, more of them do not help."""
    return CallFailed(
        f"No answer after {_count(attempts)}, and the hour's retries are used ({hour.retries} for {hour.calls} calls).",
        hint="Look at `openrouter-monitor calls` for what goes wrong; client.retry_share bounds the retries.",
        attempts=attempts,
        status=attempts[-1].status if attempts else None,
    )


def broke_off(attempts: Sequence[Attempt], ending: Ending, so_far: str) -> CallFailed:
    """A stream ended in the midst of its text."""
    said = ending.error or (ending.limit.message if ending.limit is not None else "") or "the connection was lost"
    return CallFailed(
        f"The answer broke off after {len(so_far)} characters: {said}.",
        hint="What had come is in `text`. It is not asked for again, for its beginning was handed on already.",
        attempts=attempts,
        status=ending.status,
        text=so_far,
    )


def not_whole() -> CallFailed:
    """A stream that was closed early, or failed before, has no whole answer."""
    return CallFailed("There is no whole answer: the stream was closed, or it failed.", hint="Read it to its end.")


def _count(attempts: Sequence[Attempt]) -> str:
    if len(attempts) == 1:
        return f"1 attempt ({attempts[0].model})"
    models = dict.fromkeys(attempt.model for attempt in attempts)
    return f"{len(attempts)} attempts ({', '.join(models)})"
