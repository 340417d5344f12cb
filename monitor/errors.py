"""Every exception that this package raises.

MonitorError
├── ConfigError          a setting is unknown, malformed or contradicts another (also a ValueError)
├── StoreError           the store cannot do what was asked
│   ├── StoreUnreachable     it cannot be opened, is locked too long, or its disk is full
│   └── StoreDamaged         the file is not ours, is empty, or fails its integrity check
├── PollError            the catalogue or the key could not be fetched or understood
├── CallFailed           a call of the friendly client got no answer, or only a part of one
└── GuardRefused         the guard said no (only the friendly client raises it; SDKs get an HTTP answer)
    ├── NotFree              something in the request could cost money
    ├── QuotaExhausted       no free request is left in a window
    └── BudgetExceeded       a dollar budget would be broken

Each carries a `hint`: what to do about it. `str()` gives both, on one line.
"""

from __future__ import annotations

from collections.abc import Sequence


class MonitorError(Exception):
    """Base of all errors of this package."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class ConfigError(MonitorError, ValueError):
    """A setting is unknown, malformed or contradicts another."""


class StoreError(MonitorError):
    """The store cannot do what was asked."""


class StoreUnreachable(StoreError):
    """The store cannot be opened, is locked for too long, or its disk is full. Nothing was written."""


class StoreDamaged(StoreError):
    """The file is not a store of ours, is empty, or is damaged. It was left as it is."""


class PollError(MonitorError):
    """The catalogue or the key could not be fetched or understood."""


class CallFailed(MonitorError):
    """A call of the friendly client got no answer: each try failed, or no more of them was worth its price.

    `attempts` tells of each that left, `status` is the last HTTP status (None: no answer came), `opens_at` epoch
    seconds at which waiting may help. `text` is what a stream had given when it broke off: that much was answered.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        attempts: Sequence[object] = (),
        status: int | None = None,
        opens_at: float | None = None,
        text: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.attempts = tuple(attempts)
        self.status = status
        self.opens_at = opens_at
        self.text = text


class GuardRefused(MonitorError):
    """The guard refused the call; nothing was sent.

    `reason` is a member of `monitor.model.Reason`; `resets_at` is epoch seconds (UTC) when waiting would help.
    """

    def __init__(self, message: str, *, reason: str, hint: str = "", resets_at: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.resets_at = resets_at


class NotFree(GuardRefused):
    """Something in the request could cost money, or its price cannot be known."""


class QuotaExhausted(GuardRefused):
    """No request is left in a window; `resets_at` says when there will be."""


class BudgetExceeded(GuardRefused):
    """A dollar budget would be broken."""
