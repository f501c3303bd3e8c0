"""The folds behind coming back: against brute force by definition, whatever the parts in which the log is handed over."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from launchpad_lib.contract.zones import zone as locked_zone
from launchpad_lib.metrics import (
    active_users,
    activity_spans,
    behavioural_cohorts,
    lifecycle,
    path_steps,
    retention,
    transitions,
)
from launchpad_lib.metrics.asked import answers
from launchpad_lib.metrics.kernels import one_reading
from launchpad_lib.metrics.kernels.local_days import active_periods, calendar_of, clock_of, local_day, period_of
from launchpad_lib.metrics.kernels.unit_rows import UnitRows
from launchpad_lib.metrics.returning import asked_retention, asked_retention_by_deed, asked_retention_by_start
from launchpad_lib.metrics.windows import python_period_number
from tests.spec import reference as ref
from tests.spec.reference import START, Event

DAY = 1440
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia")


@pytest.fixture(params=["whole", "a unit a part"])
def parts(request, monkeypatch):
    """The log in one part, and as parts of one unit each: no answer may depend on it."""
    real = one_reading.unit_rows

    def cut(*args, **named):
        for rows in real(*args, **named):
            for u in range(rows.units):
                low, high = rows.starts[u], rows.starts[u + 1]
                yield UnitRows(np.array([0, high - low]), {n: c[low:high] for n, c in rows.columns.items()}, rows.texts)

    if request.param != "whole":
        monkeypatch.setattr(one_reading, "unit_rows", cut)
    return request.param


def drawn(seed: int, *, users: int, events: int, through_days: int = 92) -> list[Event]:
    """Ties, whole days, nights of changing clocks (8 and 29 March), values that come and go."""
    rng = random.Random(seed)
    nights = [66 * DAY, 86 * DAY]
    rows = []
    for k in range(events):
        at = rng.choice(
            [rng.randint(0, 3) * DAY, rng.randint(0, through_days * DAY), rng.choice(nights) + rng.randint(0, 2 * DAY)]
        )
        rows.append(
            Event(
                f"u{rng.randrange(users)}",
                rng.choice("AAB"),
                at,
                rng.choice([0, 5]),
                f"e{k}",
                rng.choice(["p", "q", None]),
            )
        )
    return rows  # fmt: skip


def told(events: list[Event], asked: dict, low: int, high: int) -> dict:
    """cohort -> [users, retained, immature] by definition; the start is the first start event in total order."""
    through, zone = asked["through"], asked["report_timezone"]
    found: dict = {}
    for log in ref.by_user(events).values():
        ordered = sorted(log, key=lambda e: (e.at, e.at + e.received, e.event_id))
        starts = [e for e in ordered if asked["start_event"] in (None, e.name)]
        back = [e for e in ordered if asked["return_event"] in (None, e.name)]
        if not starts:
            continue
        first = starts[0]
        if asked["counting"] == "rolling":
            length = DAY if asked["period"] == "day" else 7 * DAY
            is_mature = first.at + (high + 1) * length <= through
            is_back = any(first.at + low * length <= e.at < first.at + (high + 1) * length for e in back)
        else:

            def number(at: int) -> int:
                return ref.period_of(ref.local(at, zone), asked["period"])

            is_mature = number(first.at) + high <= number(through) - 1
            is_back = any(low <= number(e.at) - number(first.at) <= high for e in back)
        counts = found.setdefault(first.prop, [0, 0, 0])
        counts[0] += is_mature
        counts[1] += is_mature and is_back
        counts[2] += not is_mature
    return found


@pytest.mark.parametrize("seed", range(12))
def test_first_starts_by_property_are_what_the_definition_says(seed, parts):
    rng = random.Random(seed)
    counting = rng.choice(["rolling", "calendar"])
    events = drawn(seed, users=8, events=70)
    brackets = [(0, 0), (1, 1), (2, 5), (1, 90), (64, 70)]
    asked = {
        "counting": counting,
        "period": rng.choice(["day", "week"] + (["month"] if counting == "calendar" else [])),
        "start_event": rng.choice([None, "A", "B"]),
        "return_event": rng.choice([None, "A", "B"]),
        "report_timezone": rng.choice(ZONES),
        "through": rng.randint(20 * DAY, 200 * DAY),
    }
    options = {k: v for k, v in asked.items() if k != "through"}
    rows = retention(
        ref.table(events),
        returns=brackets,
        observed_through=START + timedelta(minutes=asked["through"]),
        cohort_property="plan",
        **options,
    ).to_pandas()
    for low, high in brackets:
        own = rows[(rows["period_from"] == low) & (rows["period_to"] == high)]
        assert {
            None if pd.isna(r.cohort) else r.cohort: [r.users, r.retained, r.users_immature] for r in own.itertuples()
        } == told(events, asked, low, high)


def frame(table: ibis.Table) -> list[list[str]]:
    return sorted([str(v) for v in row] for row in table.to_pandas().itertuples(index=False))


@pytest.mark.parametrize("seed", range(4))
def test_questions_read_together_are_answered_as_alone(seed, parts):
    """Several starts, what users did early and everybody, in one reading; each alone is the reference."""
    events = ref.table(drawn(seed, users=12, events=90))
    through = START + timedelta(days=80)
    place = {"observed_through": through, "counting": ["rolling", "calendar"][seed % 2], "report_timezone": ZONES[seed]}
    deed = {"event": "B", "at_least": 1, "within": "2d"}
    together = answers(
        events,
        [
            asked_retention(events, returns=[1, (3, 40)], cohort_by="week", **place),
            asked_retention_by_start(events, start_events=["A", "B", "X"], returns=[1, (3, 40)], **place),
            asked_retention_by_deed(events, returns=[3, (4, 40)], start_event="A", **deed, **place),
        ],
    )
    assert frame(together[0]) == frame(retention(events, returns=[1, (3, 40)], cohort_by="week", **place))
    by_start = together[1].to_pandas()
    columns = ["period_from", "period_to", "users", "retained", "users_immature", "retention_rate", "ci_low", "ci_high"]
    for name in "ABX":
        alone = retention(events, returns=[1, (3, 40)], start_event=name, **place).to_pandas()
        pd.testing.assert_frame_equal(
            by_start.loc[by_start["cohort"] == name, columns].reset_index(drop=True), alone[columns]
        )
    doers = behavioural_cohorts(events, start_event="A", observed_through=through, **deed)
    assert frame(together[2]) == frame(retention(events, returns=[3, (4, 40)], start_event="A", cohorts=doers, **place))


def test_no_answer_depends_on_the_parts(parts):
    """Hand count: u on days 0, 1 and 3, v on day 1 only; days are those of Berlin, sessions are users."""
    rows = [("u", "A", 0), ("u", "B", DAY), ("u", "A", 3 * DAY), ("v", "A", DAY)]
    events = ref.table([Event(u, n, at, event_id=str(k), prop=u) for k, (u, n, at) in enumerate(rows)])
    through = START + timedelta(days=10)
    life = lifecycle(events, observed_through=through, period="day").order_by("period_on").to_pandas()
    assert life[["new", "returning", "resurrected", "dormant"]].values.tolist() == [
        [1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 2], [0, 0, 1, 0],
    ]  # fmt: skip
    actives = (
        active_users(events, observed_through=START + timedelta(days=3, hours=1)).order_by("active_on").to_pandas()
    )
    assert actives[["dau", "wau", "mau"]].values.tolist() == [[1, 1, 1], [2, 2, 2], [0, 2, 2], [1, 2, 2]]
    spans = activity_spans(events, gap="2d", observed_through=through, group_property="plan").to_pandas()
    assert sorted(spans[["user_id", "duration_days", "is_churned", "group_name"]].values.tolist()) == [
        ["u", 3.0, True, "u"], ["v", 0.0, True, "v"],
    ]  # fmt: skip
    flows = transitions(events, by="user_id").to_pandas()
    assert {(r.from_event, r.to_event): r.transitions for r in flows.itertuples()} == {
        ("A", "B"): 1, ("B", "A"): 1, ("A", "(end)"): 2,
    }  # fmt: skip
    steps = path_steps(events, anchor="A", length=2, by="user_id").to_pandas()
    assert {(r.position, r.event_name): r.units for r in steps.itertuples()} == {
        (1, "B"): 1, (1, "(end)"): 1, (2, "A"): 1, (2, "(end)"): 1,
    }  # fmt: skip


def test_a_user_of_two_given_cohorts_is_counted_in_both():
    """Hand count: u comes back on day 1, v does not; u is in both cohorts."""
    events = ref.table([Event("u", "A", 0), Event("u", "A", DAY), Event("v", "A", 0)])
    cohorts = ibis.memtable({"user_id": ["u", "u", "v", "u"], "cohort": ["x", "y", "y", "x"]})
    found = retention(events, returns=[1], observed_through=START + timedelta(days=9), cohorts=cohorts)
    assert found.order_by("cohort").to_pandas()[["cohort", "users", "retained"]].values.tolist() == [
        ["x", 1, 1], ["y", 2, 1],
    ]  # fmt: skip


def test_a_bracket_beyond_every_calendar_leaves_everybody_immature():
    events = ref.table([Event("u", "A", 0), Event("u", "A", DAY)])
    asked = {"returns": [(1, 10**9)], "observed_through": START + timedelta(days=900)}
    for counting in ("rolling", "calendar"):
        row = retention(events, counting=counting, **asked).to_pandas().iloc[0]
        assert (row["users"], row["users_immature"], row["period_to"]) == (0, 1, 10**9)


# Clocks of Newfoundland went back from 00:01 to 23:01 of the day before; those of Apia left 30 December 2011 out.
HARD_NIGHTS = [
    ("America/St_Johns", datetime(1990, 10, 28, 2, 30)),
    ("Pacific/Apia", datetime(2011, 12, 30, 9, 59)),
    ("Africa/Cairo", datetime(2010, 9, 9, 21, 0)),
]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([*ZONES, "America/St_Johns", "Africa/Casablanca", "Australia/Lord_Howe"]),
    st.lists(st.datetimes(datetime(1985, 1, 1), datetime(2034, 1, 1)), min_size=1, max_size=4),
    st.lists(st.integers(-100_000, 100_000), min_size=1, max_size=12),
)
@example("America/St_Johns", [HARD_NIGHTS[0][1]], [0, 60, 90, 3_000, 4_000])
@example("Pacific/Apia", [HARD_NIGHTS[1][1]], [-60, 0, 59, 60, 86_400])
@example("Africa/Casablanca", [datetime(2027, 1, 1), datetime(2000, 1, 1)], [-1])
@example("UTC", [datetime(9999, 12, 31, 23), datetime(1, 1, 1)], [0])
def test_local_days_weeks_and_months_are_those_of_the_locked_zones(zone, near, seconds):
    """The reference is Python's zoneinfo on the same instants, one by one, with the locked zones: the host's may be older
    (they differ in Casablanca, end of 2026).
    """
    instants = sorted(
        {int((n - datetime(1970, 1, 1)) / timedelta(seconds=1)) + s * (n.year < 9999 and n.year > 1) for n in near for s in seconds}
    )  # fmt: skip
    at = np.array(instants, np.int64) * 1_000_000
    clock = clock_of(zone, int(at[0]), int(at[-1]))

    def date_of(second: int) -> date:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second)).astimezone(locked_zone(zone)).date()

    for period in ("day", "week", "month"):
        for weekday in ("monday", "sunday"):
            calendar = calendar_of(period, weekday)
            expected = [python_period_number(date_of(second), period, weekday) for second in instants]
            days = [local_day(instant, clock.edges, clock.offsets) for instant in at]
            assert [period_of(day, *calendar) for day in days] == expected
            found = np.zeros(len(at) + 1, np.int64)
            count = active_periods(at, 0, len(at), clock.edges, clock.offsets, *calendar, found)
            assert found[:count].tolist() == sorted(set(expected))


def test_an_unknown_zone_or_weekday_is_refused_also_where_nothing_is_calendar():
    events = ref.table([Event("u", "A", 0)])
    asked = {"returns": [1], "observed_through": START}
    with pytest.raises(ValueError, match="is no IANA time zone; did you mean 'Europe/Berlin'"):
        retention(events, report_timezone="Europe/Berln", **asked)
    with pytest.raises(ValueError, match="is no day of the week"):
        retention(events, week_starts_on="sonday", **asked)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="period='year': has no fixed length"):
        retention(events, period="year", **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize("gaps", [[1], [1, 2], [0, 0, 7], [4_000, 5_000, 90_000], [1, 90_000, 80_000, 4_294, 4_295]])
def test_the_median_time_to_what_follows_is_exact_also_over_an_hour(gaps, parts):
    """The reference is numpy's median of the gaps (seconds; 2**32 microseconds are 4,294.97 s)."""
    rows, at = [], START
    for k, gap in enumerate([*gaps, 0]):
        rows.append({"user_id": "u", "session_key": f"s{k}", "event_name": "A", "event_at": at})
        rows.append(
            {"user_id": "u", "session_key": f"s{k}", "event_name": "B", "event_at": at + timedelta(seconds=gap)}
        )
    found = transitions(ibis.memtable(rows[:-2])).filter(ibis._.to_event == "B").to_pandas().iloc[0]
    assert (found["transitions"], found["median_seconds"]) == (len(gaps), pytest.approx(np.median(gaps)))


@pytest.mark.parametrize("direction", ["after", "before"])
def test_paths_are_bounded_by_their_length_and_most_whatever_the_names(direction):
    """5,000 names of one event each: the rows are the most frequent, the others, the edge."""
    events = ibis.memtable(
        pd.DataFrame(
            {
                "session_key": "s",
                "event_name": [f"e{k:04}" for k in range(5_000)],
                "event_at": pd.date_range(START, periods=5_000, freq="s"),
            }
        )
    )
    steps = path_steps(events, anchor="e2500", direction=direction, length=4, most=3).to_pandas()
    side = 1 if direction == "after" else -1
    assert steps["event_name"].tolist() == [f"e{2500 + side * k}" for k in range(1, 5)]
    flows = transitions(events, most=3).to_pandas()
    assert flows["transitions"].sum() == 5_000 and len(flows) == 5
    with pytest.raises(ValueError, match="most=5000: 5,000 names make too many pairs"):
        transitions(events, most=5_000)


def test_a_bot_costs_its_share():
    """200,000 events of one user in one session, an hour of each day: no form pairs them with each other."""
    at = pd.date_range(START, periods=200_000, freq="37s")
    names = np.where(np.arange(200_000) % 3 == 0, "A", "B")
    events = ibis.memtable(
        pd.DataFrame({"user_id": "bot", "session_key": "s", "event_name": names, "event_at": at, "event_id": np.arange(200_000).astype(str)})
    )  # fmt: skip
    days = (at[-1] - at[0]).days
    asked = {"observed_through": at[-1].to_pydatetime() + timedelta(days=2), "counting": "calendar"}
    again = retention(events, returns=[1], start="recurring", **asked).to_pandas().iloc[0]
    assert (again["users"], again["retained"]) == (days + 1, days)
    asked["counting"] = "rolling"
    first = retention(events, returns=[1, (2, 80)], start_event="B", return_event="A", **asked).to_pandas()
    assert first["retained"].tolist() == [1, 1]
    flows = transitions(events, repeats="kept").to_pandas().set_index(["from_event", "to_event"])["transitions"]
    assert flows.to_dict() == {("A", "B"): 66_667, ("B", "B"): 66_666, ("B", "A"): 66_666, ("B", "(end)"): 1}


def test_cohorts_that_come_up_in_any_order_keep_their_counts(parts):
    """Hand count: the first user begins last, so its cohort is there before the earlier ones."""
    rows = [("a", 20), ("a", 21), ("b", 3), ("c", 9), ("c", 10)]
    events = ref.table([Event(u, "A", day * DAY, event_id=str(k)) for k, (u, day) in enumerate(rows)])
    asked = {"returns": [1], "observed_through": START + timedelta(days=60), "counting": "calendar"}
    found = retention(events, cohort_by="day", **asked).order_by("cohort").to_pandas()
    assert [(r.cohort.day, r.users, r.retained) for r in found.itertuples()] == [(4, 1, 0), (10, 1, 1), (21, 1, 1)]


def test_who_has_no_mature_start_is_no_person_of_the_interval():
    """By hand: of eight persons with one mature start half come back; a ninth began too late. Variance 8/7 * 2 / 64."""
    rows = [(u, day) for u in "abcdefgh" for day in ((0, 1) if u < "e" else (0,))] + [("i", 9)]
    events = ref.table([Event(u, "A", day * DAY, event_id=str(k)) for k, (u, day) in enumerate(rows)])
    asked = {"returns": [1], "observed_through": START + timedelta(days=2), "counting": "calendar"}
    row = retention(events, start="recurring", **asked).to_pandas().iloc[0]
    assert (row["users"], row["retained"], row["users_immature"]) == (8, 4, 5)
    assert row["ci_high"] == pytest.approx(0.5 + 1.959964 * (8 / 7 * 2 / 64) ** 0.5, abs=1e-6)
