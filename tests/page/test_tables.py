"""Result tables as they are shown; expected cells by hand."""

import html
import re

import numpy as np
import pandas as pd
import pytest

from launchpad_lib.contract.wording import single
from launchpad_lib.page.output import formatted
from launchpad_lib.page.tables import html_table


def cells(frame: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    head, _, body = html_table(frame, most=40).partition("</thead>")
    return re.findall(r"<th(?: [^>]*)?>(.*?)</th>", head), [
        [html.unescape(c) for c in re.findall(r"<td[^>]*>(.*?)</td>", row)] for row in body.split("</tr>")[:-1]
    ]


def test_a_rate_is_percent_and_its_limits_are_one_column_of_the_same_kind():
    head, rows = cells(
        pd.DataFrame({"users": [1499], "retention_rate": [0.58917], "ci_low": [0.5455], "ci_high": [0.6315]})
    )
    assert head == ["users", "retention rate", "95 % interval"]
    assert rows == [["1,499", "58.9 %", "54.5 to 63.1 %"]]  # 63.15 is a little less than that as a float


def test_a_difference_of_rates_is_in_points_and_a_ratio_stays_a_ratio():
    head, rows = cells(
        pd.DataFrame(
            {
                "absolute_lift": [-0.013],
                "lift_low": [-0.1019],
                "lift_high": [0.0318],
                "ratio": [1.2901],
                "ci_low": [0.9565],
                "ci_high": [1.6794],
            }
        )
    )
    assert head == ["absolute lift (points)", "lift 95 % interval", "ratio", "95 % interval"]
    assert rows == [["-1.3", "-10.2 to +3.2", "1.29", "0.957 to 1.68"]]


def test_limits_named_after_their_column_are_told_apart():
    head, rows = cells(
        pd.DataFrame(
            {
                "crash_free_users_rate": [0.978],
                "ci_low_users": [0.961],
                "ci_high_users": [0.9877],
                "rank_low": [1],
                "rank_high": [8],
            }
        )
    )
    assert head == ["crash free users rate", "users 95 % interval", "rank 95 % interval"]
    assert rows == [["97.8 %", "96.1 to 98.8 %", "1 to 8"]]


def test_flags_are_yes_or_no_instants_have_no_fractions_of_a_second_and_missing_is_a_dash():
    days = pd.to_datetime(["2026-01-05", "2026-01-06"])
    frame = pd.DataFrame(
        {
            "is_new": [True, False],
            "first_at": ["2026-01-05 08:06:57.092", None],
            "day_on": days,
            "p_value": [1.4e-7, 0.25],
        }
    )
    assert cells(frame)[1] == [
        ["yes", "2026-01-05 08:06:57", "2026-01-05", "< 0.001"],
        ["no", "–", "2026-01-06", "0.25"],
    ]


def test_names_and_values_from_the_data_are_escaped_and_an_empty_table_says_so():
    text = html_table(pd.DataFrame({"<b>": ["<script>"]}), most=40)
    assert "<script>" not in text and "<b>" not in text
    assert "no rows" in html_table(pd.DataFrame({"users": []}), most=40)


def test_a_share_that_would_read_as_nothing_keeps_two_digits():
    assert [formatted(v, "fraction") for v in (60 / 131_453, 0.0, -0.0, 0.25)] == [
        "0.046 %",
        "0.0 %",
        "0.0 %",
        "25.0 %",
    ]
    assert formatted(0.017, "points") == "+1.7 points"


def test_the_counts_of_a_row_with_fractions_stay_whole():
    assert f"{single(pd.DataFrame({'immature': [7], 'rate': [0.5]})).immature}" == "7"


def test_seconds_are_shown_in_the_unit_that_fits_and_a_mixed_column_of_numbers_stands_to_the_right():
    frame = pd.DataFrame({"median_seconds": [34.93, 417_168.0], "psi": pd.Series([None, 0.1274], dtype=object)})
    assert cells(frame) == (["median time", "psi"], [["34.9 s", "–"], ["4.8 days", "0.1274"]])
    assert html_table(frame, most=40).count('<td class="num">') == 4


def test_numbers_without_end_and_values_of_any_type_have_a_cell():
    odd = pd.Series([[1, 2], {"a": None}, b"x", "\u202egnp"], dtype=object)
    frame = pd.DataFrame({"a_rate": [np.inf, -np.inf, None, 0.5], "total_seconds": [np.inf, 1.0, 2.0, 3.0], "odd": odd})
    assert cells(frame)[1] == [
        ["∞", "∞", "[1, 2]"],
        ["−∞", "1.0 s", "{'a': None}"],
        ["–", "2.0 s", "b'x'"],
        ["50.0 %", "3.0 s", "\\u202egnp"],
    ]


def test_more_than_nine_columns_share_out_the_width_of_paper():
    tables = {n: html_table(pd.DataFrame([range(n)], columns=[f"c{i}" for i in range(n)]), most=1) for n in (9, 10)}
    assert tables[9].startswith("<table><thead>") and tables[10].startswith('<table class="wide"><thead>')


@pytest.mark.parametrize("name", ["a" * 5000, "<&>" * 1600, "🇩🇪👩‍👩‍👧" * 500, "שלום " * 900])
def test_a_name_of_thousands_of_characters_stands_in_a_cell_with_both_its_ends(name):
    """It stood there whole in each of 20 rows of three tables: 265 kB of a page."""
    (text,) = cells(pd.DataFrame({"segment": [name]}))[1][0]
    assert len(text) < 2000 and "…" in text and text[0] in name and text[-1] in name.strip()
    assert len(html_table(pd.DataFrame({"segment": [name] * 20, "n": range(20)}), most=20).encode()) < 40_000
