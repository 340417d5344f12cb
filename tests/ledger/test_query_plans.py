"""Admission and settlement find their rows by key: their cost does not grow with the log."""

from __future__ import annotations

import re

import pytest

from monitor.ledger import LEASE_SECONDS, Ledger
from monitor.model import Ending, LimitKind, Outcome
from tests.fakes.builders import FREE, FREE2, PAID, ask, intent, key_facts, ledger, refused_by, success, take

GROWING = "calls|sends|windows|models|totals|accounts|spend|cooldowns|refusals|bodies|events|label_names"
SCAN = re.compile(rf"SCAN ({GROWING})\b")


@pytest.fixture
def statements(tmp_path, clock):
    """Every statement of a life of calls, with the values that were bound."""
    book = ledger(
        tmp_path / "m.db",
        clock,
        guard={"allow": "any", "log_bodies": True},
        budget={"per_day_usd": 1, "per_month_usd": 9},
        apps={"app": {"share": 0.2}},
    )
    seen: list[str] = []
    with book.store.transaction() as tx:
        tx.pause("other", 0.0, None, "")
        connection = tx._db
    connection.set_trace_callback(seen.append)
    live(book, clock)
    connection.set_trace_callback(None)
    yield book, [text for text in dict.fromkeys(seen) if re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)", text)]
    book.store.close()


def live(book: Ledger, clock) -> None:
    for _ in range(17):  # the clean-up of sends comes at the sixteenth
        hold = take(book, FREE, fallbacks=(FREE2,))
        clock.advance(10)
        book.keep_request(hold, b"{}")
        book.renew(hold)
        book.settle(hold, success(answer="a", ttft=0.1))
    paid = take(book, PAID)
    book.settle(paid, success(0.01))
    book.release(take(book), Ending(Outcome.NETWORK_ERROR))
    for kind in (LimitKind.UPSTREAM, LimitKind.FREE_MINUTE, LimitKind.IN_FLIGHT_BUDGET):
        book.settle(take(book, PAID), refused_by(kind, retry_after=0.1, resets_at=clock.now()))
        clock.advance(1)
    book.settle(take(book, PAID), success(0.0))
    take(book)
    book.reserve(ask("lab/nothing", endpoint=intent().endpoint, max_output_tokens=1))
    clock.advance(LEASE_SECONDS + 60)
    book.sweep()
    book.note_key(key_facts(1), asked_at=clock.now())
    book.settle(take(book), refused_by(LimitKind.FREE_DAILY, resets_at=clock.now(), limit=60))


def test_nothing_on_the_path_of_a_call_scans(statements):
    """No statement of reserving, settling, releasing, renewing, sweeping or learning reads a whole table."""
    book, texts = statements
    assert len(texts) > 40
    with book.store.connection.reading() as connection:
        for text in texts:
            for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {text}").fetchall():
                assert not SCAN.search(step), (step, text)
                assert "TEMP B-TREE" not in step, (step, text)
                assert "AUTOMATIC" not in step, (step, text)


def test_the_statements_are_those_of_the_path(statements):
    """The list above is not empty of what matters."""
    text = "\n".join(statements[1])
    tables = ("calls", "sends", "windows", "models", "totals", "spend", "cooldowns", "accounts", "refusals", "bodies")
    for table in tables:
        assert re.search(rf"\b{table}\b", text), table
    assert "DELETE FROM sends" in text
    assert "open_from" in text


def test_the_sends_are_forgotten(statements):
    """What the minute window no longer looks back on is deleted: the table does not grow with the log."""
    book, _ = statements
    with book.store.connection.reading() as connection:
        assert connection.execute("SELECT count(*) FROM sends").fetchone()[0] <= 20 + 16
