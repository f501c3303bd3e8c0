"""Calendar arithmetic against Python's own, limits against their formulas, tables that are refused: expected values by hand."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import ibis
import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from launchpad_lib.contract.event import rules
from launchpad_lib.metrics import checks, windows
from launchpad_lib.metrics.quality import (
    delivery,
    missing_share,
    rejects_by_reason,
    rejects_by_source,
    restated_days,
)

NOON = datetime(2026, 1, 1, 12)
DAYS = [
    date(1968, 2, 29),
    date(1969, 12, 28),
    date(1969, 12, 29),
    date(1970, 1, 1),
    date(2024, 2, 29),
    date(2026, 1, 4),
]
DAYS += [date(2026, 1, 5), date(2026, 12, 31), date(2027, 1, 1)]


def first_of(on: date, period: str, week_starts_on: str) -> date:
    """The first date of the period a date is in, by Python's calendar."""
    if period == "month":
        return on.replace(day=1)
    return on - timedelta(days=(on.weekday() - windows.WEEKDAYS.index(week_starts_on)) % 7) if period == "week" else on


@pytest.mark.parametrize(("period", "week"), [("day", "monday"), ("month", "monday"), *(("week", d) for d in windows.WEEKDAYS)])  # fmt: skip
def test_periods_are_numbered_one_by_one_and_begin_where_the_calendar_says(period, week):
    dates = ibis.memtable({"number": [windows.python_period_number(d, period, week) for d in DAYS]})
    found = dates.select(start=windows.period_start(dates.number, period, week)).to_pandas()
    assert pd.to_datetime(found["start"]).dt.date.tolist() == [first_of(d, period, week) for d in DAYS]
    begun = {first_of(date(2025, 11, 1) + timedelta(days=i), period, week) for i in range(200)}
    numbers = [windows.python_period_number(d, period, week) for d in sorted(begun)]
    assert np.diff(numbers).tolist() == [1] * (len(begun) - 1)


def test_what_is_no_weekday_is_refused():
    with pytest.raises(ValueError) as refused:
        windows.weekday_number("sonntag")
    assert str(refused.value).startswith("week_starts_on='sonntag': is no day of the week; ")
    assert [windows.weekday_number(d) for d in windows.WEEKDAYS] == list(range(7))


@pytest.mark.parametrize(
    ("through", "zone", "period", "last"),
    [
        (datetime(2026, 1, 2), "UTC", "day", date(2026, 1, 1)),
        (datetime(2026, 1, 1, 23, 59, 59, 999_999), "UTC", "day", date(2026, 1, 1)),  # nothing can come behind it
        (datetime(2026, 1, 1, 23, 59, 59, 999_998), "UTC", "day", date(2025, 12, 31)),
        (datetime(2026, 1, 1, 23), "Europe/Berlin", "day", date(2026, 1, 1)),
        (datetime(2026, 1, 1, 22, 59), "Europe/Berlin", "day", date(2025, 12, 31)),
        (datetime(2026, 1, 11, 23, 59), "UTC", "week", date(2026, 1, 4)),
        (datetime(2026, 1, 12), "UTC", "week", date(2026, 1, 11)),
        (datetime(2026, 2, 1), "UTC", "month", date(2026, 1, 31)),
    ],
)
def test_a_period_is_complete_with_its_last_microsecond(through, zone, period, last):
    found = windows.last_complete_period(through, zone, period)
    assert found == windows.python_period_number(last, period)
    with pytest.raises(ValueError, match="^report_timezone='Nowhere': is no IANA time zone; "):
        windows.last_complete_period(through, "Nowhere", period)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"])
def test_a_local_time_is_that_of_the_wall_clock(zone):
    at = [datetime(2026, 3, 29, 0, 30), datetime(2026, 3, 29, 1, 30), datetime(2026, 7, 1, 23, 15), NOON]
    table = ibis.memtable(pd.DataFrame({"at": pd.Series(at, dtype="datetime64[us]")}))
    wanted = [t.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(zone)).replace(tzinfo=None) for t in at]
    found = table.select(local=windows.local_time(table.at, zone), on=windows.local_date(table.at, zone)).to_pandas()
    assert found["local"].tolist() == wanted and pd.to_datetime(found["on"]).dt.date.tolist() == [
        t.date() for t in wanted
    ]
    with pytest.raises(ValueError, match="^report_timezone='Nowhere'"):
        windows.local_time(table.at, "Nowhere")


def test_wilsons_limits_are_those_of_statsmodels_and_of_nobody_there_are_none():
    counts = [(0, 1), (1, 1), (0, 40), (40, 40), (3, 40), (777, 1000)]
    table = ibis.memtable(pd.DataFrame([*counts, (0, 0)], columns=["hits", "n"]))
    found = table.select(**windows.wilson_limits(table.hits, table.n)).to_pandas()
    for (hits, n), row in zip(counts, found.itertuples(), strict=False):
        assert (row.ci_low, row.ci_high) == pytest.approx(proportion_confint(hits, n, method="wilson"), abs=1e-12)
        assert 0 <= row.ci_low <= row.ci_high <= 1
    assert found.iloc[-1].isna().all()


def test_the_limits_of_a_ratio_are_those_of_the_delta_method():
    """By numpy: the residuals y - r x of the units, their variance with n - 1, over the square of the mean of x."""
    y, x = np.array([3.0, 0, 5, 1]), np.array([4.0, 1, 9, 2])
    table = ibis.memtable({"y": y.tolist(), "x": x.tolist()})
    sums = ((table.y * table.y).sum(), (table.y * table.x).sum(), (table.x * table.x).sum())
    row = table.agg(**windows.ratio_limits(table.y.sum(), table.x.sum(), sums, table.count())).to_pandas().iloc[0]
    ratio = y.sum() / x.sum()
    half = 1.959963984540054 * math.sqrt(np.var(y - ratio * x, ddof=1) / len(y)) / x.mean()
    assert (row.ci_low, row.ci_high) == pytest.approx((ratio - half, ratio + half), abs=1e-12)
    alone = table.limit(1)
    sums = ((alone.y * alone.y).sum(), (alone.y * alone.x).sum(), (alone.x * alone.x).sum())
    one = alone.agg(**windows.ratio_limits(alone.y.sum(), alone.x.sum(), sums, alone.count())).to_pandas()
    none = alone.agg(**windows.ratio_limits(alone.y.sum(), alone.x.sum() * 0, sums, alone.count() + 3)).to_pandas()
    assert one.isna().all(axis=None) and none.isna().all(axis=None)


def test_a_ratio_that_is_the_same_for_all_units_has_no_interval_however_floats_are_rounded():
    """As floats the squared residuals of these add up to a little less than 0: no spread, so nothing bounds the ratio."""
    y, x = [4.9, 4.9, 0.7, 5.6], [7.0, 7.0, 1.0, 8.0]
    ratio = sum(y) / sum(x)
    sums = [sum(a * b for a, b in zip(*pair, strict=True)) for pair in ((y, y), (y, x), (x, x))]
    assert sums[0] - 2 * ratio * sums[1] + ratio * ratio * sums[2] < 0
    table = ibis.memtable({"y": y, "x": x})
    squares = ((table.y * table.y).sum(), (table.y * table.x).sum(), (table.x * table.x).sum())
    row = table.agg(**windows.ratio_limits(table.y.sum(), table.x.sum(), squares, table.count())).to_pandas().iloc[0]
    assert pd.isna(row.ci_low) and pd.isna(row.ci_high)


def test_a_session_of_a_client_is_one_of_its_user_and_no_two_pairs_are_one():
    pairs = [("a", "b/c"), ("a/b", "c"), ("a", "b%2Fc"), ("a%2Fb", "c"), (None, "c")]
    table = ibis.memtable(pd.DataFrame(pairs, columns=["user_id", "session_id"]))
    found = table.select(unit=windows.unit_column(table, "session_id")).to_pandas()["unit"]
    assert found[:4].nunique() == 4 and pd.isna(found[4])
    assert windows.unit_column(table.drop("user_id"), "session_id").execute().tolist() == [s for _, s in pairs]
    assert windows.unit_column(table, "user_id").execute().tolist()[:2] == ["a", "a/b"]
    with pytest.raises(ValueError) as refused:
        windows.unit_column(table, "user")
    assert str(refused.value) == "by='user': is no column of the table; did you mean 'user_id'?"


def test_a_property_is_text_as_json_writes_it_wherever_it_is_kept():
    held = {
        "t": "x",
        "i": 0,
        "f": 1.5,
        "b": True,
        "n": None,
        "l": [1, {"a": 2}],
        "12": "digits",
        "-": "dash",
        "a/b~c": "sign",
    }
    wanted = {"t": "x", "i": "0", "f": "1.5", "b": "true", "n": None, "l": '[1,{"a":2}]', "12": "digits", "-": "dash", "a/b~c": "sign", "none": None}  # fmt: skip
    table = ibis.memtable(
        {"properties": [json.dumps(held), "no json", '["list"]'], "own": [7, 8, 9], "flag": [True, False, None]}
    )
    for name, text in wanted.items():
        found = windows.property_value(table, name).execute().tolist()
        assert (None if pd.isna(found[0]) else found[0]) == text and pd.isna(found[1]) and pd.isna(found[2]), name
    assert windows.property_value(table, "own").execute().tolist() == ["7", "8", "9"]
    assert windows.property_value(table, "flag").execute().tolist()[:2] == ["true", "false"]
    assert pd.isna(windows.property_value(table, "\ud800").execute())
    with pytest.raises(ValueError) as refused:
        windows.property_value(table.drop("properties"), "flga")
    assert str(refused.value) == (
        "property='flga': the table has neither this column nor `properties`; did you mean 'flag'?"
    )


def test_a_value_is_compared_as_json_writes_it():
    table = ibis.memtable({"v": ["1", "1.0", "true", "x", "1e22", None]})

    def hits(*values) -> list:
        return [bool(h) for h in windows.is_one_of(table.v, values).fill_null(False).execute()]

    assert hits(1) == hits(np.int64(1)) == [True, False, False, False, False, False]
    assert hits(1.0) == [False, True, False, False, False, False] and hits(True)[2] and not hits("True")[2]
    assert hits("x", 1) == [True, False, False, True, False, False] and hits("\ud800", "x") == hits("x")
    assert not windows.is_one_of(table.v, []).execute()
    with pytest.raises(ValueError) as refused:
        windows.is_one_of(table.v, [None])
    assert str(refused.value) == (
        "filters: the value None is absent in the data, so nothing equals it; give text, a number or a boolean"
    )


def test_what_is_no_table_or_lacks_a_column_is_told_in_one_sentence():
    frame = pd.DataFrame({"user_id": ["u"]})
    with pytest.raises(ValueError) as refused:
        checks.known_table(frame, argument="telemetry")
    assert str(refused.value) == (
        "telemetry: is a pandas DataFrame, and must be an Ibis table; write ibis.memtable(frame) for a data frame"
    )
    table = ibis.memtable(frame)
    assert checks.known_table(table, needs=("user_id",)) is table
    with pytest.raises(ValueError) as refused:
        checks.known_table(table, needs=("user_id", "user_ids"))
    assert str(refused.value) == (
        "events: has no column 'user_ids'; did you mean 'user_id'? (rename it: events.rename(user_ids=...))"
    )
    assert checks.name_list(("a",), argument="x") == checks.name_list({"a"}, argument="x") == ["a"]
    assert checks.name_list(frozenset({"a"}), argument="x") == ["a"]
    with pytest.raises(ValueError) as refused:
        checks.name_list(None, argument="returns")
    assert str(refused.value) == "returns=None: must be a list of names; write [None] for one"


def test_the_first_unknown_name_is_told_with_what_the_log_has():
    log = ibis.memtable({"event_name": ["a", None], "feature_id": ["f", None], "properties": ['{"k": 1}', "no json"]})
    assert (
        checks.unknown_names(log, event_names=["a"], feature_ids=["f"], properties=["k", "event_name", None, ""])
        is None
    )
    assert checks.unknown_names(log, event_names=["a", "b", "c"]) == "event 'b': does not occur in the log; there are a"
    assert checks.unknown_names(log, feature_ids=["g"]) == "feature 'g': does not occur in the log; there are f"
    said = "property 'zzz': is neither a column nor a key of `properties` in the log; there are event_name, feature_id, k, properties"
    assert checks.unknown_names(log, properties=["k", "zzz"]) == said
    bare = log.drop("properties")
    said = "property 'k': is neither a column nor a key of `properties` in the log; there are event_name, feature_id"
    assert checks.unknown_names(bare, properties=["k"]) == said
    assert checks.unknown_names(log, properties=["\ud800"]).startswith("property '\\ud800': is neither")
    as_map = ibis.memtable({"properties": [{"k": 1}]})
    assert checks.unknown_names(as_map, properties=["k"]) is None


def test_nobody_mature_is_told_with_those_still_open_and_by_when():
    through = datetime(2026, 1, 2, 3, 4)
    assert checks.nobody_mature(1, immature=5, what="x") is None
    assert checks.nobody_mature(0, immature=1200, what="a {b}", observed_through=through) == (
        "a {b}: no user has been observed to the end by 2026-01-02 03:04 UTC (1,200 still open), so there is no rate yet; "
        "wait or ask for a shorter time"
    )
    nobody = "a {b}: nobody entered, so there is no rate; check the event names and the period"
    assert checks.nobody_mature(None, immature=0, what="a {b}") == checks.nobody_mature(0, immature=None, what="a {b}")
    assert checks.nobody_mature(0, immature=0, what="a {b}") == nobody
    table = ibis.memtable({"n": [1, 0, 0], "open": [5, 1200, 0]})
    column = checks.nobody_counted(table.n, immature=table.open, what="a {b}", observed_through=through)
    found = table.mutate(why=column).to_pandas()["why"]
    assert pd.isna(found[0]) and found[1] == checks.nobody_mature(
        0, immature=1200, what="a {b}", observed_through=through
    )
    assert found[2] == checks.nobody_mature(0, immature=0, what="a {b}", observed_through=through)
    assert "nobody entered by 2026-01-02 03:04 UTC, so" in found[2]


def test_a_refused_table_has_the_rows_that_can_be_named_and_no_numbers():
    like = ibis.memtable({"step": [1], "name": ["a"], "is_complete": [True], "rate": [0.5]})
    one = checks.refused_table(like, "why").to_pandas()
    assert one.columns.tolist() == ["step", "name", "is_complete", "rate", "refused_because"]
    assert one.drop(columns=["is_complete", "refused_because"]).isna().all(axis=None)
    assert one["is_complete"].tolist() == [False] and one["refused_because"].tolist() == ["why"]
    two = checks.refused_table(like, "why", step=[1, 2], name=["a", None]).to_pandas()
    assert (
        two["step"].tolist() == [1, 2]
        and two["name"].tolist()[0] == "a"
        and two["refused_because"].tolist() == ["why"] * 2
    )
    assert two["is_complete"].tolist() == [False, False]
    kept = checks.refused_table(like.mutate(refused_because=ibis.null("string")).relocate("refused_because"), "why")
    assert kept.columns[0] == "refused_because" and kept.to_pandas()["refused_because"].tolist() == ["why"]


def test_a_table_without_rows_is_one_row_that_says_why():
    rows = ibis.memtable({"name": ["a", "b"], "is_complete": [True, False], "refused_because": [None, "own"]})
    rows = rows.mutate(refused_because=rows.refused_because.cast("string"))
    stands = checks.never_empty(rows, "none").order_by("name").to_pandas()
    assert stands["name"].tolist() == ["a", "b"] and stands["is_complete"].tolist() == [True, False]
    assert pd.isna(stands["refused_because"][0]) and stands["refused_because"][1] == "own"
    bare = checks.never_empty(rows.drop("refused_because", "is_complete"), "none").to_pandas()
    assert bare.columns.tolist() == ["name", "refused_because"] and bare["refused_because"].isna().all()
    nothing = checks.never_empty(rows.filter(ibis.literal(False)), "none").to_pandas()
    assert nothing["refused_because"].tolist() == ["none"] and nothing["is_complete"].tolist() == [False]
    assert nothing["name"].isna().all()
    scalar = checks.never_empty(rows.filter(ibis.literal(False)), rows.count().cast("string") + " rows").to_pandas()
    assert scalar["refused_because"].tolist() == ["2 rows"]
    wide = checks.with_columns(rows, ["name", "more", None, ""])
    assert wide.columns == (*rows.columns, "more") and wide.more.type().is_string()
    assert [bool(pd.isna(v)) for v in rows.select(w=checks.because(rows.is_complete, "w")).to_pandas()["w"]] == [
        False,
        True,
    ]


def arrivals(*seconds: float) -> ibis.Table:
    at = pd.Series([NOON] * len(seconds), dtype="datetime64[us]")
    return ibis.memtable(pd.DataFrame({"event_at": at, "received_at": at + pd.to_timedelta(seconds, unit="s")}))


def test_delays_have_their_quantiles_and_a_clock_is_ahead_beyond_a_minute():
    """Delays 1 to 101 s: the median is 51, nine tenths are at 91, 99 of a hundred at 100. -60 is not yet ahead, -61 is."""
    row = delivery(arrivals(*range(1, 102))).to_pandas().iloc[0]
    assert row[["median_seconds", "p90_seconds", "p99_seconds"]].tolist() == [51, 91, 100]
    assert row[["events", "delay_observed", "delay_unknown", "late", "late_share", "ahead"]].tolist() == [
        101,
        101,
        0,
        0,
        0,
        0,
    ]
    clocks = delivery(arrivals(-60, -61, 43_199, 43_200)).to_pandas().iloc[0]
    assert clocks[["ahead", "late", "late_share"]].tolist() == [1, 1, 0.25]  # 12 hours after noon it is the next day
    limits = proportion_confint(1, 4, method="wilson")
    assert (clocks.ci_low, clocks.ci_high) == pytest.approx(limits)
    none = delivery(arrivals(1).filter(ibis.literal(False))).to_pandas().iloc[0]
    assert none["refused_because"] == "there is no event" and (none["events"], none["delay_unknown"]) == (0, 0)
    filled = delivery(arrivals(0)).to_pandas().iloc[0]["refused_because"]
    assert filled == (
        "received_at is event_at in every event, so it was filled and no delay was observed; map the time of arrival"
    )


def test_a_restated_day_has_its_rows_and_the_last_arrival():
    late = restated_days(arrivals(5, 50_000, 90_000, 0)).to_pandas()
    assert late.columns.tolist() == ["day", "rows", "late_rows", "late_share", "last_received_at", "refused_because"]
    assert pd.to_datetime(late["day"]).dt.date.tolist() == [date(2026, 1, 1)]
    assert late[["rows", "late_rows", "late_share"]].values.tolist() == [[4, 2, 0.5]]
    assert late["last_received_at"][0] == NOON + timedelta(seconds=90_000) and late["refused_because"].isna().all()
    none = restated_days(arrivals(1).filter(ibis.literal(False))).to_pandas()
    assert none["refused_because"].tolist() == ["there is no event"] and none["rows"].isna().all()


def test_refused_rows_are_counted_by_reason_and_source():
    refused = [
        ("events", "b", "s2"),
        ("events", "a", "s1"),
        ("telemetry", "a", "s1"),
        ("events", "c", "s1"),
        ("events", "c", "s2"),
    ]
    table = ibis.memtable(pd.DataFrame(refused, columns=["table_name", "reason", "source"]))
    reasons = rejects_by_reason(table).to_pandas()
    assert reasons.values.tolist() == [
        ["events", "c", 2],
        ["events", "a", 1],
        ["events", "b", 1],
        ["telemetry", "a", 1],
    ]
    sources = rejects_by_source(table.filter(table.reason != "b")).to_pandas()
    assert sources[["table_name", "source", "reason", "rows", "share"]].values.tolist() == [
        ["events", "s1", "a", 1, 0.25], ["events", "s1", "c", 1, 0.25], ["events", "s2", "c", 1, 0.25], ["telemetry", "s1", "a", 1, 0.25],
    ]  # fmt: skip
    assert rejects_by_source(table.filter(ibis.literal(False))).to_pandas().empty


def test_a_reason_stands_without_the_value_that_broke_the_rule():
    value = "secret is under 3 is not a timestamp"
    given = {
        rules.not_whole("user_id", value): "user_id: … is no id; an id is a text or a whole number",
        rules.no_zone("event_at", value): "event_at: … states no time zone; end it in Z",
        rules.skipped_by_clocks("event_at", value, "Europe/Berlin"): "event_at: … does not exist in Europe/Berlin (clocks go forward)",
        "event 3 of the record: " + rules.conflicting(value): "event 3 of the record: event_id: …" + rules.CONFLICT,
        rules.conflicting(value): "event_id: …" + rules.CONFLICT,
        f"latency_ms: {value} is not a number": "latency_ms: … is not a number",
        f"feedback_score: {value} is over 5": "feedback_score: … is over 5",
        f"at: {value} is not a timestamp of the format %Y": "at: … is not a timestamp of the format %Y",
        rules.missing("user_id"): "user_id is missing",
        rules.placeholder("anon"): rules.placeholder("anon"),
    }  # fmt: skip
    lost = rules.digits_lost("user_id", value), rules.not_a_timestamp("event_at", value)
    table = ibis.memtable(pd.DataFrame({"table_name": "events", "source": "s", "reason": [*given, *lost]}))
    told = set(rejects_by_source(table).to_pandas()["reason"])
    assert set(given.values()) <= told and len(told) == len(given) + 2
    assert not any("secret" in reason for reason in told)


def test_missing_values_are_counted_by_column_in_order_of_its_name():
    table = ibis.memtable({"b": ["x", None, None, "y"], "a": [1, 2, 3, 4]})
    assert missing_share(table).to_pandas().drop(columns="refused_because").values.tolist() == [
        ["a", 4, 0, 0.0], ["b", 4, 2, 0.5],
    ]  # fmt: skip
    assert missing_share(table.select("b")).to_pandas()["missing_share"].tolist() == [0.5]
    with pytest.raises(ValueError, match="^table: is a pandas DataFrame, "):
        missing_share(table.to_pandas())
