"""Silence, objectives without budget, missing values and what came or went: hand counts, and scipy where named."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from launchpad_lib.contract.features import Feature
from launchpad_lib.trends import budget_table, burn_rates, drift_between, drift_table, new_values, silence_table
from launchpad_lib.trends import drift as drift_module

NOW = datetime(2026, 1, 18, 12)


def days(name: str, *numbers: int) -> pd.DataFrame:
    return pd.DataFrame(
        {"feature_id": name, "observed_on": [pd.Timestamp("2026-01-01") + pd.Timedelta(days=n) for n in numbers]}
    )


def test_a_feature_is_silent_after_more_than_twice_its_longest_gap():
    """Until 18 January: a stopped on the 15th (3 days, gap 1), b on the 16th (2 days), c sends every fourth day."""
    daily = pd.concat([days("a", *range(15)), days("b", *range(16)), days("c", 1, 5, 9, 13, 15), days("d", 16, 17)])
    found = silence_table(daily, through=NOW, declared=["a", "e"]).set_index("feature_id")
    assert found["days_silent"].to_dict() == {"a": 3, "b": 2, "c": 2, "d": 0, "e": pd.NA} or found.loc["e"].isna().any()
    assert found["is_silent"].astype(object).where(found["is_silent"].notna(), None).to_dict() == {
        "a": True, "b": False, "c": False, "d": None, "e": None,
    }  # fmt: skip
    assert found.loc["c", "longest_gap_days"] == 4 and found.loc["e", "days_observed"] == 0
    assert silence_table(days("a").iloc[:0], through=NOW).empty


def bad(*failed: bool, minutes: int = 30) -> pd.DataFrame:
    return pd.DataFrame(
        {"feature_id": "f", "observed_at": pd.Timestamp(NOW - timedelta(minutes=minutes)), "is_bad": list(failed)}
    )


def test_an_objective_of_a_hundred_percent_is_spent_by_any_failure():
    """One failure of three, half an hour ago: every long window (1 h to 3 days) holds it."""
    found = burn_rates(bad(True, False, False), pd.Series({"f": 0.0}), as_of=NOW)
    assert found["is_alert"].tolist() == [True] * 4 and found["burn_long"].isna().all()
    quiet = burn_rates(bad(False, False), pd.Series({"f": 0.0}), as_of=NOW)
    assert quiet["is_alert"].tolist() == [False] * 4


def test_too_few_observations_are_neither_an_alert_nor_none():
    found = burn_rates(bad(*[True] * 9), pd.Series({"f": 0.01}), as_of=NOW)
    assert (
        found["is_alert"].isna().all()
        and found["refused_because"].iloc[0] == "9 observations in the last 1 h; 10 are needed"
    )
    assert burn_rates(bad(True).iloc[:0], pd.Series({"f": 0.0}), as_of=NOW)["is_alert"].isna().all()


def test_a_budget_is_asked_of_features_that_declare_one_and_unknown_errors_say_nothing():
    rows = bad(False, False).assign(error_count=[1, None])
    features = [Feature(feature_id="f", slo_error_rate=0.0), Feature(feature_id="g")]
    found = budget_table(rows, features, as_of=NOW)
    assert set(found["feature_id"]) == {"f"} and found["events_long"].tolist() == [1] * 4
    assert budget_table(rows, [Feature(feature_id="g")], as_of=NOW).empty


def test_a_column_that_goes_missing_drifts_although_its_values_do_not():
    """0 of 100 missing before, 90 of 100 now; the ten that are left are too few to compare."""
    old = pd.DataFrame({"platform": ["web", "ios"] * 50})
    new = pd.DataFrame({"platform": ["web", "ios"] * 5 + [None] * 90})
    found = drift_table(old, new, columns=["platform"]).set_index("aspect")
    assert found["is_drifted"].to_dict() == {"values": False, "missing": True}
    assert (found.loc["missing", "reference"], found.loc["missing", "current"]) == ("0.0 % missing", "90.0 % missing")
    assert "100 values before and 10 in the last days" in found.loc["values", "refused_because"]


def test_few_missing_values_are_tested_exactly():
    """2 of 40 against 0 of 60: expected counts under 5, so Fisher; its p value is scipy's."""
    old, new = pd.DataFrame({"x": [1.0] * 60}), pd.DataFrame({"x": [1.0] * 38 + [None] * 2})
    found = drift_table(old, new, columns=["x"]).set_index("aspect").loc["missing"]
    assert (found["test"], found["p_value"]) == ("Fisher", pytest.approx(fisher_exact([[0, 2], [60, 38]]).pvalue))
    assert found["moved_most"] == "missing up"


def test_a_column_without_missing_values_is_asked_once_and_one_that_is_all_missing_is_refused():
    full = pd.DataFrame({"x": range(40)})
    assert drift_table(full, full, columns=["x"])["aspect"].tolist() == ["values"]
    none = pd.DataFrame({"x": [None] * 40})
    found = drift_table(none, none, columns=["x"])
    assert found["p_value"].isna().all() and found["refused_because"].notna().all()


def test_a_constant_column_has_not_drifted_and_one_of_rare_values_cannot_be_told():
    same = pd.DataFrame({"n": [3.0] * 40, "k": ["web"] * 40})
    found = drift_table(same, same, columns=["n", "k"])
    assert found["p_value"].tolist() == [1.0, 1.0] and not found["is_drifted"].any()
    rare = [pd.DataFrame({"k": [f"{side}{i}" for i in range(40)]}) for side in "ab"]
    assert "no value is frequent enough" in drift_table(*rare, columns=["k"])["refused_because"].iloc[0]


def test_a_number_that_is_not_finite_is_no_value():
    old, new = pd.DataFrame({"x": np.arange(40.0)}), pd.DataFrame({"x": np.r_[np.arange(39.0), np.inf]})
    found = drift_table(old, new, columns=["x"]).set_index("aspect")
    assert found.loc["values", "n_current"] == 39 and found.loc["missing", "current"] == "2.5 % missing"


def test_a_test_that_fails_is_a_refused_row_and_the_other_columns_stand(monkeypatch):
    def failing(name, reference, current):
        raise ValueError("matrix is singular")

    monkeypatch.setattr(drift_module, "category_difference", failing)
    frame = pd.DataFrame({"k": ["a", "b"] * 20, "x": np.arange(40.0)})
    found = drift_table(frame, frame, columns=["k", "x"]).set_index("column")
    assert found.loc["k", "refused_because"] == "the test failed: matrix is singular"
    assert found.loc["x", "p_value"] == 1.0


def test_new_values_are_those_of_at_least_five_rows_and_one_percent():
    """Of 1,000 rows: tv 40 and wap 10 are told, 9 of a third are under 1 %; numbers have no such values."""
    before = pd.Series(["web"] * 100)
    after = pd.Series(["web"] * 941 + ["tv"] * 40 + ["wap"] * 10 + ["fax"] * 9)
    assert new_values(before, after) == "tv 4.0 % and wap 1.0 %"
    assert new_values(before, pd.Series(["web"] * 10 + ["tv"] * 4)) is None
    assert new_values(pd.Series([1.0] * 9), pd.Series([2.0] * 9)) is None
    assert new_values(pd.Series([None] * 9), pd.Series(["a"] * 9)) is None  # nothing was known before


def test_what_came_and_what_went_are_told_from_all_rows_with_their_column():
    rows = pd.DataFrame(
        {
            "user_id": [f"u{i}" for i in range(200)],
            "at": [NOW - timedelta(days=20)] * 100 + [NOW] * 100,
            "we[ird] $.name": ["old"] * 50 + ["web"] * 50 + ["web"] * 60 + ["new"] * 40,
        }
    )
    found = drift_between(rows, time_column="at", since=NOW - timedelta(days=7), rng=np.random.default_rng(1)).iloc[0]
    assert (found["column"], found["new_values"], found["vanished_values"]) == (
        "we[ird] $.name",
        "new 40.0 %",
        "old 50.0 %",
    )
