"""What a simulated OpenRouter can be told: quotas, money, pace and faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from monitor.errors import ConfigError


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """Every choice has a default that needs no file. Money is USD, `*_seconds` are seconds.

    By default an account that never bought credit may still be billed (`paid_allowed`), so that a test can see the
    money that a mistake would cost; with `paid_allowed=False` the account's real balance decides, as OpenRouter's does.
    """

    catalogue: Path | None = None
    """A recorded body of `GET /models`, as JSON or `.json.gz`; without it, our own small catalogue."""
    models_max_age: int = 120
    """`max-age` of the catalogue's answers."""

    per_minute: int = 20
    per_day: int = 50
    minute_window: Literal["aligned", "sliding"] = "aligned"
    """Whether the minute limit counts whole UTC minutes (as observed) or the last 60 seconds."""
    key_lag_seconds: float = 0.0
    """`/key` tells the free requests that were counted this long ago."""
    rejections_count: bool = True
    """Whether the platform's own 429s add to the day's `used`, as seen in 2026."""
    upstream_429_counts: bool = False
    """Whether a 429 of the provider adds to the day's `used`; measured in 2026-09: it does not."""
    zero_priced_counts: bool = False
    """Whether zero-priced models without `:free` use the free quota; OpenRouter's docs name only `:free`."""
    embeddings_count: bool = True
    """Whether `:free` embeddings and rerank use the free quota; observers disagree."""

    accounts: Mapping[str, str] = field(default_factory=dict)
    """API key -> account name; a key that is not listed belongs to the account `default`."""
    bad_keys: frozenset[str] = frozenset()
    """Keys that OpenRouter does not know: 401."""
    management_keys: frozenset[str] = frozenset()
    """Keys that may read `/credits` and `/activity`."""

    is_free_tier: bool = True
    paid_allowed: bool = True
    credits_usd: float = 0.0
    """Credit bought, before what is spent here; it limits only when `paid_allowed` is False."""
    key_limit_usd: float | None = None
    """Each key's own cap; 0 refuses whatever could cost money and still serves free models."""
    key_limit_reset: Literal["daily", "weekly", "monthly"] | None = None
    default_model: str | None = None
    """What a request without a model, and every preset, is served by; without it, the catalogue's first paid model."""
    default_plugins: tuple[str, ...] = ()
    """Plugins that the account's settings add to every request, e.g. `("web",)`."""

    latency_seconds: float = 0.0
    """Before an answer, or before the first event of a stream whose headers are already out."""
    chunk_delay_seconds: float = 0.0
    """Between two chunks of a stream."""
    chunks: int = 8
    """Content chunks of a stream."""
    processing_comments: int = 1
    """`: OPENROUTER PROCESSING` lines before a stream's first event."""
    generation_lag_seconds: float = 0.0
    """`/generation` answers 404 for this long after the call."""

    scenario: Path | None = None
    """Fault rules as JSON or TOML, see `monitor.simulator.faults`."""
    faults: Sequence[Mapping[str, Any]] = ()
    """Fault rules given directly."""
    keep_posts: int = 10_000
    """How many POSTs the books keep in full; the totals cover all."""
    max_body_bytes: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        if self.chunks < 1:
            raise ConfigError(f"simulator: chunks is {self.chunks}.", hint="A stream needs at least 1.")
        if self.minute_window not in ("aligned", "sliding"):
            raise ConfigError(f"simulator: minute_window is {self.minute_window!r}.", hint="Use aligned or sliding.")
        for name in ("per_minute", "per_day", "latency_seconds", "chunk_delay_seconds", "key_lag_seconds"):
            if getattr(self, name) < 0:
                raise ConfigError(f"simulator: {name} is negative.", hint="Give 0 or more.")
