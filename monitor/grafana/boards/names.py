"""Uids of the dashboards: alerts link to them, so they never change."""

from __future__ import annotations

OVERVIEW = "openrouter-overview"
MODELS = "openrouter-models"
ERRORS = "openrouter-errors"
LATENCY = "openrouter-latency"
HEALTH = "openrouter-monitor"
