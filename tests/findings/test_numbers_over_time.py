"""A headline number against the period before: counted by hand, worded after correction, refused with a reason."""

from __future__ import annotations

from datetime import date, datetime

import ibis
import pandas as pd
import pytest

from launchpad_lib.contract.estimates import Estimate
from launchpad_lib.contract.features import Feature
from launchpad_lib.contract.worst import Worst
from launchpad_lib.findings.engagement_changes import ADOPTION, BY_SESSION, BY_USER, SHARING, engagement_changes
from launchpad_lib.findings.engagement_question import ask_engagement
from launchpad_lib.findings.feature_results import feature_adoptions
from launchpad_lib.findings.headline_changes import Moved, changes_said, not_moved
from launchpad_lib.findings.numbers_over_time import crash_free_over_time, retention_over_time
from launchpad_lib.findings.retention_results import FIRST, RetentionQuestion
from launchpad_lib.metrics.compared_days import ComparedDays
from launchpad_lib.metrics.crash_change import crash_free_course
from tests.findings.saying import HOSTILE, LEFTOVERS


def moved(value: float, half: float, p: float) -> Moved:
    return Moved(
        value, value - half, value + half, p, "12 to 18 Jan", "5 to 11 Jan", "from 50.0 % of 90 to 40.0 % of 90 users"
    )


def test_a_change_of_one_number_among_several_has_to_stand_after_correction():
    """By hand: 0.03 of four is 0.12 after Benjamini and Hochberg, 0.03 of one is 0.03."""
    alone = changes_said({"a": moved(-0.1, 0.09, 0.03)})["a"]
    among = changes_said({"a": moved(-0.1, 0.09, 0.03), **{k: moved(0.0, 0.1, 0.9) for k in "bcd"}})["a"]
    assert (alone.word, among.word) == ("fell", "may have moved")
    assert alone.says == (
        "-10.0 points (-19.0 to -1.0), 12 to 18 Jan against 5 to 11 Jan: from 50.0 % of 90 to 40.0 % of 90 users."
    )
    # 2.80 standard errors of 0.09 / 1.96 for one; the level is 5 % / 4 for four: (2.498 + 0.842).
    assert alone.smallest == pytest.approx(2.8016 * 0.09 / 1.959964, rel=1e-4)
    assert among.smallest == pytest.approx(3.3394 * 0.09 / 1.959964, rel=1e-4)
    assert changes_said({"a": moved(0.001, 0.01, 0.8)}, smallest=0.02)["a"].word == "moved by less than what matters"
    refused = changes_said({"a": not_moved("the log begins today")})["a"]
    assert (refused.word, refused.value, refused.refused_because) == ("refused", None, "the log begins today")


def two_weeks(finished: tuple[int, int], *, names: tuple[str, str] = ("go", "done")) -> list[dict]:
    """Forty users start on both Mondays; so many of them finish, and pass on what they saw."""
    rows = []
    for week, on in enumerate((5, 12)):
        for user in range(40):
            did = [names[0], "seen", *([names[1], "sent"] if user < finished[week] else [])]
            for minute, name in enumerate(did):
                at = datetime(2026, 1, on, 9, minute)
                rows.append(
                    {"user_id": f"u{user}", "session_key": f"u{user}/{week}", "event_name": name, "event_at": at,
                     "feature_id": "quiz", "event_id": f"{user}-{week}-{minute}", "received_at": at}
                )  # fmt: skip
    return rows


def over_time(rows: list[dict], feature: Feature, *, through: datetime = datetime(2026, 1, 20)):
    events = ibis.memtable(rows)
    asked = ask_engagement([feature], window="1d", observed_through=through)
    _, changes = feature_adoptions(events, asked)
    return engagement_changes(events, asked, adoption_changes=changes, smallest_change=0.02)


@pytest.mark.parametrize("name", ["go", *HOSTILE])
def test_completion_and_sharing_of_two_weeks_are_those_of_a_count_by_hand(name):
    quiz = Feature(feature_id="quiz", start_event=name, complete_event="done", view_event="seen", share_event="sent")
    found = over_time(two_weeks((30, 10), names=(name, "done")), quiz)
    for of in (BY_USER, BY_SESSION, SHARING):
        change = found.changes[of]
        assert change.value == pytest.approx(10 / 40 - 30 / 40) and change.word == "fell"
        assert change.says and "from 75.0 % of 40 to 25.0 % of 40" in change.says and not LEFTOVERS.search(change.says)
        # The log is complete up to 19 Jan, and a day's windows are over on the 18th: weeks from Monday to Sunday.
        assert (change.period, change.against) == ("12 to 18 Jan", "5 to 11 Jan")
        days = {d.day: (d.value, d.n, d.is_complete) for d in found.courses[of]}
        assert days == {"2026-01-05": (0.75, 40, True), "2026-01-12": (0.25, 40, True)}
    assert found.changes[ADOPTION].value == 0 and [d.n for d in found.courses[ADOPTION]] == [40, 40]
    number = Estimate(0.5, 0.4, 0.6, 40)
    assert found.of(BY_USER, number).change == found.changes[BY_USER]
    assert found.of("another", number).change is None


def test_too_short_a_log_too_few_users_and_an_undeclared_event_say_so():
    quiz = Feature(feature_id="quiz", start_event="go", complete_event="done")
    short = over_time([r for r in two_weeks((9, 9)) if r["event_at"].day == 5], quiz, through=datetime(2026, 1, 8))
    assert "a comparison needs 10" in str(short.changes[BY_USER].refused_because)
    few = over_time([r for r in two_weeks((9, 9)) if int(r["user_id"][1:]) < 20], quiz)
    assert few.changes[BY_SESSION].refused_because == "fewer than 30 users in one of the two periods"
    assert SHARING not in few.changes and few.of(SHARING, Estimate(0.5, n=9)).series == ()
    assert engagement_changes(
        ibis.memtable(two_weeks((1, 1))), ask_engagement([], window="1d", observed_through=datetime(2026, 1, 20)),
        adoption_changes=pd.DataFrame(), smallest_change=0.02,
    ).changes == {}  # fmt: skip


def telemetry() -> list[dict]:
    """Forty users a week; u0 to u9 crash in the second, u0 in the first too; u50 has no known flag."""
    rows = []
    for week, on in enumerate((5, 12)):
        for user in range(40):
            rows.append(
                {"user_id": f"u{user}", "observed_at": datetime(2026, 1, on, 12), "crashed": user < (1, 10)[week]}
            )
        rows += [rows[-1] | {"crashed": None, "user_id": "u50"}, rows[-1] | {"user_id": None, "crashed": True}]
        rows.append({"user_id": "u39", "observed_at": datetime(2026, 1, on + 1, 3), "crashed": False})
    return [{"feature_id": "quiz"} | r for r in rows] + [rows[0] | {"feature_id": "menu", "crashed": True}]


def test_crash_free_users_of_two_weeks_are_those_of_a_count_by_hand():
    table = ibis.memtable(
        telemetry(),
        schema={"feature_id": "string", "user_id": "string", "observed_at": "timestamp", "crashed": "boolean"},
    )
    days = ComparedDays(date(2026, 1, 5), date(2026, 1, 12), 6)
    found = crash_free_course(table, feature_id="quiz", since=date(2026, 1, 5), compared=days)
    assert found.days.values.tolist() == [
        ["2026-01-05", 40, 39], ["2026-01-06", 1, 1], ["2026-01-12", 40, 30], ["2026-01-13", 1, 1],
    ]  # fmt: skip
    assert found.counts == {
        "n_before": 40, "converted_before": 39, "n_after": 40, "converted_after": 30, "n_both": 40,
        "converted_both": 30, "converted_before_of_both": 39, "converted_after_of_both": 30,
    }  # fmt: skip
    west = crash_free_course(
        table, feature_id="quiz", since=date(2026, 1, 5), compared=None, report_timezone="Asia/Tokyo"
    )
    assert west.counts is None and west.days["observed_on"].tolist() == [
        "2026-01-05",
        "2026-01-06",
        "2026-01-12",
        "2026-01-13",
    ]
    daily = pd.DataFrame({"feature_id": ["quiz"], "observed_on": [pd.Timestamp("2026-01-05")]})
    worst = Worst("The quiz", Estimate(0.7, 0.6, 0.8, 40))
    rules = {"called": {"quiz": "The quiz"}, "report_timezone": "UTC", "min_cell": 30}
    told = crash_free_over_time(worst, table, daily, through=datetime(2026, 1, 18), **rules).estimate
    assert told.change is not None and (told.change.word, told.change.value) == ("fell", pytest.approx(-9 / 40))
    few = crash_free_over_time(
        worst, table, daily, through=datetime(2026, 1, 18), **(rules | {"min_cell": 50})
    ).estimate
    assert few.change is not None and few.change.refused_because == "fewer than 50 users in one of the two periods"


def test_retention_of_later_cohorts_is_told_against_that_of_earlier_ones_for_each_asked_period():
    begun = [f"2026-01-{d:02}" for d in range(1, 13)]
    rows = [
        {"cohort": c, "period_from": n, "period_to": n, "users": 50, "retained": 30 if c < "2026-01-08" else 10,
         "retention_rate": 0.6, "ci_low": 0.4, "ci_high": 0.7, "users_immature": int(c == "2026-01-12"),
         "refused_because": None}
        for c in begun for n in (1, 3)
    ]  # fmt: skip
    asked = RetentionQuestion((1, 3), datetime(2026, 1, 20))
    whole = [
        {"starts": FIRST, "period_from": n, "period_to": n, "users": 600, "retention_rate": rate, "ci_low": 0.4,
         "ci_high": 0.6, "users_immature": 1, "refused_because": why}
        for n, rate, why in ((1, 0.5, None), (3, None, "nobody"))
    ]  # fmt: skip
    told = retention_over_time(pd.DataFrame(whole), pd.DataFrame(rows), asked, smallest_change=0.02)
    change = told[1].change
    # Cohorts from 4 Jan on (a horizon of three days): 4 to 7 and 8 to 12 Jan, four and five of fifty.
    assert change is not None and change.word == "fell" and change.value == pytest.approx(0.2 - 0.6)
    assert change.period == "users who began from 2026-01-08 on" and len(told[1].series) == 12
    assert [d.is_complete for d in told[1].series][-2:] == [True, False] and told[3].change is None
