"""Bounds of the latency histograms, in seconds: those of OpenTelemetry's GenAI conventions, with two more above."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

DURATION_BOUNDS = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68,
)  # fmt: skip
TTFT_BOUNDS = DURATION_BOUNDS

SEMCONV_DURATION_BOUNDS = DURATION_BOUNDS[:14]
"""The conventions' own: up to 81.92 s."""
SEMCONV_TOKEN_BOUNDS = tuple(4.0**n for n in range(14))
"""The conventions' own, in tokens: 1, 4, 16 … 67108864."""


def columns(prefix: str, bounds: Sequence[float]) -> list[str]:
    """Names of the bucket columns: one per bound and one for what exceeds the last."""
    return [f"{prefix}{i:02}" for i in range(len(bounds) + 1)]


def bucket(seconds: float, bounds: Sequence[float]) -> int:
    """The index of the bucket that `seconds` falls in; a bound belongs to the bucket it closes, as in Prometheus."""
    return bisect_left(bounds, seconds)
