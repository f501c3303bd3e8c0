"""Day files from a real Delta table: sorted, numbered, one row per event, and rebuilt only where something changed."""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from kernel_logs import START

from launchpad_lib.lake.day_files import build_day_files, opened_version

NAMES = ["quiz_started", "quiz_completed", "page_viewed"]


def random_events(rng: random.Random, *, count: int, days: range, first_id: int = 0) -> list[dict]:
    """Users come and go by day; instants are coarse, so many are equal."""
    rows = []
    for number in range(first_id, first_id + count):
        at = START + timedelta(days=rng.choice(days), minutes=10 * rng.randrange(144))
        late = timedelta(minutes=rng.randrange(0, 3000))
        rows.append(
            {
                "event_id": f"e{number}",
                "event_name": rng.choice(NAMES),
                "user_id": f"user'{rng.randrange(30)}",
                "event_at": at,
                "received_at": at + late,
            }
        )
    return rows


def append(lake: Path, rows: list[dict]) -> None:
    table = pa.Table.from_pylist([{**r, "event_on": r["event_at"].date(), "platform": "web"} for r in rows])
    write_deltalake(
        str(lake),
        table.set_column(3, "event_at", table["event_at"].cast(pa.timestamp("us"))),
        mode="append",
        partition_by=["event_on"],
    )


def rows_of(path: str) -> list[tuple]:
    return duckdb.execute(
        "SELECT user_number, event_at, received_at, event_id, event_code, user_id, event_name, platform FROM read_parquet($f)",
        {"f": path},
    ).fetchall()


def content(files) -> list[tuple[str, bytes]]:
    return [(Path(p).name, Path(p).read_bytes()) for p in files.paths]


def test_a_day_file_is_in_the_total_order_and_says_both_numbers_and_strings(tmp_path):
    append(tmp_path / "events", random_events(random.Random(1), count=500, days=range(3)))
    files = build_day_files(tmp_path / "events", tmp_path / "days")
    assert [d.day for d in files.days] == [date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)]
    assert sum(d.rows for d in files.days) == 500
    dictionary = dict(
        duckdb.execute("SELECT user_id, user_number FROM read_parquet($f)", {"f": files.dictionary_paths}).fetchall()
    )
    assert sorted(dictionary.values()) == list(range(files.users))
    for path in files.paths:
        rows = rows_of(path)
        assert rows == sorted(rows, key=lambda r: r[:4])
        assert all(dictionary[r[5]] == r[0] and files.event_codes[r[6]] == r[4] for r in rows)


def test_only_days_that_changed_are_written_again_and_the_others_stay_byte_for_byte(tmp_path):
    rng = random.Random(2)
    append(tmp_path / "events", random_events(rng, count=300, days=range(5)))
    first = build_day_files(tmp_path / "events", tmp_path / "days")
    assert len(first.rewritten) == 5
    before = dict(content(first))
    late = random_events(rng, count=3, days=range(1, 2), first_id=1000)
    append(tmp_path / "events", late + random_events(rng, count=50, days=range(5, 6), first_id=2000))
    second = build_day_files(tmp_path / "events", tmp_path / "days")
    assert second.rewritten == (date(2026, 1, 2), date(2026, 1, 6))
    assert second.table_version == first.table_version + 1
    assert sum(before.get(name) == data for name, data in content(second)) == 4
    assert build_day_files(tmp_path / "events", tmp_path / "days").rewritten == ()
    assert opened_version(tmp_path / "days", second.table_version).days == second.days


@pytest.mark.parametrize("seed", range(4))
def test_built_in_steps_it_is_byte_for_byte_the_full_rebuild(tmp_path, seed):
    """Commits with new days, late events, new users and compaction; the rebuild takes over the dictionary only."""
    rng = random.Random(seed)
    for step in range(5):
        append(
            tmp_path / "events",
            random_events(
                rng, count=rng.randrange(1, 80), days=range(rng.randrange(0, 4), 5 + step), first_id=1000 * step
            ),
        )
        if step == 3:
            DeltaTable(str(tmp_path / "events")).optimize.compact()
        in_steps = build_day_files(tmp_path / "events", tmp_path / "days")
    whole = build_day_files(tmp_path / "events", tmp_path / "whole", dictionary=tmp_path / "days")
    assert content(in_steps) == content(whole)
    from_nothing = build_day_files(tmp_path / "events", tmp_path / "nothing")
    assert [sorted(r[1:4] for r in rows_of(p)) for p in from_nothing.paths] == [
        sorted(r[1:4] for r in rows_of(p)) for p in in_steps.paths
    ]


def test_compaction_changes_no_content_hash(tmp_path):
    rng = random.Random(3)
    for step in range(3):
        append(tmp_path / "events", random_events(rng, count=40, days=range(2), first_id=100 * step))
    before = build_day_files(tmp_path / "events", tmp_path / "days")
    DeltaTable(str(tmp_path / "events")).optimize.compact()
    after = build_day_files(tmp_path / "events", tmp_path / "days")
    assert len(after.rewritten) == 2
    assert [d.content_hash for d in after.days] == [d.content_hash for d in before.days]


def test_an_older_version_can_be_built_again(tmp_path):
    rng = random.Random(4)
    append(tmp_path / "events", random_events(rng, count=40, days=range(2)))
    old = build_day_files(tmp_path / "events", tmp_path / "days")
    kept = content(old)
    append(tmp_path / "events", random_events(rng, count=40, days=range(4), first_id=100))
    build_day_files(tmp_path / "events", tmp_path / "days")
    assert content(build_day_files(tmp_path / "events", tmp_path / "days", version=old.table_version)) == kept


def test_an_event_received_twice_is_one_row_the_earliest_received(tmp_path):
    twice = [
        {
            "event_id": "e",
            "event_name": "A",
            "user_id": "u",
            "event_at": START,
            "received_at": START + timedelta(minutes=m),
        }
        for m in (9, 5, 7)
    ]
    append(tmp_path / "events", twice)
    files = build_day_files(tmp_path / "events", tmp_path / "days")
    assert [r[2] for r in rows_of(files.paths[0])] == [START + timedelta(minutes=5)]


def test_the_three_hundredth_event_name_gets_a_number_too(tmp_path):
    rows = [
        {
            "event_id": str(i),
            "event_name": f"name {i:03d}",
            "user_id": "u",
            "event_at": START + timedelta(minutes=i),
            "received_at": START,
        }
        for i in range(300)
    ]
    append(tmp_path / "events", rows)
    files = build_day_files(tmp_path / "events", tmp_path / "days")
    assert [(r[4], r[6]) for r in rows_of(files.paths[0])] == [(i, f"name {i:03d}") for i in range(300)]
    assert files.event_codes["name 299"] == 299


def test_a_build_that_was_cut_off_leaves_the_last_state(tmp_path, monkeypatch):
    rng = random.Random(5)
    append(tmp_path / "events", random_events(rng, count=40, days=range(2)))
    before = build_day_files(tmp_path / "events", tmp_path / "days")
    append(tmp_path / "events", random_events(rng, count=40, days=range(4), first_id=100))
    monkeypatch.setattr(
        "launchpad_lib.lake.day_files.write_day", lambda *a, **k: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(OSError, match="disk full"):
        build_day_files(tmp_path / "events", tmp_path / "days")
    monkeypatch.undo()
    assert opened_version(tmp_path / "days", before.table_version).days == before.days
    assert len(build_day_files(tmp_path / "events", tmp_path / "days").days) == 4


def test_what_is_not_a_lake_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(ValueError, match="launchpad ingest"):
        build_day_files(tmp_path, tmp_path / "days")
    assert opened_version(tmp_path, 0) is None
