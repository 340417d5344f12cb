"""Mail by SMTP: `smtp://user:password@host:587` (with STARTTLS where the server offers it) or `smtps://…`."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import unquote, urlsplit

from monitor.alerting.messages import RECEIVER, Message
from monitor.alerting.way import SECONDS, Undelivered, masked, place_of
from monitor.config.addresses import is_loopback
from monitor.redact import Secret

PORTS = {"smtp": 587, "smtps": 465}


class Mail:
    """Sends to some people by one server."""

    name = channel = "mail"

    def __init__(self, url: Secret, to: Sequence[str], sender: str | None) -> None:
        self._url, self._to = url, tuple(to)
        parts = urlsplit(url.reveal())
        self._scheme, self._host = parts.scheme, parts.hostname or ""
        self._port = parts.port or PORTS[parts.scheme]
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password or "")
        own = f"{RECEIVER}@{socket.gethostname()}"
        self._from = sender or (self._user if self._user and "@" in self._user else own)
        self.place = place_of(url)

    def __repr__(self) -> str:
        return f"<Mail by {self.place}>"

    def send(self, message: Message) -> None:
        """Raises Undelivered when the server does not take it for everybody."""
        try:
            with self._connected() as server:
                refused = server.send_message(self._written(message))
        except smtplib.SMTPResponseException as exc:
            said = exc.smtp_error.decode("utf-8", "replace") if isinstance(exc.smtp_error, bytes) else exc.smtp_error
            raise Undelivered(self._hidden(f"{self.place} answered {exc.smtp_code}: {said}")) from None
        except (smtplib.SMTPException, OSError) as exc:
            raise Undelivered(self._hidden(f"{self.place}: {type(exc).__name__}: {exc}")) from None
        if refused:
            raise Undelivered(f"{self.place} does not take mail for {len(refused)} of {len(self._to)} addresses")

    def _hidden(self, text: str) -> str:
        return masked(text.replace(self._password, "[hidden]") if len(self._password) > 3 else text, self._url)

    def _connected(self) -> smtplib.SMTP:
        if self._scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self._host, self._port, socket.gethostname(), timeout=SECONDS, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(self._host, self._port, socket.gethostname(), timeout=SECONDS)
        try:
            self._secured(server)
        except BaseException:
            with suppress(smtplib.SMTPException, OSError):
                server.close()
            raise
        return server

    def _secured(self, server: smtplib.SMTP) -> None:
        server.ehlo()
        if self._scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=ssl.create_default_context())
            server.ehlo()
        elif self._scheme == "smtp" and self._user and not is_loopback(self._host):
            raise Undelivered(f"{self.place} offers no encryption, so the password is not sent to it")
        if self._user:
            server.login(self._user, self._password)

    def _written(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = " ".join(message.subject.split())
        mail["From"], mail["To"] = self._from, ", ".join(self._to)
        mail["Date"], mail["Message-ID"] = formatdate(usegmt=True), make_msgid(domain=socket.gethostname())
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text)
        return mail
