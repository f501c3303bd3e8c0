"""The figures of trends held against generalised least squares written out, scipy and counts by hand; every test says which."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, chi2_contingency, ks_2samp, wasserstein_distance

from launchpad_lib.contract.features import Feature
from launchpad_lib.trends import (
    budget_table,
    burn_rates,
    decile_counts,
    drift_between,
    drift_table,
    nearest_annotation,
    new_values,
    one_row_per_unit,
    psi_of_counts,
    silence_table,
    spell_contrast_sd,
    spell_noise_of_change,
)
from launchpad_lib.trends.drift_tests import category_difference, missing_difference, number_difference


def covariance(days: int, r: float, g: float) -> np.ndarray:
    """Spells of persistence r, and a share g of every day's own: written out entry by entry."""
    return np.array(
        [[(1.0 if i == j else 0.0) * g + (1 - g) * (r ** abs(i - j) if i != j else 1.0) for j in range(days)] for i in range(days)]
    )  # fmt: skip


def test_what_spells_do_to_a_difference_of_means_is_the_sum_over_pairs_of_days():
    weights = [-1 / 3] * 3 + [1 / 5] * 5
    variance = sum(a * b * 0.6 ** abs(i - j) for i, a in enumerate(weights) for j, b in enumerate(weights))
    found = spell_contrast_sd(days_before=3, days_after=5, persistence=0.6, spell_sd=0.2)
    assert found == pytest.approx(0.2 * np.sqrt(variance))


def test_the_nearest_mark_lies_at_most_three_days_away_and_its_days_are_counted_from_the_row():
    table = pd.DataFrame({"feature_id": list("abcde"), "shift_on": pd.to_datetime(["2026-01-10"] * 4 + [None])})
    marks = pd.DataFrame(
        [
            ("2026-01-07 23:00", "deployment", "a", "early"),
            ("2026-01-14 01:00", "incident", "a", "four days on"),
            ("2026-01-13 01:00", "incident", "b", None),
            ("2026-01-06 23:00", "deployment", "c", "four days before"),
            ("2026-01-12 00:00", "experiment", "d", "two on"),
            ("2026-01-09 00:00", "experiment", "d", "one before"),
        ],
        columns=["at", "kind", "feature_id", "label"],
    )
    found = nearest_annotation(table.set_index(pd.Index([5, 4, 3, 2, 1])), marks, date_column="shift_on")
    assert found["annotation"].tolist() == ["deployment: early", "incident", None, "experiment: one before", None]
    assert found["annotation_days"].astype(object).where(found["annotation_days"].notna(), None).tolist() == [
        -3, 3, None, -1, None,
    ]  # fmt: skip
    wider = nearest_annotation(table, marks, date_column="shift_on", within_days=4)
    assert wider.loc[2, "annotation"] == "deployment: four days before"


def test_the_noise_of_a_change_is_that_of_its_spells_with_bartletts_degrees_of_freedom():
    """By hand: 60 days, r = .5: 60 x .75 / 1.25 - 2 = 34; 20 days, r = .9: 20 x .19 / 1.81 - 2 is under 3."""
    shifts = pd.DataFrame(
        {"feature_id": ["a", "b", "c"], "days": [60, 20, 9], "persistence": [0.5, 0.9, None], "spell_sd": [0.1, 0.2, None]}
    )  # fmt: skip
    found = spell_noise_of_change(shifts, window_days=7)
    weights = np.r_[np.full(7, -1 / 7), np.full(7, 1 / 7)]
    expected = [s * np.sqrt(weights @ covariance(14, r, 0.0) @ weights) for r, s in ((0.5, 0.1), (0.9, 0.2))]
    assert found.index.tolist() == ["a", "b", "c"]
    assert found["period_sd"].tolist() == pytest.approx([*expected, 0.0])
    assert found["period_df"].tolist() == pytest.approx([34.0, 3.0, 3.0])


def test_psi_with_smoothing_is_the_sum_written_out():
    """Counts 10, 0 and 30, 5 with a half added to each bin; the critical value for one bin has one degree of freedom."""
    p, q = np.array([10.5, 0.5]) / 11, np.array([30.5, 5.5]) / 36
    found = psi_of_counts(np.array([10, 0]), np.array([30, 5]))
    assert found.psi == pytest.approx(sum((b - a) * np.log(b / a) for a, b in zip(p, q, strict=True)))
    assert found.critical == pytest.approx(3.841459 * (1 / 10 + 1 / 35)) and found.bins == 2
    strict = psi_of_counts(np.array([10, 0]), np.array([30, 5]), alpha=0.01)
    assert strict.critical == pytest.approx(6.634897 * (1 / 10 + 1 / 35))
    assert psi_of_counts(np.array([10]), np.array([30])).critical == pytest.approx(3.841459 * (1 / 10 + 1 / 30))


def test_deciles_are_those_of_the_reference_and_outliers_stay_in_the_outer_bins():
    """By hand: of 1 to 20 two lie in each tenth; of the others -5 is below, 100 above, 3 in the second tenth."""
    reference, current = decile_counts(np.arange(1.0, 21.0), np.array([-5.0, 3.0, 100.0, 100.0]))
    assert reference.tolist() == [2] * 10 and current.tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 0, 2]
    same, other = decile_counts(np.array([1.0] * 9 + [2.0]), np.array([1.0, 1.0, 2.0]))
    assert same.tolist() == [9, 0, 1] and other.tolist() == [2, 0, 1]  # edges 1 and 1.1


def test_the_difference_of_numbers_is_scipys():
    rng = np.random.default_rng(7)
    old, new = rng.normal(10, 1, 50), rng.normal(10.5, 1, 70)
    found = number_difference("x", old, new)
    psi = psi_of_counts(*decile_counts(old, new))
    assert found[:5] == ("x", "values", "number", 50, 70) and (found.psi, found.psi_critical) == (psi.psi, psi.critical)
    assert found.test == "Kolmogorov-Smirnov" and found.refused_because is None
    assert found.p_value == pytest.approx(ks_2samp(old, new, method="asymp").pvalue)
    assert found.distance == pytest.approx(wasserstein_distance(old, new)) and found.moved_most == "up"
    assert (found.reference, found.current) == (f"median {np.median(old):.4g}", f"median {np.median(new):.4g}")
    assert number_difference("x", new, old).moved_most == "down"
    same = number_difference("x", np.ones(40), np.ones(50))
    assert (same.p_value, same.moved_most, same.reference, same.current) == (1.0, "nothing", "one value", "the same value")  # fmt: skip
    assert same.test is None and same.psi is None and (same.n_reference, same.n_current) == (40, 50)


def test_the_difference_of_categories_takes_values_expected_fewer_than_five_times_together():
    """By hand: c and d are expected 100 x 6 / 300 and 100 x 9 / 300 times; together 2 of 100 and 13 of 200. b expects 5: kept."""
    old = np.array(["a"] * 94 + ["b"] * 4 + ["c"] * 2)
    new = np.array(["a"] * 176 + ["b"] * 11 + ["c"] * 4 + ["d"] * 9)
    found = category_difference("k", old, new)
    counts = np.array([[94, 4, 2], [176, 11, 13]])
    psi = psi_of_counts(*counts)
    assert found[:5] == ("k", "values", "category", 100, 200) and found.test == "chi-square"
    assert (found.psi, found.psi_critical) == (psi.psi, psi.critical)
    assert found.p_value == pytest.approx(chi2_contingency(counts, correction=False).pvalue)
    assert found.distance == pytest.approx((abs(0.94 - 0.88) + abs(0.04 - 0.055) + abs(0.02 - 0.065)) / 2)
    assert (found.moved_most, found.reference, found.current) == ("a down", "a 94.0 %", "a 88.0 %")
    back = category_difference("k", new, old)
    assert (back.moved_most, back.reference, back.current) == ("a up", "a 88.0 %", "a 94.0 %")
    mostly_rare = category_difference("k", np.array(["a"] * 40), np.array(["a"] * 20 + [f"z{i}" for i in range(20)]))
    assert (mostly_rare.moved_most, mostly_rare.reference) in (("a down", "a 100.0 %"), ("rare values up", "rare values 0.0 %"))  # fmt: skip
    one = category_difference("k", np.array(["a"] * 40), np.array(["a"] * 50))
    assert (one.p_value, one.moved_most, one.reference, one.current) == (1.0, "nothing", "one value", "the same value")
    rare = category_difference("k", np.array([f"a{i}" for i in range(40)]), np.array([f"b{i}" for i in range(40)]))
    assert rare.refused_because == "no value is frequent enough to be compared" and rare.p_value is None


def test_the_share_missing_is_tested_by_chi_square_where_five_are_expected_everywhere():
    """By hand: 5 and 5 of 100 and 100: 5 expected, chi-square; 4 and 5: 4.5, Fisher's exact test (scipy)."""
    found = missing_difference("x", missing=(10, 30), rows=(100, 150))
    counts = [[10, 30], [90, 120]]
    assert found[:5] == ("x", "missing", "share", 100, 150) and found.test == "chi-square"
    assert found.p_value == pytest.approx(chi2_contingency(counts, correction=False).pvalue)
    assert found.distance == pytest.approx(0.1) and found.moved_most == "missing up"
    assert (found.reference, found.current) == ("10.0 % missing", "20.0 % missing")
    assert missing_difference("x", missing=(5, 5), rows=(100, 100)).test == "chi-square"
    assert missing_difference("x", missing=(4, 5), rows=(100, 100)).test == "Fisher"
    less = missing_difference("x", missing=(30, 10), rows=(100, 100))
    assert less.moved_most == "missing down" and less.distance == pytest.approx(0.2)


def test_q_values_are_benjamini_hochbergs_by_hand_and_refused_columns_have_none():
    """q of the i-th smallest of m: the smallest p_(j) m / j over j >= i."""
    rng = np.random.default_rng(9)
    old = pd.DataFrame({n: rng.normal(size=30) for n in "abc"}).assign(few=[1.0] * 29 + [None], flag=[True, False] * 15)
    new = pd.DataFrame({"a": old["a"] + 2, "b": old["b"] + 0.6, "c": rng.normal(size=30), "few": 1.0, "flag": [True, False] * 15})  # fmt: skip
    found = drift_table(old, new, columns=["a", "b", "few", "c", "flag"]).set_index(["column", "aspect"])
    refused = found.loc[("few", "values")]
    assert refused["refused_because"] == "29 values before and 30 in the last days; each period needs 30"
    assert np.isnan(refused["q_value"]) and not refused["is_drifted"] and (refused["n_reference"], refused["n_current"]) == (29, 30)  # fmt: skip
    p = found["p_value"].dropna().astype(float).sort_values()
    q = (p * len(p) / np.arange(1, len(p) + 1))[::-1].cummin()[::-1].clip(upper=1)
    assert len(p) == 5 and found["q_value"].dropna()[p.index].tolist() == pytest.approx(q.tolist())
    assert found["is_drifted"].tolist() == [bool(v < 0.05) for v in found["q_value"]]
    assert found.loc[("flag", "values"), "kind"] == "category" and found.loc[("a", "values"), "kind"] == "number"
    assert found.loc[("few", "missing"), "reference"] == "3.3 % missing"
    strict = drift_table(old, new, columns=["a", "b"], alpha=float(found.loc[("a", "values"), "q_value"]) / 10)
    assert not strict["is_drifted"].any()
    short = drift_table(old.head(29), new, columns=["few"], min_rows=30)
    assert short["aspect"].tolist() == ["values"]  # 29 rows: their share missing is not asked either


def test_new_values_come_with_the_most_frequent_first_and_alphabetical_among_equals():
    before = pd.Series(["web", None])
    after = pd.Series(["web"] * 80 + ["b"] * 5 + ["a"] * 5 + ["c"] * 6 + ["d"] * 4 + [None] * 50)
    assert new_values(before, after) == "c 6.0 %, a 5.0 % and b 5.0 %"
    assert new_values(pd.Series(["web"]), pd.Series(["web"] * 495 + ["x"] * 5)) == "x 1.0 %"
    assert new_values(pd.Series(["web"]), pd.Series(["web"] * 496 + ["x"] * 5)) is None


def test_one_row_of_each_unit_and_of_each_hour_without_a_unit_is_kept_each_equally_often():
    at = pd.to_datetime(["2026-01-01 10:05", "2026-01-01 10:50", "2026-01-01 11:10", "2026-01-01 10:00", "2026-01-01 12:00"])  # fmt: skip
    rows = pd.DataFrame({"user_id": [None, None, None, "a", "a"], "at": at, "row": range(5)})
    kept = [
        tuple(sorted(one_row_per_unit(rows, unit="user_id", time_column="at", rng=np.random.default_rng(s))["row"]))
        for s in range(200)
    ]
    assert set(kept) == {(i, 2, j) for i in (0, 1) for j in (3, 4)}
    assert min(kept.count(k) for k in set(kept)) > 25  # 50 expected each


def test_the_present_begins_after_the_split_and_unit_and_time_are_not_watched():
    since = datetime(2026, 1, 8)
    n = 40
    rows = pd.DataFrame(
        {
            "user_id": [f"u{i}" for i in range(2 * n)],
            "at": [since] * n + [since + timedelta(seconds=1)] * n,
            "kind": ["x"] * n + ["y"] * n,
            "size": np.r_[np.arange(n), np.arange(n)].astype(float),
            "gap": [None] * 10 + [1.0] * (2 * n - 10),
        }
    )
    found = drift_between(rows, time_column="at", since=since, rng=np.random.default_rng(1))
    assert found["column"].tolist() == ["kind", "size", "gap", "gap"]
    assert found[["n_reference", "n_current"]].iloc[0].tolist() == [n, n]
    by_row = found.set_index(["column", "aspect"])
    assert by_row.loc[("kind", "values"), ["new_values", "vanished_values"]].tolist() == ["y 100.0 %", "x 100.0 %"]
    assert by_row.loc[[("size", "values"), ("gap", "missing")], "new_values"].isna().all()
    assert by_row.loc[("gap", "values"), "n_reference"] == 30  # 10 of 40 have no value
    many = drift_between(rows, time_column="at", since=since, rng=np.random.default_rng(1), min_rows=41)
    assert many["refused_because"].notna().all()


NOW = datetime(2026, 1, 10, 12)
# In minutes; an hour is 60, a day 1,440.
AGES = [timedelta(minutes=m) for m in (0, 4, 5, 29, 30, 59, 60, 119, 120, 300, 360, 1380, 1440, 2880, 4320, -1)]


def test_each_window_holds_what_is_younger_than_it_and_burns_the_share_over_the_budget():
    """Hand count: one observation at each age; an age equal to the window is outside, now is inside, later is outside."""
    is_bad = [True, False] * 8
    rows = pd.DataFrame({"feature_id": "f", "observed_at": [NOW - a for a in AGES], "is_bad": is_bad})
    rows = pd.concat([rows.sample(frac=1, random_state=1), rows.assign(feature_id="other", is_bad=True)])
    found = burn_rates(rows, pd.Series({"f": 0.1, "none": np.nan}), as_of=NOW, min_events=6)
    assert found["feature_id"].tolist() == ["f"] * 4 and found["budget"].tolist() == [0.1] * 4
    assert found["long_hours"].tolist() == [1, 6, 24, 72] and found["factor"].tolist() == [14.4, 6, 3, 1]
    assert found["short_hours"].tolist() == pytest.approx([1 / 12, 0.5, 2, 6])
    assert found["events_long"].tolist() == [6, 10, 12, 14] and found["events_short"].tolist() == [2, 4, 8, 10]
    assert found["bad_long"].tolist() == [3, 5, 6, 7] and found["bad_short"].tolist() == [1, 2, 4, 5]
    assert found["burn_long"].tolist() == pytest.approx([5.0] * 4) == found["burn_short"].tolist()
    for _, row in found.iterrows():
        expected = binomtest(row["bad_long"], row["events_long"], 0.1, alternative="greater").pvalue
        assert row["guard"] == pytest.approx(expected)
    assert found["is_alert"].tolist() == [False, False, True, True] and found["refused_because"].isna().all()
    strict = burn_rates(rows, pd.Series({"f": 0.1}), as_of=NOW, min_events=11, guard_p=1e-4)
    assert strict["is_alert"].isna().tolist() == [True, True, False, False]
    assert strict["refused_because"].tolist()[:2] == ["6 observations in the last 1 h; 11 are needed", "10 observations in the last 6 h; 11 are needed"]  # fmt: skip
    assert not strict["is_alert"].iloc[2:].any()  # the guard is 5e-4 and 2e-4: both above 1e-4


def bad_rows(*, bad: int, total: int, age: timedelta = timedelta(minutes=1)) -> pd.DataFrame:
    return pd.DataFrame({"feature_id": "f", "observed_at": NOW - age, "is_bad": [i < bad for i in range(total)]})


def test_a_burn_at_the_factor_is_no_alert_and_one_above_it_in_both_windows_is():
    """Budget .125: 36 bad of 48 burn exactly 6, 37 burn above 6; the first window asks 14.4, more than 1 / .125."""
    at = burn_rates(bad_rows(bad=36, total=48), pd.Series({"f": 0.125}), as_of=NOW)
    above = burn_rates(bad_rows(bad=37, total=48), pd.Series({"f": 0.125}), as_of=NOW)
    assert at["burn_long"].iloc[1] == 6.0
    assert at["is_alert"].tolist() == [False, False, True, True]
    assert above["is_alert"].tolist() == [False, True, True, True]
    old = burn_rates(bad_rows(bad=40, total=48, age=timedelta(minutes=40)), pd.Series({"f": 0.125}), as_of=NOW)
    assert old["events_short"].tolist() == [0, 0, 48, 48] and old["burn_short"].isna().tolist() == [True, True, False, False]  # fmt: skip
    assert old["is_alert"].tolist() == [False, False, True, True]


def test_the_guard_holds_an_alert_back_where_chance_alone_gives_as_many():
    """scipy: at least 2 of 12 under a budget of .05 has probability .118: no alert although the burn of 3.3 is above 3 and 1."""
    found = burn_rates(bad_rows(bad=2, total=12), pd.Series({"f": 0.05}), as_of=NOW)
    assert found["burn_long"].iloc[3] > 3 and found["guard"].iloc[3] == pytest.approx(0.1184, abs=1e-4)
    assert found["is_alert"].tolist() == [False] * 4
    assert burn_rates(bad_rows(bad=2, total=12), pd.Series({"f": 0.05}), as_of=NOW, guard_p=0.2)["is_alert"].iloc[2:].all()  # fmt: skip


def test_an_observation_with_an_error_is_bad_and_one_without_is_not():
    rows = bad_rows(bad=0, total=12).assign(error_count=[0, 1, 2, *[0] * 8, None]).drop(columns="is_bad")
    found = budget_table(rows, [Feature(feature_id="f", slo_error_rate=0.5)], as_of=NOW)
    assert found["bad_long"].tolist() == [2] * 4 and found["events_long"].tolist() == [11] * 4
    spent = burn_rates(bad_rows(bad=1, total=1), pd.Series({"f": 0.0}), as_of=NOW)
    assert spent["is_alert"].tolist() == [True] * 4 and spent["refused_because"].isna().all()
    none = burn_rates(bad_rows(bad=1, total=1).iloc[:0], pd.Series({"f": 0.0}), as_of=NOW)
    assert none["refused_because"].iloc[0] == "0 observations in the last 1 h; 1 are needed"
    assert none["guard"].isna().all() and none["burn_long"].isna().all()


def dates(name: str, *numbers: int) -> pd.DataFrame:
    on = [pd.Timestamp("2026-01-01") + pd.Timedelta(days=n) for n in numbers]
    return pd.DataFrame({"feature_id": name, "observed_on": on})


def test_silence_is_counted_in_dates_from_the_last_row_and_told_from_five_dates_on():
    """Until 20 January (day 19): a stops on day 14 (5 days, gap 2), b on day 15 (4 days, gap 2: just not), c has four dates."""
    daily = pd.concat(
        [dates("a", 14, 6, 8, 10, 12), dates("b", 7, 9, 11, 13, 15), dates("c", 0, 1, 2, 3), dates("d", 4)]
    )
    found = silence_table(daily, through=datetime(2026, 1, 20, 23, 59), declared=["e", "a"])
    assert found["feature_id"].tolist() == list("abcde") and found["days_observed"].tolist() == [5, 5, 4, 1, 0]
    assert found["days_silent"].tolist()[:4] == [5, 4, 16, 15] and found["longest_gap_days"].tolist()[:3] == [2, 2, 1]
    assert found["is_silent"].tolist()[:2] == [True, False] and found["is_silent"].iloc[2:].isna().all()
    assert found["last_on"].dt.day.tolist()[:4] == [15, 16, 4, 5] and found.iloc[4, 3:].isna().all()
    assert found["longest_gap_days"].isna().tolist() == [False, False, False, True, True]
    kinds = found[["is_silent", "longest_gap_days", "days_silent"]].dtypes.astype(str).tolist()
    assert kinds == ["boolean", "Int64", "Int64"]  # unknown is NULL in each, also in a file


def test_a_declared_feature_that_was_never_seen_hides_no_other():
    found = silence_table(dates("b", 0, 1), through=datetime(2026, 1, 3), declared=["a", "c"])
    assert found["feature_id"].tolist() == ["a", "b", "c"] and found["days_observed"].tolist() == [0, 2, 0]
