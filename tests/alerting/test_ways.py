"""Webhook, mail and Apprise against servers on this machine: what arrives, and what is said when nothing does."""

from __future__ import annotations

import logging
import smtplib
import socket
import traceback

import pytest
from sinks import mail_server, webhook

from monitor.alerting.messages import Message, trial
from monitor.alerting.way import Undelivered, masked
from monitor.alerting.ways import ways
from monitor.config import Settings
from monitor.errors import ConfigError
from monitor.redact import Secret
from tests.fakes.builders import NOON

MESSAGE = Message(trial("warning", NOON), "http://127.0.0.1:8377")


def way(**alerts):
    (made,) = ways(Settings(alerts=alerts))
    return made


def refusal(made) -> Undelivered:
    with pytest.raises(Undelivered) as told:
        made.send(MESSAGE)
    for text in (str(told.value), repr(made), *traceback.format_exception(told.value)):
        assert "s3cr3t" not in text
        assert "T0KEN" not in text
    return told.value


@pytest.fixture
def silent():
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    return address[1]


def test_a_webhook_gets_json():
    """The body as it is; a user and password in the address become a header."""
    with webhook() as hook:
        way(webhook_url=hook.url).send(MESSAGE)
        assert hook.next() == MESSAGE.webhook()
        way(webhook_url=hook.url.replace("://", "://me:pass-word@")).send(MESSAGE)
        assert hook.headers[0]["Content-Type"] == "application/json"
        assert hook.headers[1]["Authorization"].startswith("Basic ")


@pytest.mark.parametrize("status", [302, 400, 404, 500, 503])
def test_any_answer_but_2xx_is_a_failure(status):
    """A redirect too, which is not followed; what the server says is told, without what the address holds."""
    with webhook() as hook:
        hook.answers, hook.says = [status], b"no such hook T0KEN-s3cr3t sk-or-v1-0123456789"
        told = refusal(way(webhook_url=hook.url))
        assert str(told) == f"127.0.0.1 answered {status} no such hook [hidden] [redacted]"
        assert hook.asked == 1


def test_a_server_that_is_busy_says_when_to_come_back():
    """The seconds of Retry-After are kept."""
    with webhook() as hook:
        hook.answers = [429]
        assert refusal(way(webhook_url=hook.url)).again_after == 40.0


def test_a_server_that_is_not_there_is_named_by_its_host_alone(silent):
    """Neither path nor password of any way is in what is said."""
    hook = refusal(way(webhook_url=f"http://me:s3cr3t@127.0.0.1:{silent}/T0KEN-s3cr3t?key=s3cr3t"))
    assert str(hook).startswith("127.0.0.1: ConnectError")
    mail = refusal(way(smtp_url=f"smtp://me:s3cr3t@127.0.0.1:{silent}", mail_to="you@example.org"))
    assert str(mail).startswith("127.0.0.1: ConnectionRefusedError")
    assert str(refusal(way(apprise_urls=[f"json://me:s3cr3t@127.0.0.1:{silent}/T0KEN-s3cr3t"]))) == (
        "json did not take the message"
    )


def test_mail_goes_to_everybody_with_a_login():
    """Who it is from is the user of the server if that is an address, or as set; it is marked as made by a program."""
    with mail_server() as post:
        made = way(
            smtp_url=post.url.replace("://", "://me%40example.org:p%40ss@"), mail_to="you@example.org,b@example.org"
        )
        made.send(MESSAGE)
        mail = post.next()
        assert post.logins == ["PLAIN AG1lQGV4YW1wbGUub3JnAHBAc3M="]
        assert (mail["From"], mail["To"]) == ("me@example.org", "you@example.org, b@example.org")
        assert mail["X-To"].count("example.org") == 2
        assert mail["Subject"] == MESSAGE.subject
        assert mail["Auto-Submitted"] == "auto-generated"
        assert mail.get_content().replace("\r\n", "\n") == MESSAGE.text
        way(smtp_url=post.url, mail_to="you@example.org", mail_from="Monitor <m@example.org>").send(MESSAGE)
        assert post.next()["From"] == "Monitor <m@example.org>"


@pytest.mark.parametrize("word", ["EHLO", "AUTH", "MAIL", "RCPT", "DATA"])
def test_a_mail_server_that_refuses_is_a_failure(word):
    """Whatever it refuses: the login, the sender, everybody, the text. Its words are told, without the password."""
    with mail_server() as post:
        post.refuses, post.says = {word}, "not for p-s3cr3t"
        told = refusal(way(smtp_url=post.url.replace("://", "://me:p-s3cr3t@"), mail_to="you@example.org"))
        assert str(told).startswith("127.0.0.1")
        assert post.mails.empty()


def test_a_password_is_not_sent_in_the_clear():
    """A mail server beyond this machine that offers no encryption does not get it."""
    with mail_server() as post:
        made = way(smtp_url="smtp://me:p-s3cr3t@mail.example.org", mail_to="you@example.org")
        with smtplib.SMTP("127.0.0.1", post.port) as server, pytest.raises(Undelivered, match="offers no encryption"):
            made._secured(server)
        assert post.logins == []


def test_apprise_brings_it_anywhere(caplog):
    """One address of each service; the subject and the text. Nothing that it logs by itself holds the address."""
    with webhook() as hook, caplog.at_level(logging.DEBUG, "apprise"):
        way(apprise_urls=[f"json://127.0.0.1:{hook.port}/T0KEN-s3cr3t"]).send(MESSAGE)
        body = hook.next()
        assert (body["title"], body["type"]) == (MESSAGE.subject, "failure")
        assert body["message"].strip() == MESSAGE.text.strip()
        hook.answers = [500]
        refusal(way(apprise_urls=[f"json://127.0.0.1:{hook.port}/T0KEN-s3cr3t"]))
    assert "s3cr3t" not in caplog.text.casefold()


def test_what_apprise_does_not_know_is_a_settings_error():
    """Said by its number, for the address is a secret."""
    with pytest.raises(ConfigError, match="apprise 2") as told:
        ways(Settings(alerts={"apprise_urls": ["json://127.0.0.1/x", "nosuchservice://T0KEN-s3cr3t"]}))
    assert "s3cr3t" not in str(told.value)


@pytest.mark.parametrize(
    ("url", "text", "shown"),
    [
        (
            "https://h.example/services/T01/B02/aZ9x",
            "bad path /services/T01/B02/aZ9x",
            "bad path /[hidden]/T01/B02/[hidden]",
        ),
        ("https://me:pass-word@h.example/", "for me:pass-word@h", "for me:[hidden]@h"),
        ("https://h.example/?token=abcdef", "got token=abcdef", "got [hidden]"),
        ("smtp://me:p%40ss%3Aword@h", "login p@ss:word failed", "login [hidden] failed"),
        ("https://[broken", "nothing to hide", "nothing to hide"),
    ],
)
def test_what_is_said_is_masked(url, text, shown):
    """Every part of an address but its host, as it stands there and as it reads decoded."""
    assert masked(text, Secret(url)) == shown
