"""The demo's past day: recorded traffic where there is some, else made up; and each row of it on record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.cli.demo_arrivals import ARRIVALS, QUIET_SECONDS, Arrival, past_day, places
from monitor.cli.demo_past import replay
from monitor.clock import DAY
from monitor.config import Settings
from monitor.store import SQLiteStore
from tests.fakes.builders import CATALOGUE, FREE, FREE2, NOON, one, rows

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens"
MOONCAKE = "timestamp_ms,input_length,output_length"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "traces"


def write(folder: Path, name: str, header: str, *lines: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")


def lived(folder: Path, arrivals: tuple[Arrival, ...], until: float = NOON) -> SQLiteStore:
    store = SQLiteStore(folder / "monitor.db")
    replay(store, Settings(store=str(store.path)), CATALOGUE, until, 1000, arrivals)
    return store


def test_without_recordings_the_day_is_made_up(tmp_path):
    """A folder that is not there, or has none, is no trouble; what was used is said."""
    (tmp_path / "empty").mkdir()
    past = past_day([tmp_path / "absent", tmp_path / "empty"], NOON)
    assert past.told.startswith("A made-up day")
    assert 200 < len(past.arrivals) < 1000
    assert past.arrivals == past_day([], NOON).arrivals
    assert list(past.arrivals) == sorted(past.arrivals)
    assert past.arrivals[0].at >= NOON - DAY
    assert past.arrivals[-1].at <= NOON - QUIET_SECONDS


def test_the_first_folder_with_recordings_is_taken(tmp_path):
    """The one beside the working folder goes before the project's."""
    for name in ("one", "two"):
        write(tmp_path / name, f"{name}.csv", MOONCAKE, "0,1,2")
    assert "one.csv" in past_day([tmp_path / "absent", tmp_path / "one", tmp_path / "two"], NOON).told


def test_recordings_are_looked_for_beside_the_folder_and_the_project(tmp_path, monkeypatch):
    """Never at an address of one machine."""
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    assert places() == (tmp_path / "shared" / "data" / "traces", SHARED.resolve())
    monkeypatch.chdir(Path(__file__).parents[2])
    assert places() == (SHARED.resolve(),)


@pytest.mark.parametrize(
    ("header", "lines"),
    [
        (AZURE, ["2023-11-16 18:17:00.0000000,4808,10", "2023-11-16 18:18:00.5,8,3", "2023-11-16 18:37:00,110,27"]),
        (MOONCAKE, ["0,4808,10", "60500,8,3", "1200000,110,27"]),
    ],
    ids=["azure", "mooncake"],
)
def test_a_recording_is_stretched_over_the_day(tmp_path, header, lines):
    """Its first row opens the day, its last one closes it, and what lies between keeps its place and its tokens."""
    write(tmp_path / "traces", "small.csv", header, *lines)
    past = past_day([tmp_path / "traces"], NOON)
    length = DAY - QUIET_SECONDS
    assert [arrival.at for arrival in past.arrivals] == pytest.approx(
        [NOON - DAY, NOON - DAY + 60.5 / 1200 * length, NOON - QUIET_SECONDS]
    )
    assert [arrival[2:] for arrival in past.arrivals] == [(4808, 10), (8, 3), (110, 27)]
    assert past.told == "Recorded traffic: the 3 requests of small.csv, stretched over a day"


@pytest.mark.parametrize("until", [NOON, NOON + 12 * 3600, NOON + 12 * 3600 + 1])
def test_a_replay_books_exactly_the_rows(tmp_path, until):
    """One attempt on record for each, let through or refused, at its time; tokens are those of the rows."""
    lines = [f"{n * 977},{50 + n},{n % 90}" for n in range(400)]
    write(tmp_path / "traces", "own.csv", MOONCAKE, *lines)
    arrivals = past_day([tmp_path / "traces"], until).arrivals
    assert len(arrivals) == 400
    store = lived(tmp_path, arrivals, until)
    assert one(store, "SELECT count(*) FROM calls") == 400
    booked = rows(store, "SELECT started_at, app FROM calls ORDER BY started_at")
    assert booked == [(pytest.approx(arrival.at, abs=1e-3), arrival.app) for arrival in arrivals]
    of_row = {(arrival.prompt_tokens, arrival.completion_tokens) for arrival in arrivals}
    found = rows(store, "SELECT prompt_tokens, completion_tokens FROM calls WHERE outcome = 'success'")
    assert len(found) > 300
    assert set(found) <= of_row
    assert one(store, "SELECT count(*) FROM holds") == 0
    assert one(store, "SELECT sum(n) FROM totals") + one(store, "SELECT sum(n) FROM refusals") == 400


def test_of_a_long_recording_a_part_is_taken_evenly(tmp_path):
    """No more than an account may send; it is said how many of how many."""
    for name, step in (("a.csv", 10), ("b.csv", 7)):
        write(tmp_path / "traces", name, MOONCAKE, *(f"{n * step},{n},1" for n in range(2000)))
    past = past_day([tmp_path / "traces"], NOON)
    assert ARRIVALS / 2 < len(past.arrivals) <= ARRIVALS
    assert f"{len(past.arrivals)} of the 4,000 requests of a.csv and b.csv" in past.told
    by_hour = [sum(int((a.at - NOON + DAY) // 3600) == hour for a in past.arrivals) for hour in range(24)]
    assert max(by_hour) - min(by_hour) <= 4


def test_of_an_endless_recording_the_beginning_is_read(tmp_path, monkeypatch):
    """Millions of rows cost no more than the first so many."""
    monkeypatch.setattr("monitor.cli.demo_arrivals.ROWS_READ", 50)
    write(tmp_path / "traces", "long.csv", MOONCAKE, *(f"{n},{n},1" for n in range(51)))
    assert "the first 50 requests of long.csv" in past_day([tmp_path / "traces"], NOON).told


def test_files_have_their_apps(tmp_path):
    """Two recordings are two kinds of traffic: dashboards show them apart."""
    for name in ("code.csv", "talk.csv"):
        write(tmp_path / "traces", name, MOONCAKE, *(f"{n},{n},1" for n in range(200)))
    past = past_day([tmp_path / "traces"], NOON)
    assert {arrival.app for arrival in past.arrivals} == {"notebook", "summariser", "billing-bot"}


@pytest.mark.parametrize(
    "line", ["", "soon,1,2", "5,x,2", "5,1", "5,-1,2", "nan,1,2", "inf,1,2", "2023-99-16 18:17,1,2", "\udc00"]
)
def test_a_row_that_cannot_be_read_is_passed_over(tmp_path, line):
    """The others are read."""
    (tmp_path / "traces").mkdir()
    text = "\n".join([MOONCAKE, "0,1,2", line, "9,3,4"])
    (tmp_path / "traces" / "odd.csv").write_bytes(text.encode("utf-8", "replace"))
    assert [arrival[2:] for arrival in past_day([tmp_path / "traces"], NOON).arrivals] == [(1, 2), (3, 4)]


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"a,b,c\n1,2,3\n", f"{MOONCAKE}\n".encode(), b"timestamp,x\n1,2\n"]
)
def test_a_file_that_is_no_recording_is_left_alone(tmp_path, content):
    """The day is made up then."""
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "other.csv").write_bytes(content)
    (tmp_path / "traces" / "folder.csv").mkdir()
    assert past_day([tmp_path / "traces"], NOON).told.startswith("A made-up day")


def test_the_first_day_ends_spent(tmp_path):
    """Some time before its end OpenRouter says so: the rest was used elsewhere, and the next day begins anew."""
    free = {name: CATALOGUE[name] for name in (FREE, FREE2)}
    store = SQLiteStore(tmp_path / "monitor.db")
    used = replay(store, Settings(store=str(store.path)), free, NOON, 1000)
    ((before, note),) = rows(store, "SELECT after, note FROM events WHERE kind = 'day_spent'")
    assert before == "1000"
    assert "refused a free request" in note
    assert one(store, "SELECT day_closed_until FROM accounts") <= NOON
    assert 0 < used < 1000


def test_the_pace_and_the_polls_of_the_day_are_there(tmp_path):
    """A look at the key each hour and a note of what is used every five minutes: forecasts have something to go by."""
    store = lived(tmp_path, past_day([], NOON).arrivals)
    notes = rows(store, "SELECT summary FROM snapshots WHERE poller = 'ledger' ORDER BY id")
    assert len(notes) == 288
    assert json.loads(notes[-1][0])["used"] > 0
    assert one(store, "SELECT count(*) FROM snapshots WHERE poller = 'models'") == 25


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no recordings at {SHARED}")
def test_the_recordings_that_lie_here_bring_every_figure_to_life(tmp_path):
    """Azure's and Mooncake's hours become a day of one account: under its quota, with everything that can befall it."""
    past = past_day([SHARED], NOON)
    assert past.told.startswith("Recorded traffic:")
    assert 800 < len(past.arrivals) <= ARRIVALS
    store = lived(tmp_path, past.arrivals)
    assert one(store, "SELECT count(*) FROM calls") == len(past.arrivals)
    kinds = {kind for (kind,) in rows(store, "SELECT DISTINCT limit_kind FROM calls WHERE limit_kind IS NOT NULL")}
    assert kinds == {"upstream", "free_minute", "free_daily"}
    slowest = one(store, "SELECT max(duration_ms) FROM calls WHERE outcome = 'success'")
    assert 5_000 < slowest < 120_000
