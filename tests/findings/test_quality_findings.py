"""What the data quality page says in each world. Counts and shares are by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from launchpad_lib.contract.findings import VERDICTS
from launchpad_lib.findings.quality import quality_conclusion, what_drifted
from launchpad_lib.findings.quality_checks import (
    age_check,
    arrival_checks,
    checks_table,
    conflict_estimate,
    copy_check,
    drift_check,
    drift_of,
    drifted_columns,
    gap_check,
    gap_estimate,
    outside_check,
    outside_estimate,
    placeholder_check,
    placeholder_estimate,
    refused_check,
    rejected_share,
)
from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.lake import Copies, Outside, open_lake
from launchpad_lib.metrics.intake import Intake
from tests.findings.saying import held
from tests.findings.test_latency_findings import HOSTILE, words

END = datetime(2026, 1, 18, 23, 58)
GAPS = pd.DataFrame({"records": [30, 10]})
NO_GAPS = GAPS.iloc[:0]
ARRIVED = SimpleNamespace(events=300, late=12, late_share=0.04, p99_seconds=2.0, ahead=1, refused_because=None)
RESTATED = pd.DataFrame({"day": [datetime(2026, 3, 1)]})
PLACEHOLDERS = pd.DataFrame({"table_name": "telemetry", "user_id": ["undefined", "(not set)"], "rows": [40, 5]})


def drift(*rows: dict) -> pd.DataFrame:
    usual = {
        "table_name": "events", "column": "platform", "aspect": "values", "reference": "android 25.1 %", "current": "android 45.0 %",
        "new_values": None, "vanished_values": None, "q_value": 0.6, "is_drifted": False, "refused_because": None,
    }  # fmt: skip
    return pd.DataFrame([usual | row for row in rows], columns=list(usual))


MOVED = {"q_value": 1e-9, "is_drifted": True}
BLIND = {
    "column": "country",
    "q_value": None,
    "refused_because": "0 values before and 500 in the last days; each period needs 30",
}


def said(*checks, found: pd.DataFrame | None = None, events: datetime | None = END, telemetry: datetime | None = None):
    found = drift({}) if found is None else found
    return quality_conclusion(checks, found, events_through=events, telemetry_through=telemetry)


def test_refused_rows_are_counted_and_judged_by_their_share():
    """5 of 306 is 1.6 %, above 1 %; 1 of 306 is below; the Wilson limits are written out here."""
    check = refused_check(Intake(301, 5))
    assert (check.verdict, check.result) == ("changed", pytest.approx(5 / 306))
    assert check.sentence == "301 rows accepted, 5 refused (1.6 %); the refused rows are kept with their reasons."
    assert refused_check(Intake(305, 1)).verdict == "fine"
    share, z, p, n = rejected_share(Intake(301, 5)), 1.959964, 5 / 306, 306
    centre, half = (p + z * z / (2 * n)), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    limits = [(centre + side * half) / (1 + z * z / n) for side in (-1, 1)]
    assert [share.ci_low, share.ci_high] == pytest.approx(limits, abs=1e-6) and share.n == 306
    assert refused_check(Intake(0, 0)).verdict == "cannot tell" and rejected_share(Intake(0, 0)).is_refused


def test_late_events_name_the_days_that_they_restate():
    late, clocks = arrival_checks(ARRIVED, RESTATED)
    assert late.sentence == "12 events came after their day was over and restate 1 day; 99 % arrive within 2.0 s."
    assert (late.verdict, clocks.verdict) == ("fine", "changed")  # 4 % is under 5 %; no clock may be ahead
    assert clocks.sentence == "1 event came from a clock more than a minute ahead."
    assert arrival_checks(SimpleNamespace(**vars(ARRIVED) | {"late_share": 0.06}), RESTATED)[0].verdict == "changed"


def test_a_delay_that_was_refused_is_not_called_none():
    refused = SimpleNamespace(
        events=9, late=None, late_share=None, p99_seconds=None, ahead=None, refused_because="received_at was filled"
    )
    assert [c.sentence for c in arrival_checks(refused, RESTATED)] == [
        "How late events arrive cannot be told: received_at was filled."
    ]


def test_lost_records_are_the_gravest_and_come_first():
    check = gap_check(GAPS)
    assert (check.sentence, check.verdict) == ("40 records were lost in 2 gaps of the sources.", "changed")
    assert gap_estimate(GAPS)[:1] == (40.0,) and gap_estimate(GAPS).n == 2
    assert gap_check(NO_GAPS).sentence == "No gap was noticed in any source."
    found = said(refused_check(Intake(301, 5)), check)
    assert found.verdict == "2 of 2 checks need a look: records lost and refused rows."
    assert (found.findings[0].severity, found.findings[0].verb) == ("act", "find out")


def test_copies_that_said_something_else_are_told_apart_from_harmless_ones():
    check = copy_check(Copies(300, 2))
    assert (check.verdict, check.result) == ("changed", 2.0)
    assert check.sentence == (
        "300 copies of events left out since they said the same; 2 copies said something else and can be found among"
        " the refused rows."
    )
    assert (
        copy_check(Copies(1, 0)).sentence
        == "1 copy of events left out since they said the same; none said something else."
    )
    assert (copy_check(Copies(1, 0)).verdict, copy_check(Copies(0, 0)).sentence) == ("fine", "No event id came twice.")
    without = copy_check(Copies(0, 0, made=1))
    assert (without.verdict, without.result) == ("cannot tell", None)
    assert (
        without.sentence
        == "Whether an event came twice cannot be told for 1 event that came without an id, since theirs"
        " are made from the rows; map `event_id` or state a `natural_key`."
    )
    partly = copy_check(Copies(1, 1, made=40))
    assert partly.verdict == "changed"
    assert partly.sentence.endswith(
        " It cannot be told for 40 events that came without an id, since theirs are made from the rows."
    )
    assert conflict_estimate(Copies(0, 0, 40)).refused_because == "events came without an id, so no copy can be told"
    assert (conflict_estimate(Copies(300, 2)).value, conflict_estimate(Copies(300, 2)).n) == (2, 302)


def test_placeholders_are_named_with_their_rows():
    check = placeholder_check(PLACEHOLDERS, rows=1000)
    assert (
        check.sentence == "45 rows stand under a placeholder, each counted as one user: undefined 40 and “(not set)” 5."
    )
    assert check.verdict == "changed" and placeholder_estimate(PLACEHOLDERS, rows=1000).value == 45
    assert placeholder_check(PLACEHOLDERS.iloc[:0], rows=9).verdict == "fine"
    assert placeholder_check(PLACEHOLDERS.iloc[:0], rows=0).verdict == "cannot tell"
    assert placeholder_estimate(PLACEHOLDERS, rows=0).is_refused


def test_rows_beside_the_window_are_counted_and_dated():
    outside = [
        Outside("events", "before", 2, datetime(1, 1, 1), datetime(1970, 1, 1)),
        Outside("events", "after", 1, END, END),
    ]
    check = outside_check(outside)
    assert check.verdict == "changed" and check.sentence.startswith(
        "3 rows beside the observed window, in the lake and in no number:"
    )
    assert (
        "2 of events before it, 0001-01-01 00:00 to 1970-01-01 00:00 and 1 of events after it, at 2" in check.sentence
    )
    assert (outside_estimate(outside, Intake(97, 5)).value, outside_estimate(outside, Intake(97, 5)).n) == (3, 100)
    assert outside_check([]).sentence == "No row lies beside the observed window."


def test_data_that_end_a_year_before_the_run_are_said_to_be_old():
    """From 18 January 2026 23:58 to 19 January 2027 06:00 are 365 days and 6 hours."""
    check = age_check("2027-01-19T06:00:00+00:00", through=[END, None])
    assert check.sentence == "The data end 365 days before 2027-01-19, on 2026-01-18." and check.verdict == "changed"
    assert age_check("2026-01-20T06:00:00+01:00", through=[None, END]).verdict == "fine"
    assert "after 2026-01-01, at which" in age_check("2026-01-01T00:00:00", through=[END]).sentence
    assert age_check(None, through=[END]).verdict == "not asked"


def test_a_table_that_stopped_while_the_other_goes_on_makes_the_data_old():
    """Health of five weeks ago beside events of today: told, whichever table it is; a week apart is not."""
    fresh, stopped = END, END - timedelta(days=35)
    for through, name in (((fresh, stopped), "Telemetry"), ((stopped, fresh), "Events")):
        check = age_check("2026-01-20", through=through)
        assert check.verdict == "changed" and f"{name} stopped 35 days earlier, on {stopped:%Y-%m-%d}" in check.sentence
    assert age_check("2026-01-20", through=[fresh, fresh - timedelta(days=7)]).verdict == "fine"


def test_without_data_no_age_is_told():
    assert age_check("2026-01-20", through=[None, None]).verdict == "cannot tell"


def test_drift_counts_columns_that_could_be_judged():
    """Platform has two tests and is one column; country has none; two judged, one drifted."""
    found = drift(MOVED, {"aspect": "missing"}, BLIND, {"table_name": "telemetry", "column": "session_seconds"})
    assert (drifted_columns(found, days=14).value, drifted_columns(found, days=14).n) == (1, 2)
    check = drift_check(found, days=14)
    assert (check.sentence, check.verdict) == ("1 of 2 watched columns drifted in the last 14 days.", "changed")
    assert drift_check(drift(BLIND), days=14).verdict == "cannot tell"


def test_each_drifted_column_is_told_with_both_periods_and_a_missing_one_with_its_share():
    missing = MOVED | {"aspect": "missing", "reference": "0.0 % missing", "current": "90.0 % missing"}
    found = words(said(found=drift(MOVED, missing)))
    assert (
        "The values of platform in events moved: android 25.1 % before, android 45.0 % now; adjusted p under 0.0001."
        in found
    )
    assert "The share of missing values of platform in events moved: 0.0 % missing before, 90.0 % missing now" in found


def test_new_and_vanished_values_are_told_whatever_the_test_says():
    found = words(said(found=drift({"new_values": "tv 4.2 %", "vanished_values": "wap 2.0 %"})))
    assert "New values of platform in events: tv 4.2 %." in found
    assert "No longer there, of platform in events: wap 2.0 %." in found


def test_columns_that_could_not_be_compared_are_not_called_stable():
    found = said(found=drift(BLIND))
    assert "Drift cannot be told for country of events (0 values before and 500 in the last days" in words(found)


def test_many_drifted_columns_are_told_briefly():
    found = said(found=drift(*({**MOVED, "column": f"c{i}", "q_value": 1e-9 * (i + 1)} for i in range(9))))
    told = [f.sentence for f in found.findings if "moved" in f.sentence]
    assert len(told) == 5 and "c0" in told[0] and "4 further differences" in words(found)


def test_a_lake_that_passes_every_check_says_so_and_names_what_could_not_be_made():
    fine = gap_check(NO_GAPS)
    assert said(fine).verdict == "The data pass every check that could be made."
    blind = said(fine, drift_check(drift(BLIND), days=14))
    assert blind.verdict == "The data pass every check that could be made; 1 check could not be made."
    assert "Events are covered through 2026-01-18 23:58 UTC; there is no telemetry." in words(said(fine))


def test_an_empty_lake_is_refused():
    found = said(refused_check(Intake(0, 0)), events=None)
    assert found.refused_because == "No row came in, so nothing can be checked."
    lost = said(gap_check(GAPS), events=None)
    assert lost.refused_because is None and "No table covers any instant." in words(lost)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_changes_no_sentence_around_it(name):
    users = pd.DataFrame({"table_name": "events", "user_id": [name], "rows": [4]})
    check = placeholder_check(users, rows=9)
    found = said(
        check, found=drift(MOVED | {"column": name}, BLIND | {"column": name}, {"column": name, "new_values": "x 2 %"})
    )
    assert found.verdict == "1 of 1 check needs a look: placeholder users."
    held(found, name)
    assert all("\x00" not in f.sentence and len(f.sentence) < 1000 for f in found.findings)


def test_verdicts_are_short_and_of_the_closed_vocabulary():
    checks = [
        refused_check(Intake(1, 9)), gap_check(GAPS), *arrival_checks(ARRIVED, RESTATED), placeholder_check(PLACEHOLDERS, rows=9),
        drift_check(drift(MOVED), days=14), age_check("2027-01-19", through=[END]), outside_check([]),
    ]  # fmt: skip
    found = held(said(*checks))
    assert len(found.verdict.split()) <= 16 and not set("()[]") & set(found.verdict)
    assert found.verdict == "6 of 8 checks need a look: records lost, refused rows and 4 more."
    assert set(checks_table(checks)["verdict"]) <= VERDICTS


def test_a_column_that_could_not_be_compared_neither_drifted_nor_stayed(tmp_path):
    """Two events have no platform; nothing has a column `moon`: neither is said to be undrifted."""
    (tmp_path / "x.csv").write_text("user_id,event_at,event_name\nu,2026-01-01,a\nu,2026-01-20,a\n")
    source = SourceSpec(table="events", path="x.csv")
    ingest(source, lake=tmp_path / "lake", ingested_at=datetime(2026, 2, 1), root=tmp_path)
    found = drift_of(
        open_lake(tmp_path / "lake"), columns=["platform", "moon"], days=7, min_rows=30, rng=np.random.default_rng(1)
    )
    assert found["column"].tolist() == ["platform", "moon"]
    assert found["is_drifted"].tolist() == [None, None] and found["refused_because"].notna().all()
    assert what_drifted(found) == []
