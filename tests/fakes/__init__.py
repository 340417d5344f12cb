"""Builders of nouns, and programs that tests start as processes of their own."""
