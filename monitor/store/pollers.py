"""Under which names the daemon's slower looks at OpenRouter are found among the snapshots."""

ENDPOINTS_POLLER = "endpoints"
"""Providers of the models in use: `source`, and `uptime` by model and provider (0 to 1)."""

ACTIVITY_POLLER = "activity"
"""An account's newest whole UTC day in OpenRouter's books, as `parse_activity` gives it."""
