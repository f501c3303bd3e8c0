"""What a notebook shows, and what becomes of it where the data are hostile. Expected values are by hand."""

from __future__ import annotations

import altair as alt
import pandas as pd
import pytest

from launchpad_lib.page import output
from launchpad_lib.page.output import SPEC_MIME, chart


@pytest.fixture
def shown(monkeypatch) -> list[dict]:
    """Everything that was displayed, in order."""
    found: list[dict] = []
    monkeypatch.setattr(output, "display", lambda data, raw: found.append(data))
    return found


def dots(rows: int, **title) -> alt.Chart:
    return alt.Chart(pd.DataFrame({"a": range(rows)})).mark_point().encode(x="a:Q").properties(**title)


def test_a_chart_of_more_rows_than_are_drawn_costs_its_picture_and_says_so(shown):
    chart(dots(5001, title="How <many>?"))
    chart(dots(5001))
    assert [list(data) for data in shown] == [["text/html", "text/plain"]] * 2
    assert "How &lt;many&gt;?" in shown[0]["text/html"]
    assert "It has more than 5,000 rows. Count or sum them first." in shown[0]["text/html"]
    chart(dots(5000))
    assert SPEC_MIME in shown[2]


def test_text_in_a_chart_is_visible_before_it_leaves_the_notebook(shown):
    chart(alt.Chart(pd.DataFrame({"a": ["x\x00y"]})).mark_bar().encode(y="a:N").properties(title="\u202et"))
    spec = shown[0][SPEC_MIME]
    assert next(iter(spec["datasets"].values())) == [{"a": r"x\x00y"}]
    assert spec["title"] == "\\u202et"
