"""The guard for any language: OpenRouter's API on this machine, each call judged and on record."""
