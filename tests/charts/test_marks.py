"""Deployments and incidents on charts along the time: those within the days shown, a feature's own and everybody's."""

from __future__ import annotations

import pandas as pd
import pytest

from launchpad_lib import charts
from launchpad_lib.charts.marks import MOST_MARKS, SAID, marks_within

DAYS = pd.Series(pd.to_datetime(["2026-01-05", "2026-01-06", "2026-01-09"]))
MARKS = pd.DataFrame(
    {
        "at": pd.to_datetime(["2026-01-04 23:59", "2026-01-05 00:00", "2026-01-07 00:00", "2026-01-09 22:00", "2026-01-10 01:00", None]),
        "kind": "deployment",
        "feature_id": pd.Series([None, "search", None, "checkout", None, None], dtype=object),
        "label": ["before", "first", "all", "last", "after", "never"],
    }
)  # fmt: skip


def test_the_marks_of_the_days_shown_are_drawn_and_no_others():
    assert marks_within(MARKS, DAYS)["mark"].tolist() == ["first", "all", "last"]
    assert marks_within(MARKS, DAYS, of="search")["mark"].tolist() == ["first", "all"]
    assert marks_within(MARKS, DAYS.dt.tz_localize("UTC"), of="x")["mark"].tolist() == ["all"]


@pytest.mark.parametrize("none", [None, MARKS.head(0), MARKS.tail(1)])
def test_without_marks_a_chart_is_as_it_was(none):
    table = pd.DataFrame({"active_on": DAYS, "dau": 1.0, "wau": 2.0, "mau": 3.0})
    drawn = charts.active_users_chart(table, annotations=none).to_dict()
    assert drawn["title"] == "How many users are active?" and len(drawn["layer"]) == 1


def test_of_very_many_the_newest_are_drawn_and_the_chart_says_what_the_lines_are():
    many = pd.DataFrame(
        {"at": pd.date_range("2026-01-05", periods=100, freq="h"), "label": [f"v{i}" for i in range(100)]}
    )
    assert marks_within(many, DAYS)["mark"].tolist() == [f"v{i}" for i in range(100 - MOST_MARKS, 100)]
    table = pd.DataFrame({"active_on": DAYS, "dau": 1.0, "wau": 2.0, "mau": 3.0})
    drawn = charts.active_users_chart(table, annotations=many).to_dict()
    assert drawn["title"]["subtitle"] == SAID and drawn["layer"][0]["mark"]["type"] == "rule"
