"""A number is refused where it is computed, for any caller. Expected rows and sentences are written by hand."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import ibis
import pandas as pd
import pytest

from launchpad_lib import metrics
from launchpad_lib.contract.estimates import estimate_of
from launchpad_lib.contract.wording import single
from launchpad_lib.metrics import Step

START = datetime(2026, 1, 1)
FAR = START + timedelta(days=60)
MISSPELT = "event 'quiz_start': does not occur in the log; did you mean 'quiz_started'?"


def log(*rows: tuple, **more) -> ibis.Table:
    """user, event, hours from the start; every user in one session, events of a feature called quiz."""
    frame = pd.DataFrame(
        {
            "user_id": pd.Series([r[0] for r in rows], dtype="string"),
            "event_name": pd.Series([r[1] for r in rows], dtype="string"),
            "event_at": pd.Series([START + timedelta(hours=r[2]) for r in rows], dtype="datetime64[us]"),
            "feature_id": pd.Series(["quiz"] * len(rows), dtype="string"),
            "session_key": pd.Series([r[0] for r in rows], dtype="string"),
            "properties": pd.Series(['{"channel": "link"}'] * len(rows), dtype="string"),
        }
    )
    return ibis.memtable(frame.assign(**more))


def plain() -> ibis.Table:
    return log(("a", "quiz_started", 0), ("a", "quiz_completed", 1), ("b", "quiz_started", 2))


def nothing() -> ibis.Table:
    return plain().filter(ibis.literal(False))


def test_a_misspelt_step_is_refused_by_the_funnel_itself_with_a_row_per_step():
    found = metrics.funnel(plain(), steps=["quiz_start", "quiz_completed"], window="7d", observed_through=FAR)
    rows = found.order_by("step").to_pandas()
    assert rows[["step", "step_name"]].values.tolist() == [[1, "quiz_start"], [2, "quiz_completed"]]
    numbers = ["users", "n", "conversion_rate", "step_conversion_rate", "ci_low", "ci_high", "median_seconds"]
    assert rows[numbers].isna().all().all()
    assert rows["refused_because"].tolist() == [MISSPELT] * 2


def test_the_columns_of_a_refused_funnel_are_those_of_an_answered_one():
    asked = {"window": "7d", "observed_through": FAR, "breakdown": "channel"}
    answered = metrics.funnel(plain(), steps=["quiz_started", "quiz_completed"], **asked)
    refused = metrics.funnel(plain(), steps=["quiz_start", "quiz_completed"], **asked)
    assert refused.schema() == answered.schema()


WEEKS = {"before": (START, START + timedelta(days=7)), "after": (START + timedelta(days=7), START + timedelta(days=14))}
FUNNEL = {"window": "1d", "observed_through": FAR}
SEEN = {"observed_through": FAR}
BAD = ["quiz_start", "quiz_completed"]
UNKNOWN_EVENT = {
    "funnel": lambda e: metrics.funnel(e, steps=BAD, **FUNNEL),
    "funnel, exclusion": lambda e: metrics.funnel(
        e, steps=["quiz_started", "quiz_completed"], exclusions=["quiz_start"], **FUNNEL
    ),
    "funnel_trend": lambda e: metrics.funnel_trend(e, steps=BAD, **FUNNEL),
    "funnel_changes": lambda e: metrics.funnel_changes(e, steps=BAD, **FUNNEL, **WEEKS),
    "funnel_times": lambda e: metrics.funnel_times(e, steps=BAD, **FUNNEL),
    "funnel_next_events": lambda e: metrics.funnel_next_events(e, steps=BAD, **FUNNEL),
    "funnel_correlates": lambda e: metrics.funnel_correlates(e, steps=BAD, at_least=1, **FUNNEL),
    "funnel_rules": lambda e: metrics.funnel_rules(e, steps=BAD, **FUNNEL),
    "completion": lambda e: metrics.completion(e, start_event=BAD[0], complete_event=BAD[1], **FUNNEL),
    "share_rate": lambda e: metrics.share_rate(e, view_event=BAD[0], share_event=BAD[1], **FUNNEL),
    "shares_per_viewer": lambda e: metrics.shares_per_viewer(e, view_event=BAD[1], share_event=BAD[0], **FUNNEL),
    "depth": lambda e: metrics.depth(e, start_event="quiz_started", interaction_events=["quiz_start"]),
    "frequency": lambda e: metrics.frequency(e, event_name="quiz_start", **SEEN),
    "path_steps": lambda e: metrics.path_steps(e, anchor="quiz_start"),
    "retention, start": lambda e: metrics.retention(e, returns=[1, 7], start_event="quiz_start", **SEEN),
    "retention, return": lambda e: metrics.retention(e, returns=[1, 7], return_event="quiz_start", **SEEN),
    "retention_curve": lambda e: metrics.retention_curve(e, days=[1, 7], return_event="quiz_start", **SEEN),
    "behavioural_cohorts": lambda e: metrics.behavioural_cohorts(
        e, event="quiz_start", at_least=1, within="1d", **SEEN
    ),
}
UNKNOWN_PROPERTY = {
    "filter": lambda e: metrics.funnel(e, steps=[Step("quiz_started", (("chanel", "x"),)), "quiz_completed"], **FUNNEL),
    "breakdown": lambda e: metrics.funnel(e, steps=["quiz_started", "quiz_completed"], breakdown="chanel", **FUNNEL),
    "hold_constant": lambda e: metrics.funnel_times(
        e, steps=["quiz_started", "quiz_completed"], hold_constant="chanel", **FUNNEL
    ),
    "cohort_property": lambda e: metrics.retention(e, returns=[1], cohort_property="chanel", **SEEN),
    "group_property": lambda e: metrics.activity_spans(e, gap="7d", group_property="chanel", **SEEN),
}
UNKNOWN_FEATURE = {
    "adoption": lambda e: metrics.adoption(e, feature_id="quizz"),
    "adoption_weekly": lambda e: metrics.adoption_weekly(e, feature_id="quizz", **SEEN),
    "feature_adoption": lambda e: metrics.feature_adoption(e, feature_ids=["quizz"], **SEEN),
}
EMPTY = {
    **UNKNOWN_FEATURE,
    "lifecycle": lambda e: metrics.lifecycle(e, **SEEN),
    "active_users": lambda e: metrics.active_users(e, **SEEN),
    "active_days": lambda e: metrics.active_days(e, **SEEN),
    "stickiness": lambda e: metrics.stickiness(e, **SEEN),
    "feature_overlap": lambda e: metrics.feature_overlap(e),
    "transitions": lambda e: metrics.transitions(e),
    "retention": lambda e: metrics.retention(e, returns=[1], **SEEN),
    "retention by week": lambda e: metrics.retention(e, returns=[1], cohort_by="week", **SEEN),
    "activity_spans": lambda e: metrics.activity_spans(e, gap="7d", **SEEN),
    "session_duration": lambda e: metrics.session_duration(e.mutate(duration_seconds=1.0)),
    "missing_share": lambda e: metrics.missing_share(e),
    "delivery": lambda e: metrics.delivery(e.mutate(received_at=e.event_at)),
    "crash_free_users": lambda e: metrics.crash_free_users(telemetry(e)),
    "crash_free_sessions": lambda e: metrics.crash_free_sessions(telemetry(e)),
    "apdex": lambda e: metrics.apdex(telemetry(e), threshold_ms=100),
}
NAMES = {"step", "step_name", "is_optional", "place", "time", "times", "rule", "why", "day", "period_from", "period_to"}
NAMES |= {"base", "scope", "feature_id", "week_on", "column", "is_complete", "refused_because"}


def telemetry(events: ibis.Table) -> ibis.Table:
    return events.select(
        "feature_id", "user_id", observed_at=events.event_at, observation_id=events.event_name,
        crashed=ibis.null("boolean"), latency_ms=ibis.null("float64"), error_count=ibis.null("int64"),
    )  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN_EVENT)
def test_an_unknown_event_is_refused_by_every_metric_that_names_one(name):
    rows = UNKNOWN_EVENT[name](plain()).to_pandas()
    assert len(rows) and set(rows["refused_because"]) == {MISSPELT}
    assert rows.drop(columns=[c for c in rows if c in NAMES]).isna().all().all()


@pytest.mark.parametrize("name", UNKNOWN_PROPERTY)
def test_an_unknown_property_is_refused_wherever_it_can_be_said(name):
    rows = UNKNOWN_PROPERTY[name](plain()).to_pandas()
    assert len(rows)
    for sentence in rows["refused_because"]:
        assert sentence.startswith("property 'chanel': is neither a column nor a key of `properties`")
        assert sentence.endswith("did you mean 'channel'?")


@pytest.mark.parametrize("name", UNKNOWN_FEATURE)
def test_the_adoption_of_an_unknown_feature_is_refused_and_never_zero(name):
    rows = UNKNOWN_FEATURE[name](plain()).to_pandas()
    assert rows["refused_because"].tolist() == ["feature 'quizz': does not occur in the log; did you mean 'quiz'?"]
    assert rows.drop(columns=[c for c in rows if c in NAMES]).isna().all().all()


@pytest.mark.parametrize("name", EMPTY)
def test_of_no_rows_nothing_is_told_but_the_reason(name):
    rows = EMPTY[name](nothing()).to_pandas()
    assert len(rows) and rows["refused_because"].str.len().gt(10).all()
    rates = [
        c for c in rows if c.endswith(("rate", "_seconds", "share", "_low", "_high")) or c in ("apdex", "stickiness")
    ]
    assert rows[rates].isna().all().all()


@pytest.mark.parametrize(
    "name", [n for n in UNKNOWN_EVENT if "retention" not in n and n not in ("behavioural_cohorts", "frequency")]
)
def test_what_stands_has_no_reason(name):
    events = log(("a", "quiz_start", 0), ("a", "quiz_completed", 1), ("a", "quiz_start", 2), ("b", "quiz_start", 170))
    rows = UNKNOWN_EVENT[name](
        events.union(log(("c", "quiz_started", 0), ("c", "quiz_completed", 5), ("d", "quiz_started", 1)))
    ).to_pandas()
    assert rows["refused_because"].isna().all()


def test_a_table_of_users_who_cannot_be_judged_yet_says_so_and_keeps_its_reason_on_the_way():
    early = {"observed_through": START + timedelta(hours=3)}
    doers = metrics.behavioural_cohorts(plain(), event="quiz_completed", at_least=1, within="1d", **early)
    assert doers.to_pandas()["refused_because"].tolist() == [
        "no user has been observed for 1 day from the start by 2026-01-01 03:00 UTC"
    ]
    back = metrics.retention(plain(), returns=[1], cohorts=doers, **early).to_pandas()
    assert back["refused_because"].tolist() == [
        "no user of `cohorts` has a start (no user has been observed for 1 day from the start by 2026-01-01 03:00 UTC)"
    ]


def test_nobody_mature_is_told_with_how_many_are_still_open():
    """Hand count: a and b entered, both windows of 7 days are open after 3 hours."""
    asked = {
        "steps": ["quiz_started", "quiz_completed"],
        "window": "7d",
        "observed_through": START + timedelta(hours=3),
    }
    rows = metrics.funnel(plain(), **asked).to_pandas()
    assert rows["users"].tolist() == [0, 0] and rows["conversion_rate"].isna().all()
    assert set(rows["refused_because"]) == {
        "the funnel: no user has been observed to the end by 2026-01-01 03:00 UTC (2 still open), so there is no rate yet; "
        "wait or ask for a shorter time"
    }


def test_a_headline_is_an_estimate_or_a_refusal_in_one_line():
    asked = {"complete_event": "quiz_completed", "window": "7d", "observed_through": FAR}
    said = {"value": "completion_rate", "n": "starts"}
    good = estimate_of(single(metrics.completion(plain(), start_event="quiz_started", **asked)), **said)
    bad = estimate_of(single(metrics.completion(plain(), start_event="quiz_start", **asked)), **said)
    assert (good.value, good.n, good.refused_because) == (0.5, 2, None)
    assert (bad.value, bad.n, bad.refused_because) == (None, None, MISSPELT)


def test_a_log_that_grows_is_asked_again_for_a_name_it_did_not_have():
    con = ibis.duckdb.connect()
    con.raw_sql("CREATE TABLE e AS SELECT 'a' AS user_id, 'x' AS event_name, TIMESTAMP '2026-01-01' AS event_at")
    events = con.table("e")
    asked = {"steps": ["x", "y"], "window": "1d", "observed_through": FAR}
    assert metrics.funnel(events, **asked).to_pandas()["refused_because"].notna().all()
    con.raw_sql("INSERT INTO e VALUES ('a', 'y', TIMESTAMP '2026-01-01 01:00')")
    assert metrics.funnel(events, **asked).order_by("step").to_pandas()["users"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda e: metrics.funnel(e, steps="quiz_started", **FUNNEL), r"steps='quiz_started': must be a list of names; write \['quiz_started'\] for one"),
        (lambda e: metrics.funnel(e, steps=[1, 2], **FUNNEL), "steps: 1 is no event name"),
        (lambda e: metrics.funnel(e, steps=BAD, exclusions="x", **FUNNEL), "exclusions='x': must be a list of names"),
        (lambda e: metrics.depth(e, start_event="quiz_started", interaction_events="x"), "interaction_events='x': must be a list"),
        (lambda e: metrics.funnel(e.to_pandas(), steps=BAD, **FUNNEL), r"events: is a pandas DataFrame, and must be an Ibis table; write ibis.memtable\(frame\)"),
        (lambda e: metrics.adoption(e.to_pandas(), feature_id="quiz"), "events: is a pandas DataFrame"),
        (lambda e: metrics.funnel(e.mutate(event_at=ibis.literal("9/12/17")), steps=BAD, **FUNNEL), "events: column 'event_at' is text"),
        (lambda e: metrics.lifecycle(e.mutate(event_at=ibis.literal("9/12/17")), **SEEN), "events: column 'event_at' is text"),
        (lambda e: metrics.retention(e.to_pandas(), returns=[1], **SEEN), "events: is a pandas DataFrame"),
        (lambda e: metrics.apdex(e.to_pandas(), threshold_ms=1), "telemetry: is a pandas DataFrame"),
        (lambda e: metrics.funnel(e, steps=BAD, window="7d", observed_through="2026-01-01"), "observed_through='2026-01-01': must be a datetime in UTC"),
        (lambda e: metrics.lifecycle(e, observed_through=date(2026, 1, 1)), r"observed_through=datetime.date\(2026, 1, 1\): must be a datetime"),
        (lambda e: metrics.retention(e, returns=1, **SEEN), r"returns=1: must be a list of periods; write \[1\] for one"),
        (lambda e: metrics.funnel(e, steps=[{"evnt": "a"}, "b"], **FUNNEL), r"'evnt' is not taken; did you mean 'event'"),
        (lambda e: metrics.funnel(e, steps=[{"where": {}}, "b"], **FUNNEL), "names no event; add `event`"),
        (lambda e: metrics.depth(e, start_event=["a"], interaction_events=["b"]), r"event=\['a'\]: must be one name, as text"),
        (lambda e: metrics.stickiness(e, observed_through=pd.NaT), "observed_through=NaT: must be a datetime"),
        (lambda e: metrics.retention(e, returns=[1], observed_through=None), "observed_through=None: must be a datetime"),
        (lambda e: metrics.funnel(e, steps=BAD, window="7", observed_through=FAR), "window='7': must be a whole number above 0 with a unit"),
        (lambda e: metrics.funnel(e, steps=BAD, by="user", **FUNNEL), "by='user': is no column of the table; did you mean 'user_id'"),
        (lambda e: metrics.adoption(e.drop("feature_id"), feature_id="quiz"), "events: has no column 'feature_id'"),
        (lambda e: metrics.lifecycle(e, period="week", week_starts_on="sonday", **SEEN), "week_starts_on='sonday': is no day of the week; did you mean 'sunday'"),
        (lambda e: metrics.apdex(e, threshold_ms=0), "threshold_ms=0: must be above 0"),
    ],
)  # fmt: skip
def test_a_wrong_type_is_one_sentence_with_argument_value_rule_and_remedy(call, sentence):
    with pytest.raises(ValueError, match=sentence) as refused:
        call(plain())
    assert "\n" not in str(refused.value)


def test_an_instant_with_a_zone_is_taken_as_utc():
    """Hand count: 02:00 in Berlin is 01:00 UTC, when b has not entered yet and a's window of one hour is over."""
    berlin = pd.Timestamp("2026-01-01 02:00", tz="Europe/Berlin")
    asked = {"steps": ["quiz_started", "quiz_completed"], "window": "1h"}
    for through in (berlin, berlin.to_pydatetime(), datetime(2026, 1, 1, 1)):
        found = metrics.funnel(plain(), observed_through=through, **asked).order_by("step").to_pandas()
        assert (found["users"].tolist(), found["entrants_immature"].tolist()) == ([1, 1], [1, 1])
