"""Mail by SMTP: `smtp://user:password@host:587` (with STARTTLS where the server offers it) or `smtps://…`."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from email import policy
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from urllib.parse import unquote, urlsplit

from monitor.alerting.messages import RECEIVER, Message
from monitor.alerting.way import SECONDS, Undelivered, masked, place_of
from monitor.config.addresses import is_loopback
from monitor.redact import Secret

PORTS = {"smtp": 587, "smtps": 465}
FOR_GOOD = 500
"""From this code on a server will not say otherwise later."""

_POLICY = policy.SMTP.clone(cte_type="7bit")
"""Old servers take no more than ASCII."""

_Refused = Mapping[str, tuple[int, bytes]]
"""What a server said of each address that it does not take."""


class Mail:
    """Sends to some people by one server."""

    name = channel = "mail"

    def __init__(self, url: Secret, to: Sequence[str], sender: str | None) -> None:
        self._url, self._to = url, tuple(to)
        self._addresses = tuple(parseaddr(each)[1] or each for each in to)
        parts = urlsplit(url.reveal())
        self._scheme, self._host = parts.scheme, parts.hostname or ""
        self._port = parts.port or PORTS[parts.scheme]
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password or "")
        own = f"{RECEIVER}@{socket.gethostname()}"
        self._from = sender or (self._user if self._user and "@" in self._user else own)
        self.place = place_of(url)
        self._rest: tuple[object, tuple[str, ...]] = (None, ())  # a message, and who does not have it yet

    def __repr__(self) -> str:
        return f"<Mail by {self.place}>"

    def send(self, message: Message) -> None:
        """Raises Undelivered when the server does not take it for everybody."""
        which = tuple((each.key, each.state.incident, each.why) for each in message.bundle.due)
        to = self._rest[1] if self._rest[0] == which else self._addresses
        refused: _Refused
        try:
            with self._connected() as server:
                refused = server.send_message(self._written(message), to_addrs=to)
        except smtplib.SMTPRecipientsRefused as exc:
            refused = exc.recipients
        except smtplib.SMTPResponseException as exc:
            said = exc.smtp_error.decode("utf-8", "replace") if isinstance(exc.smtp_error, bytes) else exc.smtp_error
            text = self._hidden(f"{self.place} answered {exc.smtp_code}: {said}")
            raise Undelivered(text, alone=not isinstance(exc, smtplib.SMTPAuthenticationError)) from None
        except (smtplib.SMTPException, OSError) as exc:
            raise Undelivered(self._hidden(f"{self.place}: {type(exc).__name__}: {exc}")) from None
        self._rest = None, ()
        if refused:
            raise self._left_out(which, refused)

    def _left_out(self, which: object, refused: _Refused) -> Undelivered:
        """Some have it, or nobody: it must not come again to those who have it, whatever becomes of the others."""
        said = next(iter(refused.values()))
        told = f"does not take mail for {len(refused)} of {len(self._to)} addresses: {said[0]} "
        text = self._hidden(f"{self.place} {told}{said[1].decode('utf-8', 'replace')}")
        later = tuple(address for address, (code, _) in refused.items() if code < FOR_GOOD)
        if len(refused) < len(self._to):
            self._rest = which, later
        return Undelivered(text, alone=True, partly=len(refused) < len(self._to) and not later)

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
        mail = EmailMessage(_POLICY)
        # What looks like an encoded word is decoded by the library, line ends and all, and older ones write them out.
        mail["Subject"] = message.subject.replace("=?", "= ?")
        mail["From"], mail["To"] = self._from, ", ".join(self._to)
        mail["Date"], mail["Message-ID"] = formatdate(usegmt=True), make_msgid(domain=socket.gethostname())
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text)
        return mail
