"""The friendly client: chat, batch, compare; each retry a decision to spend. Imported by name from `monitor`."""
