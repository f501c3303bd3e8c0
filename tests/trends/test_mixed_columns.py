"""Columns that change their kind, instants written in several ways, and nothing known: by hand and with scipy."""

from __future__ import annotations

import pandas as pd
import pytest
from scipy.stats import chi2_contingency

from launchpad_lib.trends import drift_table, nearest_annotation, spell_noise_of_change


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["1"] * 30 + ["web"] * 20, [1] * 20 + [2] * 30),
        ([1] * 30 + [2] * 20, ["1"] * 20 + ["web"] * 30),
        (["1"] * 30 + ["web"] * 20, [1] * 20 + ["app"] * 30),
        ([1] * 30 + ["web"] * 20, ["1"] * 20 + ["app"] * 30),
        (["True"] * 30 + ["web"] * 20, [True] * 20 + [False] * 30),
        ([True] * 30 + [False] * 20, ["True"] * 20 + ["web"] * 30),
    ],
)
def test_a_column_of_numbers_or_flags_that_becomes_text_is_compared_as_categories(before, after):
    """The value that both periods have goes from 30 to 20 of 50; of the other two one went and one came. scipy's chi-square."""
    row = drift_table(pd.DataFrame({"x": before}), pd.DataFrame({"x": after}), columns=["x"]).iloc[0]
    expected = chi2_contingency([[30, 20, 0], [20, 0, 30]], correction=False).pvalue
    assert (row["kind"], row["test"], row["refused_because"]) == ("category", "chi-square", None)
    assert row["p_value"] == pytest.approx(expected)


def test_marks_may_be_written_as_dates_instants_and_with_offsets_in_one_column():
    """Each lies on 10 January in UTC; the last is written as the 11th, two hours ahead."""
    table = pd.DataFrame({"feature_id": list("abcd"), "shift_on": pd.to_datetime(["2026-01-09"] * 4)})
    written = ["2026-01-10", "2026-01-10 11:00:00", "2026-01-10T11:00:00.250Z", "2026-01-11T01:30:00+02:00"]
    for texts in (written, written[::-1]):
        marks = pd.DataFrame({"at": texts, "kind": "deployment", "feature_id": list("abcd"), "label": None})
        assert nearest_annotation(table, marks, date_column="shift_on")["annotation_days"].tolist() == [1] * 4


def test_where_no_noise_is_known_it_is_nought_with_three_degrees_of_freedom():
    shifts = pd.DataFrame(
        {"feature_id": ["a", "b"], "days": [9, 9], "persistence": [None, None], "spell_sd": [None, None]}
    )
    found = spell_noise_of_change(shifts, window_days=7)
    assert found.dtypes.astype(str).to_dict() == {"period_sd": "float64", "period_df": "float64"}
    assert found.values.tolist() == [[0.0, 3.0]] * 2 and found.index.tolist() == ["a", "b"]
