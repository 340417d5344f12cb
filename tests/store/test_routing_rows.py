"""What the friendly client chooses by, as the store keeps it."""

from __future__ import annotations

import pytest

from monitor.model import Outcome, PriceClass
from monitor.store.protocol import CircuitRow, ModelRecord
from tests.fakes.builders import CATALOGUE, FREE, FREE2, NOON, fill, ledger, settings, success, take


@pytest.fixture
def book(tmp_path, clock):
    return ledger(tmp_path / "monitor.db", clock)


def test_free_models_are_those_of_the_newest_catalogue(book):
    """Only listed ones, only of the asked price classes, with all that is known of them."""
    with book.store.transaction() as tx:
        assert {each.id for each in tx.priced_facts([PriceClass.FREE])} == {FREE, FREE2, "openrouter/free"}
        assert tx.priced_facts([PriceClass.FREE])[0] == CATALOGUE[FREE]
        assert len(tx.priced_facts([PriceClass.FREE, PriceClass.ZERO])) == 4
    fill(book.store, settings(), NOON + 9, {FREE2: CATALOGUE[FREE2]})
    with book.store.transaction() as tx:
        assert [each.id for each in tx.priced_facts([PriceClass.FREE])] == [FREE2]


def test_our_record_leaves_out_what_says_nothing_of_a_model(book, clock):
    """A cancelled call is no failure of its model; the mean is of successes alone."""
    for seconds, ending in ((2, success()), (4, success()), (9, success(outcome=Outcome.SERVER_ERROR))):
        hold = take(book)
        clock.advance(seconds)
        book.settle(hold, ending)
    book.settle(take(book), success(outcome=Outcome.CANCELLED))
    with book.store.transaction() as tx:
        assert tx.model_records() == {FREE: ModelRecord(3, 2, 3.0)}


def test_circuits_are_an_accounts_own(book):
    """Kept, changed and forgotten by model, and no other account's."""
    with book.store.transaction() as tx:
        tx.save_circuit("a", FREE, CircuitRow(1, 0, 0.0, 0.0))
        tx.save_circuit("a", FREE, CircuitRow(2, 1, NOON, 0.0))
        tx.save_circuit("b", FREE, CircuitRow(1, 1, NOON, NOON))
        assert tx.circuits("a") == {FREE: CircuitRow(2, 1, NOON, 0.0)}
        tx.close_circuit("a", FREE)
        assert tx.circuits("a") == {}
        assert len(tx.circuits("b")) == 1


def test_calls_and_retries_are_counted_by_span_and_forgotten(book):
    """The sums are of the spans that are asked for; those of hours ago are gone."""
    with book.store.transaction() as tx:
        for span, calls, retries in ((100, 1, 0), (100, 1, 1), (101, 1, 0), (106, 0, 5)):
            tx.count_in_span("a", span, calls=calls, retries=retries)
        assert tx.counted_in_spans("a", 100, 101) == (3, 1)
        assert tx.counted_in_spans("b", 0, 999) == (0, 0)
        tx.count_in_span("a", 200)
        assert tx.counted_in_spans("a", 0, 199) == (0, 0)
