"""The version, in one place: the build, the root and the command read it here."""

__version__ = "0.1.0"
