"""The books: what was sent is what they say, from any thread and over HTTP."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from simulator_kit import DEAR, FREE, KEY

from monitor.simulator.books import Books, Post


def test_every_post_is_in_the_books(simulate, clock):
    """Time, account, path, models, status, cost and body of each POST, served or not."""
    api = simulate()
    api.chat(text="first")
    api.chat(DEAR)
    api.post("/nowhere", model=FREE)
    first, second, third = api.sim.books.posts
    assert (first.at, first.account, first.path) == (clock.now(), "default", "/chat/completions")
    assert (first.model_asked, first.model_served, first.status) == (FREE, FREE, 200)
    assert (first.free, first.counted, first.cost_usd) == (True, True, 0)
    assert json.loads(first.body)["messages"][0]["content"] == "first"
    assert (second.free, second.counted) == (False, False)
    assert second.cost_usd > 0
    assert (third.path, third.status) == ("/nowhere", 404)


def test_the_router_is_asked_and_another_serves(simulate):
    """Model asked and model served are told apart."""
    api = simulate()
    api.chat("openrouter/free")
    post = api.sim.books.posts[0]
    assert post.model_asked == "openrouter/free"
    assert post.model_served.endswith(":free")
    assert post.model_served != "openrouter/free"


def test_books_show_no_key(simulate):
    """Headers are kept, the credential is not shown: not in a header, not in print, not over HTTP."""
    api = simulate()
    api.http.post("/chat/completions", json={"model": FREE, "messages": []}, headers={"X-Title": "bot"})
    post = api.sim.books.posts[0]
    assert post.headers["x-title"] == "bot"
    assert "authorization" not in post.headers
    assert KEY not in repr(post)
    assert KEY not in api.http.get(f"{api.sim.root_url}/_sim/books").text


def test_totals_equal_what_was_sent_by_many_threads(simulate):
    """Requests, served, counted and overshoots add up when eight threads send at once."""
    api = simulate(per_minute=25)
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: api.chat().status_code, range(40)))
    totals = api.sim.books.totals
    assert (codes.count(200), codes.count(429)) == (25, 15)
    assert (totals.requests, totals.free_served, totals.counted, totals.overshoots) == (40, 25, 25, 15)
    assert api.sim.books.statuses == {200: 25, 429: 15}


def test_totals_outlive_the_posts_that_are_kept():
    """The newest POSTs are kept in full, the totals cover all."""
    books = Books(keep=3)
    for number in range(10):
        books.write(Post(float(number), "/chat/completions", 200, b"", {}, cost_usd=0.1))
    assert [post.at for post in books.posts] == [7.0, 8.0, 9.0]
    assert books.requests == 10
    assert books.cost_usd == 1.0


def test_waiting_for_a_request_ends_when_it_came():
    """`wait_for` says whether that many requests came in time."""
    books = Books(keep=3)
    assert books.wait_for(1, timeout=0) is False
    books.write(Post(0.0, "/", 200, b"", {}))
    assert books.wait_for(1, timeout=0) is True


def test_another_process_can_ask_and_act(simulate):
    """Books, reset, used quota, faults and models are in reach over HTTP."""
    api = simulate(per_day=5)
    url = f"{api.sim.root_url}/_sim"
    http = api.http
    api.chat()
    books = http.get(f"{url}/books").json()
    assert (books["requests"], books["free_served"], books["posts"][0]["model_asked"]) == (1, 1, FREE)
    assert http.post(f"{url}/used", json={"used": 5}).status_code == 200
    assert api.chat().status_code == 429
    assert http.post(f"{url}/reset").status_code == 200
    assert http.get(f"{url}/books").json()["requests"] == 0
    assert http.post(f"{url}/faults", json=[{"do": "503"}]).status_code == 200
    assert api.chat().status_code == 503
    assert http.delete(f"{url}/faults").status_code == 200
    assert http.post(f"{url}/models", json={"id": FREE, "changes": {"pricing": {"prompt": "0.1"}}}).status_code == 200
    assert api.chat().json()["usage"]["cost"] > 0
    assert http.post(f"{url}/models", json={"remove": FREE}).status_code == 200
    assert api.chat().status_code == 404


def test_wrong_orders_are_refused(simulate):
    """A lever that is pulled wrongly says so with a 400 and changes nothing."""
    api = simulate()
    url = f"{api.sim.root_url}/_sim"
    for path, body in (("used", {"used": -1}), ("used", []), ("faults", {"do": "explode"}), ("models", {"id": "no"})):
        assert api.http.post(f"{url}/{path}", json=body).status_code == 400
    assert api.http.post(f"{url}/used", content=b"{").status_code == 400
    assert api.http.get(f"{url}/books", params={"posts": "many"}).status_code == 400


def test_a_reset_makes_everything_new(simulate):
    """After a reset quota, money and books are as at the start, and a removed model is back."""
    api = simulate(per_day=1)
    api.chat()
    api.chat(DEAR)
    api.sim.remove_model(FREE)
    api.sim.reset()
    assert (api.sim.books.requests, api.sim.used(), api.get("/key").json()["data"]["usage"]) == (0, 0, 0)
    assert api.chat().status_code == 200
