"""Telemetry kept day by day: states merged are states made from all rows; the reference is each definition written out
over every row at once.
"""

from __future__ import annotations

import json
import math
import random
import shutil
from datetime import date, datetime, timedelta
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from kernel_logs import START, TELEMETRY

from launchpad_lib.lake import daily_tables, open_lake, zone_days
from launchpad_lib.metrics import latency_quantiles, signals, with_trailing
from launchpad_lib.metrics import stability as observed
from launchpad_lib.metrics.kernels.lake_log import lake_telemetry
from launchpad_lib.metrics.kernels.quantiles import BUCKETS, LOWEST_EXPONENT
from launchpad_lib.metrics.kernels.stability import StabilityFold

RELATIVE_ERROR = 1 / 256  # half a bucket of 1/128 of its lower edge


def append(lake: Path, rng: random.Random, *, count: int, days: range, first_id: int = 0, users: int = 7) -> None:
    """Rows that lie close to midnight and to gaps of half an hour, so that sessions hang on single rows."""
    rows = []
    for number in range(first_id, first_id + count):
        at = START + timedelta(days=rng.choice(days), minutes=10 * rng.randrange(144), microseconds=rng.randrange(3))
        row = {
            "observation_id": str(number),
            "feature_id": rng.choice(["a", "b", "{x}' 🎉"]),
            "user_id": rng.choice([None, *(f"u{i}'é" for i in range(users))]),
            "observed_at": at,
            "latency_ms": rng.choice([None, 0.0, 100.0, 400.0, rng.uniform(1, 900)]),
            "crashed": rng.choice([True, False, False, False, None]),
            "error_count": rng.choice([None, 0, 0, 2]),
            "feedback_score": rng.choice([None, rng.uniform(1, 5)]),
            "app_version": rng.choice(["1", "2", None]),
            "platform": rng.choice(["web", "ios", None]),
            "observed_on": at.date(),
        }
        rows.append({name: row.get(name) for name in TELEMETRY.names})
    table = pa.Table.from_pylist(rows, TELEMETRY)
    write_deltalake(str(lake / "telemetry"), table, mode="append", partition_by=["observed_on"])


def same_stability(lake: Path) -> pd.DataFrame:
    """Of a lake opened now, from its states; held against the tables of `metrics.reliability` over every row."""
    telemetry = open_lake(lake).telemetry
    for feature_id in (None, "{x}' 🎉"):
        asked = observed.of_feature(telemetry, feature_id)
        plain = ibis.memtable(asked.to_pyarrow())
        assert lake_telemetry(asked) is not None and lake_telemetry(plain) is None
        ours = observed.stability(asked, threshold_ms=100.0)
        pd.testing.assert_frame_equal(
            ours, observed.stability(plain, threshold_ms=100.0), check_exact=True, check_dtype=False
        )
    return observed.stability(telemetry, threshold_ms=100.0)


@pytest.mark.parametrize("seed", range(2))
def test_stability_from_states_is_that_of_every_row(tmp_path, seed):
    """Days come in steps, some late; compaction in between. A changed threshold is another question."""
    rng = random.Random(seed)
    for step in range(4):
        append(tmp_path, rng, count=150, days=range(0 if step == 2 else step, 9 + step), first_id=1000 * step)
        if step == 3:
            DeltaTable(str(tmp_path / "telemetry")).optimize.compact()
        found = same_stability(tmp_path)
    assert (found["crash_free_sessions_rate"] < 1).all() and (found["sessions"] > found["users"]).all()
    other = observed.stability(open_lake(tmp_path).telemetry, threshold_ms=50.0)
    assert (other["apdex"] < found["apdex"]).all()


def test_only_days_that_are_new_or_restated_are_read_again(tmp_path):
    rng = random.Random(5)
    append(tmp_path, rng, count=400, days=range(20))
    log = lake_telemetry(open_lake(tmp_path).telemetry).log
    first = log.states.advance(StabilityFold(threshold_ms=100.0), log)
    assert first.days_read == tuple(date(2026, 1, 1 + n) for n in range(20))
    assert log.states.advance(StabilityFold(threshold_ms=100.0), log).days_read == ()
    append(tmp_path, rng, count=9, days=range(20, 21), first_id=900)
    log = lake_telemetry(open_lake(tmp_path).telemetry).log
    assert log.states.advance(StabilityFold(threshold_ms=100.0), log).days_read == (date(2026, 1, 21),)
    append(tmp_path, rng, count=9, days=range(18, 19), first_id=990)
    log = lake_telemetry(open_lake(tmp_path).telemetry).log
    read = log.states.advance(StabilityFold(threshold_ms=100.0), log).days_read
    assert date(2026, 1, 19) in read and date(2026, 1, 21) in read and date(2026, 1, 1) not in read
    same_stability(tmp_path)


def test_a_damaged_state_and_a_folder_that_cannot_be_written_cost_time_and_no_number(tmp_path, monkeypatch):
    append(tmp_path, random.Random(6), count=200, days=range(9))
    before = same_stability(tmp_path)
    for path in (tmp_path / "_index" / "telemetry_states").glob("*/*/pair_session.npy"):
        path.write_bytes(path.read_bytes()[:-8] + b"damaged!")
    pd.testing.assert_frame_equal(same_stability(tmp_path), before)

    def full(*_args, **_kwargs):
        raise OSError("read-only")

    monkeypatch.setattr("launchpad_lib.lake.fold_state.FoldStates.advance", full)
    pd.testing.assert_frame_equal(same_stability(tmp_path), before)


def test_rows_beside_the_window_are_in_no_state(tmp_path):
    append(tmp_path, random.Random(7), count=900, days=range(9))
    whole = observed.stability(open_lake(tmp_path).telemetry, threshold_ms=100.0)
    cut = open_lake(tmp_path, observed_through="2026-01-05T11:00:00")
    kept = ibis.memtable(cut.telemetry.to_pyarrow())
    assert kept.observed_at.max().execute() <= datetime(2026, 1, 5, 11)
    ours = observed.stability(cut.telemetry, threshold_ms=100.0)
    pd.testing.assert_frame_equal(ours, observed.stability(kept, threshold_ms=100.0), check_dtype=False)
    assert (ours["observations"] < whole["observations"]).all()
    rows = cut.feature_hours.observations.sum().execute()
    assert rows == kept.count().execute()


def test_days_of_a_lake_are_those_of_every_row(tmp_path):
    append(tmp_path, random.Random(8), count=300, days=range(4))
    telemetry = open_lake(tmp_path).telemetry
    plain = ibis.memtable(telemetry.to_pyarrow())
    for zone in ("UTC", "Asia/Kolkata", "Pacific/Kiritimati", "America/Los_Angeles"):
        for feature_id in (None, "{x}' 🎉"):
            ours = observed.feature_days(observed.of_feature(telemetry, feature_id), report_timezone=zone)
            theirs = observed.feature_days(observed.of_feature(plain, feature_id), report_timezone=zone)
            pd.testing.assert_frame_equal(ours, theirs, check_dtype=False, rtol=1e-14)
            assert len(ours)


def local_days(lake: Path, zone: str = "Pacific/Apia") -> pd.DataFrame:
    """By the kept dates of a zone, held against every row."""
    telemetry = open_lake(lake).telemetry
    ours = observed.feature_days(telemetry, report_timezone=zone)
    theirs = observed.feature_days(ibis.memtable(telemetry.to_pyarrow()), report_timezone=zone)
    pd.testing.assert_frame_equal(ours, theirs, check_dtype=False, rtol=1e-14)
    return ours


def test_of_local_dates_only_those_near_a_new_or_restated_day_are_read_again(tmp_path, monkeypatch):
    read: list[tuple[int, int]] = []
    made = zone_days._made

    def noted(log, days, zone, dates):
        read.append((len(set(days) & {d.day for d in log.days}), len(dates)))
        return made(log, days, zone, dates)

    monkeypatch.setattr(zone_days, "_made", noted)
    rng = random.Random(12)
    append(tmp_path, rng, count=300, days=range(20))
    local_days(tmp_path), local_days(tmp_path)
    assert read == [(20, 22)]  # the dates before and after, too, have been looked at once
    for number, (restated, days, dates) in enumerate([(20, 3, 3), (9, 5, 3)]):
        append(tmp_path, rng, count=9, days=range(restated, restated + 1), first_id=1_000 * (number + 1))
        local_days(tmp_path), local_days(tmp_path)
        assert read[-1] == (days, dates) and len(read) == number + 2
    local_days(tmp_path, "Asia/Kolkata")
    assert read[-1] == (21, 23)


def test_local_dates_that_are_damaged_or_cannot_be_kept_are_made_again(tmp_path, monkeypatch):
    append(tmp_path, random.Random(13), count=200, days=range(6))
    before = local_days(tmp_path)
    kept = tmp_path / "_index" / "telemetry_states" / "local_days"
    (rows,) = kept.glob("*/*.parquet")
    rows.write_bytes(b"damaged" + rows.read_bytes()[7:])
    pd.testing.assert_frame_equal(local_days(tmp_path), before)
    for manifest in kept.glob("*/dates.json"):
        manifest.write_text(manifest.read_text().replace("2026", "2027"))
    pd.testing.assert_frame_equal(local_days(tmp_path), before)

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    shutil.rmtree(kept)
    monkeypatch.setattr(zone_days.pq, "write_table", full)
    pd.testing.assert_frame_equal(local_days(tmp_path), before)
    assert not list(kept.glob("*/*"))


def test_local_dates_of_a_window_and_of_files_without_days_are_those_of_the_rows_within(tmp_path):
    append(tmp_path / "days", random.Random(14), count=300, days=range(6))
    whole = local_days(tmp_path / "days")
    cut = open_lake(tmp_path / "days", observed_through="2026-01-04T11:00:00").telemetry
    ours = observed.feature_days(cut, report_timezone="Asia/Kolkata")
    assert ours["observations"].sum() == cut.count().execute() < whole["observations"].sum()
    one = DeltaTable(str(tmp_path / "days" / "telemetry")).to_pyarrow_table()
    write_deltalake(str(tmp_path / "one" / "telemetry"), one)
    pd.testing.assert_frame_equal(local_days(tmp_path / "one"), whole, check_dtype=False, rtol=1e-14)
    pd.testing.assert_frame_equal(local_days(tmp_path / "days"), whole)


def bucket_of(value: float) -> int:
    """The definition: 0 for nothing, else 128 equal parts of each octave from 2 ** LOWEST_EXPONENT on, the first for less."""
    if value <= 0:
        return 0
    mantissa, exponent = math.frexp(value)  # value = mantissa * 2 ** exponent, 0.5 <= mantissa < 1
    return 1 + max(128 * (exponent - 1 - LOWEST_EXPONENT) + int(128 * (2 * mantissa - 1)), 0)


def test_an_hour_is_the_count_of_its_rows_and_hours_add_up_to_days(tmp_path):
    append(tmp_path, random.Random(9), count=400, days=range(3))
    data = open_lake(tmp_path)
    hours, rows = data.feature_hours.to_pandas(), data.telemetry.to_pandas()
    assert not hours.duplicated(["feature_id", "platform", "app_version", "hour"]).any()
    keys = ["feature_id", "platform", "app_version", rows["observed_at"].dt.floor("h").rename("hour")]
    by_hour = rows.groupby(keys, dropna=False)
    wanted = pd.DataFrame(
        {
            "observations": by_hour.size(),
            "latency_observations": by_hour["latency_ms"].count(),
            "latency_us": by_hour["latency_ms"].apply(lambda v: (v.dropna() * 1000).round().sum()),
            "crash_known": by_hour["crashed"].count(),
            "crashes": by_hour["crashed"].apply(lambda v: (v == True).sum()),  # noqa: E712
            "errors_known": by_hour["error_count"].count(),
            "failures": by_hour["error_count"].apply(lambda v: (v > 0).sum()),
            "feedback_count": by_hour["feedback_score"].count(),
            "feedback_millionths": by_hour["feedback_score"].apply(lambda v: (v.dropna() * 1e6).round().sum()),
            "values": by_hour["latency_ms"].apply(lambda v: sorted(v.dropna())),
        }
    ).reset_index()
    together = hours.merge(wanted, on=["feature_id", "platform", "app_version", "hour"], suffixes=("", "_wanted"))
    assert len(together) == len(hours) == len(wanted)
    for name in wanted.columns[4:-1]:
        assert together[name].fillna(0).astype(float).tolist() == together[f"{name}_wanted"].astype(float).tolist()
    for held, values in zip(together["latency_histogram"], together["values"], strict=True):
        counts = {} if held is None else dict(held)
        assert counts == pd.Series([bucket_of(v) for v in values], dtype=float).value_counts().to_dict()


def in_sql(values: list[float]) -> list[int]:
    told = ", ".join(f"'{v!r}'::DOUBLE" for v in values)
    query = f"SELECT {daily_tables.BUCKET} FROM (SELECT unnest([{told}]) AS latency_ms)"
    import duckdb

    return [row[0] for row in duckdb.execute(query).fetchall()]


def test_the_engines_bucket_is_that_of_the_definition_whatever_the_value():
    """Powers of two are the edges at which a logarithm may be off by one step; extremes lie in the outmost buckets."""
    rng = np.random.default_rng(1)
    powers = [2.0**e for e in range(-25, 64)]
    near = [f(v) for v in powers for f in (lambda v: np.nextafter(v, 0), float, lambda v: np.nextafter(v, np.inf))]
    values = [float(v) for v in [*near, *np.exp(rng.uniform(-18, 40, 3000)), 0.0, -1.0, 5e-324]]
    assert in_sql(values) == [bucket_of(v) for v in values]
    assert set(in_sql([1e300, float("inf"), float("nan")])) <= {BUCKETS - 1, BUCKETS - 4} | set(
        range(BUCKETS - 10, BUCKETS)
    )


def hours_of(rows: list[tuple[datetime, float | None]], **columns: str) -> ibis.Table:
    frame = pd.DataFrame(rows, columns=["observed_at", "latency_ms"]).astype({"latency_ms": "float64"})
    frame["observed_at"] = frame["observed_at"].astype("datetime64[us]")
    usual = {"feature_id": "quiz", "platform": "web", "app_version": "1", "user_id": "u"} | columns
    whole = frame.assign(**usual, crashed=False, error_count=0, feedback_score=4.0)
    con = ibis.duckdb.connect()
    con.con.register("observed", pa.Table.from_pandas(whole, preserve_index=False))
    con.raw_sql(f"CREATE TABLE hours AS {daily_tables.over(daily_tables.FEATURE_HOURS, 'observed')}")
    return con.table("hours")


def test_trailing_days_are_calendar_days_and_what_is_unknown_is_left_out():
    """With 2 January missing, the three days of 3 January are the 1st and the 3rd; the 6th stands alone."""
    at = datetime(2026, 1, 1, 9)
    first, third, sixth = [10.0, 20.0, None, 30.0], [100.0, 200.0], [7.0]
    rows = [
        (at + timedelta(days=d, hours=i), v) for d, vs in ((0, first), (2, third), (5, sixth)) for i, v in enumerate(vs)
    ]
    found = latency_quantiles(hours_of(rows), trailing_days=3).order_by("observed_on").to_pandas()
    assert found["observed_on"].astype(str).str[:10].tolist() == ["2026-01-01", "2026-01-03", "2026-01-06"]
    assert found["latency_observations"].tolist() == [3, 5, 1]
    assert found["p50_latency_ms"].tolist() == pytest.approx([20, 30, 7], rel=RELATIVE_ERROR)
    wanted = np.quantile([10, 20, 30, 100, 200], 0.95)
    assert found["p95_latency_ms"][1] == pytest.approx(wanted, rel=RELATIVE_ERROR)
    assert latency_quantiles(hours_of(rows[:0])).to_pandas().empty


def test_an_hour_counts_to_the_local_date_in_which_it_begins():
    """22:59 UTC is 23:59 in Berlin; 23:00 UTC is the next day."""
    rows = [(datetime(2026, 1, 1, 22, 59), 10.0), (datetime(2026, 1, 1, 23, 0), 20.0)]
    found = latency_quantiles(hours_of(rows), report_timezone="Europe/Berlin").order_by("observed_on").to_pandas()
    assert found["observed_on"].astype(str).str[:10].tolist() == ["2026-01-01", "2026-01-02"]


@pytest.mark.parametrize("by", [["feature_id"], ["platform"], ["feature_id", "platform", "app_version"]])
def test_quantiles_of_hours_are_within_the_stated_error_of_every_row(tmp_path, by):
    append(tmp_path, random.Random(10), count=900, days=range(12))
    data = open_lake(tmp_path)
    rows = data.telemetry.to_pandas().dropna(subset=["latency_ms"])
    found = latency_quantiles(data.feature_hours, by=by, trailing_days=7).to_pandas()
    day = rows["observed_at"].dt.floor("D")
    assert len(found) == len(rows.assign(day=day).drop_duplicates([*by, "day"]))
    for row in found.to_dict("records"):
        on = pd.Timestamp(row["observed_on"])
        own = (day <= on) & (day > on - pd.Timedelta(days=7))
        for name in by:
            own &= rows[name].isna() if row[name] is None or row[name] != row[name] else rows[name] == row[name]
        values = rows.loc[own, "latency_ms"]
        assert row["latency_observations"] == len(values)
        for q, name in ((0.5, "p50_latency_ms"), (0.95, "p95_latency_ms"), (0.99, "p99_latency_ms")):
            assert row[name] == pytest.approx(np.quantile(values, q), rel=1.0001 * RELATIVE_ERROR, abs=1e-5)


def test_the_table_of_days_has_the_trailing_week_and_a_gap_where_no_latency_is_known():
    at = datetime(2026, 1, 1, 9)
    hours = hours_of([(at, 100.0), (at + timedelta(days=1), 300.0), (at + timedelta(days=2), None)])
    daily = pd.DataFrame(
        {"feature_id": "quiz", "observed_on": pd.date_range("2026-01-01", periods=3).astype("datetime64[s]")}
    )
    found = with_trailing(daily, hours, report_timezone="UTC")["p95_7d_latency_ms"]
    assert found[:2].tolist() == pytest.approx([100, 290], rel=RELATIVE_ERROR) and found.isna().tolist() == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(("asked", "said"), [({"trailing_days": 0}, "trailing_days=0"), ({"at": [1.5]}, "at=")])
def test_a_question_without_an_answer_is_refused(asked, said):
    with pytest.raises(ValueError, match=said):
        latency_quantiles(hours_of([]), **asked)


def test_a_part_of_an_older_layout_or_damaged_is_made_again(tmp_path):
    append(tmp_path, random.Random(11), count=100, days=range(3))
    before = open_lake(tmp_path).feature_hours.order_by(["feature_id", "hour", "platform", "app_version"]).to_pandas()
    parts = tmp_path / "_index" / "telemetry_parts"
    next(iter((parts / "feature_hours").glob("*.parquet"))).write_bytes(b"damaged")
    manifest = next(iter((parts / "versions").glob("*.json")))
    told = json.loads(manifest.read_text())
    again = open_lake(tmp_path).feature_hours.order_by(["feature_id", "hour", "platform", "app_version"]).to_pandas()
    pd.testing.assert_frame_equal(again, before)
    manifest.write_text(json.dumps(told | {"layout": 1}))
    again = open_lake(tmp_path).feature_hours.order_by(["feature_id", "hour", "platform", "app_version"]).to_pandas()
    pd.testing.assert_frame_equal(again, before)


@pytest.mark.parametrize(
    ("bucket", "zone"),
    [("hour", "UTC"), ("day", "UTC"), ("day", "America/New_York"), ("day", "Asia/Kolkata"), ("5 minutes", "UTC")],
)
@pytest.mark.parametrize("feature_id", [None, "{x}' 🎉"])
def test_signals_of_a_lake_are_made_of_its_hours(tmp_path, bucket, zone, feature_id):
    """Against the same observations in no lake, whose quantiles are exact. In Kolkata a date begins within an hour."""
    append(tmp_path, random.Random(3), count=900, days=range(3))
    data = open_lake(tmp_path)
    asked = {"bucket": bucket, "report_timezone": zone}
    rows = ibis.memtable(data.telemetry.to_pyarrow())
    of_lake, of_rows = (observed.of_feature(table, feature_id) for table in (data.telemetry, rows))
    found, wanted = (signals.signal_series(table, data.series, **asked) for table in (of_lake, of_rows))
    assert set(wanted["signal"]) == set(signals.SIGNALS) and wanted["feature_id"].nunique() == (1 if feature_id else 3)
    is_p95 = wanted["signal"] == "p95_latency_ms"
    pd.testing.assert_frame_equal(found[~is_p95], wanted[~is_p95], rtol=1e-6)
    pd.testing.assert_frame_equal(found[is_p95], wanted[is_p95], rtol=0.004)
    is_of_hours = bucket != "5 minutes" and zone != "Asia/Kolkata"
    assert is_of_hours == (not found.loc[is_p95, "value"].equals(wanted.loc[is_p95, "value"]))
    # Up to an instant before the lake's last, no hour says what of it came before.
    through = data.telemetry.observed_at.max().execute().to_pydatetime() - timedelta(hours=30)
    found, wanted = (signals.signal_series(t, data.series, through=through, **asked) for t in (of_lake, of_rows))
    pd.testing.assert_frame_equal(found, wanted)
