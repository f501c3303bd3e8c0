"""What a chart leaves out, and that it says so. Expected values are by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from launchpad_lib import charts
from launchpad_lib.charts.bounds import drawn, labels, largest_names, thinned


def spec_of(chart) -> tuple[dict, pd.DataFrame]:
    """The specification, and its largest data set."""
    spec = chart.to_dict()
    return spec, pd.DataFrame(max(spec["datasets"].values(), key=len))


def note_of(spec: dict) -> str:
    return spec["title"]["subtitle"]


def test_of_fifty_steps_the_first_twenty_are_drawn_and_the_chart_says_how_many_more_there_are():
    steps = pd.DataFrame(
        {"step_name": [f"s{n}" for n in range(50)], "conversion_rate": 0.5, "ci_low": 0.4, "ci_high": 0.6}
    )
    spec, rows = spec_of(charts.funnel_chart(steps))
    assert rows["name"].tolist() == [f"s{n}" for n in range(20)]
    assert note_of(spec) == "and 30 more"
    assert spec["height"] == 20 * 22


def test_a_step_that_stands_twice_in_a_funnel_has_two_bars():
    steps = pd.DataFrame(
        {"step_name": ["a", "b", "a"], "conversion_rate": [1.0, 0.6, 0.2], "ci_low": 0.1, "ci_high": 1.0}
    )
    assert spec_of(charts.funnel_chart(steps))[1]["name"].tolist() == ["a", "b", "a (2)"]


def test_of_many_columns_those_that_drifted_most_are_drawn():
    drift = pd.DataFrame({"column": [f"c{n}" for n in range(100)], "psi": np.arange(100.0), "psi_critical": 1.0})
    spec, rows = spec_of(charts.drift_chart(drift))
    assert rows["value"].tolist() == list(range(80, 100))
    assert note_of(spec) == "the largest; and 80 more"


def test_daily_cohorts_go_to_weeks_by_themselves_as_the_sum_of_those_who_came_back_over_the_sum_of_users():
    days = pd.date_range("2026-01-05", periods=28)  # a Monday; 28 days are more than the 26 cohorts that fit
    daily = pd.DataFrame({"cohort": days, "period_from": 1, "users": 10, "retention_rate": 0.2})
    daily.loc[0, ["users", "retention_rate"]] = [40, 0.5]  # the first week: 20 of 40 and 6 times 2 of 10
    spec, rows = spec_of(charts.cohort_matrix(daily, period="day", min_cell=30))
    assert rows["name"].tolist() == ["2026-01-05", "2026-01-12", "2026-01-19", "2026-01-26"]
    assert rows["users"].tolist() == [100, 70, 70, 70]
    assert rows["value"].tolist() == pytest.approx([0.32, 0.2, 0.2, 0.2])
    assert note_of(spec) == "cohorts by week"


def test_a_year_of_daily_cohorts_goes_to_months_and_five_years_to_quarters():
    for years, word in ((1, "month"), (5, "quarter"), (30, "year")):
        days = pd.date_range("2026-01-01", periods=365 * years)
        daily = pd.DataFrame({"cohort": days, "period_from": 1, "users": 10, "retention_rate": 0.2})
        spec, rows = spec_of(charts.cohort_matrix(daily, period="day", min_cell=30))
        assert note_of(spec) == f"cohorts by {word}"
        assert len(rows) <= 26


def test_cohorts_of_a_property_that_look_like_dates_are_names():
    by_value = pd.DataFrame(
        {"cohort": [f"2026-01-{d:02}" for d in range(1, 31)], "period_from": 1, "users": 10, "retention_rate": 0.2}
    )
    spec, rows = spec_of(charts.cohort_matrix(by_value, period="day", min_cell=30))
    assert len(rows) == 26 and note_of(spec) == "the largest; and 4 more"


def test_a_horizon_of_ninety_days_shows_every_third():
    cells = pd.DataFrame({"cohort": "a", "period_from": range(1, 91), "users": 50, "retention_rate": 0.2})
    spec, rows = spec_of(charts.cohort_matrix(cells, period="day", min_cell=30))
    assert rows["after"].tolist() == list(range(1, 91, 3))
    assert note_of(spec) == "1 of 3 periods is shown"


def test_a_cohort_matrix_of_166_daily_cohorts_and_thirty_periods_is_drawn():
    """The first version's page ended on these 5,146 rows."""
    days = np.repeat(pd.date_range("2026-01-01", periods=166), 31)
    cells = pd.DataFrame({"cohort": days, "period_from": list(range(31)) * 166, "users": 50, "retention_rate": 0.2})
    _, shown = spec_of(charts.cohort_matrix(cells, period="day", min_cell=30))
    assert len(shown) == 25 * 31  # the weeks from 29 December to 15 June


def test_a_long_line_keeps_its_highest_and_lowest_point_and_both_ends():
    values = np.full(1000, 5.0)
    values[[503, 777]] = [99.0, -7.0]
    rows = pd.DataFrame({"at": pd.date_range("2026-01-01", periods=1000), "value": values})
    thin, note = thinned(rows, most=100)
    assert len(thin) <= 102 and {99.0, -7.0} <= set(thin["value"])
    assert [thin["at"].iloc[0], thin["at"].iloc[-1]] == [rows["at"].iloc[0], rows["at"].iloc[-1]]
    assert thin["at"].is_monotonic_increasing
    assert note == "of every 20 points the lowest and the highest"
    assert thinned(rows, most=1000)[1] == ""


def test_a_long_line_with_gaps_is_thinned_and_keeps_them():
    """Five years of days of a funnel: the last days have no rate yet, and nobody entered in one month of the middle."""
    values = np.full(1826, 0.5)
    values[[400, 900]] = [0.9, 0.1]
    values[1000:1030] = values[-3:] = np.nan
    rows = pd.DataFrame({"at": pd.date_range("2021-01-01", periods=1826), "value": values})
    thin, _ = thinned(rows, most=100)
    assert {0.9, 0.1} <= set(thin["value"]) and len(thin) <= 110
    middle = thin[thin["value"].isna() & (thin["at"] < "2025-01-01")]
    assert len(middle) >= 1 and middle["at"].between(rows["at"][1000], rows["at"][1029]).all()
    assert np.isnan(thin["value"].iloc[-1]) and thin["at"].iloc[-1] == rows["at"].iloc[-1]
    nothing, _ = thinned(rows.assign(value=np.nan), most=100)
    assert nothing["value"].isna().all() and len(nothing) <= 110


def test_each_line_is_thinned_by_itself():
    days = pd.date_range("2026-01-01", periods=500)
    rows = pd.concat(
        [
            pd.DataFrame({"at": days, "value": 1.0, "line": "long"}),
            pd.DataFrame({"at": days[:3], "value": 9.0, "line": "short"}),
        ]
    )
    thin, _ = thinned(rows, most=50)
    assert (thin["line"] == "short").sum() == 3 and (thin["line"] == "long").sum() < 60


def small_charts(spec: dict) -> pd.DataFrame:
    """The rows of charts side by side."""
    return pd.DataFrame(spec["datasets"][spec["data"]["name"]])


def test_of_sixty_features_the_twelve_worst_are_drawn():
    daily = pd.DataFrame(
        {"feature_id": [f"f{n:02}" for n in range(60)], "observed_on": "2026-01-05", "p95_latency_ms": np.arange(60.0)}
    )
    spec = charts.latency_chart(daily, annotations=pd.DataFrame({"at": [], "label": []})).to_dict()
    assert spec["facet"]["sort"] == [f"f{n}, {n} ms" for n in range(59, 47, -1)]
    assert spec["title"]["subtitle"].endswith("and 48 more in the table")


def test_small_charts_stand_worst_against_their_own_objective_first_with_their_own_deployments():
    days = pd.date_range("2026-01-05", periods=9).strftime("%Y-%m-%d")
    level = {"slow but allowed": 400.0, "over": 150.0, "no objective": 900.0}
    daily = pd.concat(
        pd.DataFrame({"feature_id": k, "observed_on": days, "p95_latency_ms": v}) for k, v in level.items()
    )
    marks = pd.DataFrame(
        {
            "at": ["2026-01-07", "2026-01-08", "2025-01-01"],
            "label": ["own", "everybody's", "long ago"],
            "feature_id": ["over", None, "over"],
        }
    )
    objectives = {"slow but allowed": 500.0, "over": 100.0}
    spec = charts.latency_chart(
        daily, annotations=marks, objectives=objectives, called={"over": "The <b>search</b>"}
    ).to_dict()
    heads = spec["facet"]["sort"]
    assert heads == ["The <b>search</b>, 150 ms", "slow but allowed, 400 ms", "no objective, 900 ms"]
    rows = small_charts(spec)
    assert rows.dropna(subset=["limit"]).set_index("line")["limit"].to_dict() == {heads[0]: 100, heads[1]: 500}
    drawn = rows.dropna(subset=["mark"]).groupby("line")["mark"].apply(set).to_dict()
    assert drawn == {heads[0]: {"own", "everybody's"}, heads[1]: {"everybody's"}, heads[2]: {"everybody's"}}
    states = rows.dropna(subset=["state"]).groupby("line")["state"].first().to_dict()
    assert states == {heads[0]: "over", heads[1]: "within", heads[2]: "within"}


def test_five_years_of_days_are_counted_by_month_and_no_row_is_lost():
    rows = pd.DataFrame({"day": pd.date_range("2021-01-01", "2025-12-31"), "rows": 2})
    spec, shown = spec_of(charts.bar_counts(rows, category="day", value="rows", title="How many?"))
    assert len(shown) == 60 and shown["value"].sum() == 2 * 1826
    assert note_of(spec) == "by month"


def test_what_is_beyond_forty_bins_is_one_bar_and_the_shares_add_up():
    often = pd.DataFrame({"times": range(1, 101), "users": 1, "share": 0.01})
    spec, rows = spec_of(charts.distribution_chart(often, category="times", title="How often?", x_title="Times"))
    assert rows["name"].tolist()[-2:] == ["40", "all others"]
    assert rows["value"].sum() == pytest.approx(1) and rows["users"].sum() == 100
    assert note_of(spec) == "and 60 more, in the last bar"


def test_a_gap_in_a_table_that_has_numbers_stays_a_gap_of_the_chart():
    steps = pd.DataFrame(
        {
            "step_name": ["a", "b"],
            "conversion_rate": [1.0, None],
            "ci_low": [0.9, None],
            "ci_high": [1.0, None],
            "refused_because": [None, "no"],
        }
    )
    assert spec_of(charts.funnel_chart(steps))[1]["value"].isna().tolist() == [False, True]


def test_a_table_without_a_column_that_the_chart_needs_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match=r"chart: the table lacks ci_low; it has name, value$"):
        drawn(pd.DataFrame({"name": ["a"], "value": [1]}), {"name": "name", "value": "value", "low": "ci_low"})


def test_two_names_alike_at_both_ends_keep_two_labels():
    alike = pd.Series([f"{'x' * 40}{n}{'y' * 40}" for n in range(3)])
    assert labels(alike).nunique() == 3


def test_the_largest_names_are_by_size_whatever_their_sign_and_keep_their_order():
    rows = pd.DataFrame({"name": list("abc"), "v": [-9.0, 1.0, 5.0]})
    assert largest_names(rows, by="v", most=2)[0]["name"].tolist() == ["a", "c"]


def test_a_title_of_five_thousand_characters_is_three_lines():
    rates = pd.DataFrame({"of": ["a"], "r": [0.5], "n": [9], "ci_low": [0.4], "ci_high": [0.6]})
    chart = charts.rates_by(rates, category="of", rate="r", n="n", min_cell=1, title="why " * 1250, x_title="X")
    assert 2 <= len(chart.to_dict()["title"]["text"]) <= 4


def test_names_that_cannot_be_seen_are_not_put_into_one_bar():
    """A zero-width space is a name of its own; the first form drew all three as one bar of 90 %."""
    blank = pd.DataFrame({"of": ["", "  ", "\u200b"], "v": 0.3, "ci_low": 0.2, "ci_high": 0.4})
    _, rows = spec_of(charts.interval_bars(blank, category="of", value="v", title="T", value_title="V"))
    assert rows["name"].tolist() == ["(blank)", "(blank) (2)", "(blank) (3)"]


def test_a_name_that_javascript_takes_for_its_own_is_put_in_quotes():
    """The drawing program loses every line of a chart in which one is called __proto__."""
    assert labels(pd.Series(["__proto__", "toString", "proto"])).tolist() == ['"__proto__"', '"toString"', "proto"]
