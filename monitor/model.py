"""The nouns of the package: closed lists as enums, facts as frozen dataclasses. No behaviour beyond reading them.

Those that every call makes are not frozen, for making a frozen one takes four times as long; nobody changes one.

The words are those of the README's glossary: an *intent* is judged, the answer is a *verdict*, an *attempt* is one
HTTP request, a *call* is what the app asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Endpoint(StrEnum):
    """The POST endpoints of OpenRouter that run inference, so can bill."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    RESPONSES = "responses"
    MESSAGES = "messages"
    EMBEDDINGS = "embeddings"
    RERANK = "rerank"
    IMAGES = "images"
    SPEECH = "audio.speech"
    TRANSCRIPTIONS = "audio.transcriptions"
    VIDEOS = "videos"
    BATCHES = "batches"
    SYSTEMONE = "systemone"
    DECISIONS = "decisions"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why the guard refuses. A closed list: metrics, alerts and apps key on it."""

    MODEL_MISSING = "model_missing"
    MODEL_UNKNOWN = "model_unknown"
    MODEL_NOT_FREE = "model_not_free"
    MODEL_DENIED = "model_denied"
    FALLBACK_NOT_FREE = "fallback_not_free"
    ROUTER_MODEL = "router_model"
    PRESET = "preset"
    PAID_PLUGIN = "paid_plugin"
    SERVER_TOOL = "server_tool"
    PAID_MODALITY = "paid_modality"
    PAID_SERVICE_TIER = "paid_service_tier"
    ENDPOINT_UNKNOWN = "endpoint_unknown"
    BODY_UNREADABLE = "body_unreadable"
    CATALOGUE_STALE = "catalogue_stale"
    MINUTE_LIMIT = "minute_limit"
    DAY_LIMIT = "day_limit"
    APP_LIMIT = "app_limit"
    APP_SHARE = "app_share"
    BUDGET_CALL = "budget_call"
    BUDGET_DAY = "budget_day"
    BUDGET_MONTH = "budget_month"
    KEY_LIMIT = "key_limit"
    COOLDOWN = "cooldown"
    PAUSED = "paused"
    STORE_UNAVAILABLE = "store_unavailable"


QUOTA_REASONS = frozenset(
    {
        Reason.MINUTE_LIMIT,
        Reason.DAY_LIMIT,
        Reason.APP_LIMIT,
        Reason.APP_SHARE,
        Reason.COOLDOWN,
    }
)
BUDGET_REASONS = frozenset({Reason.BUDGET_CALL, Reason.BUDGET_DAY, Reason.BUDGET_MONTH, Reason.KEY_LIMIT})


class Tier(StrEnum):
    """What a model costs, as a label: free, paid, or not known."""

    FREE = "free"
    PAID = "paid"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCESS = "success"
    RATE_LIMITED = "rate_limited"
    CLIENT_ERROR = "client_error"
    SERVER_ERROR = "server_error"
    NETWORK_ERROR = "network_error"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    REFUSED = "refused"
    CACHED = "cached"
    """Answered by an answer that was kept; nothing left."""
    IN_FLIGHT = "in_flight"


class LimitKind(StrEnum):
    """Whose limit a 429, 402 or 403 of OpenRouter tells of (openrouter-api reference, section 5.1)."""

    FREE_DAILY = "free_daily"
    FREE_MINUTE = "free_minute"
    UPSTREAM = "upstream"
    ADMISSION = "admission"
    EDGE = "edge"
    IN_FLIGHT_BUDGET = "in_flight_budget"
    CREDITS = "credits"
    KEY_LIMIT = "key_limit"
    BUDGET = "budget"
    UNKNOWN = "unknown"


class Mode(StrEnum):
    """What the guard does with its verdict."""

    ENFORCE = "enforce"
    SHADOW = "shadow"
    OFF = "off"


class Allow(StrEnum):
    """What may leave: free models only, models on a list, or any."""

    FREE = "free"
    LISTED = "listed"
    ANY = "any"


class PriceClass(StrEnum):
    """What the catalogue's prices say of a model.

    `free`: a `:free` variant (or `openrouter/free`) whose every listed price is zero. `zero`: every listed price is
    zero and the output is text only, without the suffix: a preview that may turn paid or vanish. `variable`: a
    negative price, which is OpenRouter's sign for "depends on where it is routed".
    """

    FREE = "free"
    ZERO = "zero"
    PAID = "paid"
    VARIABLE = "variable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One model of the catalogue. Prices are USD per token (`request_usd`: per request, `image_usd`: per image that it
    is shown), None when not listed."""

    id: str
    price: PriceClass
    name: str = ""
    prompt_usd: float | None = None
    completion_usd: float | None = None
    request_usd: float | None = None
    worst_prompt_usd: float | None = None
    worst_completion_usd: float | None = None
    """The highest price that a token of the prompt, or of the answer, can have: cache writes, overrides, reasoning."""
    bounded: bool = True
    """False when it is priced by something else too (an image, a page): tokens alone give no worst case."""
    context_length: int | None = None
    max_completion_tokens: int | None = None
    input_modalities: tuple[str, ...] = ()
    output_modalities: tuple[str, ...] = ()
    supported_parameters: tuple[str, ...] = ()
    created: int | None = None
    expires: str | None = None
    alias_target: str | None = None
    image_usd: float | None = None

    @property
    def tier(self) -> Tier:
        match self.price:
            case PriceClass.FREE | PriceClass.ZERO:
                return Tier.FREE
            case PriceClass.PAID | PriceClass.VARIABLE:
                return Tier.PAID
            case PriceClass.UNKNOWN:
                return Tier.UNKNOWN


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What `GET /key` said; every field may be missing. USD for money; `*_at` in epoch seconds, UTC."""

    limit_usd: float | None = None
    limit_remaining_usd: float | None = None
    limit_reset: str | None = None
    usage_usd: float | None = None
    usage_daily_usd: float | None = None
    usage_weekly_usd: float | None = None
    usage_monthly_usd: float | None = None
    byok_usage_usd: float | None = None
    is_free_tier: bool | None = None
    is_management_key: bool | None = None
    expires_at: float | None = None
    free_used: int | None = None
    free_limit: int | None = None
    free_remaining: int | None = None
    effective_budget_remaining_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Objection:
    """One thing in a request that could cost money or cannot be read, whichever model serves it."""

    reason: Reason
    detail: str
    model: str | None = None
    hint: str = ""
    """What to do, where the reason's usual advice would be wrong."""


@dataclass(slots=True)
class Intent:
    """What a request asks for.

    `prompt_bytes` is an upper bound of the prompt's tokens: a token is at least one byte of the body. It may hold
    several `prompts`, each bounded by the model's context; `requests` is how often a price per request is due.
    `objections` lists what could bill besides the models; `by_reference` says that content is named by address or id,
    so that the body's length does not bound it; `accepts_max_price` says that `provider.max_price` may be put in.
    `unvouched` says why no price that is known holds where it goes; "" if one may.
    """

    endpoint: Endpoint
    model: str | None = None
    fallbacks: tuple[str, ...] = ()
    tool_models: tuple[str, ...] = ()
    objections: tuple[Objection, ...] = ()
    stream: bool = False
    prompt_bytes: int = 0
    prompts: int = 1
    requests: int = 1
    max_output_tokens: int | None = None
    choices: int = 1
    by_reference: bool = False
    accepts_max_price: bool = False
    unvouched: str = ""

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that this request may reach, without repetition, the asked one first."""
        asked = (self.model,) if self.model else ()
        if not self.fallbacks and not self.tool_models:
            return asked
        return tuple(dict.fromkeys((*asked, *self.fallbacks, *self.tool_models)))


@dataclass(slots=True)
class Usage:
    """Tokens and cost as OpenRouter reported them; None where it did not. Cached and reasoning are subsets."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class LimitHit:
    """A limit that OpenRouter reported. `resets_at` in epoch seconds, `retry_after` in seconds."""

    kind: LimitKind
    resets_at: float | None = None
    retry_after: float | None = None
    limit: int | None = None
    message: str = ""


@dataclass(slots=True)
class Ending:
    """How an attempt ended, as far as it was seen. `error` is redacted text; times are seconds."""

    outcome: Outcome
    status: int | None = None
    usage: Usage = field(default_factory=Usage)
    model_served: str | None = None
    provider: str | None = None
    generation_id: str | None = None
    limit: LimitHit | None = None
    ttft: float | None = None
    error: str | None = None
    answer: str | None = None
    """The answer's text, only when bodies are logged."""


class Action(StrEnum):
    """What a verdict says to do."""

    ADMIT = "admit"
    DELAY = "delay"
    REFUSE = "refuse"


@dataclass(slots=True)
class Verdict:
    """The policy's answer. `delay` is seconds, `resets_at` epoch seconds; limit and remaining are requests."""

    action: Action
    tier: Tier = Tier.UNKNOWN
    estimate_usd: float = 0.0
    reason: Reason | None = None
    model: str | None = None
    detail: str = ""
    hint: str = ""
    delay: float = 0.0
    resets_at: float | None = None
    limit: int | None = None
    remaining: int | None = None
    what: str = ""
    """What happened, for people, where the reason's own words would not say it."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the world. `at` is epoch seconds."""

    at: float
    kind: str
    subject: str
    before: str | None = None
    after: str | None = None
    note: str = ""
