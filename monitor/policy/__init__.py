"""Decisions, pure: what may leave, when, and what to do after a failure. No I/O, no clock, no exceptions."""
