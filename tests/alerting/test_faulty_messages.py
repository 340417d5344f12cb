"""Messages that hold hostile text, or that a server does not take: neither forges a word, nor holds up the others."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import dataclass

import pytest
from courier_kit import Desk
from hypothesis import given
from hypothesis import strategies as st
from sinks import mail_server, webhook

from monitor.alerting.mail import Mail
from monitor.alerting.messages import Message, single
from monitor.alerting.way import Undelivered
from monitor.alerting.ways import ways
from monitor.config import Settings
from monitor.redact import Secret
from tests.fakes.builders import NOON

URL = "http://127.0.0.1:8377"
HEADERS = {"Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "Content-Type",
           "Content-Transfer-Encoding", "MIME-Version", "X-To"}  # fmt: skip
FORGED = [
    "x\r\nBcc: evil@example.org",
    "=?utf-8?q?x=0D=0ABcc:_evil=40example.org?=",
    "=?utf-8?b?YQ0KQmNjOiBldmlsQHgub3Jn?= \N{SNOWMAN}",
    "x\x85Bcc: y\u2028z",
    "x\r\n.\r\nMAIL FROM:<evil@example.org>\r\n",
    "\x00\x1b[2J\x9b2J\u202egnp",
    "\ud800",
    "long" * 2000,
]


@pytest.fixture
def desk(tmp_path, clock):
    made = Desk(tmp_path / "monitor.db", clock)
    yield made
    made.store.close()


def about(name: str) -> Message:
    return Message(single("A", "warning", "catalogue", f"Model {name} is gone", f"{name} is no more.", NOON), URL)


def mail(post, *to: str) -> Mail:
    return Mail(Secret(post.url), to or ("you@example.org",), None)


# Hostile text


@pytest.mark.parametrize("name", FORGED)
def test_a_name_cannot_forge_a_mail(name):
    """No header, no receiver and no second mail of its own, however it is written; what steers a screen is gone."""
    with mail_server() as post:
        mail(post).send(about(name))
        arrived = post.next()
        assert set(arrived.keys()) == HEADERS
        assert arrived["X-To"] == "TO:<you@example.org>"
        assert post.mails.empty()
        text = arrived["Subject"] + arrived.get_content()
        assert not set(text) & set("\x00\x1b\x9b\u202e\x85\u2028")


@given(st.text())
def test_a_mail_is_ascii_with_its_own_headers_alone(name):
    """Whatever a name is made of: any server can take it, and no line of it is a header that we did not write."""
    made = mail(type("Post", (), {"url": "smtp://127.0.0.1:25"}))
    head, _, body = made._written(about(name)).as_bytes().partition(b"\r\n\r\n")
    names = {line.partition(b":")[0].decode("ascii") for line in head.split(b"\r\n") if line[:1] not in b" \t"}
    assert names <= HEADERS
    assert b"\n" not in head.replace(b"\r\n", b"")
    body.decode("ascii")


@given(st.text())
def test_a_name_cannot_begin_a_line(name):
    """Else an alert's text could hold another alert that nobody raised."""
    paragraph = about(f"x\nCRITICAL: {name}").text.split("\n\nHow things stand")[0]
    assert len(paragraph.splitlines()) == 3
    assert "\n" not in about(name).subject


@pytest.mark.parametrize("name", [name for name in FORGED if name != "\ud800"])
def test_a_webhook_is_told_the_name_itself(name):
    """Programs compare labels and texts: JSON can hold what a line cannot. (No store holds half a pair.)"""
    with webhook() as hook:
        (made,) = ways(Settings(alerts={"webhook_url": hook.url}))
        made.send(about(name))
        assert name in hook.next()["alerts"][0]["annotations"]["summary"]


# What a server does not take


def test_who_got_a_mail_does_not_get_it_again_for_one_who_cannot():
    """An address that the server will never take is told as a failure; the mail is not repeated to the others."""
    with mail_server() as post:
        post.unknown = {"gone@example.org": 550}
        with pytest.raises(Undelivered, match="1 of 2 addresses: 550 no") as told:
            mail(post, "you@example.org", "gone@example.org").send(about("m"))
        assert told.value.partly
        assert post.next()["X-To"] == "TO:<you@example.org>"


def test_who_is_to_wait_gets_it_later_and_alone():
    """A server that puts one address off (greylisting): at the next try it goes to that one only."""
    with mail_server() as post:
        post.unknown = {"slow@example.org": 450}
        made = mail(post, "J\u00f6rg <you@example.org>", "slow@example.org")
        with pytest.raises(Undelivered, match="450") as told:
            made.send(about("m"))
        assert not told.value.partly
        post.unknown = {}
        made.send(about("m"))
        made.send(about("m"))
        assert [post.next()["X-To"] for _ in range(3)] == [
            "TO:<you@example.org>", "TO:<slow@example.org>", "TO:<you@example.org>, TO:<slow@example.org>",
        ]  # fmt: skip


def test_who_is_refused_at_last_ends_it():
    """Put off at first and then refused for good: those who have the mail do not get it again."""
    with mail_server() as post:
        post.unknown = {"slow@example.org": 450}
        made = mail(post, "you@example.org", "slow@example.org")
        with pytest.raises(Undelivered):
            made.send(about("m"))
        post.unknown = {"slow@example.org": 550}
        with pytest.raises(Undelivered) as told:
            made.send(about("m"))
        assert told.value.partly
        assert post.mails.qsize() == 1


def test_a_message_that_some_have_is_not_tried_again(desk):
    """It counts as a failure and is said, and what comes after it is sent."""
    desk.box.fails = [Undelivered("not for one of two", partly=True)]
    desk.standing.fires("A")
    assert desk.round() is None
    assert desk.round() is None
    assert (desk.box.tried, desk.counted("failure")) == (1, 1)
    assert desk.health().error == "not for one of two"
    desk.restart()
    desk.standing.fires("B")
    desk.round()
    assert desk.box.names() == ["B"]
    assert desk.health().error is None


@dataclass
class Picky:
    """A way that never takes one alert's message, by that message's own fault."""

    bad: str
    name: str = "box"
    channel: str = "webhook"
    place: str = "host"

    def __post_init__(self) -> None:
        self.taken: list[str] = []
        self.tried = 0

    def send(self, message: Message) -> None:
        self.tried += 1
        if message.bundle.alertname == self.bad:
            raise Undelivered("host answered 413", alone=True)
        self.taken.append(message.bundle.alertname)

    def names(self) -> list[str]:
        return self.taken


def test_one_message_that_is_never_taken_holds_up_no_other(desk, clock):
    """Those behind it go at once, also what is new while it waits; it is tried again less and less often."""
    desk.box = Picky("A")
    desk.restart()
    desk.standing.fires("A", "B")
    assert desk.round() == 5.0
    assert desk.box.names() == ["B"]
    assert desk.health().error == "host answered 413"
    assert desk.round() == 5.0
    assert desk.box.tried == 2
    desk.standing.fires("C")
    assert desk.round() == 10.0
    assert desk.box.names() == ["B", "C"]
    clock.advance(10.0)
    assert desk.round() == 20.0
    assert desk.box.names() == ["B", "C"]


def test_a_server_that_asks_to_wait_is_not_asked_for_others(desk):
    """Nor one that cannot be reached: there every message would fail."""
    for failure in (Undelivered("busy", 40.0, alone=True), Undelivered("gone")):
        desk.restart()
        desk.box.tried = 0
        desk.box.fails = [failure]
        desk.standing.fires("A", "B")
        wait = desk.round()
        desk.standing.fires("C")
        assert desk.round() == wait
        assert desk.box.tried == 1


def test_an_alert_that_comes_back_while_the_store_fails_is_told_once(desk, clock):
    """What was to be forgotten and could not be is not taken for forgotten once it has been told of anew."""
    desk.standing.fires("A")
    desk.round()
    with desk.damaged_store():
        desk.standing.states.clear()
        desk.round()
        desk.standing.fires("A", at=clock.now() + 60)
        for _ in range(3):
            desk.round()
    desk.round()
    desk.restart()
    desk.round()
    assert desk.box.names() == ["A", "A"]


def test_an_answer_without_an_end_is_not_read_to_it():
    """A webhook that goes on writing fills no memory and takes no time: what it said first is told."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def write_on() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n")
                stop.wait(60)

        thread = threading.Thread(target=write_on)
        thread.start()
        (made,) = ways(Settings(alerts={"webhook_url": f"http://127.0.0.1:{server.getsockname()[1]}/"}))
        with pytest.raises(Undelivered, match="answered 500 no"):
            made.send(about("m"))
        stop.set()
        thread.join()


def test_the_webhooks_body_stays_json(desk):
    """Names with quotes, tags and line ends come out of it as they went in."""
    body = about('"},\n<script>').webhook()
    assert json.loads(json.dumps(body)) == body
