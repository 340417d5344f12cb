"""The catalogue: our own, recorded ones, and changes while it runs."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from simulator_kit import FREE

from monitor.errors import ConfigError
from monitor.simulator.catalogue import Catalogue, build_view, load_rows
from monitor.simulator.rows import own_rows

RECORDED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "models"
FILES = sorted(RECORDED.glob("*.json.gz")) if RECORDED.is_dir() else []


def ids(answer) -> set[str]:
    return {row["id"] for row in answer.json()["data"]}


def test_our_catalogue_has_one_of_each_kind():
    """Every kind of model that a guard must tell apart is in it, and no id stands twice."""
    rows = own_rows()
    by_id = {row["id"]: row for row in rows}
    assert len(by_id) == len(rows) >= 20
    free = [row for row in rows if row["id"].endswith(":free")]
    assert len(free) >= 8
    assert all(set(row["pricing"].values()) == {"0"} for row in free)
    twins = [row for row in free if row["id"].removesuffix(":free") in by_id]
    assert all(by_id[row["id"][:-5]]["canonical_slug"] == row["canonical_slug"] for row in twins)
    assert by_id["openrouter/auto"]["pricing"]["prompt"] == "-1"
    assert by_id["google/lyria-3-pro-preview"]["architecture"]["output_modalities"] == ["text", "audio"]
    assert any(row.get("alias_target") for row in rows)
    assert any(row["expiration_date"] for row in rows)
    assert any("overrides" in row["pricing"] for row in rows)


def test_text_models_are_listed_unless_all_are_asked_for(simulate):
    """Embedding and image models appear with their output modality or `all` only."""
    api = simulate()
    text, everything = ids(api.get("/models")), ids(api.get("/models", output_modalities="all"))
    hidden = everything - text
    assert "openai/text-embedding-3-small" in hidden
    assert "black-forest-labs/flux-3" in hidden
    assert "google/lyria-3-pro-preview" in text
    assert ids(api.get("/models", output_modalities="embeddings")) < hidden
    count = api.get("/models/count", output_modalities="all").json()["data"]["count"]
    assert count == len(everything)


def test_pages_join_to_the_whole(simulate):
    """`offset` and `limit` page through the list; `links.next` leads from each page to the next."""
    api = simulate()
    page = api.get("/models", limit="7").json()
    found = [row["id"] for row in page["data"]]
    assert len(found) == 7
    while page["links"]["next"]:
        page = api.http.get(api.sim.root_url + page["links"]["next"]).json()
        found += [row["id"] for row in page["data"]]
    assert len(found) == page["total_count"]
    assert set(found) == ids(api.get("/models"))
    assert api.get("/models", limit="0").status_code == 400
    assert api.get("/models", offset="some").status_code == 400


def test_caching_headers_and_compression(simulate):
    """No key is needed; the age is told; gzip comes only when asked for, and holds the same."""
    api = simulate(models_max_age=300)
    packed = api.http.get("/models", headers={"Accept-Encoding": "gzip"})
    plain = api.http.get("/models", headers={"Accept-Encoding": "identity", "Authorization": ""})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.json() == plain.json()
    assert plain.headers["Cache-Control"].startswith("public, max-age=300, stale-while-revalidate=3600")
    assert "ETag" not in plain.headers


def test_endpoints_of_a_model(simulate):
    """Endpoints are told to all, their latencies to those with a key; an unknown model is 404."""
    api = simulate()
    data = api.get(f"/models/{FREE}/endpoints").json()["data"]
    assert data["id"] == FREE
    assert data["endpoints"][0]["latency_last_30m"]["p50"] > 0
    stranger = api.http.get(f"/models/{FREE}/endpoints", headers={"Authorization": ""}).json()["data"]
    assert stranger["endpoints"][0]["latency_last_30m"] is None
    assert api.get("/models/no/such/endpoints").status_code == 404
    assert api.get(f"/model/{FREE}").json()["data"]["id"] == FREE


def test_prices_change_while_it_runs(simulate):
    """A change shows in the list at once and is billed at once; the other fields stay."""
    api = simulate()
    api.get("/models")
    api.sim.update_model(FREE, pricing={"prompt": "0.001"}, expiration_date="2026-12-01")
    row = next(row for row in api.get("/models").json()["data"] if row["id"] == FREE)
    assert row["pricing"] == {"prompt": "0.001", "completion": "0"}
    assert row["expiration_date"] == "2026-12-01"
    assert row["name"]
    assert api.chat().json()["usage"]["cost"] > 0


def test_models_come_and_go(simulate):
    """A removed model is unknown; the whole list can be replaced; an unknown id cannot be changed."""
    api = simulate()
    only = next(row for row in own_rows() if row["id"] == FREE)
    api.sim.set_models([only])
    assert ids(api.get("/models")) == {FREE}
    assert api.chat("qwen/qwen3-coder:free").status_code == 400
    assert api.chat(None).status_code == 404
    api.sim.add_model({**only, "id": "new/model:free"})
    assert api.chat("new/model:free").status_code == 200
    with pytest.raises(KeyError):
        api.sim.update_model("no/such", name="x")


@pytest.mark.parametrize("content", [b"not json", b"{}", b'{"data": [1]}', b'{"data": [{"name": "x"}]}'])
def test_a_catalogue_that_is_none_is_named(tmp_path, content):
    """A file that holds no models is an error that names it and says what would be right."""
    path = tmp_path / "models.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"models\.json"):
        load_rows(path)


def test_a_catalogue_is_read_plain_or_compressed(tmp_path):
    """`{"data": […]}` or a bare list, as JSON or gzip."""
    row = {"id": "a/b:free", "pricing": {"prompt": "0", "completion": "0"}}
    plain, packed = tmp_path / "a.json", tmp_path / "b.json.gz"
    plain.write_text(json.dumps([row]))
    packed.write_bytes(gzip.compress(json.dumps({"data": [row]}).encode()))
    assert load_rows(plain) == load_rows(packed) == [row]
    assert Catalogue(packed).view.free[0].id == "a/b:free"


@pytest.mark.skipif(not FILES, reason="the recorded catalogues are not beside this checkout")
def test_recorded_catalogues_load():
    """Every recorded catalogue, from 2024 on, is understood, free and paid told apart."""
    for path in FILES:
        rows = load_rows(path)
        view = build_view(rows)
        assert len(view.entries) == len(rows), path.name
        free = {entry.id for entry in view.free}
        assert not free & {entry.id for entry in view.paid}, path.name
        assert all(model.endswith(":free") for model in free), path.name


@pytest.mark.skipif(not FILES, reason="the recorded catalogues are not beside this checkout")
def test_a_recorded_catalogue_serves(simulate):
    """A real list of hundreds of models is served whole, and its free models answer."""
    path = max(FILES, key=lambda each: each.stat().st_size)
    api = simulate(catalogue=path)
    listed = ids(api.get("/models", output_modalities="all"))
    assert len(listed) == len(load_rows(path))
    free = next(model for model in sorted(listed) if model.endswith(":free"))
    assert api.chat(free).json()["usage"]["cost"] == 0
    assert api.chat(None).json()["usage"]["cost"] > 0
