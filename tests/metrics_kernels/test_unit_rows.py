"""The log as whole units, against the simple form: everything in memory, sorted, cut by unit."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from launchpad_lib.contract.tables import EVENTS
from launchpad_lib.lake import open_lake
from launchpad_lib.metrics.intake import placeholder_users
from launchpad_lib.metrics.kernels import block_rows, day_file_rows, lake_log, unit_rows
from launchpad_lib.metrics.windows import is_one_of, property_value

START = datetime(2026, 1, 1)
NAMES = ["start", "look", "done", 'it\'s "x"']


def rows_of(rng: random.Random, count: int, *, first_id: int = 0) -> list[dict]:
    """Few users on few instants around midnights, so ties and sessions over midnight occur; client sessions interleave."""
    rows = []
    for number in range(count):
        at = START + timedelta(minutes=rng.choice([10, 15, 40]) * rng.randrange(0, 400))
        rows.append(
            {
                "event_id": f"e{rng.random()}-{first_id + number}",
                "event_name": rng.choice(NAMES),
                "user_id": f"u/{rng.randrange(12)}",
                "session_id": rng.choice([None, None, "1", "2", "#"]),
                "event_at": at,
                "received_at": at + timedelta(seconds=rng.randrange(3)),
                "feature_id": rng.choice([None, "f", "g"]),
                "properties": rng.choice([None, '{"plan": "a"}', '{"plan": "b", "n": 2}', "{}"]),
                "platform": rng.choice(["web", "ios", None]),
                "event_on": at.date(),
            }
        )
    return rows


def append(lake: Path, rows: list[dict]) -> None:
    types = {
        "event_on": pa.date32(),
        **{c.name: pa.timestamp("us") if c.type == "timestamp" else pa.string() for c in EVENTS.columns},
    }
    table = pa.Table.from_pylist(rows, pa.schema(list(types.items())))
    write_deltalake(str(lake / "events"), table, mode="append", partition_by=["event_on"])


@pytest.fixture(scope="module", params=[1, 2])
def lake(request, tmp_path_factory):
    """Built in steps, so that user numbers are no order of the names; compacted or not."""
    place, rng = tmp_path_factory.mktemp("lake"), random.Random(request.param)
    for step in range(3):
        append(place, rows_of(rng, 500, first_id=1000 * step))
        open_lake(place)
    if request.param == 2:
        DeltaTable(str(place / "events")).optimize.compact()
    return place


def simple(events: ir.Table, columns: Mapping[str, ir.Value], *, unit: str, where: ir.BooleanValue | None) -> dict:
    """The definition: unit to its rows' values in the order (event_at, received_at, event_id)."""
    kept = events.filter(events[unit].notnull() if where is None else events[unit].notnull() & where)
    order = [n for n in ("event_at", "received_at", "event_id") if n in events.columns]
    columns = {f"v{k}": value for k, value in enumerate(columns.values())}
    frame = kept.select(of=events[unit], **columns, **{f"o{n}": events[n] for n in order}).to_pyarrow().to_pylist()
    frame.sort(key=lambda r: (r["of"], *(r[f"o{n}"] for n in order)))
    found: dict = {}
    for row in frame:
        found.setdefault(row["of"], []).append(tuple(plain(row[name]) for name in columns))
    return found


def plain(value: object) -> object:
    if isinstance(value, datetime):
        return (value - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    return int(value) if isinstance(value, bool | np.generic) else value


def read(events: ir.Table, columns: Mapping[str, ir.Value], **asked) -> list[list[tuple]]:
    """The rows of each unit as they come."""
    units = []
    for part in unit_rows.unit_rows(events, columns, **asked):
        assert part.starts[0] == 0 and part.starts[-1] == len(next(iter(part.columns.values())))
        assert (np.diff(part.starts) > 0).all()
        values = []
        for name, array in part.columns.items():
            texts = part.texts.get(name)
            own = array.tolist()
            values.append([None if v < 0 else texts[v] for v in own] if texts is not None else own)
        rows = list(zip(*values, strict=True))
        units += [rows[a:b] for a, b in zip(part.starts[:-1], part.starts[1:], strict=True)]
    return units


def asked_of(events: ir.Table) -> dict[str, ir.Value]:
    return {
        "at": events.event_at,
        "event": events.event_name,
        "user": events.user_id,
        "is web": (events.platform == "web").fill_null(False),
        "bits": is_one_of(events.event_name, ["start"]).cast("int32") + 2 * (events.event_name == "look").cast("int32"),
        "plan": property_value(events, "plan"),
        'feature "f"': events.feature_id,
    }


SHAPES = {
    "itself": lambda e: e,
    "filtered": lambda e: e.filter(e.platform.notnull()).filter(lambda t: t.event_name != "look"),
    "one name": lambda e: e.filter(e.event_name == "start"),
    "no such name": lambda e: e.filter(e.event_name.isin(["nobody's", "start"])),
    "several names": lambda e: e.filter(is_one_of(e.event_name, ["look", "start"])),
    "a list that is joined": lambda e: e.filter(is_one_of(e.platform, ["web", "ios", "a", "b", "c", "d", "e"])),
    "nothing": lambda e: e.filter(e.event_name == "nobody's"),
    "projected": lambda e: e.select(
        "received_at",
        "event_id",
        "event_at",
        "user_id",
        "session_key",
        "event_name",
        "platform",
        "properties",
        "feature_id",
    ),
    "renamed": lambda e: e.mutate(event_name=e.event_name.upper(), user_number=e.event_code).drop("country"),
    "without ties": lambda e: e.drop("received_at"),
}


@pytest.mark.parametrize("most", [10**7, 97])
@pytest.mark.parametrize("unit", ["user_id", "session_key"])
@pytest.mark.parametrize("shape", SHAPES)
def test_day_files_give_what_sorting_everything_gives(lake, shape, unit, most, monkeypatch):
    monkeypatch.setattr(unit_rows, "MOST_ROWS", most)
    events = SHAPES[shape](open_lake(lake).events)
    columns, where = asked_of(events), events.event_at > START + timedelta(hours=5)
    order = tuple(n for n in unit_rows.ORDER if n in events.columns)
    of_lake = lake_log.lake_rows(events, columns, unit=unit, order=order, where=where)
    assert (of_lake is None) == (shape == "without ties")
    for condition in (None, where):
        expected = simple(events, columns, unit=unit, where=condition)
        found = read(events, columns, unit=unit, where=condition)
        assert sorted(map(repr, found)) == sorted(map(repr, expected.values()))


def told_by_kinds(events: ir.Table) -> dict[str, ir.Value]:
    """Nothing but instants, numbers of users, and what names, features and platforms say."""
    return {
        "at": events.event_at,
        "event": events.event_name,
        "again": events.event_name.upper(),
        "number": events.user_number.cast("int64"),
        "is web": (events.platform == "web").fill_null(False),
        "bits": is_one_of(events.event_name, ["start", NAMES[3]]).cast("int32") + 2 * events.feature_id.isnull().cast("int32"),
        'feature "f"': events.feature_id,
    }  # fmt: skip


# A window that begins and ends within a day, in the middle of a block.
CUT = {"events": (START + timedelta(days=5, hours=3)).isoformat()}


@pytest.mark.parametrize("most", [10**7, 97])
@pytest.mark.parametrize("unit", ["user_id", "session_key"])
@pytest.mark.parametrize("shape", ["itself", "filtered", "nothing", "several names"])
@pytest.mark.parametrize("through", [None, CUT])
def test_blocks_give_what_sorting_everything_gives(lake, shape, unit, most, through, monkeypatch):
    monkeypatch.setattr(unit_rows, "MOST_ROWS", most)
    monkeypatch.setattr(block_rows, "SLICE_ROWS", most)
    events = SHAPES[shape](open_lake(lake, observed_through=through).events)
    assert len(events.get_backend().log.blocks) == (1 if through else 2)
    columns, where = told_by_kinds(events), is_one_of(events.event_name, ["start", "look"]) & events.event_at.notnull()
    for condition in (None, where):
        of_lake = lake_log.lake_rows(events, columns, unit=unit, order=unit_rows.ORDER, where=condition)
        assert block_rows.asked_of_kinds(of_lake) is not None
        expected = simple(events, columns, unit=unit, where=condition)
        assert bool(expected) == (shape != "nothing")
        assert sorted(map(repr, read(events, columns, unit=unit, where=condition))) == sorted(
            map(repr, expected.values())
        )


def test_what_kinds_cannot_tell_is_read_from_the_day_files(lake):
    events = open_lake(lake).events
    beyond = {
        "another column": events.received_at,
        "an instant moved": events.event_at + ibis.interval(hours=1),
        "a property": property_value(events, "plan"),
        "a user": events.user_id,
        "a user and a name": events.event_name + events.user_id,
    }
    for value in beyond.values():
        rows = lake_log.lake_rows(events, {"x": value}, unit="user_id", order=("event_at",), where=None)
        assert block_rows.asked_of_kinds(rows) is None
    for where in (events.event_at > START, events.properties.notnull(), events.session_id.isnull()):
        rows = lake_log.lake_rows(events, {"at": events.event_at}, unit="user_id", order=("event_at",), where=where)
        assert block_rows.asked_of_kinds(rows) is None


def test_rows_are_numbered_only_where_the_plan_may_mix_them(lake):
    for shape, keeps in (("itself", True), ("several names", True), ("a list that is joined", False)):
        events = SHAPES[shape](open_lake(lake).events)
        found = lake_log.lake_rows(events, {"at": events.event_at}, unit="user_id", order=unit_rows.ORDER, where=None)
        assert day_file_rows.keeps_order(found, found.backend.compile(found.rows)) is keeps


def test_a_small_part_makes_many(lake, monkeypatch):
    monkeypatch.setattr(unit_rows, "MOST_ROWS", 97)
    monkeypatch.setattr("launchpad_lib.lake.day_writing.ROW_GROUP_ROWS", 2048)
    events = open_lake(lake).events
    parts = list(unit_rows.unit_rows(events, {"at": events.event_at}))
    assert len(parts) >= 1 and sum(len(p.columns["at"]) for p in parts) == 1500


@pytest.mark.parametrize("unit", ["session_id", "platform", "feature_id"])
def test_any_other_unit_is_sorted_by_the_engine(lake, unit, monkeypatch):
    events = open_lake(lake).events
    columns = asked_of(events)
    expected = simple(events, columns, unit=unit, where=None)
    for most in (10**7, 97):
        monkeypatch.setattr(unit_rows, "MOST_ROWS", most)
        assert read(events, columns, unit=unit) == [expected[k] for k in sorted(expected)]


def test_what_looks_at_other_rows_is_no_filter_or_projection(lake):
    events = open_lake(lake).events
    ranked = events.mutate(
        n=ibis.row_number().over(group_by="user_id", order_by=["event_at", "received_at", "event_id"])
    )
    assert lake_log.lake_rows(ranked, {}, unit="user_id", order=("event_at",), where=None) is None
    cut = events.limit(5)
    assert lake_log.lake_rows(cut, {}, unit="user_id", order=("event_at",), where=None) is None
    later = events.mutate(event_at=events.event_at + ibis.interval(hours=1))
    assert lake_log.lake_rows(later, {}, unit="user_id", order=("event_at",), where=None) is None
    assert read(ranked, {"n": ranked.n}) == [[(i,) for i in range(len(r))] for r in read(ranked, {"n": ranked.n})]
    mine = events.mutate(user_id=events.user_id + "!")
    assert lake_log.lake_rows(mine, {}, unit="user_id", order=("event_at",), where=None) is None
    assert read(mine, {"u": mine.user_id}) == [
        [(u,)] * len(r) for r in read(mine, {"u": mine.user_id}) for u in [r[0][0]]
    ]


def test_a_number_that_is_not_there_is_refused_by_its_name(lake):
    events = open_lake(lake).events
    with pytest.raises(ValueError, match=r"'when it \"is\"' holds \d+ NULL"):
        list(
            unit_rows.unit_rows(events, {'when it "is"': ibis.ifelse(events.platform == "web", 1, ibis.null("int64"))})
        )


def test_names_of_events_are_compared_as_numbers(lake):
    """The column of names is not even read."""
    events = open_lake(lake).events
    bits = is_one_of(events.event_name, ["start", "nobody's"]).cast("int8")
    found = lake_log.lake_rows(
        events, {"bits": bits}, unit="user_id", order=("event_at",), where=events.event_name == "look"
    )
    query = found.backend.compile(found.rows)
    assert "event_name" not in query and "event_code" in query


def test_the_caller_may_ask_the_log_between_parts(lake, monkeypatch):
    monkeypatch.setattr(unit_rows, "MOST_ROWS", 97)
    events = open_lake(lake).events
    for unit in ("user_id", "session_id"):
        seen = sum(
            int(part.starts[-1]) + 0 * events.count().execute()
            for part in unit_rows.unit_rows(events, {"at": events.event_at}, unit=unit)
        )
        assert seen == events[unit].count().execute()


def test_one_user_with_many_interleaved_sessions(tmp_path):
    """Over 48 stretches of one user, which are told apart by sorting: sessions 0 to 19 in turn, and 300 that come once."""
    rows = []
    for i in range(200):
        at = START + timedelta(seconds=i)
        rows.append((f"a{i:03d}", str(i % 20), at))
    rows += [(f"b{i:03d}", f"only{i}", START + timedelta(hours=1, seconds=i)) for i in range(300)]
    append(
        tmp_path,
        [
            {
                "event_id": e,
                "event_name": "x",
                "user_id": "u",
                "session_id": s,
                "event_at": at,
                "event_on": date(2026, 1, 1),
            }
            for e, s, at in rows
        ],
    )
    events = open_lake(tmp_path).events
    found = read(events, {"e": events.event_id}, unit="session_key")
    expected: dict[str, list] = {}
    for e, s, _ in rows:
        expected.setdefault(s, []).append((e,))
    assert found == list(expected.values())


def test_a_filter_that_mixes_the_rows_changes_nothing(tmp_path):
    """Five names are a join for the engine, whose two threads hand over rows in any order: 120,000 rows, read five times."""
    rows = duckdb.sql(
        """SELECT 'e' || i AS event_id, 'n' || (hash(i) % 29) AS event_name, 'u' || (hash(i + 1) % 900) AS user_id,
            NULL::VARCHAR AS session_id, TIMESTAMP '2026-01-01' + to_seconds(i * 20) AS event_at, event_at AS received_at,
            event_at::DATE AS event_on
        FROM range(120000) AS r(i)"""
    )
    write_deltalake(str(tmp_path / "events"), rows.to_arrow_table(), partition_by=["event_on"])
    events = open_lake(tmp_path).events
    chosen = is_one_of(events.event_name, ["n1", "n5", "n8", "n13", "n21"])
    expected = simple(events, {"at": events.event_at}, unit="user_id", where=chosen)
    for _ in range(5):
        found = read(events, {"at": events.event_at}, where=chosen)
        assert sorted(found) == sorted(expected.values())


def test_placeholders_of_a_lake_are_looked_for_among_its_users(tmp_path):
    """The users' dictionary says whether there is one; the rows are those of the window."""
    rows = rows_of(random.Random(5), 60)
    for row, user in zip(rows, ["Null", "undefined ", "Null"], strict=False):
        row["user_id"] = user
    append(tmp_path, rows)
    found = placeholder_users(events=open_lake(tmp_path).events)
    assert found[["user_id", "rows"]].values.tolist() == [["Null", 2], ["undefined ", 1]]
    append(tmp_path / "none", rows[3:])
    assert placeholder_users(events=open_lake(tmp_path / "none").events).empty
