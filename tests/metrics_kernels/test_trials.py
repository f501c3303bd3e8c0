"""Start trials against plain loops (`trial_reference.py`) and hand counts; each test says which."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from statistics import median

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from launchpad_lib.contract.tables import EVENTS
from launchpad_lib.lake import open_lake
from launchpad_lib.metrics.kernels import block_rows, lake_log
from launchpad_lib.metrics.kernels.trials import KNOWN, LAGGED
from launchpad_lib.metrics.kernels.unit_rows import ORDER, unit_rows
from launchpad_lib.metrics.trials import Naive, TrialQuestion, start_trials, trial_columns
from tests.metrics_kernels import trial_reference as reference
from tests.metrics_kernels.trial_reference import DAY, GAP, START, Event

FINISHED = TrialQuestion("finished", ("finish",), begin_events=("begin",), control_events=("close",))
CLOSED = TrialQuestion("finished", ("close",), begin_events=("open",))
USED = TrialQuestion("used", ("begin", "finish"), control_events=("look",))
OF_FEATURE = TrialQuestion("used", (), feature_id="search")
EXPECTED = {
    FINISHED: {"compare": "finished", "begin": "begin", "done": {"finish"}, "control": "close"},
    CLOSED: {"compare": "finished", "begin": "open", "done": {"close"}},
    USED: {"compare": "used", "done": {"begin", "finish"}, "control": "look"},
    OF_FEATURE: {"compare": "used", "done": set(), "feature": "search"},
}


def lake_of(place: Path, log: list[Event]) -> ibis.Table:
    """The same events in a lake, read from its blocks."""
    rows = [e._asdict() | {"received_at": e.event_at, "event_on": e.event_at.date()} for e in log]
    types = {c.name: pa.timestamp("us") if c.type == "timestamp" else pa.string() for c in EVENTS.columns}
    table = pa.Table.from_pylist(rows, pa.schema(list((types | {"event_on": pa.date32()}).items())))
    write_deltalake(str(place / "events"), table, partition_by=["event_on"])
    lake = open_lake(place, observed_through="2026-05-01T00:00:00")
    assert lake.events.count().execute() == len(log)
    return lake.events


def users_of(log) -> list[str]:
    """User ids in the order of the log's reading."""
    return [p.texts["u"][p.columns["u"][s]] for p in unit_rows(log, {"u": log.user_id}) for s in p.starts[:-1]]


def rows_of(found, users: list[str]) -> dict:
    """The result as the reference gives it."""
    rows = {}
    for row in found.table.to_dict("records"):
        rows[users[row.pop("user")], row.pop("began_at").to_pydatetime()] = row
    assert len(rows) == len(found.table)
    return rows


def same(row: dict, wanted: dict) -> list[tuple]:
    """(column, found, expected) of the values that differ; None is NaN, numbers are compared to five digits."""
    assert row.keys() == wanted.keys()
    differing = []
    for name, value in wanted.items():
        found = None if pd.isna(row[name]) else row[name]
        is_same = (
            found == value
            if value is None or isinstance(value, str)
            else found == pytest.approx(float(value), rel=1e-5)
        )
        if not is_same:
            differing.append((name, found, value))
    return differing


@pytest.mark.parametrize(
    ("seed", "grace", "outcome", "zone"),
    [
        (1, "session", 1, "UTC"),
        (2, "1d", 3, "Asia/Tokyo"),
        (3, "30m", 2, "America/New_York"),
        (4, "2h", 7, "Europe/Berlin"),
    ],
)
@pytest.mark.parametrize("where", ["in memory", "in a lake"])
def test_trials_are_those_of_the_plain_loops(seed, grace, outcome, zone, where, tmp_path):
    """Ties, midnight, sessions that overlap and that last over midnight, a night of daylight saving; four questions in one reading."""
    log = reference.random_log(random.Random(seed), users=120)
    events, through = reference.table(log), START + 12 * DAY
    if where == "in a lake":
        events = lake_of(tmp_path, log)
        of_lake = lake_log.lake_rows(
            events, trial_columns(events, list(EXPECTED)), unit="user_id", order=ORDER, where=None
        )
        assert block_rows.asked_of_kinds(of_lake) is not None
    asked = {"outcome_days": outcome, "observed_through": through, "grace": grace, "report_timezone": zone}
    found = start_trials(events, list(EXPECTED), **asked)
    longest = {"session": DAY, "1d": DAY, "30m": GAP, "2h": timedelta(hours=2)}[grace]
    users = users_of(events)
    for trials, rules in zip(found, EXPECTED.values(), strict=True):
        expected, counts = reference.trials(
            log, **rules, grace=longest, outcome=outcome * DAY, through=through, zone=zone
        )
        rows = rows_of(trials, users)
        assert rows.keys() == expected.keys() and len(rows) == trials.compared > 20
        assert {"window_open": trials.window_open, "done_before": trials.done_before} == counts
        between = [e["between"] for e in expected.values() if e["between"]]  # of those who were active
        for key, wanted in expected.items():
            there = wanted.pop("between")
            wanted["active_before"] = None if there is None else there > 0
            wanted["was_busy_before"] = None if there is None else there > median(between or [0])
            assert same(rows[key], wanted) == [], key


def test_sessions_ties_and_midnight_by_hand():
    """One user: a session of the client over midnight; a start and a finish at one instant; a second start after it.

    23:50 look, 00:10 begin and finish at once (treated, before it: 1 event of this session, 20 minutes), 00:20 look (the
    session's end), 00:20 of the next day is the last instant that counts as coming back within a day."""
    midnight, minute = START + DAY, timedelta(minutes=1)
    log = [
        Event("a", "look", midnight - 10 * minute, "s"),
        Event("a", "finish", midnight + 10 * minute, "s"),
        Event("a", "begin", midnight + 10 * minute, "s"),
        Event("a", "look", midnight + 20 * minute, "s"),
        Event("a", "begin", midnight + DAY + 20 * minute, "t"),
    ]
    asked = {"outcome_days": 1, "observed_through": START + 9 * DAY}
    (found,) = start_trials(reference.table(log), [FINISHED], **asked)
    assert found.done_before == 1 and found.compared == 1
    row = found.table.iloc[0]
    assert (row["treated"], row["returned"], row["weekday"]) == (1, 1, 5)  # 21 March 2026 is a Saturday
    assert (row["session_events"], row["session_minutes"]) == pytest.approx((np.log(2), np.log(21)))
    assert (row["active_days_1d"], row["is_first_session"]) == (1, 1)
    (used,) = start_trials(reference.table(log), [USED], **asked)
    assert used.table["began_at"].tolist() == [midnight - 10 * minute, midnight + 10 * minute]
    assert used.table["treated"].tolist() == [1, 1]
    (short,) = start_trials(reference.table(log), [USED], grace="19m", **asked)
    assert short.table["treated"].tolist() == [0, 1]
    late = [e._replace(event_at=e.event_at + minute) if e.session_id == "t" else e for e in log]
    assert start_trials(reference.table(late), [FINISHED], **asked)[0].table["returned"].tolist() == [0]


def test_shifting_the_future_moves_no_covariate():
    """Everything after a trial's first instant is delayed by 3 hours, or is gone: what was known before it stays."""
    log = reference.random_log(random.Random(7), users=80)
    asked = {"outcome_days": 2, "observed_through": START + 30 * DAY}
    whole = [
        rows_of(t, users_of(reference.table(log)))
        for t in start_trials(reference.table(log), [FINISHED, USED], **asked)
    ]
    names = [*KNOWN, *LAGGED, "hour", "weekday", "active_before"]
    for cut in (START + 5 * DAY, START + 8.5 * DAY):
        delayed = [e._replace(event_at=e.event_at + 3 * DAY / 24) if e.event_at > cut else e for e in log]
        past = [e for e in log if e.event_at <= cut]
        for changed in (delayed, past):
            events = reference.table(changed)
            for before, found in zip(whole, start_trials(events, [FINISHED, USED], **asked), strict=True):
                after = rows_of(found, users_of(events))
                early = [key for key in before if key[1] <= cut]
                assert len(early) > 30
                for key in early:
                    kept, was = ({n: r[key][n] for n in names} for r in (after, before))
                    assert kept == pytest.approx(was, nan_ok=True), key


def test_what_is_asked_together_changes_nothing():
    events = reference.table(reference.random_log(random.Random(8), users=60))
    asked = {"outcome_days": 1, "observed_through": START + 12 * DAY}
    together = start_trials(events, list(EXPECTED), **asked)
    for question, found in zip(EXPECTED, together, strict=True):
        (alone,) = start_trials(events, [question], **asked)
        pd.testing.assert_frame_equal(alone.table, found.table)
        assert alone[2:] == found[2:]


def test_many_trials_are_sampled_by_user_and_by_the_seed_alone():
    """A part of 1 / 2^k of the users, each with all of its trials; the same users in whatever parts the log is read."""
    log = reference.random_log(random.Random(9), users=200)
    events = reference.table(log)
    asked = {"outcome_days": 1, "observed_through": START + 30 * DAY}
    (all_of_them,) = start_trials(events, [FINISHED], **asked)
    (some,) = start_trials(events, [FINISHED], most_trials=all_of_them.compared // 3, **asked)
    assert some.user_share in (0.25, 0.125) and some.compared == all_of_them.compared
    assert 0 < len(some.table) <= all_of_them.compared // 3
    users = set(some.table["user"])
    whole = all_of_them.table[all_of_them.table["user"].isin(users)]
    pd.testing.assert_frame_equal(
        some.table.drop(columns="was_busy_before"), whole.drop(columns="was_busy_before").reset_index(drop=True)
    )
    (again,) = start_trials(events, [FINISHED], most_trials=all_of_them.compared // 3, **asked)
    (other,) = start_trials(events, [FINISHED], most_trials=all_of_them.compared // 3, seed=5, **asked)
    assert set(again.table["user"]) == users != set(other.table["user"])
    # Read in two parts: the users of a part are the same as when that part is asked alone with this share.
    names = users_of(events)
    half = reference.table([e for e in log if e.user_id in {names[u] for u in users}])
    (alone,) = start_trials(half, [FINISHED], most_trials=len(some.table), **asked)
    assert alone.user_share == 1.0 and len(alone.table) == len(some.table)


def test_parts_of_the_log_give_what_one_part_gives(monkeypatch):
    """The reader may hand the log over in parts of whole units."""
    import launchpad_lib.metrics.trials as module

    events = reference.table(reference.random_log(random.Random(10), users=90))
    asked = {"outcome_days": 1, "observed_through": START + 30 * DAY, "most_trials": 40}
    whole = start_trials(events, [FINISHED, USED], **asked)

    def in_parts(*given, **named):
        for part in unit_rows(*given, **named):
            cuts = [0, part.units // 5, part.units // 2, part.units]
            for low, high in zip(cuts[:-1], cuts[1:], strict=True):
                first, last = part.starts[low], part.starts[high]
                yield part._replace(
                    starts=part.starts[low : high + 1] - first,
                    columns={name: values[first:last] for name, values in part.columns.items()},
                )

    monkeypatch.setattr(module, "unit_rows", in_parts)
    for one, several in zip(whole, start_trials(events, [FINISHED, USED], **asked), strict=True):
        assert one.user_share == several.user_share < 1
        pd.testing.assert_frame_equal(one.table, several.table)
        assert one.naive == several.naive


def test_the_naive_comparison_is_counted_by_hand():
    """a finishes and is there later than a day of grace and a day of outcome after its first event; b is there until exactly then."""
    log = [
        Event("a", "finish", START), Event("a", "look", START + 2 * DAY + timedelta(seconds=1)),
        Event("b", "look", START), Event("b", "look", START + 2 * DAY),
    ]  # fmt: skip
    (found,) = start_trials(reference.table(log), [FINISHED], outcome_days=1, observed_through=START + 9 * DAY)
    assert found.naive == Naive(1, 1, 1, 0) and found.table.empty


def test_a_longer_grace_an_empty_outcome_and_too_many_questions_are_refused():
    events = reference.table([Event("a", "begin", START)])
    asked = {"outcome_days": 1, "observed_through": START + 9 * DAY}
    with pytest.raises(ValueError, match="grace='2d': must be 'session' or at most 1d; within a longer one only those"):
        start_trials(events, [FINISHED], grace="2d", **asked)
    with pytest.raises(ValueError, match="outcome_days=0: must be a whole number from 1"):
        start_trials(events, [FINISHED], **(asked | {"outcome_days": 0}))
    with pytest.raises(ValueError, match="63 given; one reading answers at most 62"):
        start_trials(events, [FINISHED] * 63, **asked)


@pytest.mark.parametrize("name", ["$go", "a.b", "a*b", 'say "hi"', "it's", "👍🏽", "x" * 5000, "\ud83d"])
def test_events_and_features_may_have_any_name(name):
    """A name that cannot be stored is done by nobody."""
    stored = "begin" if name == "\ud83d" else name
    log = [Event("a", stored, START), Event("a", "look", START + DAY, feature_id=stored)]
    asked = {"outcome_days": 1, "observed_through": START + 9 * DAY}
    begun = TrialQuestion("finished", (name,), begin_events=(stored,))
    used = TrialQuestion("used", (), feature_id=name)
    finished, of_feature = start_trials(reference.table(log), [begun, used], **asked)
    assert finished.table["treated"].tolist() == [int(stored == name)]
    assert of_feature.table["treated"].tolist() == [0, int(stored == name)]


def test_a_log_without_events_or_optional_columns_has_trials_of_what_is_there():
    asked = {"outcome_days": 1, "observed_through": START + 9 * DAY}
    (nothing,) = start_trials(reference.table([]), [FINISHED], **asked)
    assert nothing.table.empty and nothing.compared == 0 and nothing.naive == Naive(0, 0, 0, 0)
    bare = reference.table([Event("a", "begin", START)]).select("user_id", "event_name", "event_at")
    (one,) = start_trials(bare, [FINISHED], **asked)
    assert one.table["platform"].tolist() == [""] and len(one.table) == 1
