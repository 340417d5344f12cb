"""The pages: what they answer, in health and in trouble."""

from __future__ import annotations

import asyncio
import threading

import pytest

from monitor.web import app as web_app
from tests.fakes.builders import FREE, ledger
from tests.fakes.processes import Worker

READING = ("/", "/metrics", "/-/healthy", "/-/ready", "/api/status")


async def test_metrics_are_the_stores_figures(pages, store):
    """A scrape tells what is on record, in the text format unless asked otherwise."""
    client = await pages(store)
    answer = await client.get("/metrics", headers={"Accept-Encoding": "identity"})
    text = await answer.text()
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert f'openrouter_requests_total{{app="app",code="200",model="{FREE}",outcome="success",tier="free"}} 1.0' in text
    assert "openrouter_monitor_scrape_ok 1.0" in text


async def test_a_scrape_is_negotiated(pages, store):
    """OpenMetrics and compression for who asks for them, and caches are told of both."""
    client = await pages(store)
    wanted = {"Accept": "application/openmetrics-text; version=1.0.0", "Accept-Encoding": "gzip"}
    answer = await client.get("/metrics", headers=wanted)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Vary"] == "Accept, Accept-Encoding"
    assert (await answer.text()).endswith("# EOF\n")


async def test_a_damaged_store_gives_the_last_figures_and_says_so(pages, store):
    """A scrape never fails: a 500 would make everything else on the page disappear."""
    client = await pages(store)
    before = await (await client.get("/metrics")).text()
    aside = store.rename(store.with_name("aside.db"))
    store.write_bytes(b"")
    after = await client.get("/metrics")
    text = await after.text()
    assert after.status == 200
    assert "openrouter_monitor_scrape_ok 0.0" in text
    ours = [line for line in before.splitlines() if line.startswith("openrouter_requests_total{")]
    assert ours
    assert all(line in text for line in ours)
    store.unlink()
    aside.rename(store)
    assert "openrouter_monitor_scrape_ok 1.0" in await (await client.get("/metrics")).text()


@pytest.mark.processes
async def test_a_locked_store_is_scraped_all_the_same(pages, store):
    """Readers do not wait for a writer, however long it takes."""
    client = await pages(store)
    with Worker("lock", store) as worker:
        assert worker.hear() == "ready"
        worker.ask("lock")
        text = await (await client.get("/metrics")).text()
        assert "openrouter_monitor_scrape_ok 1.0" in text
        assert (await client.get("/api/status")).status == 200
        worker.ask("free")


async def test_ready_is_a_readable_store_with_a_catalogue(pages, store, tmp_path, clock):
    """Before the first catalogue no call can be judged; the answer says what is missing."""
    assert (await (await pages(store)).get("/-/ready")).status == 200
    book = ledger(tmp_path / "empty.db", clock, catalogue=False)
    with book.store.transaction():
        pass
    for path, why in ((tmp_path / "empty.db", "catalogue"), (tmp_path / "nowhere.db", "nowhere.db")):
        client = await pages(path)
        answer = await client.get("/-/ready")
        told = await answer.json()
        assert (answer.status, told["ready"]) == (503, False)
        assert why in told["why"]
        assert (await client.get("/-/healthy")).status == 200


async def test_a_catalogue_of_another_upstream_is_none(pages, tmp_path, clock):
    """What a simulator listed says nothing of OpenRouter."""
    ledger(tmp_path / "other.db", clock, base_url="http://127.0.0.1:9/api/v1").store.close()
    assert (await (await pages(tmp_path / "other.db")).get("/-/ready")).status == 503


async def test_status_is_what_the_command_tells(pages, store):
    """The same object, with the day's pace and when its quota ends at it."""
    client = await pages(store)
    told = await (await client.get("/api/status")).json()
    assert told["day"]["used"] == 1
    assert told["day"]["pace_per_hour"] == pytest.approx(1 / 12)
    assert told["day"]["exhausted_at"] is None
    assert told["catalogue"]["usable"] is True


async def test_a_status_that_cannot_be_had_says_why(pages, store):
    """A damaged store is 503 and a sentence, as OpenRouter shapes its errors."""
    store.write_bytes(b"")
    answer = await (await pages(store)).get("/api/status")
    told = await answer.json()
    assert answer.status == told["error"]["code"] == 503
    assert str(store) in told["error"]["message"]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nope", 404), ("POST", "/metrics", 405)])
async def test_what_is_not_there_is_told_in_json(pages, store, method, path, status):
    """A program that asks for the wrong thing can read what was wrong."""
    answer = await (await pages(store)).request(method, path)
    assert answer.status == status
    assert (await answer.json())["error"]["code"] == status


async def test_every_answer_is_dressed(pages, store):
    """No page can be framed, sniffed or kept, and none names the software that serves it."""
    client = await pages(store)
    for path in (*READING, "/nope"):
        headers = (await client.get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == "no-store"
        assert "Server" not in headers


async def test_head_asks_for_the_same_without_a_body(pages, store):
    """Probes that only look at the status are answered."""
    client = await pages(store)
    for path in READING:
        answer = await client.head(path)
        assert (answer.status, await answer.read()) == (200, b"")


async def test_a_defect_is_a_500_that_gives_nothing_away(pages, store, monkeypatch, caplog):
    """The log has the details, the answer none."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(web_app, "overview", broken)
    answer = await (await pages(store)).get("/api/status")
    assert answer.status == 500
    assert "secret detail" not in await answer.text()
    assert "GET '/api/status' failed" in caplog.text


async def test_no_path_writes_a_line_of_the_log(pages, store, monkeypatch, caplog):
    """Decoded, it may hold a line feed and what a terminal obeys."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("monitor.web.site.gather", broken)
    await (await pages(store)).get("/apps/x%0aINFO%20all%20is%20well%1b[31m")
    (record,) = [record for record in caplog.records if record.name == "monitor.web"]
    assert record.getMessage() == r"GET '/apps/x\nINFO all is well\x1b[31m' failed"


async def test_a_slow_store_holds_up_nobody_else(pages, store, monkeypatch):
    """Reading happens on a worker thread: health is answered while a status is still being gathered."""
    began, may_end = threading.Event(), threading.Event()

    def slow(*_: object) -> dict[str, object]:
        began.set()
        assert may_end.wait(20)
        return {}

    monkeypatch.setattr(web_app, "overview", slow)
    client = await pages(store)
    status = asyncio.create_task(client.get("/api/status"))
    assert await asyncio.to_thread(began.wait, 20)
    assert (await client.get("/-/healthy")).status == 200
    may_end.set()
    assert (await status).status == 200
