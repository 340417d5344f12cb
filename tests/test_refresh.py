"""The catalogue and the key's figures: fetched once for everyone, believed when they can be read."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from monitor.clock import FakeClock, SystemClock
from monitor.errors import PollError, StoreError
from monitor.ledger import Ledger
from monitor.model import Reason
from monitor.refresh import BACK_OFF_SECONDS, FETCH_SECONDS, PAGE_LIMIT, Fetched, Refresher
from tests.fakes.builders import FREE, FREE2, NOON, PAID, ask, ledger, one, rows
from tests.fakes.processes import workers

KEY = "sk-or-v1-0123456789abcdef0123456789abcdef"
BASE = "https://openrouter.ai/api/v1"
MODELS = f"{BASE}/models?output_modalities=all"


def row(model: str, price: str = "0", **more: object) -> dict[str, object]:
    return {"id": model, "pricing": {"prompt": price, "completion": price}} | more


def page(*found: dict[str, object], **more: object) -> bytes:
    return json.dumps({"data": list(found)} | more).encode()


class Upstream:
    """Answers by URL, and remembers what was asked."""

    def __init__(self, answers: Mapping[str, Fetched | bytes | Exception] | None = None) -> None:
        self.answers = dict(answers or {MODELS: page(row(FREE), row(PAID, "0.000001"))})
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    def __call__(self, url: str, headers: Mapping[str, str]) -> Fetched:
        self.asked.append((url, headers))
        answer = self.answers[url]
        if isinstance(answer, Exception):
            raise answer
        return Fetched(200, answer) if isinstance(answer, bytes) else answer


@pytest.fixture
def book(tmp_path, clock):
    opened = ledger(tmp_path / "m.db", clock, catalogue=False)
    yield opened
    opened.store.close()


def look(book: Ledger, upstream: Upstream, **more: object) -> bool:
    return Refresher(book).models(upstream, **({"newer_than": book.clock.now() - 60} | more))


# Once for everyone


def test_a_catalogue_is_fetched_and_believed(book):
    """After one plain GET, without a key, the models of the answer are judged by."""
    upstream = Upstream()
    assert look(book, upstream)
    ((url, headers),) = upstream.asked
    assert url == MODELS
    assert "authorization" not in {name.lower() for name in headers}
    assert book.reserve(ask(FREE)).hold is not None
    assert book.reserve(ask(PAID)).verdict.reason is Reason.MODEL_NOT_FREE
    assert rows(book, "SELECT source, fetched_at, models FROM catalogue") == [(BASE, NOON, 2)]


def test_a_young_copy_is_not_fetched_again(book, clock):
    """Only what is older than was asked for."""
    upstream = Upstream()
    look(book, upstream)
    clock.advance(59.9)
    assert look(book, upstream)
    assert len(upstream.asked) == 1
    clock.advance(0.1)
    assert look(book, upstream)
    assert len(upstream.asked) == 2


def test_eight_threads_make_one_fetch(tmp_path):
    """Those that find it being fetched wait for it and get it too."""
    book = ledger(tmp_path / "m.db", SystemClock(), catalogue=False)
    refresher, upstream = Refresher(book), Upstream()
    together, fetching = threading.Barrier(8), threading.Event()

    def fetch(url: str, headers: Mapping[str, str]) -> Fetched:
        fetching.set()
        return upstream(url, headers)

    def one_(_: int) -> bool:
        together.wait()
        return refresher.models(fetch, newer_than=book.clock.now() - 60)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one_, range(8))) == [True] * 8
    assert fetching.is_set()
    assert len(upstream.asked) == 1
    book.store.close()


@pytest.mark.processes
def test_four_processes_make_one_fetch(tmp_path):
    """So it is across processes, from a missing store on."""
    counter = tmp_path / "counter"
    with workers(4, "fetch", tmp_path / "m.db", counter) as started:
        for worker in started:
            worker.tell("go")
        assert [worker.hear() for worker in started] == ["True"] * 4
    assert counter.read_bytes() == b"x"


def test_who_comes_a_moment_late_does_not_fetch_again(tmp_path):
    """Between the look for a copy and the lease another may have fetched it: it is looked for again."""

    class Interrupted(FakeClock):
        """Time at which, once, the other one gets in between."""

        meanwhile = None

        def now(self) -> float:
            work, self.meanwhile = self.meanwhile, None
            if work is not None:
                work()
            return super().now()

    clock = Interrupted(NOON)
    book = ledger(tmp_path / "m.db", clock, catalogue=False)
    first, second = Upstream(), Upstream()
    looks = []

    def after_the_look() -> None:
        looks.append(look(other, first))

    other = Ledger(book.store, book.settings, FakeClock(NOON))
    clock.meanwhile = after_the_look
    assert Refresher(book).models(second, newer_than=NOON - 60)
    assert looks == [True]
    assert len(first.asked) + len(second.asked) == 1
    book.store.close()


def test_who_need_not_wait_goes_on(book):
    """With a usable copy at hand nobody waits for another's fetch."""
    with book.store.transaction() as tx:
        tx.take_lease("models", "another", NOON + FETCH_SECONDS, NOON)
    upstream = Upstream()
    assert not look(book, upstream, wait=False)
    assert upstream.asked == []


def test_a_lease_of_the_dead_is_taken_over(book):
    """Who waits for a fetcher that died fetches himself when its lease ends."""
    with book.store.transaction() as tx:
        tx.take_lease("models", "dead", NOON + FETCH_SECONDS - 1, NOON)
    upstream = Upstream()
    assert look(book, upstream)
    assert len(upstream.asked) == 1
    assert book.clock.now() >= NOON + FETCH_SECONDS - 1


def test_waiting_ends(book):
    """Behind a lease that is renewed for ever one gives up after as long as a fetch may take."""
    with book.store.transaction() as tx:
        tx.take_lease("models", "another", NOON + FETCH_SECONDS + 30, NOON)
    upstream = Upstream()
    assert not look(book, upstream)
    assert upstream.asked == []
    assert FETCH_SECONDS - 1 < book.clock.now() - NOON < FETCH_SECONDS + 1


def test_a_lease_from_the_future_is_none(book):
    """One that a clock left that was ahead by more than a lease lasts has run out."""
    with book.store.transaction() as tx:
        tx.take_lease("models", "ahead", NOON + FETCH_SECONDS + 61, NOON)
    upstream = Upstream()
    assert look(book, upstream, wait=False)
    assert len(upstream.asked) == 1


@pytest.mark.parametrize("late", [FETCH_SECONDS, 86_400.0])
def test_a_late_answer_does_not_replace_a_newer_one(book, clock, late):
    """Slower than its lease, a fetch ends after another that began later: what that one told stands."""
    newer = {MODELS: page(row(FREE, "0.000001"), row(FREE2)), f"{BASE}/key": figures(used=7)}
    older = Upstream({MODELS: page(row(FREE)), f"{BASE}/key": figures(used=1)})

    def while_another_looks(url: str, headers: Mapping[str, str]) -> Fetched:
        clock.advance(late)
        other = Refresher(book)
        assert other.models(Upstream(newer), newer_than=clock.now() - 1)
        assert other.key(Upstream(newer), KEY, newer_than=clock.now() - 1)
        return older(url, headers)

    assert Refresher(book).models(while_another_looks, newer_than=NOON - 60)
    assert rows(book, "SELECT fetched_at, models FROM catalogue") == [(NOON + late, 2)]
    assert book.reserve(ask(FREE)).verdict.reason is Reason.MODEL_NOT_FREE
    assert Refresher(book).key(while_another_looks, KEY, newer_than=clock.now() + 1)
    assert rows(book, "SELECT key_at, server_used FROM accounts") == [(NOON + 2 * late, 7)]


# What goes wrong


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Fetched(401, b""), "answered 401: the API key is not valid"),
        (Fetched(500, b"{}"), "answered 500"),
        (Fetched(302, b""), "answered 302"),
        (b"", "no list of models"),
        (b"<html>", "no list of models"),
        (b"\xff\x00", "no list of models"),
        (b'{"data": []}', "empty catalogue"),
        (b'{"data": [1, null, {}]}', "empty catalogue"),
        (b'{"error": {"message": "the sky fell"}}', "the sky fell"),
        (b"[" * 100_000, "no list of models"),
        (TimeoutError("no answer"), "TimeoutError: no answer"),
    ],
)
def test_a_failure_is_told_and_changes_nothing(book, clock, answer, says):
    """The last good catalogue stays in use, whatever came instead of a new one."""
    look(book, Upstream())
    clock.advance(100)
    with pytest.raises(PollError, match=says):
        look(book, Upstream({MODELS: answer}))
    assert rows(book, "SELECT fetched_at, models FROM catalogue") == [(NOON, 2)]
    assert book.reserve(ask(FREE)).hold is not None


def test_a_failure_is_remembered_for_a_while(book, clock):
    """For ten seconds everyone is told of it without another try; then it is tried again."""
    broken, sound = Upstream({MODELS: Fetched(503, b"")}), Upstream()
    with pytest.raises(PollError, match="answered 503"):
        look(book, broken)
    clock.advance(BACK_OFF_SECONDS - 0.001)
    for wait in (True, False):
        with pytest.raises(PollError, match=r"the last try failed: GET \S*/models answered 503"):
            look(book, sound, wait=wait)
    assert sound.asked == []
    clock.advance(0.001)
    assert look(book, sound)


def test_an_interrupted_fetch_is_a_failure_too(book, clock):
    """Ctrl-C passes, and does not leave others waiting for the whole lease."""

    def interrupted(url: str, headers: Mapping[str, str]) -> Fetched:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Refresher(book).models(interrupted, newer_than=0)
    with pytest.raises(PollError, match="interrupted"):
        look(book, Upstream())
    clock.advance(BACK_OFF_SECONDS)
    assert look(book, Upstream())


def test_what_was_wrong_is_told_without_the_key(book):
    """Neither the error nor the store repeats a key that an exception's text holds."""
    refresher = Refresher(book)
    upstream = Upstream({f"{BASE}/key": RuntimeError(f"proxy said no to Bearer {KEY} {'x' * 500}")})
    with pytest.raises(PollError) as told:
        refresher.key(upstream, KEY, newer_than=0)
    assert KEY not in str(told.value)
    assert len(str(told.value)) < 300
    book.store.close()
    for file in book.store.path.parent.iterdir():
        assert KEY.encode() not in file.read_bytes()


def test_a_store_that_cannot_be_reached_is_a_store_error(book):
    """It is not taken for a failed fetch."""
    book.store.close()
    book.store.path.unlink(missing_ok=True)
    book.store.path.mkdir()
    with pytest.raises(StoreError):
        look(book, Upstream())


# Pages


def test_pages_are_followed(book):
    """A relative link and an absolute one of the same host; the models of all pages are one catalogue."""
    upstream = Upstream(
        {
            MODELS: page(row(FREE), links={"next": "/api/v1/models?offset=1"}),
            f"{BASE}/models?offset=1": page(row(FREE2), links={"next": f"{BASE}/models?offset=2"}),
            f"{BASE}/models?offset=2": page(row(PAID, "0.1"), links={"next": None}),
        }
    )
    assert look(book, upstream)
    assert one(book, "SELECT models FROM catalogue") == 3
    assert book.reserve(ask(FREE2)).hold is not None


@pytest.mark.parametrize(
    "link",
    ["https://evil.example/models", "//evil.example/x", "http://openrouter.ai/api/v1/models", "file:///etc/passwd"],
)
def test_a_page_elsewhere_is_not_followed(book, link):
    """Another host or another scheme: the catalogue is refused as a whole."""
    upstream = Upstream({MODELS: page(row(FREE), links={"next": link})})
    with pytest.raises(PollError, match="another host"):
        look(book, upstream)
    assert len(upstream.asked) == 1
    assert one(book, "SELECT source FROM catalogue") == ""


def test_pages_without_end_are_refused(book):
    """A link to itself is given up after a while."""
    upstream = Upstream({MODELS: page(row(FREE), links={"next": MODELS})})
    with pytest.raises(PollError, match=f"more than {PAGE_LIMIT} pages"):
        look(book, upstream)
    assert len(upstream.asked) == PAGE_LIMIT


def test_a_model_on_two_pages_is_as_dear_as_its_dearer_row(book):
    """A free row on a later page does not hide a price on an earlier one."""
    upstream = Upstream(
        {
            MODELS: page(row(FREE, "0.1"), links={"next": "/api/v1/models?offset=1"}),
            f"{BASE}/models?offset=1": page(row(FREE)),
        }
    )
    look(book, upstream)
    assert book.reserve(ask(FREE)).verdict.reason is Reason.MODEL_NOT_FREE


def test_text_that_is_no_text_in_a_catalogue(book):
    """Half a surrogate pair in a model's name or elsewhere (JSON allows it) does not stop the poll."""
    odd = row(FREE, name="odd \ud83d", expiration_date="\ud83d", supported_parameters=["\ud83d"])
    odd["architecture"] = {"output_modalities": ["\ud83d"], "input_modalities": ["\ud83d"]}
    assert look(book, Upstream({MODELS: page(odd, row(FREE2))}))
    assert book.reserve(ask(FREE)).hold is not None


# The key


def figures(used: int = 3, limit: int = 50) -> bytes:
    return json.dumps({"data": {"free_model_daily_requests": {"used": used, "limit": limit}}}).encode()


def test_the_keys_figures_are_fetched_with_the_key(book):
    """It goes to the key endpoint and nowhere else; what it says is booked."""
    upstream = Upstream({f"{BASE}/key": figures()})
    assert Refresher(book).key(upstream, KEY, newer_than=NOON - 60)
    ((url, headers),) = upstream.asked
    assert url == f"{BASE}/key"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert rows(book, "SELECT server_used, server_limit, key_at, elsewhere FROM accounts") == [(3, 50, NOON, 3)]
    assert KEY not in "".join(str(value) for value in rows(book, "SELECT * FROM accounts"))


@pytest.mark.parametrize("answer", [Fetched(401, b""), b"[]", b"", b'{"error": {"message": "no"}}'])
def test_a_failed_look_at_the_key_is_on_record(book, answer):
    """The reason stands in the store; the figures before it stay."""
    refresher = Refresher(book)
    refresher.key(Upstream({f"{BASE}/key": figures()}), KEY, newer_than=NOON - 60)
    with pytest.raises(PollError):
        refresher.key(Upstream({f"{BASE}/key": answer}), KEY, newer_than=NOON)
    assert rows(book, "SELECT server_used, key_at FROM accounts") == [(3, NOON)]
    assert one(book, "SELECT key_error FROM accounts")


def test_each_account_has_its_own_look(book, tmp_path):
    """A fresh figure of one account is none of another."""
    upstream = Upstream({f"{BASE}/key": figures()})
    other = Ledger(book.store, book.settings.with_changes(account="other"), book.clock)
    for account in (book, other, book):
        Refresher(account).key(upstream, KEY, newer_than=NOON - 60)
    assert len(upstream.asked) == 2


# Belief


def test_a_catalogue_of_another_upstream_is_fetched_anew(book):
    """A fresh copy of somewhere else is no copy."""
    local = "http://127.0.0.1:1/api/v1"
    other = Ledger(book.store, book.settings.with_changes(base_url=local), book.clock)
    look(book, Upstream())
    upstream = Upstream({f"{local}/models?output_modalities=all": page(row(FREE))})
    assert look(other, upstream)
    assert len(upstream.asked) == 1
    assert other.reserve(ask(FREE)).hold is not None
    assert book.reserve(ask(FREE)).verdict.reason is Reason.CATALOGUE_STALE


def test_a_copy_from_the_future_is_fetched_anew(book, clock):
    """Fetched while the clock was ahead, it would else count as fresh until then."""
    upstream = Upstream({MODELS: page(row(FREE)), f"{BASE}/key": figures()})
    clock.set(NOON + 1e6)
    look(book, upstream)
    Refresher(book).key(upstream, KEY, newer_than=NOON)
    clock.set(NOON)
    assert look(book, upstream)
    assert Refresher(book).key(upstream, KEY, newer_than=NOON - 60)
    assert len(upstream.asked) == 4
    assert rows(book, "SELECT fetched_at FROM catalogue") == [(NOON,)]


def events(book: Ledger) -> list[tuple[str, str]]:
    return rows(book, "SELECT kind, subject FROM events ORDER BY id")


def test_the_first_look_is_no_news(book):
    """A new store does not report every model as new."""
    look(book, Upstream())
    assert events(book) == []


def test_a_free_model_that_gets_a_price_is_told_and_refused_at_once(book, clock):
    """The guard judges by the newest catalogue from the poll on, whenever the event comes."""
    look(book, Upstream())
    for _ in range(8):
        clock.advance(3600)
        look(book, Upstream({MODELS: page(row(FREE, "0.000001"), row(PAID, "0.000001"))}))
        assert book.reserve(ask(FREE)).verdict.reason is Reason.MODEL_NOT_FREE
    assert any(subject == FREE and "free" in kind for kind, subject in events(book))


def test_a_free_model_that_vanishes_is_told_and_unknown_at_once(book, clock):
    """So it is with one that is no longer listed."""
    look(book, Upstream())
    for _ in range(30):
        clock.advance(3600)
        look(book, Upstream({MODELS: page(row(PAID, "0.000001"))}))
        assert book.reserve(ask(FREE)).verdict.reason is Reason.MODEL_UNKNOWN
    assert any(subject == FREE for _, subject in events(book))


def test_a_new_free_model_is_told(book, clock):
    """And can be called at once."""
    look(book, Upstream())
    for _ in range(8):
        clock.advance(3600)
        look(book, Upstream({MODELS: page(row(FREE), row(FREE2), row(PAID, "0.000001"))}))
        assert book.reserve(ask(FREE2)).hold is not None
    assert any(subject == FREE2 for _, subject in events(book))
