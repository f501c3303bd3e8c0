"""A client's session id is unique within its user only: many trackers count 1, 2, 3 for every user."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference import START

from launchpad_lib.contract.sql import session_key
from launchpad_lib.lake import open_lake
from launchpad_lib.metrics import completion, depth, transitions

STARTED, DONE, USERS, COMPLETERS = "quiz_started", "quiz_completed", 60, 19


def shared_numbers(folder: Path) -> Path:
    """60 users with sessions "1", "2", "3", each with a start; the first 19 complete in each of theirs: 57 of 180 sessions."""
    rows = []
    for user in range(USERS):
        for session in (1, 2, 3):
            at = START + timedelta(days=session, minutes=user)
            names = [STARTED, DONE] if user < COMPLETERS else [STARTED]
            rows += [(f"u{user}", str(session), name, at + timedelta(seconds=k)) for k, name in enumerate(names)]
    columns = {
        "event_id": [str(i) for i in range(len(rows))],
        "user_id": [r[0] for r in rows],
        "session_id": [r[1] for r in rows],
        "event_name": [r[2] for r in rows],
        "event_at": pa.array([r[3] for r in rows], pa.timestamp("us")),
        "received_at": pa.array([r[3] for r in rows], pa.timestamp("us")),
        "event_on": pa.array([r[3].date() for r in rows], pa.date32()),
        **{n: pa.nulls(len(rows), pa.string()) for n in ("feature_id", "properties", "platform", "app_version", "country")},
    }  # fmt: skip
    write_deltalake(str(folder / "events"), pa.table(columns), partition_by=["event_on"])
    return folder


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return shared_numbers(tmp_path_factory.mktemp("lake"))


@pytest.mark.parametrize("by", ["session_key", "session_id"])
def test_completion_per_session_is_57_of_180_and_not_three_of_three(lake, by):
    """Hand count: 57 / 180 = 31.7 %. Keyed by the client's number alone there were three sessions, all of them completed."""
    asked = {
        "start_event": STARTED,
        "complete_event": DONE,
        "window": "1d",
        "observed_through": START + timedelta(days=9),
    }
    row = completion(open_lake(lake).events, by=by, **asked).to_pandas().iloc[0]
    assert (row["starts"], row["completed"], round(row["completion_rate"], 3)) == (180, 57, 0.317)


def test_every_question_by_session_knows_that_they_are_180(lake):
    data = open_lake(lake)
    assert data.sessions.count().execute() == 180
    assert depth(data.events, start_event=STARTED, interaction_events=[DONE]).to_pandas()["sessions"][0] == 180
    ends = transitions(data.events).filter(lambda t: t.to_event == "(end)").to_pandas()
    assert ends["transitions"].sum() == 180
    assert set(data.events.session_key.to_pandas()) == set(data.sessions.session_key.to_pandas())


TEXT = st.text(alphabet="a/#~01", max_size=5)


@settings(max_examples=200, deadline=None)
@given(
    one=st.tuples(TEXT, TEXT | st.none(), st.integers(1, 3)), two=st.tuples(TEXT, TEXT | st.none(), st.integers(1, 3))
)
@example(one=("a", "b/c", 1), two=("a/b", "c", 1))
@example(one=("a", "b#1", 1), two=("a/b", None, 1))
@example(one=("a~1", "b", 1), two=("a/", "b", 1))
@example(one=("a#1", None, 2), two=("a", None, 1))
def test_two_sessions_never_share_a_key(one, two):
    """A session is its user with the client's id, or its user with a number where the client gave none."""
    con = duckdb.connect()
    query = f"SELECT {session_key('n')} FROM (SELECT $user AS user_id, $session AS session_id, $n AS n)"
    keys = [con.execute(query, {"user": u, "session": s, "n": n}).fetchall()[0][0] for u, s, n in (one, two)]
    same = [(u, s) if s is not None else (u, None, n) for u, s, n in (one, two)]
    assert (keys[0] == keys[1]) == (same[0] == same[1])
