"""What a notebook shows, and what becomes of it where the data are hostile. Expected values are by hand."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import altair as alt
import numpy as np
import pandas as pd
import pytest

from launchpad_lib.contract.catalogue import ResultTable
from launchpad_lib.contract.catalogue.product import COMPLETION_RATE_USER
from launchpad_lib.contract.estimates import Estimate
from launchpad_lib.contract.findings import Finding, conclusion
from launchpad_lib.contract.tables import Column
from launchpad_lib.page.output import SPEC_MIME, TABLE_MIME, chart, conclude, metric, table


def dots(rows: int, **title) -> alt.Chart:
    return alt.Chart(pd.DataFrame({"a": range(rows)})).mark_point().encode(x="a:Q").properties(**title)


def test_a_chart_of_more_rows_than_are_drawn_costs_its_picture_and_says_so(shown):
    chart(dots(5001, title="How <many>?"))
    chart(dots(5001))
    assert [list(data) for data in shown] == [["text/html", "text/plain"]] * 2
    assert "How &lt;many&gt;?" in shown[0]["text/html"]
    assert "It has more than 5,000 rows. Count or sum them first." in shown[0]["text/html"]
    because = "It has more than 5,000 rows. Count or sum them first."
    assert shown[0]["text/plain"] == f"chart: How <many>?: {because}"
    assert shown[1] == {
        "text/html": f'<div class="instead"><p>A chart</p><p class="quiet">Not drawn. {because}</p></div>',
        "text/plain": f"chart: : {because}",
    }
    chart(dots(5000))
    assert SPEC_MIME in shown[2]


def test_text_in_a_chart_is_visible_before_it_leaves_the_notebook(shown):
    chart(alt.Chart(pd.DataFrame({"a": ["x\x00y"]})).mark_bar().encode(y="a:N").properties(title="\u202et"))
    spec = shown[0][SPEC_MIME]
    assert next(iter(spec["datasets"].values())) == [{"a": r"x\x00y"}]
    assert spec["title"] == "\\u202et"


CHECKOUT = Finding("act", "fix", "Checkout <b>\x00</b> is slow.")


def test_a_conclusion_reads_in_lab_and_voila_too_without_a_colour_of_its_own(shown):
    conclude(conclusion("Checkout <i>got</i> slower.", [CHECKOUT, Finding("fine", "nothing", "Sharing is fine.")]))
    assert shown[0]["text/html"] == (
        "<p><strong>Checkout &lt;i&gt;got&lt;/i&gt; slower.</strong></p>"
        r"<ul><li>▲ act: Checkout &lt;b&gt;\x00&lt;/b&gt; is slow.</li><li>✓ fine: Sharing is fine.</li></ul>"
    )


def test_a_metric_reads_in_lab_and_voila_too(shown):
    metric(COMPLETION_RATE_USER, Estimate(0.5, 0.4, 0.6, 100, None, {"start_event": "<b>", "window": "7d"}))
    told = shown[0]["text/html"]
    assert "Completion rate per user: <strong>50.0 % (95 % interval 40.0 to 60.0 %), n = 100</strong>" in told
    assert "&lt;b&gt;" in told and "style" not in told


@pytest.mark.parametrize(
    "value, kept",
    [
        (float("inf"), None), (float("-inf"), None), (float("nan"), None), (np.float64(0.12345678912), 0.123456789), (np.int64(7), 7), (Decimal("1.5"), 1.5),
        (np.bool_(True), True), (timedelta(days=1), "1 day, 0:00:00"), ([1], "[1]"), ("\ud83d", "\\ud83d"), ("x\x00", "x\x00"), (pd.NaT, None),
    ],
)  # fmt: skip
def test_any_value_has_a_form_in_a_typed_output(shown, value, kept):
    """Text for programs stays as it is, but for what no file can hold."""
    what = ResultTable("t", "one row per <thing>", (Column("v", "string", True, "a value"),))
    table(what, pd.DataFrame({"v": pd.Series([value, 1], dtype=object)}))
    assert shown[0][TABLE_MIME]["rows"] == [[kept], [1]]
    assert "<caption>one row per &lt;thing&gt;</caption>" in shown[0]["text/html"]
