"""A webhook: the body that Alertmanager would post, so that receivers written for it work."""

from __future__ import annotations

from contextlib import suppress

import httpx

from monitor.alerting.messages import Message
from monitor.alerting.way import SECONDS, Undelivered, masked, place_of
from monitor.config.addresses import is_loopback
from monitor.redact import Secret
from monitor.version import __version__


class Webhook:
    """Posts to one address, which may hold `user:password@`."""

    name = channel = "webhook"

    def __init__(self, url: Secret) -> None:
        self._url = url
        self.place = place_of(url)

    def __repr__(self) -> str:
        return f"<Webhook at {self.place}>"

    def send(self, message: Message) -> None:
        """Raises Undelivered unless the answer is 2xx. No redirect is followed: the address is one host's secret."""
        try:
            with httpx.stream(
                "POST",
                self._url.reveal(),
                json=message.webhook(),
                headers={"User-Agent": f"openrouter-monitor/{__version__}", "Accept-Encoding": "identity"},
                timeout=SECONDS,
                follow_redirects=False,
                trust_env=not is_loopback(self.place),
            ) as answer:
                # A body may have no end: of a failure what comes first is read, and of a success nothing.
                said = b"" if answer.is_success else next(answer.iter_raw(), b"")
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            # What the library says may hold the address; its cause is an operating system's word, such as "refused".
            raise Undelivered(masked(f"{self.place}: {type(exc).__name__}: {exc}", self._url)) from None
        if not answer.is_success:
            told = masked(said.decode("utf-8", "replace"), self._url)
            text = f"{self.place} answered {answer.status_code} {told[:120]}".rstrip()
            raise Undelivered(text, _again_after(answer), alone=True)


def _again_after(answer: httpx.Response) -> float | None:
    with suppress(ValueError):
        return max(0.0, float(answer.headers.get("Retry-After", "")))
    return None
